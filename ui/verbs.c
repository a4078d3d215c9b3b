/* The command line of the workbench. */
#include "ui/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/knob.h"
#include "ui/complete.h"
#include "ui/trainer.h"

/* ---- words ---- */

static char *take_word(char **at, bool *ret_open)
{
	char *word = *at, *to = *at, *p = *at, quote = 0;

	for (; *p && (quote || *p != ' '); p++) {
		if (*p == '\\' && quote != '\'' && p[1])
			*to++ = *++p;
		else if (quote ? *p == quote : *p == '"' || *p == '\'')
			quote = quote ? 0 : *p;
		else
			*to++ = *p;
	}
	*at = *p ? p + 1 : p;
	*to = 0;
	*ret_open = quote != 0;
	return word;
}

int verbs_split(char *line, char *word[WORDS_MAX + 1], size_t *ret_n)
{
	bool open = false;
	size_t n = 0;

	for (line += strspn(line, " "); *line; line += strspn(line, " ")) {
		if (n == WORDS_MAX)
			return err_set(TT_INVALID, "a command has at most %d words", WORDS_MAX);
		word[n++] = take_word(&line, &open);
		if (open)
			return err_set(TT_INVALID, "a quotation mark is not closed");
	}
	word[n] = NULL;
	*ret_n = n;
	return TT_OK;
}

/* ---- words of the workbench ---- */

static unsigned do_quit(struct screen *s, const char *arg)
{
	(void)s;
	(void)arg;
	return UI_QUIT;
}

static unsigned do_open(struct screen *s, const char *name, const char *arg)
{
	if (app_open(s->app, name, arg))
		app_complain(s->app, "%s", err_text());
	return UI_DRAW;
}

static unsigned do_help(struct screen *s, const char *arg)
{
	(void)arg;
	return strcmp(s->ops->name, "help") != 0 ? do_open(s, "help", s->ops->name) : UI_DRAW;
}

static unsigned do_columns(struct screen *s, const char *arg)
{
	(void)arg;
	return do_open(s, "columns", NULL);
}

static unsigned do_undelete(struct screen *s, const char *arg)
{
	(void)arg;
	return trainer_undo(s->app);
}

static unsigned do_sort(struct screen *s, const char *arg)
{
	struct columns *c = &s->app->columns;
	const char *key = arg + (arg[0] == '-');

	if (strlen(arg) >= COLUMN_KEY || (*key && (!run_key_is(key) || !columns_sort(key)))) {
		app_complain(s->app,
			     "runs have no order by '%.60s'; step, peft.r and eval/loss "
			     "are some",
			     arg);
		return UI_DRAW;
	}
	snprintf(c->sort, sizeof(c->sort), "%s%s", arg[0] == '-' ? "-" : "", columns_sort(key));
	if (app_keep_columns(s->app))
		app_complain(s->app, "this lasts until you leave: %s", err_text());
	return UI_DRAW | UI_RELOAD;
}

static unsigned do_theme(struct screen *s, const char *arg)
{
	struct app *app = s->app;

	if (!theme_background(&app->theme, arg)) {
		app_complain(app, "theme is dark, light or plain (for both)");
		return UI_DRAW;
	}
	snprintf(app->columns.theme, sizeof(app->columns.theme), "%s", arg);
	if (app_keep_columns(app))
		app_complain(app, "this lasts until you leave: %s", err_text());
	return UI_DRAW;
}

static const struct {
	const char *name;
	unsigned (*act)(struct screen *s, const char *arg);
} own[] = {
	{ "quit", do_quit },         { "help", do_help }, { "columns", do_columns },
	{ "undelete", do_undelete }, { "sort", do_sort }, { "theme", do_theme },
};

/* ---- verbs of trimtab ---- */

static const struct verb *find_verb(const struct app *app, const char *name)
{
	for (const struct verb *v = app->verbs; v && v->name; v++)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}

static bool has_option(const struct verb *v, const char *name)
{
	for (const struct arg *a = v->options; a && a->name; a++)
		if (!strcmp(a->name, name))
			return true;
	return false;
}

static bool has_word(char *const *word, const char *what)
{
	for (; *word; word++)
		if (!strcmp(*word, what))
			return true;
	return false;
}

/* The run under the cursor, for `%`; "": there is none. */
static const char *run_here(const struct screen *s)
{
	const char *id = s->ops->here ? s->ops->here(s) : NULL;

	return id ? id : "";
}

/* What the verb is given: `%` is the run here, and a trainer that is started is not waited for. */
static int arguments(const struct screen *s, const struct verb *v, char **word, size_t *n)
{
	static char detach[] = "--detach";

	for (size_t i = 1; i < *n; i++) {
		if (strcmp(word[i], "%") != 0)
			continue;
		word[i] = (char *)run_here(s);
		if (!*word[i])
			return err_set(TT_NOTFOUND,
				       "%% is the run under the cursor, and there is none");
	}
	if (has_word(word, "--watch"))
		return err_set(TT_INVALID, "this is the workbench already; leave --watch out");
	if (!has_option(v, detach) || has_word(word, detach) || has_word(word, "--wait") ||
	    has_word(word, "--seeds") || has_word(word, "--help") || *n == WORDS_MAX)
		return TT_OK;
	word[(*n)++] = detach;
	word[*n] = NULL;
	return TT_OK;
}

static unsigned fail_unknown(struct app *app, const char *word)
{
	const char *name[128], *near;
	size_t n = 0;

	for (size_t i = 0; i < COUNT(own); i++)
		name[n++] = own[i].name;
	for (const struct verb *v = app->verbs; v && v->name && n < COUNT(name); v++)
		name[n++] = v->name;
	near = knob_nearest(word, name, n);
	if (near)
		app_complain(app, "there is no verb '%.40s'; did you mean %s?", word, near);
	else
		app_complain(app, "there is no verb '%.40s'; tab lists them", word);
	return UI_DRAW;
}

static unsigned run_verb(struct screen *s, const struct verb *v, char **word, size_t n)
{
	char arg[2 * PROMPT_TEXT] = "";
	size_t used = 0;

	if (arguments(s, v, word, &n)) {
		app_complain(s->app, "%s", err_text());
		return UI_DRAW;
	}
	for (size_t i = 0; i < n && used < sizeof(arg); i++)
		used += (size_t)snprintf(arg + used, sizeof(arg) - used, "%s%s", i ? "\n" : "",
					 word[i]);
	return do_open(s, "output", arg);
}

unsigned verbs_run(struct screen *s, const char *text)
{
	char line[PROMPT_TEXT], *word[WORDS_MAX + 1];
	const struct verb *v;
	size_t n;

	snprintf(line, sizeof(line), "%s", text);
	if (verbs_split(line, word, &n)) {
		app_complain(s->app, "%s", err_text());
		return UI_DRAW;
	}
	if (!n)
		return UI_DRAW;
	for (size_t i = 0; i < COUNT(own); i++)
		if (!strcmp(word[0], own[i].name))
			return own[i].act(s, n > 1 ? word[1] : "");
	v = find_verb(s->app, word[0]);
	return v ? run_verb(s, v, word, n) : fail_unknown(s->app, word[0]);
}

/* ---- completion ---- */

static void offer_verbs(struct complete *c, const struct app *app)
{
	for (size_t i = 0; i < COUNT(own); i++)
		complete_offer(c, own[i].name);
	for (const struct verb *v = app->verbs; v && v->name; v++)
		complete_offer(c, v->name);
}

static void offer_arguments(struct complete *c, struct app *app, const char *verb)
{
	const struct verb *v = find_verb(app, verb);

	if (!strcmp(verb, "theme")) {
		for (int i = 0; theme_background_name(i); i++)
			complete_offer(c, theme_background_name(i));
	} else if (!strcmp(verb, "sort")) {
		complete_offer_keys(c, app);
	} else if (c->word[0] == '-') {
		for (const struct arg *a = v ? v->options : NULL; a && a->name; a++)
			complete_offer(c, a->name);
	} else if (v) {
		complete_offer_runs(c, app);
	}
}

static void complete(struct screen *s, char line[PROMPT_TEXT])
{
	char verb[32] = "";
	struct complete c;

	complete_begin(&c, line, "");
	(void)sscanf(line, "%31s", verb);
	if (!strncmp(c.word, verb, strlen(verb)) && c.word - line == (int)strspn(line, " "))
		offer_verbs(&c, s->app);
	else
		offer_arguments(&c, s->app, verb);
	complete_end(&c, false);
	if (c.n != 1)
		app_say(s->app, "%s", c.n ? c.list : "nothing fits");
}

unsigned verbs_ask_with(struct screen *s, const char *line)
{
	prompt_line(&s->app->prompt, ":", line, verbs_run);
	s->app->prompt.complete = complete;
	app_say(s->app, "any verb of trimtab; tab completes, %% is the run under the cursor");
	return UI_DRAW;
}

unsigned verbs_ask(struct screen *s) { return verbs_ask_with(s, ""); }
