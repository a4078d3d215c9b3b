/*
 * Colours can be read and told apart: contrast as WCAG 2 defines it, and the
 * distance between series as people without red or green cones see them
 * (Viénot, Brettel and Mollon 1999).
 */
#include "tests/check.h"

#include <stdlib.h>

#include "base/array.h"
#include "tests/ui/stage.h"

static const enum role series[] = { ROLE_SERIES, ROLE_SERIES_2, ROLE_SERIES_3, ROLE_SERIES_4 };

struct colour {
	double c[3]; /* linear red, green, blue */
};

static struct colour linear(int rgb)
{
	struct colour ret;

	for (int i = 0; i < 3; i++) {
		const double v = (rgb >> (16 - 8 * i) & 255) / 255.0;

		ret.c[i] = v <= 0.03928 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
	}
	return ret;
}

static double luminance(struct colour c)
{
	return 0.2126 * c.c[0] + 0.7152 * c.c[1] + 0.0722 * c.c[2];
}

static double contrast(int a, int b)
{
	const double x = luminance(linear(a)) + 0.05, y = luminance(linear(b)) + 0.05;

	return x > y ? x / y : y / x;
}

/* What is left for protanopes and deuteranopes: red and green become one. */
static struct colour blind(struct colour c, int kind)
{
	static const double see[2][3] = { { 0.11238, 0.88762, 0 }, { 0.29275, 0.70725, 0 } };
	static const double blue[2][3] = { { 0.00401, -0.00401, 1 }, { -0.02234, 0.02234, 1 } };
	struct colour ret = { { 0 } };

	for (int i = 0; i < 3; i++) {
		ret.c[0] += see[kind][i] * c.c[i];
		ret.c[2] += blue[kind][i] * c.c[i];
	}
	ret.c[1] = ret.c[0];
	return ret;
}

static double curve(double t) { return t > 0.008856 ? cbrt(t) : 7.787 * t + 16.0 / 116; }

/* CIE 1976: a difference of 2.3 is just seen, of 20 plain. */
static double distance(struct colour a, struct colour b)
{
	static const double xyz[3][3] = { { 0.4124, 0.3576, 0.1805 },
					  { 0.2126, 0.7152, 0.0722 },
					  { 0.0193, 0.1192, 0.9505 } };
	static const double white[3] = { 0.9505, 1, 1.089 };
	double f[2][3];

	for (int k = 0; k < 2; k++)
		for (int i = 0; i < 3; i++) {
			const double *c = k ? b.c : a.c;

			f[k][i] = curve(
				fmax(xyz[i][0] * c[0] + xyz[i][1] * c[1] + xyz[i][2] * c[2], 0) /
				white[i]);
		}
	return sqrt(pow(116 * (f[0][1] - f[1][1]), 2) +
		    pow(500 * (f[0][0] - f[0][1] - f[1][0] + f[1][1]), 2) +
		    pow(200 * (f[0][1] - f[0][2] - f[1][1] + f[1][2]), 2));
}

/* Graphics need 3 to 1, and what is dim may be no less. */
static void can_be_read(void)
{
	for (int i = 1; i < ROLES; i++) {
		const int dark = theme_rgb(BACKGROUND_DARK, (enum role)i);
		const int light = theme_rgb(BACKGROUND_LIGHT, (enum role)i);
		char what[64];

		if (dark < 0)
			continue;
		snprintf(what, sizeof(what), "role %d: %.1f, %.1f", i, contrast(dark, 0x1e1e1e),
			 contrast(light, 0xffffff));
		CHECK_NAMED(contrast(dark, 0) >= 4.5 && contrast(dark, 0x1e1e1e) >= 3, what);
		CHECK_NAMED(contrast(light, 0xffffff) >= 4 && contrast(light, 0xfdf6e3) >= 3, what);
	}
}

static void can_be_told_apart(void)
{
	for (int b = 0; b < BACKGROUNDS; b++)
		for (size_t i = 0; i < COUNT(series); i++)
			for (size_t k = 0; k < i; k++) {
				const struct colour x = linear(
					theme_rgb((enum background)b, series[i]));
				const struct colour y = linear(
					theme_rgb((enum background)b, series[k]));
				char what[64];

				snprintf(what, sizeof(what), "%s, %zu and %zu: %.0f %.0f %.0f",
					 theme_background_name(b), k, i, distance(x, y),
					 distance(blind(x, 0), blind(y, 0)),
					 distance(blind(x, 1), blind(y, 1)));
				CHECK_NAMED(distance(x, y) > 20 &&
						    distance(blind(x, 0), blind(y, 0)) > 12 &&
						    distance(blind(x, 1), blind(y, 1)) > 12,
					    what);
			}
}

/* Terminals of every kind: how many colours, and none when they are not wanted. */
static void every_terminal(void)
{
	static const struct {
		const char *term, *none, *background;
		int colours;
		enum background is;
	} terminals[] = {
		{ "xterm-256color", NULL, NULL, 256, BACKGROUND_ANY },
		{ "xterm-256color", "1", NULL, 0, BACKGROUND_ANY },
		{ "xterm-256color", "", "15;0", 256, BACKGROUND_DARK },
		{ "xterm-256color", NULL, "0;15", 256, BACKGROUND_LIGHT },
		{ "xterm-256color", NULL, "0;default;7", 256, BACKGROUND_LIGHT },
		{ "xterm-256color", NULL, "15;default", 256, BACKGROUND_ANY },
		{ "xterm", NULL, NULL, 8, BACKGROUND_ANY },
		{ "linux", NULL, NULL, 8, BACKGROUND_ANY },
		{ "vt100", NULL, NULL, 0, BACKGROUND_ANY },
	};

	for (size_t i = 0; i < COUNT(terminals); i++) {
		struct stage s = { .nul = NULL };
		struct theme t;

		(void)(terminals[i].none ? setenv("NO_COLOR", terminals[i].none, 1)
					 : unsetenv("NO_COLOR"));
		(void)(terminals[i].background ? setenv("COLORFGBG", terminals[i].background, 1)
					       : unsetenv("COLORFGBG"));
		stage_curses(&s, "C.UTF-8", terminals[i].term);
		theme_init(&t);
		CHECK_NAMED(t.colours == terminals[i].colours, terminals[i].term);
		CHECK_NAMED(t.background == terminals[i].is, terminals[i].term);
		CHECK(theme_background(&t, "light") && t.background == BACKGROUND_LIGHT);
		CHECK(!theme_background(&t, "pink") && t.background == BACKGROUND_LIGHT);
		(void)endwin();
		delscreen(s.term);
		fclose(s.nul);
	}
	(void)unsetenv("NO_COLOR");
	(void)unsetenv("COLORFGBG");
}

int main(void)
{
	CHECK(theme_rgb(BACKGROUND_ANY, ROLE_SERIES) == 0x0087d7);
	CHECK(theme_rgb(BACKGROUND_ANY, ROLE_DIM) == 0x808080);
	CHECK(theme_rgb(BACKGROUND_ANY, ROLE_TEXT) == -1);
	can_be_read();
	can_be_told_apart();
	every_terminal();
	return check_done();
}
