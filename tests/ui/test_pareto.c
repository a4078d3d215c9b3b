/* The Pareto front: what nothing else beats, whichever way is better. */
#include "tests/check.h"

#include "base/array.h"
#include "base/rng.h"
#include "ui/pareto.h"

static void by_hand(void)
{
	struct pareto p[] = {
		{ 1, 0.5, false }, { 2, 0.7, false }, { 2, 0.6, false },
		{ 3, 0.7, false }, { 4, 0.9, false }, { NAN, 1, false },
		{ 0, NAN, false }, { 4, 0.9, false }, { 10, 0.89, false },
	};
	static const bool more[] = { true, true, false, false, true, false, false, true, false };
	static const bool less[] = { true, false, false, false, false, false, false, false, false };

	pareto_front(p, COUNT(p), false);
	for (size_t i = 0; i < COUNT(p); i++)
		CHECK(p[i].front == more[i]);
	pareto_front(p, COUNT(p), true);
	for (size_t i = 0; i < COUNT(p); i++)
		CHECK(p[i].front == less[i]);
}

/* Sorted by cost, the front gets better and better; every other point has one of the front before it that is no worse. */
static void at_random(void)
{
	struct pareto p[40];
	struct rng r;
	bool fine = true;

	rng_init(&r, 5, RNG_TEST, 0);
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < COUNT(p); i++)
			p[i] = (struct pareto){ rng_below(&r, 12), rng_below(&r, 12), false };
		pareto_front(p, COUNT(p), false);
		for (size_t i = 0; i < COUNT(p); i++) {
			bool beaten = false;

			for (size_t k = 0; k < COUNT(p); k++)
				if (p[k].front && p[k].cost <= p[i].cost &&
				    p[k].quality >= p[i].quality)
					beaten |= p[k].cost < p[i].cost ||
						  p[k].quality > p[i].quality;
			fine &= p[i].front != beaten;
		}
	}
	CHECK(fine);
}

int main(void)
{
	by_hand();
	at_random();
	return check_done();
}
