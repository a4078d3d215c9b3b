/* logs: the trainer's own words, with -f as they come. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "cmd/cmd.h"

enum { TICK_MS = 100 };

/* Everything from where fd stands to the end of the file. */
static int copy(int fd, const char *path)
{
	char data[65536];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0)
		if (fwrite(data, 1, (size_t)n, stdout) != (size_t)n)
			return err_set(TT_IO, "cannot write: %s", strerror(errno));
	if (n < 0)
		return err_set(TT_IO, "cannot read %s: %s", path, strerror(errno));
	return fflush(stdout) ? err_set(TT_IO, "cannot write: %s", strerror(errno)) : TT_OK;
}

static int is_live(struct store *st, const char *id, bool *ret)
{
	struct run r = { 0 };
	int code = run_get(st, id, &r);

	*ret = !code && (r.state == RUN_RUNNING || r.state == RUN_PAUSED || r.state == RUN_QUEUED);
	run_done(&r);
	return code;
}

static int print(struct store *st, const struct run *r, bool follow)
{
	char path[PATH_MAX];
	bool live = follow;
	int fd, code = fs_join(path, sizeof(path), r->dir, "log.txt");

	if (code)
		return code;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(TT_IO, "cannot read %s: %s", path, strerror(errno));
	do {
		if (follow)
			code = is_live(st, r->id, &live);
		if (!code)
			code = copy(fd, path);
		if (!code && live)
			(void)poll(NULL, 0, TICK_MS);
	} while (!code && live);
	close(fd);
	return code;
}

static int logs(const struct args *a)
{
	struct run r = { 0 };
	struct store *st;
	int code = cmd_open_read(&st);

	if (code)
		return code;
	code = cmd_find(st, a->pos[0], &r);
	if (!code)
		code = print(st, &r, args_has(a, "--follow"));
	run_done(&r);
	store_close(st);
	return code;
}

static const struct arg options[] = {
	{ "--follow", 'f', NULL, "go on until the run ends" },
	{ 0 },
};

const struct command command_logs = {
	.name = "logs",
	.usage = "RUN [-f]",
	.summary = "Print the trainer's own output.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = logs,
};
