/* The rows of an evaluation that a panel looks at. */
#include "method/look.h"

void look(struct graph *g, const struct tensor *x,
	  void (*at)(void *arg, int64_t from, int64_t to, uint32_t place), void *arg)
{
	const struct origin *who = x->origin;
	const int64_t rows = tensor_rows(x);

	if (graph_pass(g)->train || !who)
		return;
	for (int64_t from = 0, to; from < rows; from = to) {
		to = origin_run_end(who, from, rows);
		if (who->example[from] < LOOKED)
			at(arg, from, to, who->example[from]);
	}
}
