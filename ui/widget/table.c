/* How wide the columns of a list are. */
#include "ui/widget/table.h"

static int clamp(int v, int lo, int hi) { return v < lo ? lo : v > hi ? hi : v; }

static int total(const int *width, size_t n)
{
	int sum = 0;

	for (size_t i = 0; i < n; i++)
		if (width[i])
			sum += width[i] + TABLE_GAP;
	return sum;
}

/* Take columns from the one that has most to give, until it fits. */
static void shrink(size_t n, int width, const int *least, int *w)
{
	while (total(w, n) > width) {
		size_t most = n;

		for (size_t i = 0; i < n; i++)
			if (w[i] > least[i] &&
			    (most == n || w[i] - least[i] > w[most] - least[most]))
				most = i;
		if (most == n)
			return;
		w[most]--;
	}
}

static bool drop_one(const struct table_column *c, size_t n, int *w)
{
	size_t at = n;

	for (size_t i = 0; i < n; i++)
		if (w[i] && c[i].drop > 0 && (at == n || c[i].drop > c[at].drop))
			at = i;
	if (at == n)
		return false;
	w[at] = 0;
	return true;
}

void table_layout(const struct table_column *c, size_t n, const int *wish, int width, int *ret)
{
	int least[TABLE_COLUMNS], most[TABLE_COLUMNS];

	for (size_t i = 0; i < n; i++) {
		most[i] = clamp(wish[i], c[i].min, c[i].max);
		least[i] = c[i].number ? most[i] : c[i].min;
	}
	while (total(least, n) > width && drop_one(c, n, least))
		;
	for (size_t i = 0; i < n; i++)
		ret[i] = least[i] ? most[i] : 0;
	shrink(n, width, least, ret);
}
