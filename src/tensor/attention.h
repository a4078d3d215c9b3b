#ifndef TENSOR_ATTENTION_H
#define TENSOR_ATTENTION_H

#include "tensor/kernel.h"
#include "tensor/op.h"

/* What op_attention.c, which cuts the work into pieces, and attention_pairs.c share. */

struct attention_call {
	struct attention how;
	struct kernel_drop drop; /* p 0: none */
	bool narrow;             /* products in bf16 */
	int64_t block;           /* most scores of one piece here */
	float scale;
};

/* One block of queries of one head of one sequence, or all queries of several heads. */
struct attention_piece {
	int64_t head, heads, query, rows; /* rows of q from `query` on */
	int64_t key, keys;
	bool first; /* of its sequence and heads */
};

/* Where gradients go; NULL where none is needed. */
struct attention_grads {
	float *q, *k, *v, q_beta, k_beta, v_beta;
};

/* Where a row's numbers of a head begin. */
int64_t attention_at(const struct node *n, int64_t row, int64_t head);
/* keep[heads,rows,ceil(keys / 8)]: which scores of a piece stay. */
void attention_draw(const struct node *n, const struct attention_piece *p, uint8_t *keep);
/* Runs over the pieces, in an order that is always the same. */
void attention_each(struct node *n,
		    void (*run)(struct node *n, const struct attention_piece *p, void *arg),
		    void *arg);

/* In bf16: pieces of one head and of about ATTENTION_PAIRS scores. */
enum { ATTENTION_PAIRS = 1 << 15 };
bool attention_pairs_fit(const struct gemm *gm);
void attention_pairs_forward(struct node *n);
void attention_pairs_backward(struct node *n, const struct attention_grads *to);

#endif
