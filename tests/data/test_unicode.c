/*
 * Folding: the micro-vectors of the reference, runs of marks in every order,
 * and text that is much longer than a run may be.
 */
#include "tests/check.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/err.h"
#include "data/unicode.h"

enum {
	UNCASED = FOLD_CLEAN | FOLD_IDEOGRAPHS | FOLD_DECOMPOSE | FOLD_DROP_NONSPACING | FOLD_LOWER,
	KEEP = FOLD_CLEAN | FOLD_IDEOGRAPHS | FOLD_LOWER,
	NFC = FOLD_DECOMPOSE | FOLD_COMPOSE,
	NFKC = FOLD_DECOMPOSE | FOLD_COMPATIBLE | FOLD_COMPOSE
};

static const struct {
	unsigned fold;
	const char *in, *out;
} cases[] = {
	{ UNCASED, "a\u0378b", "a\u0378b" }, /* unassigned stays */
	{ UNCASED, "a\ue000b a\u200bb a\u00adb a\ufffdb", "ab ab ab ab" },
	{ UNCASED,
	  "a\xc2\x85"
	  "b a\x0b"
	  "b",
	  "ab ab" },
	{ UNCASED, "a\u00a0b a\u2028b a\tb", "a b a b a b" },
	{ UNCASED, "\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c3" },
	{ UNCASED, "\u0130", "i" },
	{ KEEP, "\u0130", "i\u0307" },
	{ UNCASED, "\ud55c", "\u1112\u1161\u11ab" },
	{ UNCASED, "\u1e9e\u00d8\u00e9", "\u00df\u00f8e" },
	{ UNCASED, "\u0915\u0903", "\u0915\u0903" }, /* Mc stays */
	{ UNCASED, "\u1e9b\u0323", "\u017f" },
	{ UNCASED, "\U0002b820", "\U0002b820" },
	{ UNCASED, "\U0002b920", " \U0002b920 " },
	{ UNCASED, "\U00030000", "\U00030000" },
	{ UNCASED, "\u4f60A", " \u4f60 a" },
	{ UNCASED, "\u0890a \u1ac0b", "\u0890a \u1ac0b" }, /* newer than the tables */
	{ FOLD_LOWER, "\ua7cb\U00010d50\u1c89", "\u0264\U00010d70\u1c8a" },
	{ FOLD_DECOMPOSE, "a\u0301\u0323", "a\u0323\u0301" },
	{ FOLD_DECOMPOSE, "a\u0345\u0301\u0334\u0323", "a\u0334\u0323\u0301\u0345" },
	{ FOLD_DECOMPOSE, "a\u0301\x01\u0323", "a\u0301\x01\u0323" },
	{ UNCASED, "a\u302e\x01\u1e08",
	  "a\u302e"
	  "c" },
	{ NFC, "e\u0301 A\u030a", "\u00e9 \u00c5" },
	{ NFC, "\u1100\u1161\u11a8", "\uac01" },
	{ NFKC, "\ufb01\u00bd\uff76\uff9e", "fi1\u20442\u30ac" },
	{ NFKC, "\u32ff", "\u32ff" }, /* newer than the tables */
	{ FOLD_DROP_MARKS, "e\u0301\u0903", "e" },
	{ UNCASED, "", "" },
};

static bool fold_is(unsigned fold, const char *in, size_t n, const char *out, size_t m)
{
	struct fold_scratch s = { 0 };
	struct text t = { 0 };
	const bool same = unicode_fold(in, n, fold, &s, &t) == TT_OK && t.n == m &&
			  (!m || !memcmp(t.data, out, m));

	fold_scratch_done(&s);
	text_done(&t);
	return same;
}

/* Marks of two classes in turn: sorting must not be quadratic, nor unstable. */
static void a_long_run_of_marks_is_sorted(void)
{
	enum { PAIRS = 200000 };
	char *in = malloc(PAIRS * 4 + 1), *out = malloc(PAIRS * 4 + 1);

	in[0] = out[0] = 'a';
	for (size_t i = 0; i < PAIRS; i++) {
		memcpy(in + 1 + 4 * i, "\u0301\u0323", 4);
		memcpy(out + 1 + 2 * i, "\u0323", 2);
		memcpy(out + 1 + 2 * (PAIRS + i), "\u0301", 2);
	}
	CHECK(fold_is(FOLD_DECOMPOSE, in, PAIRS * 4 + 1, out, PAIRS * 4 + 1));
	CHECK(fold_is(UNCASED, in, PAIRS * 4 + 1, "a", 1));
	free(in);
	free(out);
}

static void classes(void)
{
	CHECK(unicode_is_white(0x3000) && unicode_is_white(0x85) && !unicode_is_white(0x200b));
	CHECK(unicode_is_punctuation('$') && unicode_is_punctuation(0xab) &&
	      !unicode_is_punctuation(0x20ac) && !unicode_is_punctuation(0x2e52));
	CHECK(unicode_is_word('_') && unicode_is_word(0x200d) && !unicode_is_word(0xbd));
	CHECK(unicode_is_number(0xbd) && unicode_is_number(0x2460) && !unicode_is_number(0x4e00));
	CHECK(!unicode_is_word(0x10ffff) && !unicode_is_number('a') && unicode_is_number('7'));
}

int main(void)
{
	for (size_t i = 0; i < COUNT(cases); i++)
		CHECK_NAMED(fold_is(cases[i].fold, cases[i].in, strlen(cases[i].in), cases[i].out,
				    strlen(cases[i].out)),
			    cases[i].in);
	classes();
	a_long_run_of_marks_is_sorted();
	return check_done();
}
