#ifndef UI_COMPLETE_H
#define UI_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

#include "ui/prompt.h"

/*
 * The last word of a line, completed: begin, offer whatever could stand there,
 * end. What all that fit have in common is taken over.
 */
struct complete {
	char *line;
	const char *word; /* in line */
	char common[PROMPT_TEXT], list[256];
	size_t n;
};

/* Words begin behind a blank or one of `before`. */
void complete_begin(struct complete *c, char line[PROMPT_TEXT], const char *before);
void complete_offer(struct complete *c, const char *candidate);
/* Changes the line; what fits is in c->list when there are several. A blank follows a word that is the only one, unless `open`. */
void complete_end(struct complete *c, bool open);

struct app;
/* Keys of filters and columns: columns, metrics and settings of the run log. */
void complete_offer_keys(struct complete *c, struct app *app);
void complete_offer_runs(struct complete *c, struct app *app); /* names and ids of the newest */

#endif
