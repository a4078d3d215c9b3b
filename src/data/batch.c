/* Packing examples end to end, and masking them for masked language modelling. */
#include "data/batch.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"

/* The arrays of a batch before they are const. */
struct packing {
	int64_t seqs, tokens;
	int64_t *start, *example;
	int32_t *id, *type, *pos, *row, *row_seq, *label;
	float *value;
};

static int pack_alloc(struct arena *a, size_t rows, struct packing *p)
{
	const size_t seqs = (size_t)p->seqs, tokens = (size_t)p->tokens;

	p->start = arena_alloc(a, (seqs + 1) * sizeof(*p->start));
	p->example = arena_alloc(a, seqs * sizeof(*p->example));
	p->id = arena_alloc(a, tokens * sizeof(*p->id));
	p->type = arena_alloc(a, tokens * sizeof(*p->type));
	p->pos = arena_alloc(a, tokens * sizeof(*p->pos));
	p->row = arena_alloc(a, rows * sizeof(*p->row));
	p->row_seq = arena_alloc(a, rows * sizeof(*p->row_seq));
	p->label = arena_alloc(a, rows * sizeof(*p->label));
	p->value = arena_alloc(a, rows * sizeof(*p->value));
	return p->start && p->example && p->id && p->type && p->pos && p->row && p->row_seq &&
			       p->label && p->value
		       ? TT_OK
		       : TT_NOMEM;
}

static int pack_size(const struct example *ex, size_t n, struct packing *p)
{
	memset(p, 0, sizeof(*p));
	for (size_t i = 0; i < n; i++) {
		if (ex[i].n < 1)
			return err_set(TT_INVALID,
				       "row %lld has no token, so a model cannot read it",
				       (long long)ex[i].index + 1);
		p->tokens += ex[i].n;
	}
	p->seqs = (int64_t)n;
	if (p->tokens > INT32_MAX)
		return err_set(TT_INVALID, "a batch has %lld tokens; make it smaller",
			       (long long)p->tokens);
	return TT_OK;
}

static void pack_tokens(const struct example *ex, struct packing *p)
{
	int64_t at = 0;

	for (int64_t s = 0; s < p->seqs; s++) {
		p->start[s] = at;
		p->example[s] = ex[s].index;
		memcpy(p->id + at, ex[s].id, (size_t)ex[s].n * sizeof(*p->id));
		for (int32_t i = 0; i < ex[s].n; i++) {
			p->type[at + i] = ex[s].type[i];
			p->pos[at + i] = i;
		}
		at += ex[s].n;
	}
	p->start[p->seqs] = at;
}

static struct batch pack_finish(const struct packing *p, int64_t rows, bool label, bool value)
{
	return (struct batch){
		.seqs = p->seqs,
		.tokens = p->tokens,
		.start = p->start,
		.id = p->id,
		.type = p->type,
		.pos = p->pos,
		.example = p->example,
		.rows = rows,
		.row = p->row,
		.row_seq = p->row_seq,
		.label = label ? p->label : NULL,
		.value = value ? p->value : NULL,
	};
}

int batch_pack(struct arena *a, const struct example *ex, size_t n, struct batch *ret)
{
	struct packing p;
	bool label = false, value = false;
	size_t rows = 0;
	int r = pack_size(ex, n, &p);

	for (size_t i = 0; i < n; i++)
		rows += (size_t)example_rows(&ex[i]);
	if (r == TT_OK)
		r = pack_alloc(a, rows, &p);
	if (r < 0)
		return r;
	pack_tokens(ex, &p);
	rows = 0;
	for (size_t i = 0; i < n; i++) {
		for (int64_t k = 0; k < example_rows(&ex[i]); k++, rows++) {
			p.row[rows] = (int32_t)p.start[i] + (ex[i].places ? ex[i].place[k] : 0);
			p.row_seq[rows] = (int32_t)i;
			p.label[rows] = ex[i].places ? ex[i].tag[k] : ex[i].label;
			p.value[rows] = ex[i].value;
			label = label || p.label[rows] >= 0;
			value = value || !isnan(ex[i].value);
		}
	}
	*ret = pack_finish(&p, (int64_t)rows, label, value);
	return TT_OK;
}

/* Is a token with this word of randomness below the fraction p? */
static bool below(uint32_t word, double p) { return (double)word < p * 0x1p32; }

/*
 * One block of four words decides a token: the first whether it is chosen, the
 * second what becomes of it, the third which random id it becomes. The counter
 * is (epoch, example, pos); examples beyond 2^32 would wrap, and no file has them.
 */
static bool mask_token(const struct mlm_options *how, int64_t example, int32_t pos, int32_t *id)
{
	uint32_t word[4];

	rng_block(how->seed, RNG_MLM, (uint32_t)how->epoch, (uint32_t)example, (uint32_t)pos, word);
	if (!below(word[0], how->probability))
		return false;
	if (below(word[1], 0.8))
		*id = how->mask_id;
	else if (below(word[1], 0.9))
		*id = (int32_t)((uint64_t)word[2] * (uint64_t)how->vocab >> 32);
	return true;
}

static int mlm_check(const struct mlm_options *how, const struct example *ex, size_t n)
{
	if (!(how->probability >= 0 && how->probability <= 1))
		return err_set(TT_INVALID, "the masking probability %g must be from 0 to 1",
			       how->probability);
	if (how->vocab < 1 || how->mask_id < 0 || how->mask_id >= how->vocab)
		return err_set(TT_INVALID, "the tokenizer has no mask token");
	for (size_t i = 0; i < n; i++)
		for (int32_t k = 0; k < ex[i].n; k++)
			if (ex[i].id[k] < 0 || ex[i].id[k] >= how->vocab)
				return err_set(TT_INVALID,
					       "a token id %d is outside the vocabulary of %d",
					       (int)ex[i].id[k], (int)how->vocab);
	return TT_OK;
}

int batch_pack_mlm(struct arena *a, const struct example *ex, size_t n,
		   const struct mlm_options *how, struct batch *ret)
{
	struct packing p;
	int64_t rows = 0;
	int r = mlm_check(how, ex, n);

	if (r == TT_OK)
		r = pack_size(ex, n, &p);
	if (r == TT_OK)
		r = pack_alloc(a, (size_t)p.tokens, &p);
	if (r < 0)
		return r;
	pack_tokens(ex, &p);
	for (int64_t s = 0; s < p.seqs; s++) {
		for (int64_t at = p.start[s]; at < p.start[s + 1]; at++) {
			const int32_t original = p.id[at];

			if (how->special && how->special[original])
				continue;
			if (!mask_token(how, p.example[s], p.pos[at], &p.id[at]))
				continue;
			p.row[rows] = (int32_t)at;
			p.row_seq[rows] = (int32_t)s;
			p.label[rows++] = original;
		}
	}
	*ret = pack_finish(&p, rows, rows > 0, false);
	return TT_OK;
}
