/* What the process takes of the machine: resident memory and processor time. */
#include "train/usage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/proc.h"

static const int64_t second_us = 1000000;

static int64_t cpu_now_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t))
		return 0;
	return (int64_t)t.tv_sec * second_us + t.tv_nsec / 1000;
}

/* The second number of /proc/self/statm, read without a stream, which would allocate; false: not here. */
static bool pages_now(long *ret)
{
	char text[128];
	const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *second;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	second = strchr(text, ' ');
	*ret = second ? strtol(second, NULL, 10) : 0;
	return true;
}

void usage_start(struct usage *u)
{
	u->wall_us = proc_clock_us();
	u->cpu_us = cpu_now_us();
}

bool usage_look(struct usage *u, double *ret_rss_bytes, double *ret_cpu_percent)
{
	const int64_t wall = proc_clock_us(), cpu = cpu_now_us();
	long pages;

	if (wall - u->wall_us < second_us || !pages_now(&pages))
		return false;
	*ret_rss_bytes = (double)pages * (double)sysconf(_SC_PAGESIZE);
	*ret_cpu_percent = 100 * (double)(cpu - u->cpu_us) / (double)(wall - u->wall_us);
	u->wall_us = wall;
	u->cpu_us = cpu;
	return true;
}
