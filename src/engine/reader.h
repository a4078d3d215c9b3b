#ifndef ENGINE_READER_H
#define ENGINE_READER_H

#include "engine/session.h"

/*
 * The data files of a run, read on a thread of their own while the caller loads
 * the model. Meanwhile the session's datasets, tokenizer and labels are the
 * reader's; the rest is the caller's.
 */
struct reader;

/* Behind session_load_texts: begin with data.train, then data.validation. */
int reader_start(struct session *s, struct reader **ret);
/*
 * Wait for them; s->train and s->other are there. code: how the caller has fared;
 * when it failed the files are read no further, and that is what comes back.
 */
int reader_finish(struct reader *r, int code); /* NULL is fine */

#endif
