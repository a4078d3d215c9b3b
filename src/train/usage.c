/* What the process takes of the machine: resident memory and processor time. */
#include "train/usage.h"

#include <stdio.h>
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

void usage_start(struct usage *u)
{
	u->wall_us = proc_clock_us();
	u->cpu_us = cpu_now_us();
}

bool usage_look(struct usage *u, double *ret_rss_bytes, double *ret_cpu_percent)
{
	const int64_t wall = proc_clock_us(), cpu = cpu_now_us();
	long pages = 0;
	FILE *f;

	if (wall - u->wall_us < second_us)
		return false;
	f = fopen("/proc/self/statm", "re");
	if (!f)
		return false;
	if (fscanf(f, "%*s %ld", &pages) != 1)
		pages = 0;
	fclose(f);
	*ret_rss_bytes = (double)pages * (double)sysconf(_SC_PAGESIZE);
	*ret_cpu_percent = 100 * (double)(cpu - u->cpu_us) / (double)(wall - u->wall_us);
	u->wall_us = wall;
	u->cpu_us = cpu;
	return true;
}
