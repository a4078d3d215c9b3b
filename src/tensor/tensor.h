#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The open struct of the engine. Row-major; dim[rank - 1] is contiguous.
 * All that is computed is fp32; other types occur in files only.
 */
enum dtype { DTYPE_F32, DTYPE_F16, DTYPE_BF16 };

struct prepared; /* gemm.h */

/*
 * Who the rows of an activation are: dataset row and position in its sequence.
 * Dropout draws by these, so a row is dropped alike in any shard cut and when
 * only some rows are computed.
 */
struct origin {
	const uint32_t *example, *pos; /* [rows] */
};

/* Where the sequence that begins at row `from` ends: with its example, or where one begins anew. */
static inline int64_t origin_run_end(const struct origin *o, int64_t from, int64_t rows)
{
	int64_t to = from + 1;

	while (to < rows && o->example[to] == o->example[from] && o->pos[to] > o->pos[to - 1])
		to++;
	return to;
}

/* Some rows of a matrix, in rising order. */
struct tensor_rows {
	const int64_t *row;
	int64_t n;
};

struct tensor {
	const char *name;
	int rank;
	int64_t dim[4];
	float *data;
	float *grad; /* parameter: the step's summed gradient [as data]; activation: see graph_grad */
	bool trainable; /* a parameter that trains */
	bool needs;     /* a gradient must reach it: trainable, or computed from such a one */
	bool has_grad;  /* activation: grad holds a sum already */
	bool kept;      /* activation: a backward that was recorded reads data */
	/* weight of a linear layer: of its gradient only these rows are wanted, others hold anything; NULL: all */
	const struct tensor_rows *grad_rows;
	int slot;                    /* leaf number (leaves.h), -1: none */
	const struct origin *origin; /* activations [rows, ...]; NULL: rows have none */
	const struct prepared *forward, *backward; /* frozen linear weights: x W^T and g W */
};

static inline int64_t tensor_count(const struct tensor *t)
{
	int64_t n = 1;

	for (int i = 0; i < t->rank; i++)
		n *= t->dim[i];
	return n;
}

/* Rows and columns of a tensor seen as a matrix: the last dimension, and all others. */
static inline int64_t tensor_cols(const struct tensor *t)
{
	return t->rank ? t->dim[t->rank - 1] : 1;
}

static inline int64_t tensor_rows(const struct tensor *t)
{
	int64_t n = 1;

	for (int i = 0; i < t->rank - 1; i++)
		n *= t->dim[i];
	return n;
}

#endif
