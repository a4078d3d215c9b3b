/* Runs: the list of all runs, and what its keys do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "db/note.h"
#include "ui/complete.h"
#include "ui/keymap.h"
#include "ui/runs.h"
#include "ui/trainer.h"
#include "ui/verbs.h"
#include "ui/widget/text.h"

/* ---- moving ---- */

static unsigned move_to(struct screen *s, int64_t to)
{
	struct runs *r = s->state;

	if (!r->lines)
		return UI_NONE;
	if (to < 0)
		to = 0;
	if (to >= (int64_t)r->lines)
		to = (int64_t)r->lines - 1;
	if ((size_t)to == r->at)
		return UI_NONE;
	r->at = (size_t)to;
	return UI_DRAW | UI_POLL;
}

static unsigned move_by(struct screen *s, int64_t by)
{
	const struct runs *r = s->state;

	return move_to(s, (int64_t)r->at + by);
}

static int64_t page(const struct screen *s)
{
	const struct runs *r = s->state;

	return r->rows > 1 ? (int64_t)r->rows - 1 : 1;
}

static unsigned runs_down(struct screen *s) { return move_by(s, 1); }
static unsigned runs_up(struct screen *s) { return move_by(s, -1); }
static unsigned runs_page_down(struct screen *s) { return move_by(s, page(s)); }
static unsigned runs_page_up(struct screen *s) { return move_by(s, -page(s)); }
static unsigned runs_first(struct screen *s) { return move_to(s, 0); }
static unsigned runs_last(struct screen *s) { return move_to(s, INT64_MAX); }

/* The run under the cursor as it was last read; NULL when there is none, or a group. */
static const struct run *selected(const struct screen *s)
{
	const struct runs_shown *here = runs_here(s->state);

	return here && !here->group ? &here->run : NULL;
}

static const char *why_not_line(const struct screen *s)
{
	return runs_here(s->state) ? NULL : "there is no run here";
}

static const char group_here[] = "this is a group; enter shows its runs";

/* What speaks against something that is done to one run. */
static const char *why_not_one(const struct screen *s,
			       const char *(*why_not)(const struct run *run))
{
	const struct runs_shown *here = runs_here(s->state);

	return here && here->group ? group_here : why_not(selected(s));
}

static void fold(struct runs *r, int64_t id)
{
	for (size_t i = 0; i < r->open_n; i++) {
		if (r->open[i] != id)
			continue;
		r->open[i] = r->open[--r->open_n];
		return;
	}
	if (r->open_n == OPEN_MAX) /* the one that was opened first gives way */
		memmove(r->open, r->open + 1, --r->open_n * sizeof(*r->open));
	r->open[r->open_n++] = id;
}

static unsigned runs_open(struct screen *s)
{
	struct runs *r = s->state;
	const struct runs_shown *here = runs_here(r);

	if (here->group) {
		fold(r, here->line_id);
		return UI_DRAW | UI_RELOAD;
	}
	if (app_open(s->app, "run", here->run.id))
		app_complain(s->app, "%s", err_text());
	return UI_DRAW;
}

/* ---- marks ---- */

/* All of a group, or none. */
static unsigned runs_mark(struct screen *s)
{
	struct runs *r = s->state;
	const struct runs_line *l = &r->line[r->at];
	struct marks *m = &s->app->marks;
	bool all = true;

	for (size_t i = 0; i < l->n; i++)
		all = all && marks_has(m, r->place[l->place + i].row);
	for (size_t i = 0; i < l->n; i++) {
		const int64_t row = r->place[l->place + i].row;

		if (all)
			marks_remove(m, row);
		else if (!marks_add(m, row))
			app_complain(s->app, "%d runs are marked already, and no more can be",
				     MARKS_MOST);
	}
	return UI_DRAW | move_by(s, 1);
}

static unsigned runs_compare(struct screen *s)
{
	if (app_open(s->app, "compare", NULL))
		app_complain(s->app, "%s", err_text());
	return UI_DRAW;
}

static const char *why_not_compare(const struct screen *s)
{
	return s->app->marks.n > 1 ? NULL : "mark two runs or more with space first";
}

static unsigned runs_unmark(struct screen *s)
{
	s->app->marks.n = 0;
	return UI_DRAW;
}

static const char *why_not_unmark(const struct screen *s)
{
	return s->app->marks.n ? NULL : "nothing is marked; space marks";
}

/* ---- searching, filtering, sorting ---- */

static bool fits(const struct run *run, const char *text)
{
	return strcasestr(run->name, text) || strcasestr(run->id, text);
}

static int row_order(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return (x->row > y->row) - (x->row < y->row);
}

/* The place of the next run that fits, seen from the cursor and round the end; r->n: there is none. */
static size_t seek(const struct runs *r, const struct run_list *l, bool back)
{
	const struct runs_line *here = &r->line[r->at];
	const size_t from = here->place + (here->group && !back ? r->n - 1 : 0);

	for (size_t by = 1; by <= r->n; by++) {
		const size_t i = (from + (back ? r->n - by : by)) % r->n;
		const struct run want = { .row = r->place[i].row };
		const struct run *run = bsearch(&want, l->run, l->n, sizeof(want), row_order);

		if (run && fits(run, r->search))
			return i;
	}
	return r->n;
}

/* Where the run is in a group that is folded, the group opens. */
static void go_to(struct runs *r, int64_t row)
{
	const size_t at = runs_line_of(r, row);

	if (at < r->lines && r->line[at].group)
		fold(r, runs_line_id(r, &r->line[at]));
	r->at_id = row;
	r->at = at < r->lines ? at : r->at;
}

static unsigned search(struct screen *s, bool back)
{
	struct runs *r = s->state;
	const struct run_filter f = runs_filter_of(s->app, r);
	struct run_list l;
	size_t at;

	if (run_list(s->app->store, &f, &l)) {
		app_complain(s->app, "%s", err_text());
		return UI_DRAW;
	}
	qsort(l.run, l.n, sizeof(*l.run), row_order);
	at = r->lines ? seek(r, &l, back) : r->n;
	if (at < r->n)
		go_to(r, r->place[at].row);
	else
		app_complain(s->app, "no run has '%s' in its name or id", r->search);
	run_list_done(&l);
	return UI_DRAW | UI_RELOAD;
}

static unsigned search_for(struct screen *s, const char *text)
{
	struct runs *r = s->state;

	if (!text[0])
		return UI_DRAW;
	snprintf(r->search, sizeof(r->search), "%s", text);
	return search(s, false);
}

static unsigned runs_search(struct screen *s)
{
	prompt_line(&s->app->prompt, "search name or id:", "", search_for);
	return UI_DRAW;
}

static unsigned runs_next(struct screen *s) { return search(s, false); }
static unsigned runs_previous(struct screen *s) { return search(s, true); }

static const char *why_not_list(const struct screen *s)
{
	const struct runs *r = s->state;

	return r->total ? NULL : "there are no runs yet";
}

static const char *why_not_next(const struct screen *s)
{
	const struct runs *r = s->state;

	if (!r->search[0])
		return "nothing was searched for yet; / does";
	return why_not_line(s);
}

static const char filter_label[] = "filter:";

static void filter_clear(struct runs *r)
{
	free(r->where);
	r->where = NULL;
	r->filter[0] = 0;
}

/* A wrong filter leaves the old one, and stands there again to be put right. */
static unsigned filter_by(struct screen *s, const char *text)
{
	struct runs *r = s->state;
	struct where *where;
	char hint[200];

	if (where_parse(text, &where)) {
		prompt_line(&s->app->prompt, filter_label, text, filter_by);
		app_complain(s->app, "%s", err_text());
		return UI_DRAW;
	}
	filter_clear(r);
	r->where = where;
	if (!where)
		return UI_DRAW | UI_RELOAD;
	snprintf(r->filter, sizeof(r->filter), "%s", text);
	if (s->app->store && !where_hint(s->app->store, where, hint, sizeof(hint)) && hint[0])
		app_complain(s->app, "%s", hint);
	return UI_DRAW | UI_RELOAD;
}

/* tab in a filter, and where a key alone is asked for */
static void complete_key(struct screen *s, char text[PROMPT_TEXT])
{
	struct complete c;

	complete_begin(&c, text, "(");
	complete_offer(&c, RUN_GROUP_SEED);
	complete_offer_keys(&c, s->app);
	complete_end(&c, true);
	if (c.n != 1)
		app_say(s->app, "%s", c.n ? c.list : "no key begins so");
}

static unsigned runs_filter(struct screen *s)
{
	const struct runs *r = s->state;

	prompt_line(&s->app->prompt, filter_label, r->filter, filter_by);
	s->app->prompt.complete = complete_key;
	app_say(s->app, "such as: lora running tag:x method:lora* peft.r=8 eval/accuracy>0.85");
	return UI_DRAW;
}

static unsigned runs_unfilter(struct screen *s)
{
	filter_clear(s->state);
	return UI_DRAW | UI_RELOAD;
}

static const char *why_not_unfilter(const struct screen *s)
{
	const struct runs *r = s->state;

	return r->filter[0] ? NULL : "this is the first screen, and nothing is filtered; q quits";
}

/* ---- columns, order, groups ---- */

static unsigned keep_columns(struct screen *s)
{
	if (app_keep_columns(s->app))
		app_complain(s->app, "this lasts until you leave: %s", err_text());
	return UI_DRAW | UI_RELOAD;
}

/* The column behind the one that is sorted by; those that cannot be are passed over. */
static unsigned runs_sort(struct screen *s)
{
	struct columns *c = &s->app->columns;
	const char *now = c->sort + (c->sort[0] == '-');
	size_t at = 0;

	while (at < c->n &&
	       (!columns_sort(c->key[at]) || strcmp(columns_sort(c->key[at]), now) != 0))
		at++;
	for (size_t by = 1; by <= c->n + 1; by++) {
		const size_t i = (at + by) % (c->n + 1);
		const char *sort = i < c->n ? columns_sort(c->key[i]) : "";

		if (!sort || (i == c->n && columns_has(c, "id")))
			continue;
		snprintf(c->sort, sizeof(c->sort), "%s", sort);
		break;
	}
	app_say(s->app, "sorted by %s; S turns it round", c->sort[0] ? c->sort : "age");
	return keep_columns(s);
}

static unsigned runs_turn(struct screen *s)
{
	char *sort = s->app->columns.sort;
	const size_t n = strlen(sort);

	if (sort[0] == '-') {
		memmove(sort, sort + 1, n);
	} else if (n + 1 < COLUMN_KEY) {
		memmove(sort + 1, sort, n + 1);
		sort[0] = '-';
	}
	return keep_columns(s);
}

static unsigned runs_columns(struct screen *s)
{
	if (app_open(s->app, "columns", NULL))
		app_complain(s->app, "%s", err_text());
	return UI_DRAW;
}

static unsigned group_by(struct screen *s, const char *text)
{
	struct columns *c = &s->app->columns;

	if (!strcmp(text, "train.seed"))
		text = RUN_GROUP_SEED;
	if (strlen(text) >= COLUMN_KEY ||
	    (*text && strcmp(text, RUN_GROUP_SEED) != 0 && !run_key_is(text))) {
		prompt_line(&s->app->prompt, "group by:", text, group_by);
		app_complain(s->app, "there is no key '%.40s': seed, method, peft.r, ... are some",
			     text);
		return UI_DRAW;
	}
	snprintf(c->group, sizeof(c->group), "%s", text);
	return keep_columns(s);
}

static unsigned runs_group(struct screen *s)
{
	const char *now = s->app->columns.group;

	prompt_line(&s->app->prompt, "group by:", *now ? now : RUN_GROUP_SEED, group_by);
	s->app->prompt.complete = complete_key;
	app_say(s->app,
		"seed: runs that differ in nothing else; method; peft.r; nothing: no groups");
	return UI_DRAW;
}

/* ---- acting on a run ---- */

static unsigned runs_stop(struct screen *s) { return trainer_stop(s->app, selected(s)); }
static unsigned runs_pause(struct screen *s) { return trainer_pause(s->app, selected(s)); }
static unsigned runs_resume(struct screen *s) { return trainer_resume(s->app, selected(s)); }
static const char *why_not_stop(const struct screen *s)
{
	return why_not_one(s, trainer_why_not_stop);
}
static const char *why_not_pause(const struct screen *s)
{
	return why_not_one(s, trainer_why_not_pause);
}
static const char *why_not_resume(const struct screen *s)
{
	return why_not_one(s, trainer_why_not_resume);
}
static const char *why_not_delete(const struct screen *s)
{
	return s->app->marks.n ? NULL : why_not_one(s, trainer_why_not_delete);
}

static unsigned delete_it(struct screen *s, const char *text)
{
	const struct run *run = selected(s);

	(void)text;
	return run ? trainer_trash(s->app, run->row, run->id, run->name) : UI_NONE;
}

static unsigned delete_marked(struct screen *s, const char *text)
{
	(void)text;
	return trainer_trash_marked(s->app);
}

static unsigned runs_delete(struct screen *s)
{
	const struct run *run = selected(s);
	char question[160];

	if (s->app->marks.n) {
		snprintf(question, sizeof(question), "Move the %zu marked runs to the trash?",
			 s->app->marks.n);
		prompt_yes_no(&s->app->prompt, question, delete_marked);
		return UI_DRAW;
	}
	snprintf(question, sizeof(question), "Move %.5s %.60s to the trash?", run->id, run->name);
	prompt_yes_no(&s->app->prompt, question, delete_it);
	return UI_DRAW;
}

/* The first is ready to start; for later ones the line is there. */
static unsigned runs_new(struct screen *s)
{
	const struct runs *r = s->state;

	return r->total ? verbs_ask_with(s, "run ") : verbs_run(s, "run mr-lora");
}

static const char *why_not_new(const struct screen *s)
{
	return s->app->trouble[0] ? "the run log cannot be read" : NULL;
}

/* ---- tags and notes ---- */

static unsigned tags_typed(struct screen *s, const char *text)
{
	const struct run *run = selected(s);

	if (!run)
		return UI_NONE;
	return trainer_tags(s->app, run, text);
}

static unsigned runs_tags(struct screen *s)
{
	const struct run *run = selected(s);
	char label[64];

	snprintf(label, sizeof(label), "tags of %.5s:", run->id);
	prompt_line(&s->app->prompt, label, run->tags, tags_typed);
	app_say(s->app, "words with blanks between; take a word away to take the tag away");
	return UI_DRAW;
}

static unsigned note_typed(struct screen *s, const char *text)
{
	const struct run *run = selected(s);

	if (!run)
		return UI_NONE;
	return trainer_note(s->app, run, text);
}

static unsigned runs_note(struct screen *s)
{
	const struct run *run = selected(s);
	char label[64], *note, text[PROMPT_TEXT];

	if (note_get(s->app->store, run->row, &note)) {
		app_complain(s->app, "%s", err_text());
		return UI_DRAW;
	}
	if (trainer_note_line(note, text, sizeof(text))) {
		snprintf(label, sizeof(label), "note on %.5s:", run->id);
		prompt_line(&s->app->prompt, label, text, note_typed);
		app_say(s->app, "\\n is the end of a line; nothing takes the note away");
	} else {
		app_complain(s->app,
			     "the note is too long for one line; `trimtab note` changes it");
	}
	free(note);
	return UI_DRAW;
}

static const char *any(const struct run *run) { return run ? NULL : "there is no run here"; }

static const char *why_not_run(const struct screen *s) { return why_not_one(s, any); }

static unsigned runs_undo(struct screen *s) { return trainer_undo(s->app); }

static const char *why_not_undo(const struct screen *s)
{
	const struct runs *r = s->state;

	return r->trashed ? NULL : "the trash is empty";
}

static void runs_close(struct screen *s) { runs_free(s->state); }

static const char *runs_here_id(const struct screen *s)
{
	return selected(s) ? selected(s)->id : NULL;
}

static const struct keybind keys[] = {
	{ KEY_RETURN,
	  { '\n', KEY_TERMINAL(KEY_ENTER) },
	  "open",
	  "open the run; open or fold a group",
	  runs_open,
	  why_not_line,
	  false },
	{ ' ',
	  { 0 },
	  "mark",
	  "mark the run or the group, or take the mark away",
	  runs_mark,
	  why_not_line,
	  false },
	{ 'c', { 0 }, "compare", "compare the marked runs", runs_compare, why_not_compare, false },
	{ '/', { 0 }, "search", "search by name or id", runs_search, why_not_line, false },
	{ 'f',
	  { 0 },
	  "filter",
	  "show some: words and tests, and or not ( ) between; see below",
	  runs_filter,
	  why_not_list,
	  false },
	{ 's',
	  { 0 },
	  "sort",
	  "sort by the next column; the sorted one has an arrow",
	  runs_sort,
	  why_not_list,
	  false },
	{ 't',
	  { 0 },
	  "new",
	  "start a run; when there is none yet, the first",
	  runs_new,
	  why_not_new,
	  false },
	{ '.', { 0 }, "stop", "stop the run with a checkpoint", runs_stop, why_not_stop, false },
	{ 'p',
	  { 0 },
	  "pause",
	  "pause a live run, or let a paused one go on",
	  runs_pause,
	  why_not_pause,
	  false },
	{ 'r',
	  { 0 },
	  "resume",
	  "go on with a stopped, failed or lost run from its checkpoint",
	  runs_resume,
	  why_not_resume,
	  false },
	{ 'd',
	  { 0 },
	  "delete",
	  "move the run, or all marked ones, to the trash",
	  runs_delete,
	  why_not_delete,
	  false },
	{ 'u',
	  { 0 },
	  "undo",
	  "bring back the run that was deleted last",
	  runs_undo,
	  why_not_undo,
	  false },
	{ 'e', { 0 }, "tags", "edit the tags of the run", runs_tags, why_not_run, false },
	{ 'i', { 0 }, "note", "edit the note on the run", runs_note, why_not_run, false },
	{ 'C',
	  { 0 },
	  "columns",
	  "choose columns: settings, metrics, and more",
	  runs_columns,
	  NULL,
	  false },
	{ 'b',
	  { 0 },
	  "group",
	  "group by a key: seeds fold into one row, mean ± sd",
	  runs_group,
	  why_not_list,
	  false },
	{ 'S', { 0 }, "turn", "turn the order round", runs_turn, why_not_list, true },
	{ 'U', { 0 }, "unmark", "take all marks away", runs_unmark, why_not_unmark, true },
	{ 'n',
	  { 0 },
	  "next",
	  "go to the next run that was searched for",
	  runs_next,
	  why_not_next,
	  true },
	{ 'N', { 0 }, "previous", "go to the one before", runs_previous, why_not_next, true },
	{ KEY_ESCAPE, { 0 }, "all", "take the filter away", runs_unfilter, why_not_unfilter, true },
	{ 'j', { KEY_TERMINAL(KEY_DOWN) }, "down", "go down", runs_down, NULL, true },
	{ 'k', { KEY_TERMINAL(KEY_UP) }, "up", "go up", runs_up, NULL, true },
	{ KEY_TERMINAL(KEY_NPAGE),
	  { 6 },
	  "page down",
	  "go down by a page",
	  runs_page_down,
	  NULL,
	  true },
	{ KEY_TERMINAL(KEY_PPAGE), { 2 }, "page up", "go up by a page", runs_page_up, NULL, true },
	{ 'g', { KEY_TERMINAL(KEY_HOME) }, "first", "go to the first run", runs_first, NULL, true },
	{ 'G', { KEY_TERMINAL(KEY_END) }, "last", "go to the last run", runs_last, NULL, true },
	{ 0 }
};

const struct screen_ops screen_runs = {
	.name = "runs",
	.title = "Runs",
	.state_size = sizeof(struct runs),
	.keys = keys,
	.poll = runs_poll,
	.draw = runs_draw,
	.close = runs_close,
	.here = runs_here_id,
};
