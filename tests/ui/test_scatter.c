/* Points with names: where they stand, and that names hide nothing. */
#include "tests/check.h"

#include "base/array.h"
#include "tests/ui/stage.h"
#include "ui/widget/scatter.h"

enum { TALL = 12, WIDE = 60 };

static void draw(struct stage *s, const struct scatter_point *point, size_t n, bool log)
{
	const struct scatter scatter = { .rows = TALL,
					 .cols = WIDE,
					 .title = "quality",
					 .across = "cost",
					 .point = point,
					 .n = n,
					 .log = log };

	(void)werase(s->w);
	scatter_draw(s->w, &scatter, &s->app.theme);
}

/* Is this what the line of the picture holds at a column of it? */
static bool holds(const struct stage *s, int row, int col, const char *text)
{
	wchar_t wide[128], want[128];

	(void)mvwinnwstr(s->w, 1 + row, 9 + col, wide, (int)strlen(text));
	(void)mbstowcs(want, text, COUNT(want));
	return !wcscmp(wide, want);
}

static void places(struct stage *s)
{
	static const struct scatter_point point[] = {
		{ 1, 0, "low", 'a', ROLE_TEXT, false },
		{ 100, 1, "high", 'b', ROLE_TEXT, true },
		{ 10, 0.5, "middle", 'c', ROLE_TEXT, false },
		{ NAN, 0.5, "nowhere", 'd', ROLE_TEXT, false },
		{ -1, 0.5, "negative", 'e', ROLE_TEXT, false },
	};

	draw(s, point, COUNT(point), true);
	CHECK(holds(s, 9, 0, "a low"));   /* foot of the axes */
	CHECK(holds(s, 0, 44, "high b")); /* no room to the right */
	CHECK(holds(s, 4, 25, "c middle") || holds(s, 5, 25, "c middle"));
	CHECK(!stage_shows(s, "nowhere") && !stage_shows(s, "negative"));
	CHECK(stage_shows(s, "quality") && stage_shows(s, "cost, log") && stage_shows(s, "100"));
	draw(s, point, 3, false);
	CHECK(holds(s, 9, 0, "a low") && holds(s, 0, 44, "high b") && stage_shows(s, "cost"));
}

/* Two at one place, others close: every point is there, names as there is room. */
static void crowd(struct stage *s)
{
	static const struct scatter_point point[] = {
		{ 1, 0.5, "first", 'a', ROLE_TEXT, false },
		{ 1, 0.5, "second", 'b', ROLE_TEXT, true },
		{ 2, 0.5, "third", 'c', ROLE_TEXT, false },
		{ 20, 0.5, "fourth", 'd', ROLE_TEXT, false },
	};
	static const struct scatter_point none[] = { { NAN, 1, "x", 'x', ROLE_TEXT, false } };

	draw(s, point, COUNT(point), false);
	CHECK(stage_shows(s, "c") && stage_shows(s, "fourth d"));
	CHECK(!stage_shows(s, "first") || !stage_shows(s, "second")); /* one name at most fits */
	draw(s, none, COUNT(none), false);
	CHECK(stage_shows(s, "no run has both values"));
	draw(s, none, 0, true);
	CHECK(stage_shows(s, "no run has both values"));
}

int main(void)
{
	struct stage s;

	stage_open(&s, "C.UTF-8", "xterm-256color");
	places(&s);
	crowd(&s);
	stage_close(&s);
	return check_done();
}
