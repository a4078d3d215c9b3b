#ifndef UI_TRAINER_H
#define UI_TRAINER_H

#include "ui/app.h"

/* What a screen may do to a run. Nothing here waits for a trainer: answers come with later ticks. */

/* Why a run cannot be stopped, paused or continued, resumed, deleted or set now; NULL when it can. r NULL: no run. */
const char *trainer_why_not_stop(const struct run *r);
const char *trainer_why_not_pause(const struct run *r);
const char *trainer_why_not_resume(const struct run *r);
const char *trainer_why_not_delete(const struct run *r);

unsigned trainer_stop(struct app *app, const struct run *r);
unsigned trainer_pause(struct app *app, const struct run *r); /* or continue, when it is paused */
unsigned trainer_resume(struct app *app, const struct run *r);
unsigned trainer_set_rate(struct app *app, const struct run *r, const char *rate);
unsigned trainer_trash(struct app *app, int64_t row, const char *id, const char *name);
unsigned trainer_trash_marked(struct app *app); /* live ones stay */
unsigned trainer_undo(struct app *app);
/* Give a run these tags, words with blanks between, and no others. */
unsigned trainer_tags(struct app *app, const struct run *r, const char *words);
/* A note in one line, where \n is a line's end and \\ a backslash; false when ret has no room. */
bool trainer_note_line(const char *note, char *ret, size_t size);
unsigned trainer_note(struct app *app, const struct run *r, const char *line);
/* Look for answers and for trainers that ended at once; true when there is something to say. */
bool trainer_tick(struct app *app);
/* Microseconds until the run reaches its last step, from its latest steps; -1 when that is unknown. */
int64_t trainer_left(struct store *st, const struct run *r);

#endif
