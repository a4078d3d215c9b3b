/*
 * How quick is the run log when it is large? Fills one with 10,000 runs and 10
 * million metric rows (one of the runs has a curve of a million), then times
 * what the programs do with it, and the whole of `trimtab ls` into a pipe.
 * Usage: bench/runlog [RUNS [ROWS]], beside a built trimtab; the file is made
 * under $TMPDIR (about 40 bytes a row) and removed, unless KEEP is set.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"
#include "base/rng.h"
#include "db/metric.h"
#include "db/run.h"

enum { KEYS = 10, STEPS_MOST = 4096, LISTED = 4, TIMES = 5, COLUMNS = 240 };

static const char *const key[KEYS] = { "train/loss",          "train/grad_norm",
				       "train/learning_rate", "train/tokens_per_second",
				       "train/epoch",         "system/rss_bytes",
				       "system/cpu_percent",  "eval/loss",
				       "eval/accuracy",       "method/lora/scale" };

static const char *const listed[LISTED] = { "train/loss", "eval/loss", "eval/accuracy",
					    "train/tokens_per_second" };

/* A step that fails leaves nothing to measure. */
static void must(int code)
{
	if (code) {
		fprintf(stderr, "runlog: %s\n", err_text());
		abort();
	}
}

static double since(int64_t start) { return (double)(proc_clock_us() - start) / 1e3; }

/* As long as those that trainers write, 1.7 kB. */
static void write_recipe(int n, char *ret, size_t size)
{
	size_t used = (size_t)snprintf(
		ret, size,
		"{\n  \"name\": \"sst2-lora-%d\",\n  \"peft\": {\n    \"method\": \"lora\",\n    "
		"\"r\": %d,\n"
		"    \"target_modules\": [\n      \"query\",\n      \"value\"\n    ]\n  },\n"
		"  \"train\": {\n    \"seed\": %d",
		n, 1 << n % 8, n % 5);

	for (int i = 0; i < 40; i++)
		used += (size_t)snprintf(ret + used, size - used,
					 ",\n    \"some_setting_with_a_name_%d\": %d", i, n);
	snprintf(ret + used, size - used, "\n  }\n}\n");
}

static int64_t add_run(struct store *st, int n)
{
	const int64_t made = 1767225600000000 + (int64_t)n * 60000000;
	char id[RUN_ID_SIZE], name[32], recipe[4096];
	int64_t row = 0;

	snprintf(name, sizeof(name), "sst2-lora-%d", n);
	run_id_make(id, made, (uint32_t)n);
	write_recipe(n, recipe, sizeof(recipe));
	must(run_add(st,
		     &(struct run){ .id = id,
				    .name = name,
				    .method = "lora",
				    .model = "mini-bert-en",
				    .task = "seq_cls",
				    .state = RUN_FINISHED,
				    .dir = "/srv/trimtab/runs",
				    .created = made,
				    .started = made + 41234,
				    .ended = made + 59000000 + n % 9973 * 1000003LL,
				    .metric_key = "eval/accuracy",
				    .best_greater = true,
				    .total_steps = 1000 },
		     recipe, &row));
	must(run_update_best(st, row, 0.5 + 0.5 / (n + 1), 1000));
	return row;
}

/* Steps lo .. lo+steps-1 of some keys, in batches of so many steps a transaction. */
static void add_rows(struct store *st, int64_t run, int64_t lo, int64_t steps, int keys,
		     int64_t batch, struct rng *r)
{
	static struct metric m[STEPS_MOST * KEYS];

	for (int64_t at = 0; at < steps; at += batch) {
		const int64_t some = steps - at < batch ? steps - at : batch;
		size_t n = 0;

		for (int64_t s = 0; s < some; s++) {
			for (int k = 0; k < keys; k++)
				m[n++] = (struct metric){ key[k], lo + at + s,
							  (double)rng_normal(r),
							  1767225600000000 + lo + at + s };
		}
		must(metric_batch_add(st, &(struct metric_batch){ .run = run,
								  .attempt = 1,
								  .metric = m,
								  .n = n,
								  .step = lo + at + some - 1,
								  .epoch = 1 }));
	}
}

/* Returns how many rows went in. */
static int64_t time_inserts(struct store *st, struct rng *r)
{
	static const int64_t batch[] = { 1, 10, 400 };
	int64_t rows = 0;

	for (int i = 0; i < 3; i++) {
		const int64_t run = add_run(st, 1000000 + i), steps = batch[i] * 500;
		const int64_t start = proc_clock_us();
		double ms;

		add_rows(st, run, 1, steps, KEYS, batch[i], r);
		ms = since(start);
		printf("insert, %4lld rows a transaction   %9.0f rows/s   %7.3f ms each\n",
		       (long long)batch[i] * KEYS, (double)steps * KEYS / ms * 1e3, ms / 500);
		rows += steps * KEYS;
	}
	return rows;
}

/* The best of a few: what is measured is our code, not who else uses the machine. */
static double time_list(const char *path, const struct run_filter *f, size_t *ret_n)
{
	double best = 1e9;

	for (int i = 0; i < TIMES; i++) {
		const int64_t start = proc_clock_us();
		struct run_list l;
		struct store *st;

		must(store_open_read(path, &st));
		must(run_list(st, f, &l));
		*ret_n = l.n;
		run_list_done(&l);
		store_close(st);
		if (since(start) < best)
			best = since(start);
	}
	return best;
}

static void time_lists(const char *path)
{
	static const struct {
		const char *what;
		struct run_filter f;
	} lists[] = {
		{ "list, all", { .keys = listed, .keys_n = LISTED } },
		{ "list, all, without metrics", { 0 } },
		{ "list, newest 50", { .keys = listed, .keys_n = LISTED, .limit = 50 } },
		{ "list, 50 best by eval/accuracy",
		  { .keys = listed, .keys_n = LISTED, .limit = 50, .sort = "eval/accuracy" } },
		{ "list, named *99*", { .keys = listed, .keys_n = LISTED, .text = "99" } }
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		size_t n = 0;
		const double ms = time_list(path, &lists[i].f, &n);

		printf("%-34s %9zu runs     %7.3f ms with opening\n", lists[i].what, n, ms);
	}
}

/* The first look at a setting reads every recipe; then it is as quick as a metric. */
static void time_filters(const char *path)
{
	static const char *const text[] = { "eval/accuracy>0.85", "peft.r>=64",
					    "peft.r>=64 eval/accuracy>0.85",
					    "(state:f* or tag:x) not *99*" };
	struct store *st;

	must(store_open_read(path, &st));
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		struct run_filter f = { 0 };
		double first = 0, best = 1e9;
		struct run_index *place;
		struct where *w;
		size_t n = 0;

		must(where_parse(text[i], &w));
		f.where = w;
		for (int k = 0; k < TIMES; k++) {
			const int64_t start = proc_clock_us();

			must(run_index(st, &f, &place, &n));
			free(place);
			first = k ? first : since(start);
			best = since(start) < best ? since(start) : best;
		}
		free(w);
		printf("%-34s %9zu runs     %7.3f ms at first, %.3f ms\n", text[i], n, first, best);
	}
	store_close(st);
}

static void child(const char *home, const int end[2], const char *option)
{
	(void)setenv("TRIMTAB_HOME", home, 1);
	(void)dup2(end[1], STDOUT_FILENO);
	close(end[0]);
	close(end[1]);
	execl("./trimtab", "trimtab", "ls", option, (char *)NULL);
	_exit(127);
}

/* Milliseconds from the start of `trimtab ls` until it has ended; we are who reads the pipe. */
static double time_process(const char *home, const char *option, size_t *ret_bytes)
{
	const int64_t start = proc_clock_us();
	static char text[1 << 16];
	int end[2], status = 0;
	ssize_t got;
	pid_t pid;

	must(pipe(end) ? err_set(TT_IO, "no pipe") : TT_OK);
	pid = fork();
	if (!pid)
		child(home, end, option);
	close(end[1]);
	for (*ret_bytes = 0; (got = read(end[0], text, sizeof(text))) > 0;)
		*ret_bytes += (size_t)got;
	(void)waitpid(pid, &status, 0);
	close(end[0]);
	must(status ? err_set(TT_IO, "./trimtab ls failed: is it built?") : TT_OK);
	return since(start);
}

static void time_ls(const char *home)
{
	static const char *const option[] = { NULL, "--json" };

	for (size_t i = 0; i < sizeof(option) / sizeof(option[0]); i++) {
		double best = 1e9;
		size_t bytes = 0;

		for (int k = 0; k < TIMES; k++) {
			const double ms = time_process(home, option[i], &bytes);

			best = ms < best ? ms : best;
		}
		printf("trimtab ls%s%-*s %9zu bytes    %7.3f ms, the whole process\n",
		       option[i] ? " " : "", option[i] ? 23 : 24, option[i] ? option[i] : "", bytes,
		       best);
	}
}

static void time_curve(struct store *st, const char *what, int64_t run)
{
	static struct metric_bucket bucket[COLUMNS];
	double read = 1e9, cut = 1e9, spark = 1e9;
	size_t n = 0, buckets = 0;

	for (int i = 0; i < TIMES; i++) {
		struct metric_point *p;
		int64_t lo, hi, start = proc_clock_us();

		must(metric_read(st, run, "train/loss", &p, &n));
		free(p);
		read = since(start) < read ? since(start) : read;
		start = proc_clock_us();
		must(metric_span(st, run, "train/loss", &lo, &hi));
		must(metric_buckets(st, run, "train/loss", lo, hi, COLUMNS, bucket));
		cut = since(start) < cut ? since(start) : cut;
		start = proc_clock_us();
		must(metric_spark(st, run, "train/loss", 32, bucket, &buckets));
		spark = since(start) < spark ? since(start) : spark;
	}
	printf("%-34s %9zu points   %7.3f ms, %d columns %.3f ms, spark %.3f ms\n", what, n, read,
	       COLUMNS, cut, spark);
}

static void fill(struct store *st, int runs, int64_t rows, struct rng *r, int64_t *ret_small,
		 int64_t *ret_large)
{
	const int64_t large = rows / 10, steps = (rows - large) / (runs - 1) / KEYS;
	const int64_t start = proc_clock_us();
	double ms;

	for (int i = 0; i < runs - 1; i++) {
		*ret_small = add_run(st, i);
		add_rows(st, *ret_small, 1, steps, KEYS, STEPS_MOST, r);
	}
	*ret_large = add_run(st, runs);
	add_rows(st, *ret_large, 1, large, 1, STEPS_MOST, r);
	ms = since(start);
	printf("filled with %d runs, %lld rows    %9.0f rows/s   %7.1f s\n", runs,
	       (long long)(steps * KEYS * (runs - 1) + large), (double)rows / ms * 1e3, ms / 1e3);
}

static void measure(const char *dir, const char *path, int runs, int64_t rows)
{
	struct store *st;
	struct stat s;
	struct rng r;
	int64_t small = 0, large = 0;

	rng_init(&r, 7, RNG_TEST, 0);
	must(store_open(path, &st));
	fill(st, runs, rows, &r, &small, &large);
	rows += time_inserts(st, &r);
	time_curve(st, "curve of one run", small);
	time_curve(st, "curve of a long run", large);
	store_close(st);
	time_lists(path);
	time_filters(path);
	time_ls(dir);
	if (!stat(path, &s))
		printf("size of the file %.1f MB, %.1f bytes a row\n", (double)s.st_size / 1e6,
		       (double)s.st_size / (double)rows);
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	const int runs = argc > 1 ? atoi(argv[1]) : 10000;
	const int64_t rows = argc > 2 ? atoll(argv[2]) : 10000000;
	char dir[256], path[300];

	if (runs < 2 || rows < runs) {
		fprintf(stderr, "usage: runlog [RUNS [ROWS]], with RUNS at least 2 and ROWS at "
				"least RUNS\n");
		return 2;
	}
	snprintf(dir, sizeof(dir), "%.200s/trimtab-runlog-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/runs.db", dir);
	measure(dir, path, runs, rows);
	if (getenv("KEEP"))
		printf("kept: %s\n", path);
	else
		must(fs_remove_tree(dir));
	return 0;
}
