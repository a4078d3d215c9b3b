/* The Pareto front. */
#include "ui/pareto.h"

#include <math.h>

/* sign: 1 where a larger quality is better, -1 where a smaller one is. */
static bool beats(const struct pareto *a, const struct pareto *b, double sign)
{
	const double gain = sign * (a->quality - b->quality);

	return a->cost <= b->cost && gain >= 0 && (a->cost < b->cost || gain > 0);
}

void pareto_front(struct pareto *p, size_t n, bool less_is_better)
{
	const double sign = less_is_better ? -1 : 1;

	for (size_t i = 0; i < n; i++) {
		p[i].front = !isnan(p[i].cost) && !isnan(p[i].quality);
		for (size_t k = 0; p[i].front && k < n; k++)
			p[i].front = !beats(&p[k], &p[i], sign);
	}
}
