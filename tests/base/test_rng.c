/* Random numbers: the published known answers, and that the shapes are right. */
#include "tests/check.h"

#include "base/array.h"
#include "base/rng.h"

/* From kat_vectors of Random123, philox4x32 with 10 rounds. */
static const struct {
	const char *name;
	uint32_t c[4], k[2], want[4];
} known[] = {
	{ "zeros", { 0 }, { 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
	{ "ones",
	  { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
	  { 0xffffffff, 0xffffffff },
	  { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
	{ "pi",
	  { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
	  { 0xa4093822, 0x299f31d0 },
	  { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
};

static void known_answers(void)
{
	for (size_t i = 0; i < COUNT(known); i++) {
		const uint64_t key = (uint64_t)known[i].k[1] << 32 | known[i].k[0];
		uint32_t got[4];

		rng_block(key, known[i].c[3], known[i].c[2], known[i].c[1], known[i].c[0], got);
		CHECK_NAMED(!memcmp(got, known[i].want, sizeof(got)), known[i].name);
	}
}

static void moments(void)
{
	enum { N = 400000 };
	double m1 = 0, m2 = 0, n1 = 0, n2 = 0, n3 = 0, n4 = 0;
	bool inside = true;
	struct rng r;

	rng_init(&r, 7, RNG_TEST, 1);
	for (int i = 0; i < N; i++) {
		const double u = rng_uniform(&r);

		inside = inside && u >= 0 && u < 1;
		m1 += u;
		m2 += u * u;
	}
	for (int i = 0; i < N; i++) {
		const double x = rng_normal(&r);

		n1 += x;
		n2 += x * x;
		n3 += x * x * x;
		n4 += x * x * x * x;
	}
	CHECK(inside);
	/* five standard errors of each mean */
	CHECK_NEAR(m1 / N, 0.5, 5 * sqrt(1.0 / 12 / N));
	CHECK_NEAR(m2 / N, 1.0 / 3, 5 * sqrt(4.0 / 45 / N));
	CHECK_NEAR(n1 / N, 0, 5 * sqrt(1.0 / N));
	CHECK_NEAR(n2 / N, 1, 5 * sqrt(2.0 / N));
	CHECK_NEAR(n3 / N, 0, 5 * sqrt(15.0 / N));
	CHECK_NEAR(n4 / N, 3, 5 * sqrt(96.0 / N));
}

static void below_is_even(void)
{
	enum { N = 140000, SIDES = 7 };
	int seen[SIDES] = { 0 };
	double chi = 0;
	struct rng r;

	rng_init(&r, 3, RNG_TEST, 2);
	for (int i = 0; i < N; i++)
		seen[rng_below(&r, SIDES)]++;
	for (int i = 0; i < SIDES; i++)
		chi += pow(seen[i] - (double)N / SIDES, 2) / ((double)N / SIDES);
	CHECK(chi < 27.9); /* 6 degrees of freedom: one seed in 10 000 */
	CHECK(rng_below(&r, 1) == 0);
}

static void streams_differ_and_repeat(void)
{
	struct rng a, b, other, purpose;
	int same = 0, other_same = 0, purpose_same = 0;

	rng_init(&a, 5, RNG_INIT, 0);
	rng_init(&b, 5, RNG_INIT, 0);
	rng_init(&other, 5, RNG_INIT, 1);
	rng_init(&purpose, 5, RNG_SHUFFLE, 0);
	for (int i = 0; i < 1000; i++) {
		const uint32_t w = rng_u32(&a);

		same += w == rng_u32(&b);
		other_same += w == rng_u32(&other);
		purpose_same += w == rng_u32(&purpose);
	}
	CHECK(same == 1000);
	CHECK(other_same < 3);
	CHECK(purpose_same < 3);
}

int main(void)
{
	known_answers();
	moments();
	below_is_even();
	streams_differ_and_repeat();
	return check_done();
}
