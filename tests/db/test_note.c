/* Tags and notes. */
#include "tests/check.h"

#include "db/note.h"
#include "tests/db/home.h"

static void tags_come_and_go(void)
{
	struct home h;
	char longer[TAG_MAX + 2], **tag = NULL;
	size_t n = 0;
	int64_t run, other;

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	other = home_run(&h, 2, "y", NULL);
	CHECK(tag_add(h.st, run, "good") == TT_OK && tag_add(h.st, run, "baseline") == TT_OK);
	CHECK(tag_add(h.st, run, "good") == TT_OK);
	CHECK(tag_add(h.st, other, "größer") == TT_OK && tag_add(h.st, other, "good") == TT_OK);
	CHECK(tag_add(h.st, run, "two words") == TT_INVALID);
	CHECK(tag_add(h.st, run, "a,b") == TT_INVALID);
	CHECK(tag_add(h.st, run, "") == TT_INVALID);
	CHECK(tag_add(h.st, run, longer) == TT_INVALID);
	CHECK(tag_add(h.st, 99, "x") == TT_NOTFOUND);
	CHECK(tag_list(h.st, run, &tag, &n) == TT_OK && n == 2);
	CHECK_STR(tag[0], "baseline");
	CHECK_STR(tag[1], "good");
	free(tag);
	CHECK(tag_list(h.st, 0, &tag, &n) == TT_OK && n == 3);
	free(tag);
	CHECK(tag_remove(h.st, run, "good") == TT_OK);
	CHECK(tag_remove(h.st, run, "good") == TT_NOTFOUND);
	CHECK(tag_list(h.st, run, &tag, &n) == TT_OK && n == 1);
	free(tag);
	home_close(&h);
}

static void notes_are_kept(void)
{
	struct home h;
	char *text = NULL, *longer = calloc(1, NOTE_MAX + 2);
	int64_t run;

	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	CHECK(note_get(h.st, run, &text) == TT_OK);
	CHECK_STR(text, "");
	free(text);
	CHECK(note_set(h.st, run, "first") == TT_OK &&
	      note_set(h.st, run, "second\nline 'quoted'") == TT_OK);
	CHECK(note_get(h.st, run, &text) == TT_OK);
	CHECK_STR(text, "second\nline 'quoted'");
	free(text);
	CHECK(note_set(h.st, run, "") == TT_OK);
	CHECK(note_get(h.st, run, &text) == TT_OK && !text[0]);
	free(text);
	CHECK(note_set(h.st, 99, "x") == TT_NOTFOUND);
	if (longer) {
		memset(longer, 'n', NOTE_MAX + 1);
		CHECK(note_set(h.st, run, longer) == TT_INVALID);
	}
	free(longer);
	home_close(&h);
}

int main(void)
{
	tags_come_and_go();
	notes_are_kept();
	return check_done();
}
