/* ls: its lines, byte for byte as printf would write them, and that a long list comes whole. */
#include "tests/check.h"

#include <fcntl.h>
#include <float.h>
#include <locale.h>

#include "base/array.h"
#include "base/buf.h"
#include "cmd/cmd.h"
#include "db/metric.h"
#include "tests/db/home.h"

enum { MANY = 400 };

static const struct {
	const char *name, *shown; /* in 24 columns */
	const char *method, *cause;
	enum run_state state;
	int64_t seconds; /* how long it took; INT64_MIN: it never began */
	int64_t step, total_steps;
	double loss, best; /* 0: none */
} runs[] = {
	{ "queued", "queued                  ", "lora", "", RUN_QUEUED, INT64_MIN, 0, 0, 0, 0 },
	{ "quick", "quick                   ", "", "", RUN_FINISHED, 0, 1, 1, 0.5, 0.5 },
	{ "minute", "minute                  ", "head", "", RUN_STOPPED, 65, 90, 1000, -1.23456,
	  7 },
	{ "hour", "hour                    ", "bitfit", "", RUN_FINISHED, 3599, 7, 8, 1e-5, -1e-5 },
	{ "hours", "hours                   ", "full", "", RUN_FINISHED, 3600, 7, 8, 2.5e-5, 1e9 },
	{ "days", "days                    ", "full", "", RUN_FINISHED, 445566, 7, 8, 123456.78905,
	  1e11 },
	{ "back", "back                    ", "full", "", RUN_FINISHED, -663, -1, -1, 0.03125,
	  0.09375 },
	{ "far", "far                     ", "lora", "", RUN_FINISHED, 9, 1234567, 12345678,
	  9.99995, 1e15 },
	{ "farther", "farther                 ", "lora", "", RUN_FINISHED, 9, INT64_MAX, INT64_MAX,
	  (double)INFINITY, DBL_MAX },
	{ "a name of more than 24 letters", "a name of more than 24 l", "lora_drop_x", "no disk",
	  RUN_FAILED, 9, 1, 2, (double)NAN, -(double)INFINITY },
	{ "\xE6\x97\xA5\xE6\x9C\xAC 1", "\xE6\x97\xA5\xE6\x9C\xAC 1                  ", "lora",
	  "never shown", RUN_FINISHED, 9, 1, 2, 5e-324, 0.99995 },
	{ "twenty-four and one e\xCC\x81tc.", "twenty-four and one e\xCC\x81tc.", "lora", "",
	  RUN_FAILED, 9, 1, 2, 1e5, 0.00005 },
	{ "twenty-four of them and e\xCC\x81", "twenty-four of them and ", "lora", "", RUN_QUEUED,
	  9, 1, 2, 12.5, 2 },
	{ "four and twenty of them!\xCC\x81", "four and twenty of them!\xCC\x81", "lora", "",
	  RUN_QUEUED, 9, 1, 2, 12.5, 2 },
};

static void add_run(struct home *h, int n, char ret_id[RUN_ID_SIZE])
{
	const bool began = runs[n].seconds != INT64_MIN;
	const struct metric m = { .key = "train/loss", .step = 1, .value = runs[n].loss };
	struct run r = { .id = ret_id,
			 .name = runs[n].name,
			 .method = runs[n].method,
			 .cause = runs[n].cause,
			 .state = runs[n].state,
			 .created = home_time(n),
			 .started = began ? home_time(n) : 0,
			 .ended = began ? home_time(n) + runs[n].seconds * 1000000 : 0,
			 .step = runs[n].step,
			 .total_steps = runs[n].total_steps };
	int64_t row = 0;
	int code;

	if (began && !runs[n].seconds)
		r.ended = r.started + 999999;
	run_id_make(ret_id, r.created, (uint32_t)n);
	code = run_add(h->st, &r, "{}", &row);
	if (!code && runs[n].loss != 0)
		code = metric_add(h->st, row, 1, &m, 1);
	if (!code && runs[n].best != 0)
		code = run_update_best(h->st, row, runs[n].best, 1);
	CHECK_NAMED(!code, runs[n].name);
}

/* The line as it should be, without the thrift of ls. */
static void expect(struct buf *out, const char *id, int width, int n)
{
	const long long s = runs[n].seconds;
	char step[64], time[64], loss[400] = "-", best[400] = "-";

	snprintf(step, sizeof(step), "%lld/%lld", (long long)runs[n].step,
		 (long long)runs[n].total_steps);
	if (runs[n].seconds == INT64_MIN)
		snprintf(time, sizeof(time), "-");
	else if (s >= 3600)
		snprintf(time, sizeof(time), "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(time, sizeof(time), "%lld:%02lld", s / 60, s % 60);
	if (runs[n].loss != 0)
		snprintf(loss, sizeof(loss), "%.4f", runs[n].loss);
	if (runs[n].best != 0)
		snprintf(best, sizeof(best), "%.4f", runs[n].best);
	buf_printf(out, "%-*.*s  %s %-8.8s %-9s %15s %9s %9s %9s", width, width, id, runs[n].shown,
		   runs[n].method, run_state_name((int)runs[n].state), step, loss, best, time);
	if (runs[n].state == RUN_FAILED && runs[n].cause[0])
		buf_printf(out, "  %s", runs[n].cause);
	buf_char(out, '\n');
}

/* What ls, or ls --json, writes to stdout; buf_done it. */
static void output(const struct home *h, bool json, struct buf *ret)
{
	char program[] = "trimtab", verb[] = "ls", option[] = "--json";
	char *argv[] = { program, verb, json ? option : NULL, NULL };
	const int was = dup(STDOUT_FILENO);
	char path[320];
	int fd;

	snprintf(path, sizeof(path), "%s/out", h->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	fflush(stdout);
	if (was < 0 || dup2(fd, STDOUT_FILENO) < 0 || cmd_main(2 + json, argv))
		_exit(99);
	fflush(stdout);
	(void)dup2(was, STDOUT_FILENO);
	close(was);
	close(fd);
	if (fs_read(path, (size_t)1 << 24, ret))
		_exit(99);
}

static void open_home(struct home *h)
{
	home_open(h);
	(void)setenv("TRIMTAB_HOME", h->dir, 1);
}

/* Where two texts part, for the report. */
static void check_same(const char *want, const char *got)
{
	size_t at = 0;

	while (want[at] && want[at] == got[at])
		at++;
	if (!CHECK(want[at] == got[at]))
		printf("# wanted %.60s\n# not    %.60s\n", want + at, got + at);
}

static void lines(void)
{
	char id[COUNT(runs)][RUN_ID_SIZE];
	struct buf want, got;
	struct home h;
	int width = 0;

	open_home(&h);
	for (size_t i = 0; i < COUNT(runs); i++)
		add_run(&h, (int)i, id[i]);
	CHECK(run_id_width(h.st, &width) == TT_OK);
	buf_init(&want, 1 << 20);
	buf_printf(&want, "%-*s  %-24s %-8s %-9s %15s %9s %9s %9s\n", width, "id", "name", "method",
		   "state", "step", "loss", "best", "time");
	for (size_t i = COUNT(runs); i-- > 0;)
		expect(&want, id[i], width, (int)i);
	output(&h, false, &got);
	check_same(want.data, got.data);
	buf_done(&want);
	buf_done(&got);
	home_close(&h);
}

static void none(void)
{
	struct buf got;
	struct home h;

	open_home(&h);
	output(&h, false, &got);
	CHECK(got.data && !strncmp(got.data, "id     name", 11) &&
	      strchr(got.data, '\n') == got.data + got.size - 1);
	buf_done(&got);
	home_close(&h);
}

/* Written in pieces, a long list is whole: every line a run, the newest first. */
static void many_as_json(void)
{
	char id[MANY][RUN_ID_SIZE], start[32];
	bool whole = true;
	struct buf got;
	struct home h;
	const char *at;

	open_home(&h);
	CHECK(store_begin(h.st) == TT_OK);
	for (int i = 0; i < MANY; i++)
		whole = home_run(&h, i, "many", id[i]) && whole;
	CHECK(store_commit(h.st) == TT_OK && whole);
	output(&h, true, &got);
	CHECK(got.size > 2 << 16);
	at = got.data;
	for (int i = MANY; whole && i-- > 0; at++) {
		snprintf(start, sizeof(start), "{\"id\": \"%s\", ", id[i]);
		whole = !strncmp(at, start, strlen(start));
		at = strstr(at, "\"tags\": []}\n");
		whole = whole && at;
		at += whole ? strlen("\"tags\": []}") : 0;
	}
	CHECK(whole && !*at);
	buf_done(&got);
	home_close(&h);
}

int main(void)
{
	(void)setlocale(LC_ALL, "C.UTF-8");
	(void)setlocale(LC_NUMERIC, "C");
	lines();
	none();
	many_as_json();
	return check_done();
}
