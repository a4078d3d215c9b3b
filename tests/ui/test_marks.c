/* Marked runs: in the order they were marked, each once, and not too many. */
#include "tests/check.h"

#include "ui/marks.h"

int main(void)
{
	struct marks m = { .n = 0 };

	CHECK(marks_add(&m, 7) && marks_add(&m, 3) && marks_add(&m, 9) && marks_add(&m, 3));
	CHECK(m.n == 3 && m.row[0] == 7 && m.row[1] == 3 && m.row[2] == 9);
	CHECK(marks_has(&m, 9) && !marks_has(&m, 8));
	marks_remove(&m, 3);
	marks_remove(&m, 8);
	CHECK(m.n == 2 && m.row[0] == 7 && m.row[1] == 9);
	for (int64_t i = 0; i < MARKS_MOST - 2; i++)
		CHECK(marks_add(&m, 100 + i));
	CHECK(!marks_add(&m, 1) && marks_add(&m, 7) && m.n == MARKS_MOST);
	marks_remove(&m, 100 + MARKS_MOST - 3);
	CHECK(marks_add(&m, 1) && m.row[MARKS_MOST - 1] == 1);
	return check_done();
}
