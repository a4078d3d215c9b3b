#ifndef TENSOR_MAGNITUDE_H
#define TENSOR_MAGNITUDE_H

#include "tensor/op.h"

/*
 * What the ops with a magnitude share (DoRA). With c = m / norm, taken as m's
 * alone, the result of a layer is stretched by c: of its own part y, c - 1 times
 * y is added, and the step goes through c b instead of b. So nothing is done
 * where c is 1, and the step costs no pass of its own.
 */
struct stretch {
	const float *norm;
	float scale;          /* of the step */
	float *c, *less, *cb; /* [O] c and c - 1; [O,r] c b */
	struct tensor *m, *b; /* [O], [O,r] */
};

/* NULL without memory. */
struct stretch *stretch_new(struct graph *g, const struct magnitude *how, struct tensor *b,
			    float scale);
void stretch_fill(struct stretch *s); /* from m and b as they are */
/*
 * Gradients of b and m: gb = s c t and gm = (sum + s t.b) / norm, t = G^T u, for
 * u [N,r]. sum [O] holds the column sums of G and the layer's own part.
 */
void stretch_back(struct graph *g, const struct stretch *s, const float *grad, int64_t rows,
		  const float *u, const float *sum);

#endif
