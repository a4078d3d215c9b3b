/* The line at the bottom that asks. */
#include "ui/prompt.h"

#include <stdio.h>
#include <string.h>

#include "ui/keymap.h"
#include "ui/widget/text.h"

enum { CTRL_U = 21, CTRL_W = 23, CTRL_H = 8, DELETE = 127 };

void prompt_line(struct prompt *p, const char *label, const char *text, prompt_done *done)
{
	*p = (struct prompt){ .kind = PROMPT_LINE, .done = done };
	snprintf(p->label, sizeof(p->label), "%s", label);
	snprintf(p->text, sizeof(p->text), "%s", text);
}

void prompt_yes_no(struct prompt *p, const char *question, prompt_done *done)
{
	*p = (struct prompt){ .kind = PROMPT_YES_NO, .done = done };
	snprintf(p->label, sizeof(p->label), "%s", question);
}

static unsigned finish(struct prompt *p, struct screen *s)
{
	const struct prompt was = *p; /* done may ask the next question */

	p->kind = PROMPT_OFF;
	return UI_DRAW | was.done(s, was.text);
}

static void chop_word(char *text)
{
	size_t n = strlen(text);

	while (n && text[n - 1] == ' ')
		n--;
	while (n && text[n - 1] != ' ')
		n--;
	text[n] = 0;
}

static void edit(struct prompt *p, int key)
{
	if (key == CTRL_H || key == DELETE || key == KEY_TERMINAL(KEY_BACKSPACE))
		text_chop(p->text);
	else if (key == CTRL_U)
		p->text[0] = 0;
	else if (key == CTRL_W)
		chop_word(p->text);
	else if (key >= ' ' && key < KEY_ABOVE)
		(void)text_append(p->text, sizeof(p->text), key);
}

unsigned prompt_key(struct prompt *p, struct screen *s, int key)
{
	const bool enter = key == KEY_RETURN || key == '\n' || key == KEY_TERMINAL(KEY_ENTER);

	if (p->kind == PROMPT_YES_NO) {
		if (key == 'y' || key == 'Y')
			return finish(p, s);
		p->kind = PROMPT_OFF;
		return UI_DRAW;
	}
	if (enter)
		return finish(p, s);
	if (key == KEY_ESCAPE)
		p->kind = PROMPT_OFF;
	else if (key == '\t' && p->complete)
		p->complete(s, p->text);
	else
		edit(p, key);
	return UI_DRAW;
}

/* The end of a text that fits: what is being typed stays in sight. */
static const char *tail(const char *text, int width)
{
	while (text_width(text) > width && *text)
		(void)text_decode(&text);
	return text;
}

void prompt_draw(const struct prompt *p, const struct theme *t, WINDOW *w, int y)
{
	const int width = getmaxx(w);
	int x = 1;

	theme_set(t, w, ROLE_STRONG);
	x += text_put(w, y, x, width - 2, p->label);
	if (p->kind == PROMPT_YES_NO) {
		text_put(w, y, x, width - x, " [y/N]");
		return;
	}
	theme_set(t, w, ROLE_TEXT);
	x += 1;
	if (x > width - 10)
		x = width / 2;
	x += text_put(w, y, x, width - x - 1, tail(p->text, width - x - 2));
	theme_set(t, w, ROLE_SELECTED);
	text_put(w, y, x, 1, " ");
	theme_set(t, w, ROLE_TEXT);
}
