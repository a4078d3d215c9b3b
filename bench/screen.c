/*
 * How quick are the screens? Fills a run log with 10,000 runs, one of them with
 * a million steps, then times on a pseudo terminal, from the start of the
 * process, until `trimtab` has written its first frame; and without a terminal
 * what a frame of each screen costs. Usage: bench/screen [RUNS [STEPS]], beside
 * a built trimtab; the file is made under $TMPDIR and removed, unless KEEP is set.
 */
#include <curses.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"
#include "base/rng.h"
#include "db/metric.h"
#include "db/run.h"
#include "ui/app.h"
#include "ui/keymap.h"

enum { TIMES = 9, BATCH = 4096, ROWS = 50, WIDE = 200, SHORT_STEPS = 40 };

static const char *const key[] = { "train/loss", "train/grad_norm", "train/learning_rate",
				   "eval/loss", "eval/accuracy" };
enum { KEYS = sizeof(key) / sizeof(key[0]) };

static void must(int code)
{
	if (!code)
		return;
	fprintf(stderr, "screen: %s\n", err_text());
	abort();
}

static double since(int64_t start) { return (double)(proc_clock_us() - start) / 1e3; }

static void add_steps(struct store *st, int64_t run, int64_t steps, struct rng *r)
{
	static struct metric m[BATCH * KEYS];

	for (int64_t at = 1; at <= steps; at += BATCH) {
		size_t n = 0;

		for (int64_t s = at; s < at + BATCH && s <= steps; s++)
			for (int k = 0; k < KEYS; k++)
				m[n++] = (struct metric){ key[k], s,
							  exp(-(double)s / 1e5) +
								  0.1 * (double)rng_normal(r),
							  1767225600000000 + s };
		must(metric_batch_add(
			st, &(struct metric_batch){ .run = run,
						    .attempt = 1,
						    .metric = m,
						    .n = n,
						    .step = at + (int64_t)n / KEYS - 1 }));
	}
}

static void add_run(struct store *st, int n, int64_t steps, struct rng *r, char ret_id[RUN_ID_SIZE])
{
	const int64_t made = 1767225600000000 + (int64_t)n * 60000000;
	const bool live = steps > SHORT_STEPS;
	char name[32];
	int64_t row = 0;
	int attempt;

	snprintf(name, sizeof(name), "sst2-lora-%d", n);
	run_id_make(ret_id, made, (uint32_t)n);
	/* the long one trains: this process is its trainer */
	must(run_add(st,
		     &(struct run){ .id = ret_id,
				    .name = name,
				    .method = "lora",
				    .model = "mini-bert-en",
				    .task = "seq_cls",
				    .state = live ? RUN_QUEUED : RUN_FINISHED,
				    .dir = "/nowhere",
				    .created = made,
				    .started = made,
				    .ended = made + 60000000,
				    .total_steps = steps,
				    .metric_key = "eval/accuracy",
				    .best_greater = true,
				    .trainable_params = 37122,
				    .total_params = 11171074 },
		     "{\"name\": \"bench\"}", &row));
	if (live)
		must(run_start(st, row, NULL, &attempt));
	add_steps(st, row, steps, r);
}

static void fill(const char *db, int runs, int64_t steps, char ret_id[RUN_ID_SIZE])
{
	char id[RUN_ID_SIZE];
	struct store *st;
	struct rng r;

	rng_init(&r, 5, RNG_TEST, 0);
	must(store_open(db, &st));
	for (int i = 0; i < runs; i++) {
		if (i % 500 == 0)
			must(store_begin(st));
		add_run(st, i, i == runs / 2 ? steps : SHORT_STEPS, &r,
			i == runs / 2 ? ret_id : id);
		if (i % 500 == 499 || i == runs - 1)
			must(store_commit(st));
	}
	store_close(st);
}

static void child(const char *program, const char *home, int tty, int other)
{
	(void)setenv("TRIMTAB_HOME", home, 1);
	(void)setenv("TERM", "xterm-256color", 1);
	(void)setenv("LC_ALL", "C.UTF-8", 1);
	close(other);
	(void)setsid();
	for (int fd = 0; fd < 3; fd++)
		(void)dup2(tty, fd);
	execl(program, "trimtab", (char *)NULL);
	_exit(127);
}

/* Milliseconds from fork until the footer, which is written last, has come. */
static double first_frame(const char *program, const char *home)
{
	struct winsize size = { .ws_row = ROWS, .ws_col = WIDE };
	static char seen[1 << 18];
	int64_t start;
	size_t n = 0;
	double ms;
	int fd, tty;
	pid_t pid;

	must(openpty(&fd, &tty, NULL, NULL, &size) ? err_set(TT_IO, "no pseudo terminal") : TT_OK);
	start = proc_clock_us();
	pid = fork();
	if (!pid)
		child(program, home, tty, fd);
	close(tty);
	seen[0] = 0;
	while (n + 1 < sizeof(seen) && !strstr(seen, "quit")) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t got = poll(&p, 1, 10000) > 0 ? read(fd, seen + n, sizeof(seen) - 1 - n) : 0;

		must(got <= 0 ? err_set(TT_IO, "%s wrote no frame", program) : TT_OK);
		n += (size_t)got;
		seen[n] = 0;
	}
	ms = since(start);
	(void)kill(pid, SIGTERM);
	close(fd);
	(void)waitpid(pid, NULL, 0);
	return ms;
}

static int order(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void say(const char *what, double *ms)
{
	qsort(ms, TIMES, sizeof(*ms), order);
	printf("%-44s median %7.3f ms, best %7.3f ms\n", what, ms[TIMES / 2], ms[0]);
}

/* Reading and drawing apart: the first happens when somebody committed, the second with every frame. */
static void frames(struct app *app, const char *what)
{
	WINDOW *w = newwin(ROWS, WIDE, 0, 0);
	double read[TIMES], draw[TIMES];
	char name[96];

	app_draw(app, w);
	for (int i = 0; i < TIMES; i++) {
		int64_t start = proc_clock_us();

		app->changed = true;
		(void)app_top(app)->ops->poll(app_top(app));
		app->changed = false;
		read[i] = since(start);
		start = proc_clock_us();
		app_draw(app, w);
		(void)wnoutrefresh(w);
		(void)doupdate();
		draw[i] = since(start);
	}
	snprintf(name, sizeof(name), "%s, reading after a change", what);
	say(name, read);
	snprintf(name, sizeof(name), "%s, drawing a frame", what);
	say(name, draw);
	(void)delwin(w);
}

static void without_terminal(const char *db, const char *id)
{
	FILE *nul = fopen("/dev/null", "r+");
	SCREEN *term = newterm("xterm-256color", nul, nul);
	struct app app;
	double ms[TIMES];

	(void)resizeterm(ROWS, WIDE);
	must(app_init(&app, db, proc_now_us));
	frames(&app, "Runs");
	for (int i = 0; i < TIMES; i++) {
		const int64_t start = proc_clock_us();

		must(app_open(&app, "run", id));
		ms[i] = since(start);
		if (i + 1 < TIMES)
			screen_close(app.stack[--app.depth]);
	}
	say("Run with long curves, opening", ms);
	frames(&app, "Run with long curves");
	for (int i = 0; i < TIMES; i++) {
		const int64_t start = proc_clock_us();

		(void)app_tick(&app);
		ms[i] = since(start);
	}
	say("a tick without a change", ms);
	app_done(&app);
	(void)endwin();
	delscreen(term);
	fclose(nul);
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	const int runs = argc > 1 ? atoi(argv[1]) : 10000;
	const int64_t steps = argc > 2 ? atoll(argv[2]) : 1000000;
	char dir[256], db[300], id[RUN_ID_SIZE];
	double ms[TIMES];

	if (runs < 2 || steps < 1) {
		fprintf(stderr, "usage: screen [RUNS [STEPS]], with RUNS at least 2\n");
		return 2;
	}
	(void)setlocale(LC_ALL, "C.UTF-8");
	(void)setlocale(LC_NUMERIC, "C");
	snprintf(dir, sizeof(dir), "%.200s/trimtab-screen-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	snprintf(db, sizeof(db), "%s/runs.db", dir);
	fill(db, runs, steps, id);
	printf("%d runs, one of %lld steps x %d curves, %d x %d\n", runs, (long long)steps, KEYS,
	       WIDE, ROWS);
	for (int i = 0; i < TIMES; i++)
		ms[i] = first_frame("./trimtab", dir);
	say("first frame from the start of the process", ms);
	without_terminal(db, id);
	if (getenv("KEEP"))
		printf("kept: %s\n", db);
	else
		must(fs_remove_tree(dir));
	return 0;
}
