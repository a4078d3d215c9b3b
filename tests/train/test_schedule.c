/*
 * Learning rates against the formulas of transformers' get_scheduler, computed apart
 * with another program.
 */
#include "tests/check.h"

#include "base/array.h"
#include "base/recipe.h"
#include "train/schedule.h"
#include "train/train.h"

static const int64_t done[] = { 0, 1, 3, 4, 5, 12, 19, 20, 21 };

/* Base rate 5e-4 (it matters for polynomial alone), 20 steps, warm-up of none and of 4. */
static const struct {
	int type;
	int64_t warmup;
	double factor[COUNT(done)];
} cases[] = {
	{ SCHEDULE_LINEAR, 0, { 1, 0.95, 0.85, 0.8, 0.75, 0.4, 0.05, 0, 0 } },
	{ SCHEDULE_LINEAR, 4, { 0, 0.25, 0.75, 1, 0.9375, 0.5, 0.0625, 0, 0 } },
	{ SCHEDULE_CONSTANT, 0, { 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
	{ SCHEDULE_CONSTANT, 4, { 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
	{ SCHEDULE_CONSTANT_WITH_WARMUP, 0, { 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
	{ SCHEDULE_CONSTANT_WITH_WARMUP, 4, { 0, 0.25, 0.75, 1, 1, 1, 1, 1, 1 } },
	{ SCHEDULE_COSINE,
	  0,
	  { 1, 0.993844170297569, 0.945503262094184, 0.904508497187474, 0.853553390593274,
	    0.345491502812526, 0.00615582970243117, 0, 0.00615582970243111 } },
	{ SCHEDULE_COSINE,
	  4,
	  { 0, 0.25, 0.75, 1, 0.990392640201615, 0.5, 0.00960735979838478, 0,
	    0.00960735979838478 } },
	{ SCHEDULE_COSINE_WITH_RESTARTS,
	  0,
	  { 1, 0.993844170297569, 0.945503262094184, 0.904508497187474, 0.853553390593274,
	    0.345491502812526, 0.00615582970243117, 0, 0 } },
	{ SCHEDULE_COSINE_WITH_RESTARTS,
	  4,
	  { 0, 0.25, 0.75, 1, 0.990392640201615, 0.5, 0.00960735979838478, 0, 0 } },
	{ SCHEDULE_POLYNOMIAL,
	  0,
	  { 1, 0.95001, 0.85003, 0.80004, 0.75005, 0.40012, 0.05019, 0.0002, 0.0002 } },
	{ SCHEDULE_POLYNOMIAL,
	  4,
	  { 0, 0.25, 0.75, 1, 0.9375125, 0.5001, 0.0626875, 0.0002, 0.0002 } },
	{ SCHEDULE_INVERSE_SQRT,
	  0,
	  { 1, 0.999950003749688, 0.999850033741565, 0.999800059980007, 0.999750093710954,
	    0.999400539460566, 0.99905135161012, 0.999001497504367, 0.998951650861245 } },
	{ SCHEDULE_INVERSE_SQRT,
	  4,
	  { 0, 0.25, 0.75, 1, 0.894427190999916, 0.577350269189626, 0.458831467741123,
	    0.447213595499958, 0.436435780471985 } },
};

static void factors(void)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct schedule s = { cases[i].type, cases[i].warmup, 20, 5e-4 };
		char who[64];

		for (size_t k = 0; k < COUNT(done); k++) {
			snprintf(who, sizeof(who), "schedule %d, warm-up %d, after %d", s.type,
				 (int)s.warmup, (int)done[k]);
			CHECK_NAMED(fabs(schedule_factor(&s, done[k]) - cases[i].factor[k]) < 1e-12,
				    who);
		}
	}
}

/* Warm-up as long as the run, or longer, divides by nothing. */
static void long_warmup(void)
{
	for (int type = SCHEDULE_LINEAR; type <= SCHEDULE_INVERSE_SQRT; type++) {
		const struct schedule whole = { type, 5, 5, 1e-3 }, over = { type, 9, 5, 1e-3 };

		for (int64_t k = 0; k <= 10; k++) {
			const double a = schedule_factor(&whole, k), b = schedule_factor(&over, k);

			CHECK(isfinite(a) && a >= 0 && a <= 1 && isfinite(b) && b >= 0 && b <= 1);
		}
	}
}

/*
 * Steps per epoch = ceil(ceil(rows / batch) / accumulation); all = ceil(epochs x
 * that), or max_steps.
 */
static const struct {
	int64_t rows, batch, many, max_steps, warmup_steps;
	double epochs, warmup_ratio;
	int64_t per_epoch, total, warmup, window;
} plans[] = {
	{ 60, 8, 1, KNOB_NONE, 0, 2, 0, 8, 16, 0, 8 },
	{ 52, 4, 2, KNOB_NONE, 3, 2, 0.5, 7, 14, 3, 8 },
	{ 64, 8, 1, KNOB_NONE, 0, 2.5, 0.1, 8, 20, 2, 8 },
	{ 64, 8, 1, KNOB_NONE, 0, 0.3, 0, 8, 3, 0, 8 },
	{ 10, 32, 4, KNOB_NONE, 0, 3, 0, 1, 3, 0, 10 },
	{ 10, 3, 1, 7, 0, 3, 0.5, 4, 7, 4, 3 },
	{ 1, 65536, 65536, 2, 0, 3, 0, 1, 2, 0, 1 },
};

static void lengths(void)
{
	for (size_t i = 0; i < COUNT(plans); i++) {
		const struct train_settings s = {
			.num_train_epochs = plans[i].epochs,
			.max_steps = plans[i].max_steps,
			.per_device_train_batch_size = plans[i].batch,
			.gradient_accumulation_steps = plans[i].many,
			.warmup_ratio = plans[i].warmup_ratio,
			.warmup_steps = plans[i].warmup_steps,
		};
		const struct train_plan p = train_plan(&s, plans[i].rows);

		CHECK(p.steps_per_epoch == plans[i].per_epoch);
		CHECK(p.total_steps == plans[i].total);
		CHECK(p.warmup_steps == plans[i].warmup);
		CHECK(p.window == plans[i].window);
	}
}

int main(void)
{
	factors();
	long_warmup();
	lengths();
	return check_done();
}
