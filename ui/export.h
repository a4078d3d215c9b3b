#ifndef UI_EXPORT_H
#define UI_EXPORT_H

#include "ui/prompt.h"
#include "ui/screen.h"

/* Writing to a file that a person names: what is there already is replaced only after a yes. */

enum { EXPORT_PATH = 256 };

/*
 * text, as typed, becomes path; then `write` does it, at once or after the
 * question. Its own text says nothing.
 */
unsigned export_to(struct screen *s, const char *text, char path[EXPORT_PATH], prompt_done *write);
/* What came of it, as a message: code, and if it is TT_OK where `what` is. */
unsigned export_say(struct screen *s, int code, const char *what, const char *path);

#endif
