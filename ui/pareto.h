#ifndef UI_PARETO_H
#define UI_PARETO_H

#include <stdbool.h>
#include <stddef.h>

/* Quality against what it costs: which runs nothing else beats in both. */

struct pareto {
	double cost, quality;
	bool front; /* no other costs no more, is no worse, and is better in one */
};

/* A point with a NAN is never on the front. */
void pareto_front(struct pareto *p, size_t n, bool less_is_better);

#endif
