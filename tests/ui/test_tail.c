/* The end of a log: lines from the back, whatever is in them, and nothing that would make us wait. */
#include "tests/check.h"

#include <sys/stat.h>

#include "tests/ui/stage.h"
#include "ui/tail.h"

static void put(const char *path, const char *mode, const char *text, size_t size)
{
	FILE *f = fopen(path, mode);

	CHECK(f && fwrite(text, 1, size, f) == size);
	if (f)
		fclose(f);
}

static void lines(const char *path)
{
	static const char text[] = "one\ntwo\nth\0ree\nlast";
	struct tail t = { 0 };
	char line[64];

	CHECK(tail_read(&t, path) && t.missing);
	CHECK(!tail_read(&t, path) && !tail_line(&t, 0, line, sizeof(line)));
	put(path, "w", text, sizeof(text) - 1);
	CHECK(tail_read(&t, path) && !t.missing);
	CHECK(!tail_read(&t, path)); /* unchanged */
	CHECK(tail_line(&t, 0, line, sizeof(line)));
	CHECK_STR(line, "last");
	CHECK(tail_line(&t, 1, line, sizeof(line)));
	CHECK_STR(line, "th\x01ree");
	CHECK(tail_line(&t, 3, line, sizeof(line)));
	CHECK_STR(line, "one");
	CHECK(!tail_line(&t, 4, line, sizeof(line)));
	CHECK(tail_line(&t, 3, line, 3));
	CHECK_STR(line, "on");
	put(path, "a", "\n\n", 2);
	CHECK(tail_read(&t, path) && tail_line(&t, 0, line, sizeof(line)));
	CHECK_STR(line, "");
	put(path, "w", "", 0);
	CHECK(tail_read(&t, path) && !tail_line(&t, 0, line, sizeof(line)));
	tail_done(&t);
}

static void long_file(const char *path)
{
	static char text[3 * TAIL_BYTES];
	struct tail t = { 0 };
	char line[64];
	size_t n = 0;

	for (int i = 0; n + 32 < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "line %d\n", i);
	put(path, "w", text, n);
	CHECK(tail_read(&t, path) && t.size <= TAIL_BYTES);
	for (size_t back = 0; tail_line(&t, back, line, sizeof(line)); back++)
		if (strncmp(line, "line ", 5) != 0)
			CHECK_NAMED(false, line); /* no line without its beginning */
	CHECK(tail_line(&t, 0, line, sizeof(line)));
	tail_done(&t);
	memset(text, 'x', sizeof(text)); /* no line at all */
	put(path, "w", text, sizeof(text));
	CHECK(tail_read(&t, path) && t.size == TAIL_BYTES && tail_line(&t, 0, line, sizeof(line)));
	tail_done(&t);
}

int main(void)
{
	struct stage s;
	struct tail t = { 0 };
	char path[400];

	stage_folder(&s);
	snprintf(path, sizeof(path), "%s/log.txt", s.dir);
	lines(path);
	long_file(path);
	CHECK(!unlink(path) && !mkfifo(path, 0600));
	CHECK(tail_read(&t, path) && t.missing); /* a pipe without a writer would wait for ever */
	CHECK(tail_read(&t, s.dir) == false && t.missing);
	tail_done(&t);
	(void)fs_remove_tree(s.dir);
	return check_done();
}
