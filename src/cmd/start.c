/* Starting trimtab-engine in its own session, so that training outlives the terminal. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/proc.h"
#include "cmd/cmd.h"

/* The id that the engine writes once the run log has its run; TT_STOPPED when it ended without one. */
static int read_id(int fd, char ret[RUN_ID_SIZE])
{
	size_t n = 0;

	for (;;) {
		const ssize_t got = read(fd, ret + n, RUN_ID_SIZE - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return TT_STOPPED;
		n += (size_t)got;
		if (ret[n - 1] == '\n') {
			ret[n - 1] = 0;
			return TT_OK;
		}
		if (n == RUN_ID_SIZE)
			return TT_STOPPED;
	}
}

int cmd_start(const char *const *argv, struct started *ret)
{
	char path[PATH_MAX];
	const char *words[ARGS_MAX * 2 + 8];
	struct proc_spawn how = { .argv = (char *const *)words, .own_session = true };
	size_t n = 0;
	pid_t pid;
	int fd[2], code = proc_engine_path(path, sizeof(path));

	if (code)
		return code;
	words[n++] = path;
	while (*argv && n < sizeof(words) / sizeof(words[0]) - 2)
		words[n++] = *argv++;
	words[n++] = "--report";
	words[n] = NULL;
	if (pipe2(fd, O_CLOEXEC))
		return err_set(TT_IO, "cannot make a pipe: %s", strerror(errno));
	how.pipe_fd = fd[1];
	code = proc_spawn(&how, &pid);
	close(fd[1]);
	if (!code) {
		ret->pid = pid;
		code = read_id(fd[0], ret->id);
	}
	close(fd[0]);
	if (code == TT_STOPPED) {
		int status;

		code = TT_SAID; /* on the same stderr */
		if (waitpid(pid, &status, 0) == pid && WIFSIGNALED(status))
			code = err_set(TT_IO,
				       "the trainer was ended by signal %d before the run began",
				       WTERMSIG(status));
	}
	return code;
}
