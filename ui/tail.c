/* The end of a file that grows. */
#include "ui/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

size_t tail_lines(const struct tail *t)
{
	size_t n = t->size && t->text[t->size - 1] != '\n';

	for (size_t i = 0; i < t->size; i++)
		n += t->text[i] == '\n';
	return n;
}

void tail_done(struct tail *t)
{
	free(t->text);
	*t = (struct tail){ 0 };
}

static size_t read_at(int fd, char *to, size_t size, int64_t at)
{
	size_t n = 0;

	while (n < size) {
		const ssize_t got = pread(fd, to + n, size - n, (off_t)at + (off_t)n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	return n;
}

static void take(struct tail *t, int fd, const struct stat *s)
{
	const int64_t from = s->st_size > TAIL_BYTES ? s->st_size - TAIL_BYTES : 0;
	char *text = malloc(TAIL_BYTES + 1), *line;
	size_t n;

	if (!text)
		return;
	n = read_at(fd, text, TAIL_BYTES, from);
	for (size_t i = 0; i < n;
	     i++) /* the text is cut by lines and ends in NUL, so it may hold neither */
		if (!text[i])
			text[i] = '\x01';
	text[n] = 0;
	line = from ? memchr(text, '\n', n) : NULL;
	if (line) {
		n -= (size_t)(line + 1 - text);
		memmove(text, line + 1, n + 1);
	}
	free(t->text);
	t->text = text;
	t->size = n;
}

bool tail_read(struct tail *t, const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat s;
	int64_t changed;
	bool new = false;

	if (fd < 0 || fstat(fd, &s) || !S_ISREG(s.st_mode)) {
		new = !t->missing;
		t->missing = true;
	} else {
		changed = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
		new = t->missing || !t->text || t->file_size != s.st_size ||
		      t->changed_ns != changed;
		if (new)
			take(t, fd, &s);
		t->missing = false;
		t->file_size = s.st_size;
		t->changed_ns = changed;
	}
	if (fd >= 0)
		close(fd);
	return new;
}

bool tail_line(const struct tail *t, size_t back, char *ret, size_t size)
{
	const char *end, *start;
	size_t n;

	if (!t->text || !t->size)
		return false;
	end = t->text + t->size;
	if (end[-1] == '\n')
		end--;
	for (;; back--) {
		for (start = end; start > t->text && start[-1] != '\n';)
			start--;
		if (!back)
			break;
		if (start == t->text)
			return false;
		end = start - 1;
	}
	n = (size_t)(end - start) < size - 1 ? (size_t)(end - start) : size - 1;
	memcpy(ret, start, n);
	ret[n] = 0;
	return true;
}
