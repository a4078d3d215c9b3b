#ifndef DB_NOTE_H
#define DB_NOTE_H

#include <stddef.h>
#include <stdint.h>

#include "db/store.h"

/* Tags and notes: what people say about a run. Written by the front. */

enum { TAG_MAX = 64, NOTE_MAX = 65536 };

int tag_add(struct store *st, int64_t run,
	    const char *word); /* twice is fine; no white space in a tag */
int tag_remove(struct store *st, int64_t run,
	       const char *word); /* TT_NOTFOUND when the run has no such tag */
/* Of a run, or of all runs when run is 0, sorted. free() the array only. */
int tag_list(struct store *st, int64_t run, char ***ret, size_t *ret_n);

int note_set(struct store *st, int64_t run, const char *text); /* "" takes the note away */
int note_get(struct store *st, int64_t run, char **ret); /* "" when there is none; free() it */

#endif
