/* Batches with room for a soft prompt before every sequence. */
#include "model/prompt.h"

#include <string.h>

#include "base/err.h"

/* The packed arrays of one sequence: n places for the prompt, then its own. */
static void extend_sequence(const struct batch *b, int64_t s, int64_t n, int32_t *id, int32_t *type,
			    int32_t *pos)
{
	const int64_t from = b->start[s], size = b->start[s + 1] - from, to = from + s * n;

	for (int64_t i = 0; i < n; i++) {
		id[to + i] = type[to + i] = 0;
		pos[to + i] = (int32_t)i;
	}
	memcpy(id + to + n, b->id + from, (size_t)size * sizeof(*id));
	memcpy(type + to + n, b->type + from, (size_t)size * sizeof(*type));
	for (int64_t i = 0; i < size; i++)
		pos[to + n + i] = b->pos[from + i] + (int32_t)n;
}

int prompt_batch(struct graph *g, const struct batch *b, int64_t n, bool first, struct batch *ret)
{
	const size_t tokens = (size_t)(b->tokens + b->seqs * n);
	int64_t *start = graph_alloc(g, (size_t)(b->seqs + 1) * sizeof(*start));
	int32_t *id = graph_alloc(g, tokens * sizeof(*id)),
		*type = graph_alloc(g, tokens * sizeof(*type)),
		*pos = graph_alloc(g, tokens * sizeof(*pos)),
		*row = graph_alloc(g, (size_t)b->rows * sizeof(*row));

	if (!start || !id || !type || !pos || !row)
		return err_in("a batch with a prompt");
	for (int64_t s = 0; s < b->seqs; s++)
		extend_sequence(b, s, n, id, type, pos);
	for (int64_t s = 0; s <= b->seqs; s++)
		start[s] = b->start[s] + s * n;
	for (int64_t i = 0; i < b->rows; i++)
		row[i] = b->row[i] + (int32_t)((b->row_seq[i] + (first ? 0 : 1)) * n);
	*ret = *b;
	ret->tokens = (int64_t)tokens;
	ret->start = start;
	ret->id = id;
	ret->type = type;
	ret->pos = pos;
	ret->row = row;
	return TT_OK;
}
