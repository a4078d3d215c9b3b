/* Processes that train in turns. */
#include "bench/side.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/proc.h"

static double now(void) { return 1e-6 * (double)proc_clock_us(); }

/* ---- one side ---- */

static int side_lost(const struct side *s)
{
	return err_set(TT_IO, "%s ended before its time; what it said is above", s->name);
}

int side_open(char *const *argv, const char *name, struct side *ret)
{
	struct proc_spawn how = { .argv = argv };
	const double from = now();
	char line[128];
	int fd[2], rc;

	*ret = (struct side){ .name = name };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		return err_set(TT_IO, "cannot make a pair of sockets: %s", strerror(errno));
	how.pipe_fd = fd[1];
	rc = proc_spawn(&how, &ret->pid);
	close(fd[1]);
	ret->wire = rc ? NULL : fdopen(fd[0], "r+");
	if (!ret->wire) {
		close(fd[0]);
		return rc ? rc : err_set(TT_NOMEM, "not enough memory for a stream");
	}
	setvbuf(ret->wire, NULL, _IONBF, 0);
	if (!fgets(line, sizeof(line), ret->wire) ||
	    sscanf(line, "ready %lf %lf %lf", &ret->tokens, &ret->trainable, &ret->estimate) < 2)
		return side_lost(ret);
	ret->start = now() - from;
	return TT_OK;
}

void side_close(struct side *s)
{
	if (s->wire)
		fclose(s->wire);
	if (s->pid > 0)
		waitpid(s->pid, NULL, 0);
}

/* Processor time of all its threads so far. */
static double side_cpu(const struct side *s)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (!clock_getcpuclockid(s->pid, &clock))
		clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int side_pass(struct side *s, double *ret, double *ret_cpu)
{
	const double from = now(), cpu = side_cpu(s);
	char line[128];

	if (fputs("go\n", s->wire) < 0 || !fgets(line, sizeof(line), s->wire))
		return side_lost(s);
	*ret = now() - from;
	*ret_cpu = side_cpu(s) - cpu;
	return TT_OK;
}

/* VmHWM, while the process lives. */
static double side_peak(const struct side *s)
{
	char path[64], line[256];
	double kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)s->pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmHWM:", 6))
			kib = strtod(line + 6, NULL);
	if (f)
		fclose(f);
	return 1024 * kib;
}

int side_take_turns(struct side *s, int sides, int n)
{
	for (int i = -1; i < n; i++)
		for (int k = 0; k < sides; k++) {
			double unused;
			const int rc = side_pass(&s[k], i < 0 ? &s[k].first : &s[k].pass[i],
						 i < 0 ? &unused : &s[k].cpu[i]);

			if (rc)
				return rc;
		}
	for (int k = 0; k < sides; k++)
		s[k].peak = side_peak(&s[k]);
	return TT_OK;
}

/* ---- what came of it ---- */

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double side_median(const double *x, int n)
{
	double sorted[PASSES_MOST];

	memcpy(sorted, x, (size_t)n * sizeof(*x));
	qsort(sorted, (size_t)n, sizeof(*sorted), by_size);
	return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

double side_ratio(const double *x, const double *y, int n)
{
	double r[PASSES_MOST];

	for (int i = 0; i < n; i++)
		r[i] = x[i] / y[i];
	return side_median(r, n);
}

int side_lock(const char *path, int *ret)
{
	*ret = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
	if (path && (*ret < 0 || flock(*ret, LOCK_EX)))
		return err_set(TT_IO, "cannot lock %s: %s", path, strerror(errno));
	return TT_OK;
}
