/* Smoothing: over all points, in step space, whatever is drawn and however it is read. */
#include "tests/check.h"

#include "tests/ui/stage.h"
#include "ui/ema.h"

/* The definition, summed anew for one point. */
static double direct(const int64_t *step, const double *v, int n, double decay)
{
	double s = 0, w = 0;

	for (int i = 0; i < n; i++) {
		const double weight = pow(decay, (double)(step[n - 1] - step[i]));

		s += weight * v[i];
		w += weight;
	}
	return s / w;
}

static void follows_definition(void)
{
	const int64_t step[] = { 1, 2, 3, 10, 11, 40 };
	const double v[] = { 1, 0, 4, -2, 8, 3 };
	struct ema e = { .decay = 0 };

	ema_start(&e, 0.9, 1);
	for (int i = 0; i < 6; i++) {
		ema_add(&e, step[i], v[i]);
		CHECK_NEAR(e.point[i].value, direct(step, v, i + 1, 0.9), 1e-12);
	}
	ema_add(&e, 41, NAN); /* leaves no trace */
	CHECK(e.count == 6 && e.step == 40);
	ema_done(&e);
}

static void columns(void)
{
	const struct metric_bucket b[] = {
		{ .count = 2, .first_step = 1, .last_step = 2 },
		{ .count = 0 },
		{ .count = 1, .first_step = 9, .last_step = 9 }, /* that point was not finite */
		{ .count = 1, .first_step = 10, .last_step = 10 },
	};
	struct ema e = { .decay = 0 };
	double got[4];

	ema_start(&e, 0.5, 1);
	ema_add(&e, 1, 1);
	ema_add(&e, 2, 2);
	ema_add(&e, 10, 3);
	ema_columns(&e, b, 4, got);
	CHECK_NEAR(got[0], e.point[1].value, 0);
	CHECK(isnan(got[1]) && isnan(got[2]));
	CHECK_NEAR(got[3], e.point[2].value, 0);
	ema_done(&e);
}

/* A long curve comes in parts and is the same. */
static void parts(void)
{
	enum { STEPS = 120000 };
	static struct metric m[STEPS];
	struct store *st;
	struct ema e = { .decay = 0 };
	struct stage s;
	struct run run = { .id = "00000000000001", .name = "x" };
	int64_t row;
	double sum = 0, n = 0;
	int calls = 0;

	stage_folder(&s);
	stage_must(store_open(s.db, &st));
	stage_must(run_add(st, &run, "{}", &row));
	for (int i = 0; i < STEPS; i++)
		m[i] = (struct metric){ "train/loss", i + 1, sin(i / 50.0), STAGE_NOW };
	stage_must(metric_add(st, row, 1, m, STEPS));
	ema_start(&e, 0.99, 1);
	while (e.more && calls < 10) {
		CHECK(ema_read(&e, st, row, "train/loss") == TT_OK);
		calls++;
	}
	CHECK(calls > 3 && e.count == STEPS);
	for (int i = 0; i < STEPS; i++) {
		sum = sum * 0.99 + m[i].value;
		n = n * 0.99 + 1;
	}
	CHECK_NEAR(e.point[STEPS - 1].value, sum / n, 1e-9);
	ema_done(&e);
	store_close(st);
	(void)fs_remove_tree(s.dir);
}

int main(void)
{
	follows_definition();
	columns();
	parts();
	return check_done();
}
