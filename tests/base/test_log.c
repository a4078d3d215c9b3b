/* Log lines: a time stamp, the words, one line whatever the words hold. */
#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

static void one_line(const char *text) { log_line("%s", text); }

static void held_and_dropped(const char *text)
{
	log_hold();
	log_line("%s", text);
	log_drop();
}

static void held_and_released(const char *text)
{
	log_hold();
	log_line("%s", text);
	log_line("second");
	log_release();
	log_line("third");
}

/* Far more than fits: what came first is kept, whole lines only. */
static void held_too_much(const char *text)
{
	log_hold();
	for (int i = 0; i < 100; i++)
		log_line("%s", text);
	log_release();
}

/* What one call writes to stderr. */
static size_t capture(void (*call)(const char *text), const char *text, char *ret, size_t size)
{
	char path[] = "/tmp/test_log-XXXXXX";
	const int fd = mkstemp(path), old = dup(STDERR_FILENO);
	ssize_t n;

	dup2(fd, STDERR_FILENO);
	call(text);
	dup2(old, STDERR_FILENO);
	n = pread(fd, ret, size - 1, 0);
	close(fd);
	close(old);
	unlink(path);
	ret[n < 0 ? 0 : n] = 0;
	return strlen(ret);
}

int main(void)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:ddZ ";
	char line[32768], longer[5000];
	bool stamp = true;

	capture(one_line, "two\nlines", line, sizeof(line));
	for (size_t i = 0; shape[i]; i++)
		stamp = stamp &&
			(shape[i] == 'd' ? line[i] >= '0' && line[i] <= '9' : line[i] == shape[i]);
	CHECK(stamp);
	CHECK_STR(line + strlen(shape), "two lines\n");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	CHECK(capture(one_line, longer, line, sizeof(line)) < 2100);
	CHECK(line[strlen(line) - 1] == '\n');
	CHECK(capture(held_and_dropped, "nobody asked", line, sizeof(line)) == 0);
	capture(held_and_released, "first", line, sizeof(line));
	CHECK(strstr(line, "first\n") < strstr(line, "second\n"));
	CHECK(strstr(line, "second\n") && strstr(line, "second\n") < strstr(line, "third\n"));
	longer[1000] = 0;
	CHECK(capture(held_too_much, longer, line, sizeof(line)) <= 16384);
	CHECK(line[strlen(line) - 1] == '\n' && strlen(line) % (strlen(shape) + 1001) == 0);
	return check_done();
}
