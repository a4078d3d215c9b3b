/* Runs: ids, states, attempts, what a person means by a word, lists, the trash. */
#include "tests/check.h"

#include <sys/wait.h>

#include "base/array.h"
#include "base/proc.h"
#include "db/event.h"
#include "db/metric.h"
#include "db/note.h"
#include "tests/db/home.h"

/* --- ids and states ---------------------------------------------------------------------- */

static void ids_sort_by_time(void)
{
	char a[RUN_ID_SIZE], b[RUN_ID_SIZE], c[RUN_ID_SIZE];

	run_id_make(a, home_time(0), 0xffffffff);
	run_id_make(b, home_time(0) + 1, 0);
	CHECK(strlen(a) == RUN_ID_SIZE - 1);
	CHECK(strcmp(a, b) < 0);
	run_id_make(c, home_time(40), 0);
	CHECK(strncmp(a, c, 5) < 0); /* five characters tell runs of different minutes apart */
	run_id_make(c, home_time(0), 0);
	CHECK(strcmp(a, c) != 0); /* the same moment on another machine */
	run_id_make(c, 1420070400000000 + 33, 32);
	CHECK_STR(c, "00000000110010");
	run_id_make(c, 0, 0);
	CHECK_STR(c, "00000000000000");
	run_id_new(a);
	run_id_new(b);
	CHECK(strcmp(a, b) != 0);
	CHECK(strspn(a, "0123456789abcdefghjkmnpqrstvwxyz") == RUN_ID_SIZE - 1);
}

static void states_have_names(void)
{
	enum run_state s = RUN_QUEUED;

	for (int i = 0; i < RUN_STATES; i++)
		CHECK_NAMED(run_state_parse(run_state_name(i), &s) && (int)s == i,
			    run_state_name(i));
	CHECK(!run_state_parse("asleep", &s));
	CHECK_STR(run_state_name(99), "unknown");
}

static void lost_is_derived(void)
{
	struct run_process self, was, gone, other, booted;
	const int64_t now = home_time(100), fresh = now - 9000000, old = now - 11000000;
	pid_t child = fork();

	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	run_process_self(&self);
	was = gone = other = booted = self;
	was.pid_start++; /* the pid was given to a later process: us */
	gone.pid = child;
	gone.pid_start = 0;
	snprintf(other.host, sizeof(other.host), "elsewhere");
	other.pid = child;
	snprintf(booted.boot_id, sizeof(booted.boot_id), "another-boot");
	CHECK(run_state_now(RUN_RUNNING, &self, old, now) ==
	      RUN_RUNNING); /* silence is not death */
	CHECK(run_state_now(RUN_PAUSED, &self, 0, now) == RUN_PAUSED);
	CHECK(run_state_now(RUN_RUNNING, &was, fresh, now) == RUN_LOST);
	CHECK(run_state_now(RUN_RUNNING, &gone, fresh, now) == RUN_LOST);
	CHECK(run_state_now(RUN_PAUSED, &gone, fresh, now) == RUN_LOST);
	CHECK(run_state_now(RUN_RUNNING, &booted, fresh, now) == RUN_LOST);
	CHECK(run_state_now(RUN_RUNNING, &other, fresh, now) == RUN_RUNNING);
	CHECK(run_state_now(RUN_RUNNING, &other, old, now) == RUN_LOST);
	CHECK(run_state_now(RUN_FINISHED, &gone, old, now) == RUN_FINISHED);
	CHECK(run_state_now(RUN_QUEUED, &gone, old, now) == RUN_QUEUED);
}

/* --- one run's life ---------------------------------------------------------------------- */

static void life_of_a_run(void)
{
	struct home h;
	struct run r = { 0 };
	char id[RUN_ID_SIZE], *recipe = NULL;
	int64_t row;
	int attempt = 0;

	home_open(&h);
	row = home_run(&h, 7, "first", id);
	CHECK(run_get(h.st, id, &r) == TT_OK);
	CHECK(r.row == row && r.state == RUN_QUEUED && !r.attempt && !r.has_best && !r.started);
	CHECK_STR(r.name, "first");
	CHECK_STR(r.method, "lora");
	CHECK_STR(r.tags, "");
	CHECK(r.created == home_time(7));
	run_done(&r);
	CHECK(run_recipe(h.st, id, &recipe) == TT_OK && !strcmp(recipe, "{\"name\": \"x\"}"));
	free(recipe);
	CHECK(run_start(h.st, row, NULL, &attempt) == TT_OK && attempt == 1);
	CHECK(run_start(h.st, row, NULL, &attempt) == TT_INVALID); /* we are alive */
	CHECK_NAMED(strstr(err_text(), "is being trained by process") != NULL, err_text());
	CHECK(run_update_total(h.st, row, 100, 50) == TT_OK);
	CHECK(run_update_params(h.st, row, 12, 3456) == TT_OK);
	CHECK(run_update_progress(h.st, row, 30, 0.6) == TT_OK);
	CHECK(run_update_best(h.st, row, 0.75, 25) == TT_OK);
	CHECK(run_update_best(h.st, row, (double)NAN, 26) == TT_OK);
	CHECK(run_update_state(h.st, row, RUN_PAUSED) == TT_OK);
	CHECK(run_update_state(h.st, row, RUN_LOST) == TT_INVALID);
	CHECK(run_get_row(h.st, row, &r) == TT_OK);
	CHECK(r.state == RUN_PAUSED && r.step == 30 && r.total_steps == 100 && r.pid == getpid());
	CHECK(r.has_best && r.best_step == 25 && r.trainable_params == 12 &&
	      r.total_params == 3456);
	CHECK_NEAR(r.best_value, 0.75, 0);
	CHECK_NEAR(r.epoch, 0.6, 0);
	run_done(&r);
	CHECK(run_end(h.st, row, RUN_RUNNING, NULL) == TT_INVALID);
	CHECK(run_end(h.st, row, RUN_FAILED, "loss is NaN at step 30") == TT_OK);
	CHECK(run_get_row(h.st, row, &r) == TT_OK && r.state == RUN_FAILED && r.ended > 0);
	CHECK_STR(r.cause, "loss is NaN at step 30");
	run_done(&r);
	CHECK(run_update_progress(h.st, 999, 1, 1) == TT_NOTFOUND);
	CHECK(run_get(h.st, "nothing", &r) == TT_NOTFOUND);
	home_close(&h);
}

static void bad_runs_are_refused(void)
{
	struct home h;
	char id[RUN_ID_SIZE];
	int64_t row = 0;
	struct run r = { .id = "short", .name = "x" };

	home_open(&h);
	CHECK(run_add(h.st, &r, "{}", &row) == TT_INVALID);
	run_id_make(id, home_time(1), 1);
	r = (struct run){ .id = id, .name = "" };
	CHECK(run_add(h.st, &r, "{}", &row) == TT_INVALID);
	r = (struct run){ .id = id, .name = "x", .state = RUN_LOST };
	CHECK(run_add(h.st, &r, "{}", &row) == TT_INVALID);
	r.state = RUN_FINISHED;
	CHECK(run_add(h.st, &r, "{}", &row) == TT_OK && row > 0);
	CHECK(run_add(h.st, &r, "{}", &row) == TT_INVALID);
	CHECK_NAMED(strstr(err_text(), "already") != NULL, err_text());
	home_close(&h);
}

static void resume_takes_back(void)
{
	const struct run_process dead = {
		.pid = 1, .pid_start = 1, .boot_id = "before", .host = "x"
	};
	const struct metric first[] = { { .key = "eval/accuracy", .step = 10, .value = 0.5 },
					{ .key = "eval/accuracy", .step = 20, .value = 0.9 },
					{ .key = "train/loss", .step = 20, .value = 0.1 } };
	struct run_process gone = dead;
	struct home h;
	struct run r = { 0 };
	struct metric_last *last = NULL;
	struct attempt *a = NULL;
	size_t n = 0;
	int64_t row, id = 0;
	int attempt = 0;
	struct command_row c = { 0 };

	home_open(&h);
	(void)proc_host(gone.host, sizeof(gone.host));
	row = home_run(&h, 1, "again", NULL);
	CHECK(run_start(h.st, row, &gone, &attempt) == TT_OK);
	CHECK(metric_add(h.st, row, 1, first, COUNT(first)) == TT_OK);
	CHECK(run_update_best(h.st, row, 0.9, 20) == TT_OK);
	CHECK(command_add(h.st, row, "stop", "", &id) == TT_OK);
	CHECK(run_get_row(h.st, row, &r) == TT_OK && r.state == RUN_LOST &&
	      r.stored == RUN_RUNNING);
	run_done(&r);
	CHECK(run_resume(h.st, row, -1, NULL, &attempt) == TT_INVALID);
	CHECK(run_resume(h.st, row, 15, NULL, &attempt) == TT_OK && attempt == 2);
	CHECK(run_get_row(h.st, row, &r) == TT_OK && r.state == RUN_RUNNING && r.step == 15 &&
	      r.attempt == 2);
	CHECK(r.has_best && r.best_step == 10);
	CHECK_NEAR(r.best_value, 0.5, 0);
	run_done(&r);
	CHECK(metric_last(h.st, row, &last, &n) == TT_OK && n == 1 && last[0].step == 10);
	free(last);
	CHECK(command_get(h.st, id, &c) == TT_OK && c.done &&
	      !c.ok); /* the new attempt must not obey the old stop */
	command_row_done(&c);
	CHECK(attempt_list(h.st, row, &a, &n) == TT_OK && n == 2);
	CHECK(a[0].state == RUN_LOST && a[0].pid == 1 && a[1].from_step == 15 &&
	      a[1].state == RUN_RUNNING);
	free(a);
	CHECK(metric_add(h.st, row, 1, first, 1) ==
	      TT_NOTFOUND); /* a late writer of the old attempt */
	home_close(&h);
}

/* --- finding ----------------------------------------------------------------------------- */

static void finds(struct store *st, const char *what, const char *name, int64_t row)
{
	struct run r = { 0 };

	CHECK_NAMED(run_find(st, what, &r) == TT_OK && r.row == row, what);
	CHECK_NAMED(r.name && !strcmp(r.name, name), what);
	run_done(&r);
}

static void fails(struct store *st, const char *what, int code, const char *says)
{
	struct run r = { 0 };

	CHECK_NAMED(run_find(st, what, &r) == code, what);
	CHECK_NAMED(strstr(err_text(), says) != NULL, err_text());
	CHECK_NAMED(!r.text, what);
}

static void words_find_runs(void)
{
	struct home h;
	char id[4][RUN_ID_SIZE], part[RUN_ID_SIZE];
	int64_t row[4];

	home_open(&h);
	fails(h.st, "latest", TT_NOTFOUND, "no runs yet");
	fails(h.st, "", TT_INVALID, "which run");
	row[0] = home_run(&h, 1, "sst2-lora", id[0]);
	row[1] = home_run(&h, 2, "sst2-lora", id[1]);
	row[2] = home_run(&h, 3000, "boolq", id[2]);
	row[3] = home_run(&h, 2000, "imported", id[3]); /* added later, created before */
	finds(h.st, id[0], "sst2-lora", row[0]);
	finds(h.st, "sst2-lora", "sst2-lora", row[1]);
	finds(h.st, "latest", "boolq", row[2]);
	snprintf(part, sizeof(part), "%.6s", id[3]);
	finds(h.st, part, "imported", row[3]);
	for (char *p = part; *p; p++)
		*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
	finds(h.st, part, "imported", row[3]);
	snprintf(part, sizeof(part), "%.3s", id[0]);
	fails(h.st, part, TT_INVALID, "beginning of several runs");
	CHECK_NAMED(strstr(err_text(), id[1]) != NULL, err_text());
	fails(h.st, "sst2-lroa", TT_NOTFOUND, "did you mean 'sst2-lora'");
	fails(h.st, "something entirely different", TT_NOTFOUND, "trimtab ls");
	CHECK(run_trash(h.st, row[2]) == TT_OK);
	finds(h.st, "latest", "imported", row[3]);
	fails(h.st, "boolq", TT_NOTFOUND, "no run 'boolq'");
	finds(h.st, id[2], "boolq", row[2]); /* by the whole id even from the trash */
	home_close(&h);
}

static void width_tells_runs_apart(void)
{
	struct home h;
	int width = 0;
	char id[RUN_ID_SIZE];
	struct run r = { .id = id, .name = "near" };
	int64_t row;

	home_open(&h);
	(void)home_run(&h, 1, "a", NULL);
	(void)home_run(&h, 500, "b", NULL);
	CHECK(run_id_width(h.st, &width) == TT_OK && width == 5);
	run_id_make(id, home_time(500), 500 + 32); /* the last digit but one differs */
	CHECK(run_add(h.st, &r, NULL, &row) == TT_OK);
	CHECK(run_id_width(h.st, &width) == TT_OK && width == 13);
	home_close(&h);
}

/* --- lists ------------------------------------------------------------------------------- */

/* The names of a list, in order: "c b a". */
static const char *names(struct store *st, const struct run_filter *f)
{
	static char text[256];
	struct run_list l = { 0 };

	text[0] = 0;
	if (run_list(st, f, &l))
		return err_text();
	for (size_t i = 0; i < l.n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
			 l.run[i].name);
	run_list_done(&l);
	return text;
}

static void fill(struct home *h, int64_t *row)
{
	static const char *const name[] = { "ant", "Bee", "cat", "dog" };
	static const double accuracy[] = { 0.7, 0.9, 0, 0.8 };
	const struct run_process dead = {
		.pid = 1, .pid_start = 1, .boot_id = "x", .host = "gone"
	};
	int attempt;

	for (int i = 0; i < 4; i++) {
		const struct metric m[] = {
			{ .key = "eval/accuracy",
			  .step = 5,
			  .value = i == 2 ? (double)NAN : accuracy[i] },
			{ .key = "eval/loss", .step = 5, .value = 1 - accuracy[i] }
		};

		row[i] = home_run(h, i, name[i], NULL);
		CHECK(metric_add(h->st, row[i], 1, m, i == 3 ? 1 : 2) == TT_OK);
	}
	CHECK(run_start(h->st, row[1], &dead, &attempt) == TT_OK);
	CHECK(run_update_heartbeat(h->st, row[1], 1) == TT_OK);
	CHECK(run_start(h->st, row[2], NULL, &attempt) == TT_OK);
	CHECK(run_end(h->st, row[3], RUN_FINISHED, NULL) == TT_OK);
	CHECK(tag_add(h->st, row[0], "keep") == TT_OK && tag_add(h->st, row[0], "a") == TT_OK);
}

static void lists_filter_and_sort(void)
{
	struct home h;
	int64_t row[4];

	home_open(&h);
	fill(&h, row);
	CHECK_STR(names(h.st, &(struct run_filter){ 0 }), "dog cat Bee ant");
	CHECK_STR(names(h.st, &(struct run_filter){ .limit = 2 }), "dog cat");
	CHECK_STR(names(h.st, &(struct run_filter){ .sort = "-" }), "ant Bee cat dog");
	CHECK_STR(names(h.st, &(struct run_filter){ .sort = "name" }), "ant Bee cat dog");
	CHECK_STR(names(h.st, &(struct run_filter){ .sort = "-name" }), "dog cat Bee ant");
	CHECK_STR(names(h.st, &(struct run_filter){ .sort = "created" }), "dog cat Bee ant");
	CHECK_STR(names(h.st, &(struct run_filter){ .sort = "eval/loss" }), "Bee ant cat dog");
	CHECK_STR(names(h.st, &(struct run_filter){ .sort = "-eval/loss" }), "cat ant Bee dog");
	CHECK_STR(names(h.st, &(struct run_filter){ .sort = "eval/accuracy" }), "Bee dog ant cat");
	CHECK_STR(names(h.st, &(struct run_filter){ .sort = "no/such" }), "dog cat Bee ant");
	CHECK_STR(names(h.st, &(struct run_filter){ .sort = "naem" }),
		  "runs cannot be sorted by 'naem'; did you mean 'name'?");
	CHECK_STR(names(h.st, &(struct run_filter){ .states = 1u << RUN_LOST }), "Bee");
	CHECK_STR(names(h.st, &(struct run_filter){ .states = 1u << RUN_RUNNING }), "cat");
	CHECK_STR(names(h.st,
			&(struct run_filter){ .states = 1u << RUN_QUEUED | 1u << RUN_FINISHED }),
		  "dog ant");
	CHECK_STR(names(h.st, &(struct run_filter){ .tag = "keep" }), "ant");
	CHECK_STR(names(h.st, &(struct run_filter){ .tag = "kee" }), "");
	CHECK_STR(names(h.st, &(struct run_filter){ .method = "lora" }), "dog Bee");
	CHECK_STR(names(h.st, &(struct run_filter){ .text = "E" }), "Bee");
	CHECK_STR(names(h.st, &(struct run_filter){ .text = "%" }), "");
	home_close(&h);
}

static void lists_carry_values(void)
{
	static const char *const keys[] = { "eval/loss", "no/such", "eval/accuracy" };
	const struct run_filter f = { .keys = keys, .keys_n = 3 };
	struct home h;
	struct run_list l = { 0 };
	int64_t row[4];

	home_open(&h);
	fill(&h, row);
	CHECK(run_list(h.st, &f, &l) == TT_OK && l.n == 4 && l.keys_n == 3);
	CHECK(l.value[0 * 3].step == -1); /* dog has no loss */
	CHECK_NEAR(l.value[0 * 3 + 2].value, 0.8, 0);
	CHECK(l.value[1 * 3 + 2].step == 5 &&
	      isnan(l.value[1 * 3 + 2].value)); /* cat measured NaN */
	CHECK_NEAR(l.value[3 * 3].value, 0.3, 1e-12);
	CHECK(l.value[3 * 3 + 1].step == -1);
	CHECK_STR(l.run[3].tags, "a keep");
	run_list_done(&l);
	home_close(&h);
}

struct walked {
	const struct run_list *list;
	size_t n, same;
};

/* Is it the list's next? */
static int walk_visit(void *arg, const struct run_line *r)
{
	struct walked *w = arg;
	const struct run_list *l = w->list;
	const struct run *want = w->n < l->n ? &l->run[w->n] : NULL;
	bool same = want && r->row == want->row && !strcmp(r->id, want->id) &&
		    !strcmp(r->name, want->name) && !strcmp(r->method, want->method) &&
		    !strcmp(r->cause, want->cause) && r->started == want->started &&
		    r->ended == want->ended && r->step == want->step &&
		    r->total_steps == want->total_steps && r->state == want->state &&
		    r->has_best == want->has_best &&
		    (!r->has_best || r->best_value == want->best_value);

	for (size_t k = 0; same && k < l->keys_n; k++) {
		const struct run_value *v = &l->value[w->n * l->keys_n + k];

		same = r->value[k].step == v->step &&
		       (r->value[k].value == v->value ||
			(isnan(v->value) && isnan(r->value[k].value)));
	}
	w->n++;
	w->same += same;
	return TT_OK;
}

static int walk_enough(void *arg, const struct run_line *r)
{
	*(size_t *)arg += strlen(r->name) > 0;
	return TT_NOMEM;
}

/* Line by line a list says the same. */
static void check_walk(struct store *st, const struct run_filter *f, const struct run_list *l)
{
	struct walked w = { .list = l };
	int width = 0, want = 0;

	CHECK(run_id_width(st, &want) == TT_OK);
	CHECK(run_walk(st, f, &width, walk_visit, &w) == TT_OK && width == want);
	CHECK(w.n == l->n && w.same == l->n);
}

/* Places and lines come in the order of the list, imports of older runs included. */
static void places_agree_with_lists(void)
{
	static const char *const keys[] = { "eval/loss", "no/such", "eval/accuracy" };
	static const struct run_filter filters[] = {
		{ 0 },
		{ .sort = "-" },
		{ .sort = "eval/loss" },
		{ .sort = "name" },
		{ .states = 1u << RUN_LOST },
		{ .method = "lora" },
		{ .with_trashed = true },
		{ .limit = 2, .keys = keys, .keys_n = COUNT(keys) },
		{ .keys = keys, .keys_n = COUNT(keys) },
	};
	struct home h;
	int64_t row[4];

	home_open(&h);
	fill(&h, row);
	CHECK(run_update_best(h.st, row[0], 0.25, 3) == TT_OK);
	CHECK(home_run(&h, -100, "old", NULL) > row[3]);
	CHECK(run_trash(h.st, row[3]) == TT_OK);
	CHECK_STR(names(h.st, &filters[0]), "cat Bee ant old");
	CHECK_STR(names(h.st, &filters[1]), "old ant Bee cat");
	CHECK_STR(names(h.st, &(struct run_filter){ .limit = 9 }), "cat Bee ant old");
	for (size_t i = 0; i < COUNT(filters); i++) {
		struct run_index *place = NULL;
		struct run_list l = { 0 };
		size_t n = 0, same = 0;

		CHECK(run_list(h.st, &filters[i], &l) == TT_OK && l.n > 0);
		check_walk(h.st, &filters[i], &l);
		CHECK(run_index(h.st, &filters[i], &place, &n) == TT_OK &&
		      (n == l.n || filters[i].limit));
		for (size_t k = 0; k < n && k < l.n; k++)
			same += place[k].row == l.run[k].row && place[k].state == l.run[k].state &&
				place[k].trashed == (l.run[k].trashed > 0);
		CHECK(same == l.n);
		free(place);
		run_list_done(&l);
	}
	home_close(&h);
}

/* Long lists take their values from one walk over the key, short ones from look-ups: same answer. */
static void long_lists_carry_the_same(void)
{
	static const char *const keys[] = { "eval/accuracy" };
	const struct run_filter f = { .keys = keys, .keys_n = 1 };
	struct home h;
	struct run_list all = { 0 };
	bool same = true;
	size_t n = 0;
	int width;

	home_open(&h);
	CHECK(store_begin(h.st) == TT_OK);
	for (int i = 0; i < 600; i++) {
		const struct metric m = { .key = "eval/accuracy", .step = i, .value = i };
		const int64_t row = home_run(&h, i, "many", NULL);

		if (i % 3 && metric_add(h.st, row, 1, &m, 1))
			same = false;
	}
	CHECK(store_commit(h.st) == TT_OK);
	CHECK(run_list(h.st, &f, &all) == TT_OK && all.n == 600);
	check_walk(h.st, &f, &all);
	CHECK(run_walk(h.st, &f, &width, walk_enough, &n) == TT_NOMEM && n == 1);
	for (size_t i = 0; i < all.n; i++) {
		const int64_t step = 599 - (int64_t)i;

		if (all.value[i].step != (step % 3 ? step : -1))
			same = false;
	}
	CHECK(same);
	run_list_done(&all);
	home_close(&h);
}

/* --- trash ------------------------------------------------------------------------------- */

static void trash_gives_back(void)
{
	struct home h;
	struct run r = { 0 };
	char **tag = NULL, *note = NULL;
	size_t n = 9;
	int64_t row[4];

	home_open(&h);
	fill(&h, row);
	CHECK(run_last_trashed(h.st, &r) == TT_NOTFOUND);
	CHECK(run_trash(h.st, row[0]) == TT_OK && run_trash(h.st, row[3]) == TT_OK);
	CHECK_STR(names(h.st, &(struct run_filter){ 0 }), "cat Bee");
	CHECK_STR(names(h.st, &(struct run_filter){ .with_trashed = true }), "dog cat Bee ant");
	CHECK_STR(names(h.st, &(struct run_filter){ .only_trashed = true }), "dog ant");
	CHECK(run_last_trashed(h.st, &r) == TT_OK && r.row == row[3] && r.trashed > 0);
	run_done(&r);
	CHECK(run_untrash(h.st, row[3]) == TT_OK);
	CHECK_STR(names(h.st, &(struct run_filter){ 0 }), "dog cat Bee");
	CHECK(note_set(h.st, row[0], "soon gone") == TT_OK);
	CHECK(run_purge(h.st, row[0]) == TT_OK);
	CHECK(run_purge(h.st, row[0]) == TT_NOTFOUND);
	CHECK(run_purge(h.st, row[2]) == TT_INVALID); /* it trains */
	CHECK_STR(names(h.st, &(struct run_filter){ .with_trashed = true }), "dog cat Bee");
	CHECK(metric_keys(h.st, row[0], &tag, &n) == TT_OK && n == 0);
	free(tag);
	CHECK(tag_list(h.st, row[0], &tag, &n) == TT_OK && n == 0);
	free(tag);
	CHECK(note_get(h.st, row[0], &note) == TT_OK && !note[0]);
	free(note);
	CHECK(home_run(&h, 9, "new", NULL) > row[3]); /* rows are not given out twice */
	home_close(&h);
}

int main(void)
{
	ids_sort_by_time();
	states_have_names();
	lost_is_derived();
	life_of_a_run();
	bad_runs_are_refused();
	resume_takes_back();
	words_find_runs();
	width_tells_runs_apart();
	lists_filter_and_sort();
	lists_carry_values();
	places_agree_with_lists();
	long_lists_carry_the_same();
	trash_gives_back();
	return check_done();
}
