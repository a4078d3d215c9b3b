/*
 * What a run keeps of a model in memory.
 *
 * Of the mapped file that is what is read: the system brings in the aligned window
 * of pages around an address that was touched. So of a table of words only the
 * windows of the words that occur are there, and a bias costs a whole one.
 */
#include "model/resident.h"

#include <stdlib.h>

#include "base/err.h"
#include "tensor/sparse.h"

enum { WINDOW = 1 << 16 }; /* Linux's fault_around_bytes, unless an administrator chose another */

/* The numbers of the windows that were touched, each maybe often. */
struct touched {
	uintptr_t *window;
	size_t n, room;
	int rc;
};

static void touch(struct touched *t, const float *data, int64_t n)
{
	const uintptr_t from = (uintptr_t)data / WINDOW, to = ((uintptr_t)(data + n) - 1) / WINDOW;

	for (uintptr_t w = from; w <= to && !t->rc; w++) {
		if (t->n && t->window[t->n - 1] == w)
			continue;
		if (t->n == t->room) {
			const size_t room = t->room ? 2 * t->room : 1024;
			uintptr_t *p = realloc(t->window, room * sizeof(*p));

			if (!p) {
				t->rc = err_set(TT_NOMEM, "not enough memory for an estimate");
				return;
			}
			t->window = p;
			t->room = room;
		}
		t->window[t->n++] = w;
	}
}

static bool looked_up(const struct model *m, const struct lookups *l, int64_t rows, int64_t row)
{
	if (rows == m->hp.vocab_size)
		return l->word[row];
	return row < l->positions || rows == m->hp.type_vocab_size;
}

static void touch_table(struct touched *t, const struct model *m, const struct lookups *l,
			const struct tensor *w)
{
	const int64_t rows = tensor_rows(w), cols = tensor_cols(w);

	for (int64_t i = 0; i < rows; i++)
		if (looked_up(m, l, rows, i))
			touch(t, w->data + i * cols, cols);
}

/* A table that is only looked into; the decoder of a masked language model reads all of it. */
static bool is_table(const struct model *m, const struct tensor *w)
{
	bool table = false;

	for (size_t i = 0; i < m->nsite; i++)
		if (m->site[i].weight == w) {
			table = table || m->site[i].kind & SITE_EMBED;
			if (m->site[i].kind & SITE_LINEAR &&
			    (!prepared_bytes(w->forward) ||
			     (w->backward && !prepared_bytes(w->backward))))
				return false;
		}
	return table;
}

static int by_number(const void *a, const void *b)
{
	const uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

static int64_t distinct(struct touched *t)
{
	int64_t n = 0;

	if (t->n)
		qsort(t->window, t->n, sizeof(*t->window), by_number);
	for (size_t i = 0; i < t->n; i++)
		n += !i || t->window[i] != t->window[i - 1];
	return n;
}

int model_resident(const struct model *m, const struct lookups *l, int64_t *ret)
{
	struct touched t = { 0 };
	int64_t bytes = 0;

	for (size_t i = 0; i < m->nparam; i++) {
		const struct tensor *w = m->param[i];

		bytes += prepared_bytes(w->forward) + prepared_bytes(w->backward);
		if (w->trainable || m->info[i].idle)
			continue;
		if (!m->file || !st_maps(m->file, w->data))
			bytes += 4 * tensor_count(w);
		else if (is_table(m, w))
			touch_table(&t, m, l, w);
		else
			touch(&t, w->data, tensor_count(w));
	}
	*ret = bytes + WINDOW * distinct(&t);
	free(t.window);
	return t.rc;
}

int64_t model_written(const struct model *m, const struct lookups *l, const struct tensor *w)
{
	const int64_t rows = tensor_rows(w), cols = tensor_cols(w), all = tensor_count(w);
	int64_t next = 0, parts = 0;

	if (!is_table(m, w))
		return all;
	for (int64_t i = 0; i < rows; i++) {
		const int64_t from = i * cols / SPARSE_PART,
			      to = ((i + 1) * cols - 1) / SPARSE_PART;

		if (!looked_up(m, l, rows, i))
			continue;
		parts += to + 1 - (from > next ? from : next);
		next = to + 1;
	}
	return parts * SPARSE_PART < all ? parts * SPARSE_PART : all;
}
