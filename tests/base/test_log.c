/* Log lines: a time stamp, the words, one line whatever the words hold. */
#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

/* What one call writes to stderr. */
static size_t capture(const char *text, char *ret, size_t size)
{
	char path[] = "/tmp/test_log-XXXXXX";
	const int fd = mkstemp(path), old = dup(STDERR_FILENO);
	ssize_t n;

	dup2(fd, STDERR_FILENO);
	log_line("%s", text);
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
	char line[8192], longer[5000];
	bool stamp = true;

	capture("two\nlines", line, sizeof(line));
	for (size_t i = 0; shape[i]; i++)
		stamp = stamp &&
			(shape[i] == 'd' ? line[i] >= '0' && line[i] <= '9' : line[i] == shape[i]);
	CHECK(stamp);
	CHECK_STR(line + strlen(shape), "two lines\n");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	CHECK(capture(longer, line, sizeof(line)) < 2100);
	CHECK(line[strlen(line) - 1] == '\n');
	return check_done();
}
