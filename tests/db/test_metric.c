/* Metric rows: round trips, numbers that are none, the clean curve, and buckets against a plain count. */
#include "tests/check.h"

#include "base/array.h"
#include "base/rng.h"
#include "db/metric.h"
#include "tests/db/home.h"

static void values_survive(void)
{
	const double value[] = { 0,   -0.0,        1e-310,           1.7976931348623157e308,
				 0.1, (double)NAN, (double)INFINITY, -(double)INFINITY };
	struct metric m[COUNT(value)];
	struct metric_point *p = NULL;
	struct metric_last *last = NULL;
	struct home h;
	size_t n = 0;
	int64_t run;

	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	for (size_t i = 0; i < COUNT(value); i++)
		m[i] = (struct metric){ "train/loss", (int64_t)i, value[i], 1000 + (int64_t)i };
	CHECK(metric_add(h.st, run, 1, m, COUNT(m)) == TT_OK);
	CHECK(metric_read(h.st, run, "train/loss", &p, &n) == TT_OK && n == COUNT(value));
	for (size_t i = 0; i < n; i++) {
		CHECK(p[i].step == (int64_t)i && p[i].time_us == 1000 + (int64_t)i &&
		      p[i].attempt == 1);
		CHECK(isnan(value[i]) ? isnan(p[i].value) : p[i].value == value[i]);
	}
	free(p);
	CHECK(metric_last(h.st, run, &last, &n) == TT_OK && n == 1);
	CHECK_STR(last[0].key, "train/loss");
	CHECK(last[0].step == 7 && isinf(last[0].value) && last[0].time_us == 1007);
	CHECK(last[0].min == 0 && last[0].max == value[3]);
	free(last);
	home_close(&h);
}

static void same_step_replaces(void)
{
	const struct metric twice[] = { { "a", 3, 100, 1 }, { "a", 3, 5, 2 } },
			    again = { "a", 3, 7, 3 };
	struct metric_bucket b;
	struct metric_point *p = NULL;
	struct home h;
	size_t n = 0;
	int64_t run;

	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	CHECK(metric_add(h.st, run, 1, twice, 2) == TT_OK);
	CHECK(metric_read(h.st, run, "a", &p, &n) == TT_OK && n == 1 && p[0].value == 5);
	free(p);
	CHECK(metric_add(h.st, run, 1, &again, 1) == TT_OK);
	CHECK(metric_buckets(h.st, run, "a", 0, 1000, 1, &b) == TT_OK);
	CHECK(b.count == 1 && b.min == 7 && b.max == 7); /* no trace of 100 in the summary */
	home_close(&h);
}

static void bad_rows_are_refused(void)
{
	char longer[METRIC_KEY_MAX + 2];
	const struct metric bad[] = { { "", 1, 1, 1 },          { NULL, 1, 1, 1 },
				      { "two words", 1, 1, 1 }, { longer, 1, 1, 1 },
				      { "a", -1, 1, 1 },        { "a", INT64_MAX, 1, 1 } };
	const struct metric good = { "a", 1, 1, 1 };
	struct metric_point *p = NULL;
	struct home h;
	size_t n = 9;
	int64_t run;

	memset(longer, 'k', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	for (size_t i = 0; i < COUNT(bad); i++) {
		const struct metric pair[] = { good, bad[i] };

		CHECK(metric_add(h.st, run, 1, pair, 2) == TT_INVALID);
	}
	CHECK(metric_add(h.st, run, 0, &good, 1) == TT_INVALID);
	CHECK(metric_add(h.st, run + 1, 1, &good, 1) == TT_NOTFOUND);
	CHECK(metric_read(h.st, run, "a", &p, &n) == TT_OK && n == 0); /* nothing of a bad batch */
	free(p);
	CHECK(metric_add(h.st, run, 1, &good, 1) ==
	      TT_OK); /* the key of a rolled back batch works */
	CHECK(metric_read(h.st, run, "a", &p, &n) == TT_OK && n == 1);
	free(p);
	home_close(&h);
}

static void batch_moves_the_run(void)
{
	struct home h;
	struct run r = { 0 };
	const struct metric m = { "a/b", 4, 1, 0 };
	struct metric_batch b = {
		.attempt = 1, .metric = &m, .n = 1, .step = 4, .epoch = 0.5, .time_us = 777
	};

	home_open(&h);
	b.run = home_run(&h, 1, "x", NULL);
	CHECK(metric_batch_add(h.st, &b) == TT_OK);
	CHECK(run_get_row(h.st, b.run, &r) == TT_OK && r.step == 4 && r.heartbeat == 777 &&
	      r.epoch == 0.5);
	run_done(&r);
	b = (struct metric_batch){ .run = b.run, .attempt = 1, .step = -1, .time_us = 888 };
	CHECK(metric_batch_add(h.st, &b) == TT_OK);
	CHECK(run_get_row(h.st, b.run, &r) == TT_OK && r.step == 4 && r.heartbeat == 888 &&
	      r.epoch == 0.5);
	run_done(&r);
	home_close(&h);
}

static void keys_are_listed(void)
{
	const struct metric m[] = { { "b", 1, 1, 1 }, { "a", 1, 1, 1 }, { "c", 1, 1, 1 } };
	struct home h;
	char **key = NULL;
	size_t n = 0;
	int64_t one, two;

	home_open(&h);
	one = home_run(&h, 1, "x", NULL);
	two = home_run(&h, 2, "y", NULL);
	CHECK(metric_add(h.st, one, 1, m, 2) == TT_OK &&
	      metric_add(h.st, two, 1, m + 2, 1) == TT_OK);
	CHECK(metric_keys(h.st, one, &key, &n) == TT_OK && n == 2);
	CHECK_STR(key[0], "a");
	CHECK_STR(key[1], "b");
	free(key);
	CHECK(metric_keys(h.st, 0, &key, &n) == TT_OK && n == 3);
	free(key);
	home_close(&h);
}

/* --- the clean curve --------------------------------------------------------------------- */

/* Attempts of one run: where each began and what it reached; the value of a row is attempt * 1000 + step. */
static const struct {
	int64_t from, to;
} attempts[] = { { 0, 300 }, { 200, 210 }, { 128, 500 }, { 450, 460 } };

static int64_t clean_attempt(int64_t step) { return step <= 128 ? 1 : step <= 450 ? 3 : 4; }

static int64_t build(struct home *h)
{
	const struct run_process dead = {
		.pid = 1, .pid_start = 1, .boot_id = "x", .host = "gone"
	};
	const int64_t run = home_run(h, 1, "x", NULL);

	for (size_t a = 0; a < COUNT(attempts); a++) {
		int attempt = 0;

		CHECK(run_resume(h->st, run, attempts[a].from, &dead, &attempt) == TT_OK &&
		      attempt == (int)a + 1);
		for (int64_t step = attempts[a].from + 1; step <= attempts[a].to; step++) {
			const struct metric m = { "train/loss", step,
						  (double)(attempt * 1000 + step), step };

			if (metric_add(h->st, run, attempt, &m, 1))
				printf("# %s\n", err_text());
		}
		CHECK(run_end(h->st, run, RUN_STOPPED, NULL) == TT_OK);
	}
	return run;
}

static int third(void *arg, const struct metric_point *p)
{
	*(int64_t *)arg = p->step;
	return p->step == 203 ? 42 : 0;
}

static void curve_is_clean(void)
{
	struct home h;
	struct metric_point *p = NULL;
	struct metric_last *last = NULL;
	size_t n = 0, wrong = 0;
	int64_t run, lo = 0, hi = 0, seen = 0;

	home_open(&h);
	run = build(&h);
	CHECK(metric_read(h.st, run, "train/loss", &p, &n) == TT_OK && n == 460);
	for (size_t i = 0; i < n; i++) {
		const int64_t step = (int64_t)i + 1;

		if (p[i].step != step || p[i].attempt != clean_attempt(step) ||
		    p[i].value != (double)(clean_attempt(step) * 1000 + step))
			wrong++;
	}
	CHECK(!wrong);
	free(p);
	CHECK(metric_read_attempts(h.st, run, "train/loss", &p, &n) == TT_OK &&
	      n == 300 + 10 + 372 + 10);
	free(p);
	CHECK(metric_span(h.st, run, "train/loss", &lo, &hi) == TT_OK && lo == 1 && hi == 460);
	CHECK(metric_span(h.st, run, "none", &lo, &hi) == TT_NOTFOUND);
	CHECK(metric_walk(h.st, run, "train/loss", 201, third, &seen) == 42 && seen == 203);
	CHECK(store_begin(h.st) == TT_OK &&
	      store_commit(h.st) == TT_OK); /* the walk left nothing open */
	CHECK(metric_last(h.st, run, &last, &n) == TT_OK && n == 1 && last[0].step == 460 &&
	      last[0].value == 4460);
	CHECK(last[0].min == 1001 && last[0].max == 4460);
	free(last);
	home_close(&h);
}

static void restart_from_nothing(void)
{
	const struct run_process dead = {
		.pid = 1, .pid_start = 1, .boot_id = "x", .host = "gone"
	};
	const struct metric m[] = { { "a", 0, 1, 1 }, { "a", 1, 2, 1 } }, fresh = { "a", 0, 9, 2 };
	struct home h;
	struct metric_point *p = NULL;
	struct metric_last *last = NULL;
	size_t n = 0;
	int64_t run;
	int attempt;

	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	CHECK(run_start(h.st, run, &dead, &attempt) == TT_OK &&
	      metric_add(h.st, run, attempt, m, 2) == TT_OK);
	CHECK(run_end(h.st, run, RUN_STOPPED, NULL) == TT_OK);
	CHECK(run_start(h.st, run, &dead, &attempt) == TT_OK && attempt == 2);
	CHECK(metric_last(h.st, run, &last, &n) == TT_OK && n == 0);
	free(last);
	CHECK(metric_add(h.st, run, attempt, &fresh, 1) == TT_OK);
	CHECK(metric_read(h.st, run, "a", &p, &n) == TT_OK && n == 1 && p[0].value == 9);
	free(p);
	home_close(&h);
}

/* --- buckets ----------------------------------------------------------------------------- */

enum { LONG = 20000 };

static bool same(double a, double b) { return isnan(a) ? isnan(b) : a == b; }

/* What metric_buckets promises, counted from the rows one by one. */
static bool agrees(const struct metric_point *p, size_t n, int64_t lo, int64_t hi, size_t buckets,
		   const struct metric_bucket *b)
{
	size_t at = 0;

	while (at < n && p[at].step < lo)
		at++;
	for (size_t i = 0; i < buckets; i++) {
		double min = (double)NAN, max = (double)NAN;
		const size_t from = at;
		int64_t nans = 0, infs = 0;

		for (; at < n && p[at].step <= hi &&
		       (size_t)((p[at].step - lo) * (int64_t)buckets / (hi - lo + 1)) == i;
		     at++) {
			nans += isnan(p[at].value);
			infs += isinf(p[at].value) != 0;
			if (isfinite(p[at].value)) {
				min = fmin(min, p[at].value);
				max = fmax(max, p[at].value);
			}
		}
		if (b[i].count != (int64_t)(at - from) || b[i].nans != nans || b[i].infs != infs ||
		    !same(b[i].min, min) || !same(b[i].max, max))
			return false;
		if (at > from &&
		    (!same(b[i].first, p[from].value) || !same(b[i].last, p[at - 1].value) ||
		     b[i].first_step != p[from].step || b[i].last_step != p[at - 1].step))
			return false;
	}
	return at == n || p[at].step > hi;
}

static void long_curve(struct home *h, int64_t run)
{
	struct metric *m = calloc(LONG, sizeof(*m));
	struct rng r;
	int64_t step = 0;

	rng_init(&r, 11, RNG_TEST, 0);
	for (size_t i = 0; m && i < LONG; i++) {
		const uint32_t odd = rng_below(&r, 100);

		step += odd ? 1 : 1 + rng_below(&r, 300); /* holes */
		m[i] = (struct metric){ "train/loss", step,
					odd == 1   ? (double)NAN
					: odd == 2 ? (double)INFINITY
						   : (double)rng_normal(&r),
					step };
	}
	CHECK(m && metric_add(h->st, run, 1, m, LONG) == TT_OK);
	free(m);
}

static void buckets_lose_nothing(void)
{
	static const int64_t from[] = { 0, 1, 63, 64, 1000, 19999 };
	static const size_t count[] = { 1, 2, 7, 32, 240, 3000 };
	const struct run_process dead = {
		.pid = 1, .pid_start = 1, .boot_id = "x", .host = "gone"
	};
	static struct metric_bucket b[3000];
	struct home h;
	struct metric_point *p = NULL;
	size_t n = 0;
	int64_t run;
	int attempt;

	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	CHECK(run_start(h.st, run, &dead, &attempt) == TT_OK);
	long_curve(&h, run);
	CHECK(run_end(h.st, run, RUN_STOPPED, NULL) == TT_OK);
	CHECK(run_resume(h.st, run, 12345, &dead, &attempt) == TT_OK); /* cuts a chunk in two */
	for (int64_t step = 12346; step < 30000; step += 3) {
		const struct metric m = { "train/loss", step, (double)step, step };

		if (metric_add(h.st, run, attempt, &m, 1))
			printf("# %s\n", err_text());
		step += step % 1000 == 0 ? 500 : 0;
	}
	CHECK(metric_read(h.st, run, "train/loss", &p, &n) == TT_OK && n > 5000);
	for (size_t i = 0; i < COUNT(from); i++) {
		for (size_t k = 0; k < COUNT(count); k++) {
			const int64_t hi = from[i] + 200 + (int64_t)(i * 7001);

			CHECK(metric_buckets(h.st, run, "train/loss", from[i], hi, count[k], b) ==
			      TT_OK);
			CHECK(agrees(p, n, from[i], hi, count[k], b));
		}
	}
	free(p);
	home_close(&h);
}

static void buckets_at_the_edges(void)
{
	struct home h;
	struct metric_bucket b[40];
	const struct metric one = { "a", 5, 2.5, 1 };
	size_t n = 9;
	int64_t run;

	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	CHECK(metric_buckets(h.st, run, "none", 0, 10, 2, b) == TT_OK && !b[0].count &&
	      isnan(b[1].min));
	CHECK(metric_buckets(h.st, run, "none", 5, 4, 2, b) == TT_INVALID);
	CHECK(metric_buckets(h.st, run, "none", 0, 4, 0, b) == TT_INVALID);
	CHECK(metric_buckets(h.st, run, "none", -1, 4, 1, b) == TT_INVALID);
	CHECK(metric_spark(h.st, run, "a", 32, b, &n) == TT_OK && n == 0);
	CHECK(metric_add(h.st, run, 1, &one, 1) == TT_OK);
	CHECK(metric_spark(h.st, run, "a", 32, b, &n) == TT_OK && n == 1 && b[0].last == 2.5);
	CHECK(metric_buckets(h.st, run, "a", 5, 5, 40, b) == TT_OK && b[0].count == 1 &&
	      b[39].count == 0);
	home_close(&h);
}

int main(void)
{
	values_survive();
	same_step_replaces();
	bad_rows_are_refused();
	batch_moves_the_run();
	keys_are_listed();
	curve_is_clean();
	restart_from_nothing();
	buckets_lose_nothing();
	buckets_at_the_edges();
	return check_done();
}
