/* Columns: numbers whole or not at all, texts share what is left. */
#include "tests/check.h"

#include "base/array.h"
#include "ui/widget/table.h"

enum { NAME, COUNT_, STATE, SPARK, N };

static const struct table_column columns[N] = {
	[NAME] = { "name", 5, 30, false, 0 },
	[COUNT_] = { "count", 3, 20, true, 1 },
	[STATE] = { "state", 6, 40, false, 0 },
	[SPARK] = { "", 6, 12, false, 2 },
};

static int sum(const int *w)
{
	int all = 0;

	for (int i = 0; i < N; i++)
		all += w[i] ? w[i] + TABLE_GAP : 0;
	return all;
}

int main(void)
{
	const int wish[N] = { 20, 9, 20, 12 }, modest[N] = { 1, 1, 1, 1 };
	int w[N];

	table_layout(columns, N, wish, 100, w);
	CHECK(w[NAME] == 20 && w[COUNT_] == 9 && w[STATE] == 20 && w[SPARK] == 12);
	for (int width = 13; width < 100; width++) {
		table_layout(columns, N, wish, width, w);
		CHECK(sum(w) <= width);
		CHECK(w[COUNT_] == 0 || w[COUNT_] == 9);
		CHECK(w[SPARK] == 0 || w[SPARK] >= 6);
		CHECK(w[NAME] >= 5 && w[STATE] >= 6);
	}
	table_layout(columns, N, wish, 13 + 10, w); /* the higher drop goes first */
	CHECK(w[COUNT_] == 9 && w[SPARK] == 0);
	table_layout(columns, N, modest, 100, w);
	CHECK(w[NAME] == 5 && w[COUNT_] == 3 && w[STATE] == 6 && w[SPARK] == 6);
	table_layout(columns, N, wish, 3, w); /* nothing more to give: the least of the texts */
	CHECK(w[NAME] == 5 && w[COUNT_] == 0 && w[STATE] == 6 && w[SPARK] == 0);
	return check_done();
}
