/* logs: the trainer's own words, with -f as they come. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "cmd/cmd.h"

enum { TICK_MS = 100 };

/* One line, without its end, as {"line"}. */
static int print_line(const char *line, size_t n)
{
	struct jsonw w;
	struct buf out;
	int code;

	buf_init(&out, (size_t)64 << 20);
	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "line");
	jsonw_text_n(&w, line, n);
	jsonw_end(&w, '}');
	code = cmd_print(&out);
	buf_done(&out);
	return code;
}

/* Everything from where the file stands to its last whole line. */
static int copy(FILE *f, bool json)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int code = TT_OK;

	clearerr(f);
	while (!code && (n = getline(&line, &room, f)) > 0) {
		if (line[n - 1] != '\n') { /* still being written */
			fseek(f, -(long)n, SEEK_CUR);
			break;
		}
		if (json)
			code = print_line(line, (size_t)n - 1);
		else if (fwrite(line, 1, (size_t)n, stdout) != (size_t)n)
			code = err_set(TT_IO, "cannot write: %s", strerror(errno));
	}
	free(line);
	if (!code && fflush(stdout))
		code = err_set(TT_IO, "cannot write: %s", strerror(errno));
	return code;
}

static int is_live(struct store *st, const char *id, bool *ret)
{
	struct run r = { 0 };
	int code = run_get(st, id, &r);

	*ret = !code && (r.state == RUN_RUNNING || r.state == RUN_PAUSED || r.state == RUN_QUEUED);
	run_done(&r);
	return code;
}

static int print(struct store *st, const struct run *r, const struct args *a)
{
	char path[PATH_MAX];
	bool live = args_has(a, "--follow");
	int code = fs_join(path, sizeof(path), r->dir, "log.txt");
	FILE *f;

	if (code)
		return code;
	f = fopen(path, "re");
	if (!f)
		return err_set(TT_IO, "cannot read %s: %s", path, strerror(errno));
	do {
		if (live)
			code = is_live(st, r->id, &live);
		if (!code)
			code = copy(f, args_has(a, "--json"));
		if (!code && live)
			(void)poll(NULL, 0, TICK_MS);
	} while (!code && live);
	fclose(f);
	return code;
}

static int logs(const struct args *a) { return cmd_with_run(a, false, print); }

static const struct arg options[] = {
	{ "--follow", 'f', NULL, "go on until the run ends" },
	{ "--json", 0, NULL, "JSON lines: {\"line\"}" },
	{ 0 },
};

const struct command command_logs = {
	.name = "logs",
	.usage = "RUN [-f] [--json]",
	.summary = "Print the trainer's own output.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = logs,
};
