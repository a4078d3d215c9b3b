#ifndef TENSOR_OP_H
#define TENSOR_OP_H

#include "tensor/graph.h"

/*
 * Every op's builder. Shapes in brackets; N rows, H columns. A NULL input gives
 * NULL. Arrays that are handed in (ids, rows, offsets, labels, where a loss goes)
 * are kept by reference and must live until backward; numbers in them that lie
 * outside their table are a bug of the caller.
 */

enum activation { ACT_GELU, ACT_GELU_TANH, ACT_RELU, ACT_SILU, ACT_TANH };

/* e[N,H] = word[id] + position[pos] + type[type] (each table may be NULL). Rows word[pad] get no gradient. */
struct tensor *op_embedding(struct graph *g, struct tensor *word, struct tensor *position,
			    struct tensor *type, const int32_t *id, const int32_t *pos,
			    const int32_t *types, int64_t n, int32_t pad,
			    const struct origin *origin);
/* y = LayerNorm(x + r) * gamma + beta, biased variance; r may be NULL. x, r [N,H]; gamma, beta [H]. */
struct tensor *op_layer_norm(struct graph *g, struct tensor *x, struct tensor *r,
			     struct tensor *gamma, struct tensor *beta, float eps);
/* The same of drop(x) + r, as op_dropout(x, p) would have it. */
struct tensor *op_layer_norm_dropped(struct graph *g, struct tensor *x, float p, struct tensor *r,
				     struct tensor *gamma, struct tensor *beta, float eps);
/* y[N,O] = x[N,I] w^T + b; w [O,I], b [O] or NULL. Uses w->forward and w->backward when they are there. */
struct tensor *op_linear(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *b);
/*
 * y = x w^T + b + s ((z a^T) b2^T + c): a linear layer with a low-rank step beside it (LoRA). a [r,I], b2 [O,r],
 * c [O] or NULL; e [r,1] or NULL scales the rows of a (AdaLoRA); z is x after the method's dropout, or x itself. One
 * op, so that the step is added in place.
 */
struct low_rank {
	struct tensor *a, *b, *c, *e;
	float scale;
};
struct tensor *op_linear_low_rank(struct graph *g, struct tensor *x, struct tensor *z,
				  struct tensor *w, struct tensor *b, const struct low_rank *step);
/*
 * The same with the length of each output's row of w + s b2 a brought from norm to m [O] (DoRA): with c = m / norm
 * it is b + c (...). x goes through w whole, and what c and the step change is computed from z. norm [O] is what
 * that length is now; gradients take it as constant. w must be frozen, step->c NULL.
 */
struct magnitude {
	struct tensor *m;
	const float *norm;
};
struct tensor *op_linear_magnitude(struct graph *g, struct tensor *x, struct tensor *z,
				   struct tensor *w, struct tensor *b, const struct low_rank *step,
				   const struct magnitude *how);
/*
 * y = x w^T + b + ((z a^T) d) (l b2)^T: a linear layer with a step between two frozen matrices, a [r,>=I] and
 * b2 [>=O,r], whose first columns and rows count, and two vectors that learn: d [r] scales between the two, l [O]
 * the rows of b2 (VeRA). z as above.
 */
struct vector_step {
	const struct tensor *a, *b;
	struct tensor *d, *l;
};
struct tensor *op_linear_vectors(struct graph *g, struct tensor *x, struct tensor *z,
				 struct tensor *w, struct tensor *b,
				 const struct vector_step *step);
/* y = (x w^T + b) * l: a factor for each column that comes out; and (x * l) w^T + b. l: as many numbers, any rank. */
struct tensor *op_linear_scaled_out(struct graph *g, struct tensor *x, struct tensor *w,
				    struct tensor *b, struct tensor *l);
struct tensor *op_linear_scaled_in(struct graph *g, struct tensor *x, struct tensor *w,
				   struct tensor *b, struct tensor *l);
/*
 * y = h + r (x w^T + b) * scale: a linear layer beside what is there. b [O] or NULL; scale: a number or one for each
 * column that are learned, NULL: 1; r = by times what gate [N,1] says of a row (NULL: 1); while training dropout on
 * what is added.
 */
struct add_linear {
	struct tensor *w, *b, *scale, *gate;
	float by, dropout;
};
struct tensor *op_add_linear(struct graph *g, struct tensor *h, struct tensor *x,
			     const struct add_linear *how);
/* y = e + s (a^T[id]) b^T: LoRA on an embedding. e [N,H], a [r,V], b [H,r]; c and e of the step are not used. */
struct tensor *op_embedding_low_rank(struct graph *g, struct tensor *e, const int32_t *id,
				     const struct low_rank *step);
/* y = e + (c - 1) table[id] + c s (a^T[id]) b^T, c = m / norm [H]: DoRA on an embedding. table [V,H] must be frozen. */
struct tensor *op_embedding_magnitude(struct graph *g, struct tensor *e, const int32_t *id,
				      const struct tensor *table, const struct low_rank *step,
				      const struct magnitude *how);
/*
 * Scaled dot-product attention within packed sequences, no mask: every query of a sequence sees all its keys.
 * q [M,H] with qstart[seqs+1] offsets, k, v [N,H] with kstart[seqs+1]; H = heads * D; scores times 1/sqrt(D);
 * dropout p on the probabilities while training. Result [M,H] with q's origin.
 */
struct attention {
	int64_t seqs, heads;
	const int64_t *qstart, *kstart;
	float dropout;
};
struct tensor *op_attention(struct graph *g, struct tensor *q, struct tensor *k, struct tensor *v,
			    const struct attention *how);
int activation_parse(
	const char *name,
	enum activation *ret); /* the names of transformers: gelu, gelu_new, relu, ... */
struct tensor *op_activation(struct graph *g, struct tensor *x, enum activation kind);
/* The same of an activation x that nobody else reads, its own op's backward neither: its numbers are given up. */
struct tensor *op_activation_over(struct graph *g, struct tensor *x, enum activation kind);
/* Inverted dropout by Philox on (seed, step, site, example, position, column); x itself when not training or p = 0. */
struct tensor *op_dropout(struct graph *g, struct tensor *x, float p);
/* y[n,H] = x[row[i]]; rows may repeat. */
struct tensor *op_gather(struct graph *g, struct tensor *x, const int32_t *row, int64_t n);
/*
 * y = before every sequence of x [N,H] n rows of p, columns at .. at+H-1: n rows that all sequences share, or
 * [seqs*n] of their own. start[seqs+1] are x's offsets; origin is the result's, NULL where nobody asks.
 */
struct prepend {
	int64_t seqs, n, at;
	const int64_t *start;
	const struct origin *origin;
};
struct tensor *op_prepend(struct graph *g, struct tensor *x, struct tensor *p,
			  const struct prepend *how);
int64_t *prepend_starts(
	struct graph *g,
	const struct prepend *how); /* [seqs+1] of the result; NULL without memory */
/* y[s n + i] = f[s] p[i], for every sequence: p [n,H]; f [seqs,1], NULL: 1; origin is the result's. */
struct tensor *op_repeat(struct graph *g, struct tensor *p, struct tensor *f, int64_t seqs,
			 const struct origin *origin);
/* y[N,cols] = columns at .. at+cols-1 of x. */
struct tensor *op_columns(struct graph *g, struct tensor *x, int64_t at, int64_t cols);
struct tensor *op_beside(struct graph *g, struct tensor *a, struct tensor *b); /* y = [a, b] */
/*
 * One layer of an LSTM over the rows of x [T,I], as torch computes it, from the first row on or (reverse) from the
 * last: y [T,h]. w_ih [4h,I], w_hh [4h,h], b_ih, b_hh [4h], gates in the order i, f, g, o; the state begins at zero.
 */
struct lstm {
	struct tensor *w_ih, *w_hh, *b_ih, *b_hh;
};
struct tensor *op_lstm(struct graph *g, struct tensor *x, const struct lstm *l, bool reverse);
/*
 * y[N,H] = sum_i p_i u_i of n frozen bottleneck adapters u_i = up_i(f_i(down_i(z))): p is the softmax over them of
 * q . (u_i key^T + key_bias) / temperature; while training dropout on these scores. q is [N,d], key [d,H], key_bias [d].
 */
struct fusion_part {
	int64_t size; /* of adapter i, k_i */
	enum activation kind;
};
struct fusion {
	int64_t n;
	const struct fusion_part *part; /* [n] */
	/*
	 * All of them, C = sum of k_i + 1: down [C,H] and down_bias [C] one below the other, each with a
	 * last row that is not looked at; up [H,C] side by side, each with its bias as last column.
	 */
	const struct tensor *down, *down_bias, *up;
	struct tensor *key, *key_bias;
	float dropout, temperature;
};
/* ret_p: where p [N,n] is, until the graph is rewound. */
struct tensor *op_fusion(struct graph *g, struct tensor *z, struct tensor *q,
			 const struct fusion *how, const float **ret_p);
/*
 * y[S,1] = for every sequence of x [N,H] (origin_run_end) the mean of sigmoid(x w^T + b) over its rows;
 * w [1,H], b [1]. op_gate_rows: y[N,1], the same number for every row of its sequence.
 */
struct tensor *op_gate(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *b);
struct tensor *op_gate_rows(struct graph *g, struct tensor *gate, const struct tensor *x);
/* weight |w - I|^2, Frobenius, scalar: how far a square matrix is from the identity. */
struct tensor *op_near_identity(struct graph *g, struct tensor *w, float weight);
struct tensor *op_add(struct graph *g, struct tensor *a, struct tensor *b);
struct tensor *op_scale(struct graph *g, struct tensor *x, float s);
/* weight |x x^T - I|, Frobenius, scalar: how far the rows of x are from orthonormal; rows false: its columns. */
struct tensor *op_orthogonality(struct graph *g, struct tensor *x, bool rows, float weight);

/* y[N,n] = x[N,H] w[word]^T + b[word]: the scores of n words of a vocabulary alone. w [V,H], b [V] or NULL. */
struct tensor *op_word_scores(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *b,
			      const int32_t *word, int64_t n);
/* y[N,labels]: the columns start[l] .. start[l+1] - 1 of x become one. */
enum pool_scores { POOL_MEAN, POOL_LOG_SUM, POOL_MAX };
struct tensor *op_pool_scores(struct graph *g, struct tensor *x, const int64_t *start,
			      int64_t labels, enum pool_scores kind);

/* A loss adds its part of the step's mean: sum over rows, divided by `total` (rows of the whole step). */
struct loss {
	double sum; /* of the rows' losses, undivided, in double */
	int64_t rows;
};
/* Cross entropy with label smoothing eps: (1-eps) nll + eps mean_v(-log p_v). logits [N,C], label [N]. Scalar [1,1]. */
struct tensor *op_cross_entropy(struct graph *g, struct tensor *logits, const int32_t *label,
				double smoothing, double total, struct loss *ret);
/* The same where a label is one of some columns only, the others being labels of other tasks: among[C], by label. */
struct span {
	int32_t first, end;
};
struct tensor *op_cross_entropy_among(struct graph *g, struct tensor *logits, const int32_t *label,
				      const struct span *among, double smoothing, double total,
				      struct loss *ret);
/* Mean squared error of pred [N,1] against value [N]. */
struct tensor *op_mse(struct graph *g, struct tensor *pred, const float *value, double total,
		      struct loss *ret);

#endif
