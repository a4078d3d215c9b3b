/* Help: the keys of a screen, from the same table that obeys them. */
#include <stdio.h>
#include <string.h>

#include "ui/app.h"
#include "ui/keymap.h"
#include "ui/widget/text.h"

enum { LINES_MAX = 160, LINE = 200 };

struct help {
	const struct screen_ops *of;
	int from, n;
	char line[LINES_MAX][LINE];
};

static void add(struct help *h, const char *text)
{
	if (h->n < LINES_MAX)
		snprintf(h->line[h->n++], LINE, "%s", text);
}

/* "j down     go down" */
static void add_key(struct help *h, const struct keybind *k)
{
	char names[4 * KEY_NAME_SIZE], name[KEY_NAME_SIZE], line[LINE];

	keymap_name(k->key, names);
	for (int i = 0; i < KEY_ALIASES && k->also[i]; i++) {
		keymap_name(k->also[i], name);
		if (strstr(names, name)) /* the two codes of enter */
			continue;
		snprintf(names + strlen(names), sizeof(names) - strlen(names), " %s", name);
	}
	snprintf(line, sizeof(line), "  %-14s %s", names, k->help);
	add(h, line);
}

static void add_screen(struct help *h, const struct screen_ops *ops)
{
	add(h, ops->title);
	for (const struct keybind *k = ops->keys; k->help; k++)
		add_key(h, k);
	add(h, "");
}

static int help_open(struct screen *s, const char *arg)
{
	static const char *const legend[] = {
		"Filters",
		"  lora running           in name or id; a state",
		"  method:lora* tag:keep  a pattern of * ? [ ]; name, state, tag, note, age, ...",
		"  peft.r=8 state!=lost   exactly; another than. A '.' makes a setting",
		"  eval/accuracy>0.85     > >= < <=. A '/' makes a metric",
		"  not (a or b) \"or\"      tests side by side must all hold",
		"",
		"Marks of charts",
		"  A column of a chart spans the smallest and the largest of all values in it.",
		"  N  not a number    I  infinite    v  not above zero on a log axis",
		"  Upright lines are events, named by a letter under the chart:",
		"  c checkpoint   l learning rate changed   p paused   r resumed   * other",
		"",
		"Small screens leave out columns; nothing is lost, a larger one shows them again.",
		"NO_COLOR=1 turns colours off.",
		":theme light and :theme dark suit the colours to the window.",
	};
	struct help *h = s->state;

	for (const struct screen_ops *const *o = screen_all(); *o; o++)
		if ((arg && !strcmp((*o)->name, arg)) || (!arg && strcmp((*o)->name, "help") != 0))
			add_screen(h, *o);
	add(h, "Everywhere");
	for (const struct keybind *k = keys_everywhere; k->help; k++)
		add_key(h, k);
	add(h, "");
	for (size_t i = 0; i < sizeof(legend) / sizeof(legend[0]); i++)
		add(h, legend[i]);
	return 0;
}

static void help_draw(const struct screen *s, WINDOW *w)
{
	const struct help *h = s->state;

	app_title(s->app, w, "keys", "esc goes back");
	for (int i = 0; i + 2 < getmaxy(w) && h->from + i < h->n; i++) {
		const char *line = h->line[h->from + i];

		theme_set(&s->app->theme, w, line[0] == ' ' ? ROLE_TEXT : ROLE_STRONG);
		text_put(w, i + 2, 1, getmaxx(w) - 2, line);
	}
	theme_set(&s->app->theme, w, ROLE_TEXT);
}

static unsigned scroll_to(struct screen *s, int to)
{
	struct help *h = s->state;
	const int last = h->n > s->app->rows - 2 ? h->n - (s->app->rows - 2) : 0;

	h->from = to < 0 ? 0 : to > last ? last : to;
	return UI_DRAW;
}

static int at(const struct screen *s) { return ((const struct help *)s->state)->from; }

static unsigned help_down(struct screen *s) { return scroll_to(s, at(s) + 1); }
static unsigned help_up(struct screen *s) { return scroll_to(s, at(s) - 1); }
static unsigned help_page_down(struct screen *s) { return scroll_to(s, at(s) + s->app->rows - 3); }
static unsigned help_page_up(struct screen *s) { return scroll_to(s, at(s) - s->app->rows + 3); }
static unsigned help_first(struct screen *s) { return scroll_to(s, 0); }
static unsigned help_last(struct screen *s) { return scroll_to(s, LINES_MAX); }

static unsigned help_back(struct screen *s)
{
	(void)s;
	return UI_CLOSE | UI_DRAW;
}

static const struct keybind keys[] = {
	{ KEY_ESCAPE, { KEY_RETURN }, "back", "go back", help_back, NULL, false },
	{ 'j', { KEY_TERMINAL(KEY_DOWN) }, "down", "go down", help_down, NULL, false },
	{ 'k', { KEY_TERMINAL(KEY_UP) }, "up", "go up", help_up, NULL, false },
	{ KEY_TERMINAL(KEY_NPAGE),
	  { ' ' },
	  "page down",
	  "go down by a page",
	  help_page_down,
	  NULL,
	  true },
	{ KEY_TERMINAL(KEY_PPAGE), { 0 }, "page up", "go up by a page", help_page_up, NULL, true },
	{ 'g',
	  { KEY_TERMINAL(KEY_HOME) },
	  "first",
	  "go to the first line",
	  help_first,
	  NULL,
	  true },
	{ 'G', { KEY_TERMINAL(KEY_END) }, "last", "go to the last line", help_last, NULL, true },
	{ 0 }
};

const struct screen_ops screen_help = {
	.name = "help",
	.title = "Help",
	.state_size = sizeof(struct help),
	.keys = keys,
	.open = help_open,
	.draw = help_draw,
};
