#ifndef UI_PROMPT_H
#define UI_PROMPT_H

#include <curses.h>
#include <stdbool.h>

#include "ui/screen.h"
#include "ui/theme.h"

/* The line at the bottom that asks for a text, or for yes or no. */

enum prompt_kind { PROMPT_OFF, PROMPT_LINE, PROMPT_YES_NO };
enum { PROMPT_TEXT = 1024 };

typedef unsigned prompt_done(struct screen *s, const char *text);
typedef void prompt_complete(struct screen *s, char text[PROMPT_TEXT]);

struct prompt {
	enum prompt_kind kind;
	char label[192], text[PROMPT_TEXT];
	prompt_done *done;         /* enter, or yes; text is "" for yes */
	prompt_complete *complete; /* tab; NULL: nothing */
};

void prompt_line(struct prompt *p, const char *label, const char *text, prompt_done *done);
/* No is the default: only y does it. */
void prompt_yes_no(struct prompt *p, const char *question, prompt_done *done);
/* Give it a key; calls done when the person has answered. */
unsigned prompt_key(struct prompt *p, struct screen *s, int key);
void prompt_draw(const struct prompt *p, const struct theme *t, WINDOW *w, int y);

#endif
