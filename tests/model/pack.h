#ifndef TESTS_MODEL_PACK_H
#define TESTS_MODEL_PACK_H

/* A packed batch out of written-down sequences, with the rows that a test wants. */
#include <stdint.h>
#include <string.h>

#include "data/batch.h"

enum { PACK_TOKENS = 2048, PACK_SEQS = 64 };

/* Holds what a batch points to. */
struct pack {
	int64_t start[PACK_SEQS + 1], example[PACK_SEQS];
	int32_t id[PACK_TOKENS], type[PACK_TOKENS], pos[PACK_TOKENS];
	int32_t row[PACK_TOKENS], row_seq[PACK_TOKENS], label[PACK_TOKENS];
	struct batch batch;
};

static inline void pack_begin(struct pack *p)
{
	memset(p, 0, sizeof(*p));
	p->batch = (struct batch){
		.start = p->start,
		.id = p->id,
		.type = p->type,
		.pos = p->pos,
		.example = p->example,
		.row = p->row,
		.row_seq = p->row_seq,
		.label = p->label,
	};
}

/* A sequence of n tokens; type NULL: 0. */
static inline void pack_add(struct pack *p, const int32_t *id, const int32_t *type, int n,
			    int64_t example)
{
	const int64_t at = p->batch.tokens;

	for (int i = 0; i < n; i++) {
		p->id[at + i] = id[i];
		p->type[at + i] = type ? type[i] : 0;
		p->pos[at + i] = i;
	}
	p->example[p->batch.seqs++] = example;
	p->batch.tokens += n;
	p->start[p->batch.seqs] = p->batch.tokens;
}

/* The head reads place `pos` of the last sequence; places must ascend. */
static inline void pack_row(struct pack *p, int64_t pos, int32_t label)
{
	const int64_t r = p->batch.rows++, s = p->batch.seqs - 1;

	p->row[r] = (int32_t)(p->start[s] + pos);
	p->row_seq[r] = (int32_t)s;
	p->label[r] = label;
}

#endif
