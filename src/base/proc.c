/* Other processes: start, watch, stop. And the clocks, since both come from the system. */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"

extern char **environ;

enum { PIPE_FD = 3, FD_FREE = 10 }; /* where the child finds its pipe; ours stay clear of 0..3 */

static int spawn_fail(const char *what, int why)
{
	return err_set(why == ENOENT   ? TT_NOTFOUND
		       : why == ENOMEM ? TT_NOMEM
				       : TT_IO,
		       "cannot start %s: %s", what, strerror(why));
}

/* Append to the log; the descriptor is moved out of the way of those the child gets. */
static int open_log(const char *path, int *ret)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	const int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_FREE);

	if (high < 0) {
		const int why = errno;

		if (fd >= 0)
			close(fd);
		return err_set(TT_IO, "cannot open the log %s: %s", path, strerror(why));
	}
	close(fd);
	*ret = high;
	return TT_OK;
}

/* Whatever the parent ignores or blocks, the child starts with the usual signals. */
static int set_signals(posix_spawnattr_t *attr, bool own_session)
{
	sigset_t none, usual;
	int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	int rc;

	sigemptyset(&none);
	sigemptyset(&usual);
	for (int i = 1; i < 32; i++)
		if (i != SIGKILL && i != SIGSTOP)
			sigaddset(&usual, i);
	if (own_session)
		flags |= POSIX_SPAWN_SETSID;
	rc = posix_spawnattr_setsigmask(attr, &none);
	if (!rc)
		rc = posix_spawnattr_setsigdefault(attr, &usual);
	return rc ? rc : posix_spawnattr_setflags(attr, (short)flags);
}

static int set_files(posix_spawn_file_actions_t *files, const struct proc_spawn *how, int log)
{
	int rc = 0;

	if (how->own_session) /* it may outlive the terminal, so it must not read from it */
		rc = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY,
						      0);
	if (!rc && how->pipe_fd >= 0)
		rc = posix_spawn_file_actions_adddup2(files, how->pipe_fd, PIPE_FD);
	if (!rc && log >= 0)
		rc = posix_spawn_file_actions_adddup2(files, log, STDOUT_FILENO);
	if (!rc && log >= 0)
		rc = posix_spawn_file_actions_adddup2(files, log, STDERR_FILENO);
	return rc;
}

int proc_spawn(const struct proc_spawn *how, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int log = -1, why;
	pid_t pid;

	if (how->log_path) {
		const int rc = open_log(how->log_path, &log);

		if (rc)
			return rc;
	}
	why = posix_spawn_file_actions_init(&files);
	if (why)
		goto out;
	why = posix_spawnattr_init(&attr);
	if (why)
		goto out_files;
	why = set_files(&files, how, log);
	if (!why)
		why = set_signals(&attr, how->own_session);
	if (!why)
		why = posix_spawn(&pid, how->argv[0], &files, &attr, how->argv, environ);
	posix_spawnattr_destroy(&attr);
out_files:
	posix_spawn_file_actions_destroy(&files);
out:
	if (log >= 0)
		close(log);
	if (why)
		return spawn_fail(how->argv[0], why);
	*ret = pid;
	return TT_OK;
}

/* Everything that comes through fd. */
static int read_all(int fd, struct buf *ret)
{
	char data[16384];

	for (;;) {
		const ssize_t n = read(fd, data, sizeof(data));

		if (n > 0)
			buf_add(ret, data, (size_t)n);
		else if (!n)
			return TT_OK;
		else if (errno != EINTR)
			return err_set(TT_IO, "cannot read from a pipe: %s", strerror(errno));
	}
}

int proc_capture(char *const *argv, size_t max, struct buf *ret)
{
	posix_spawn_file_actions_t files;
	int fd[2], status, code, rc;
	pid_t pid;

	buf_init(ret, max);
	if (pipe2(fd, O_CLOEXEC))
		return err_set(TT_IO, "cannot make a pipe: %s", strerror(errno));
	rc = posix_spawn_file_actions_init(&files);
	if (!rc) {
		rc = posix_spawn_file_actions_adddup2(&files, fd[1], STDOUT_FILENO);
		if (!rc)
			rc = posix_spawn(&pid, argv[0], &files, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&files);
	}
	close(fd[1]);
	code = rc ? spawn_fail(argv[0], rc) : read_all(fd[0], ret);
	close(fd[0]);
	if (!rc && (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status)))
		code = code ? code : err_set(TT_IO, "%s failed", argv[0]);
	if (!code)
		code = buf_check(ret, "what the program printed");
	if (code)
		buf_done(ret);
	return code;
}

/* The first bytes of a small file of /proc, as text; false when it is not there. */
static bool read_small(const char *path, char *ret, size_t size)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	do
		n = read(fd, ret, size - 1);
	while (n < 0 && errno == EINTR);
	close(fd);
	if (n <= 0)
		return false;
	ret[n] = 0;
	return true;
}

uint64_t proc_start_time(pid_t pid)
{
	char path[64], text[1024];
	unsigned long long ticks;
	const char *p;

	if (pid <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	if (!read_small(path, text, sizeof(text)))
		return 0;
	p = strrchr(text, ')'); /* a program's name may hold blanks and brackets */
	if (!p || p[1] != ' ')
		return 0;
	if (p[2] == 'Z' || p[2] == 'X') /* dead, only not waited for */
		return 0;
	p++;
	for (int field = 3; field < 22; field++) { /* p is the blank before this field */
		p = strchr(p + 1, ' ');
		if (!p)
			return 0;
	}
	if (sscanf(p, " %llu", &ticks) != 1)
		return 0;
	return ticks ? ticks : 1; /* 0 says that there is no process */
}

int proc_boot_id(char *ret, size_t size)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	char text[64];

	if (!read_small(path, text, sizeof(text)))
		return err_set(TT_IO, "cannot read %s", path);
	text[strcspn(text, "\n")] = 0;
	if (strlen(text) >= size)
		return err_set(TT_IO, "%s holds more than %zu bytes", path, size - 1);
	memcpy(ret, text, strlen(text) + 1);
	return TT_OK;
}

int proc_host(char *ret, size_t size)
{
	char name[HOST_NAME_MAX + 1];

	if (gethostname(name, sizeof(name)))
		return err_set(TT_IO, "cannot find this machine's name: %s", strerror(errno));
	name[sizeof(name) - 1] = 0;
	if (strlen(name) >= size)
		return err_set(TT_IO, "this machine's name is longer than %zu bytes", size - 1);
	memcpy(ret, name, strlen(name) + 1);
	return TT_OK;
}

/* The folder of this program's own file. */
static bool own_dir(char *ret, size_t size)
{
	char exe[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0)
		return false;
	exe[n] = 0;
	return fs_dirname(ret, size, exe) == TT_OK;
}

int proc_engine_path(char *ret, size_t size)
{
	const char *own = getenv("TRIMTAB_ENGINE");
	char dir[PATH_MAX], path[PATH_MAX];

	if (own && *own) {
		if (access(own, X_OK) || fs_is_dir(own))
			return err_set(TT_NOTFOUND,
				       "TRIMTAB_ENGINE is %s, which is no program that can be run",
				       own);
		return fs_absolute(ret, size, own);
	}
	if (own_dir(dir, sizeof(dir)) && !fs_join(path, sizeof(path), dir, "trimtab-engine") &&
	    !access(path, X_OK) && !fs_is_dir(path))
		return fs_absolute(ret, size, path);
	if (!fs_join(path, sizeof(path), LIBEXECDIR, "trimtab-engine") && !access(path, X_OK))
		return fs_absolute(ret, size, path);
	return err_set(TT_NOTFOUND,
		       "trimtab-engine is neither beside this program nor in %s; set "
		       "TRIMTAB_ENGINE to its path",
		       LIBEXECDIR);
}

static int64_t clock_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t proc_now_us(void) { return clock_us(CLOCK_REALTIME); }

int64_t proc_clock_us(void) { return clock_us(CLOCK_MONOTONIC); }
