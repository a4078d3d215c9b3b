#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

/* Other processes: start, watch, stop. */

struct proc_spawn {
	char *const *argv;    /* argv[0] is the program's path; ends with NULL */
	const char *log_path; /* stdout and stderr are appended here; NULL: inherited */
	bool own_session;     /* setsid: outlives the terminal */
	int pipe_fd;          /* >= 0: this fd is passed on as fd 3 */
};
int proc_spawn(const struct proc_spawn *how, pid_t *ret);
/* Run a program to its end and take what it prints; failing when it does. ret is initialised here; caller buf_done. */
int proc_capture(char *const *argv, size_t max, struct buf *ret);

/* Who a pid is: start time in clock ticks since boot, from /proc/PID/stat; 0 when there is no such process or it is a zombie. */
uint64_t proc_start_time(pid_t pid);
int proc_boot_id(char *ret, size_t size); /* /proc/sys/kernel/random/boot_id */
int proc_host(char *ret, size_t size);
/* The path of trimtab-engine: $TRIMTAB_ENGINE, else beside this program, else in the build or install libexec folder. */
int proc_engine_path(char *ret, size_t size);
int64_t proc_now_us(void);   /* wall clock, microseconds since 1970 */
int64_t proc_clock_us(void); /* monotonic */

#endif
