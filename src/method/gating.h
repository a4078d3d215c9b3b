#ifndef METHOD_GATING_H
#define METHOD_GATING_H

#include "method/panel.h"
#include "tensor/op.h"

/*
 * Gates (UniPELT): how much every sequence takes of what is learned beside a
 * module, by what the module reads:
 *
 *     g = mean of sigmoid(x w^T + b) over the sequence's rows        w [1,I]  b [1]
 *
 * w begins with N(0, 0.02^2) and b with 0, so that all begin near a half.
 */
struct gating;

/* MODULE.gate.weight and MODULE.gate.bias, for an x of so many columns. */
int gating_new(struct method *m, const char *module, int64_t cols, struct gating **ret);
/* g [S,1] of the sequences of x. */
struct tensor *gating_seqs(struct graph *g, const struct gating *gate, struct tensor *x);
/* The same number for each row [N,1]. */
struct tensor *gating_rows(struct graph *g, const struct gating *gate, struct tensor *x);

/*
 * A method's gates in its panel, "method/NAME/gate...", of the last evaluation's
 * first examples: the mean of each layer, how far examples differ, and the shares
 * of them that are (nearly) shut and open.
 */
struct gating_panel {
	struct method *m;
	const struct watch *out;
	struct panel mean;
	char key[80];
	double spread;
	int64_t shut, open, examples, gates;
};

void gating_panel_begin(struct gating_panel *p, struct method *m, const struct watch *out);
void gating_panel_add(struct gating_panel *p, const struct gating *gate);
/* Alarms where all of them are stuck at 0; alarm: its number among the method's. */
void gating_panel_end(struct gating_panel *p, int alarm);

#endif
