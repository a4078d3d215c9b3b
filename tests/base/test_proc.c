/* Processes: what a child gets, who it is, when it is gone. */
#include "tests/check.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"

static char top[256];

static char *shell_argv[] = { (char[]){ "/bin/sh" }, (char[]){ "-c" }, NULL, NULL };

static int run_shell(const char *script, const char *log_path, bool own_session, int pipe_fd,
		     pid_t *ret)
{
	static char text[1024];

	snprintf(text, sizeof(text), "%s", script);
	shell_argv[2] = text;
	return proc_spawn(&(struct proc_spawn){ .argv = shell_argv,
						.log_path = log_path,
						.own_session = own_session,
						.pipe_fd = pipe_fd },
			  ret);
}

static int status_of(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void log_is_appended(void)
{
	char path[300];
	struct buf b;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/log", top);
	fs_write_atomic(path, "before\n", 7);
	CHECK(run_shell("echo out; echo err >&2; exit 3", path, false, -1, &pid) == TT_OK);
	CHECK(status_of(pid) == 3);
	CHECK(fs_read(path, 1000, &b) == TT_OK);
	CHECK_STR(b.data, "before\nout\nerr\n");
	buf_done(&b);
	CHECK(run_shell("true", "/no/such/folder/log", false, -1, &pid) == TT_IO);
	CHECK(strstr(err_text(), "/no/such/folder/log"));
}

static void the_pipe_is_fd_3(void)
{
	char got[16] = "";
	int end[2];
	pid_t pid;

	CHECK(!pipe2(end, O_CLOEXEC));
	CHECK(run_shell("echo hello >&3", NULL, false, end[1], &pid) == TT_OK);
	close(end[1]);
	CHECK(status_of(pid) == 0);
	CHECK(read(end[0], got, sizeof(got) - 1) == 6);
	CHECK_STR(got, "hello\n");
	close(end[0]);
}

/* A child that waits on its pipe: alive for as long as the test wants. */
static void session_and_start_time(void)
{
	int end[2];
	siginfo_t info;
	uint64_t start;
	pid_t pid;

	CHECK(!pipe2(end, O_CLOEXEC));
	CHECK(run_shell("read line <&3; exit 0", NULL, true, end[0], &pid) == TT_OK);
	close(end[0]);
	CHECK(getsid(pid) == pid);
	start = proc_start_time(pid);
	CHECK(start > 0 && start == proc_start_time(pid));
	CHECK(start >= proc_start_time(getpid()));
	CHECK(write(end[1], "go\n", 3) == 3);
	close(end[1]);
	CHECK(!waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
	CHECK(proc_start_time(pid) == 0); /* a zombie trains no more */
	CHECK(status_of(pid) == 0);
	CHECK(proc_start_time(pid) == 0);
	CHECK(proc_start_time(0) == 0 && proc_start_time(-5) == 0);
}

/* The front blocks and ignores signals for its own loop; an engine must still hear SIGTERM. */
static void signals_are_the_usual_ones(void)
{
	sigset_t term, old;
	int status = 0;
	pid_t pid;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &old);
	signal(SIGTERM, SIG_IGN);
	CHECK(run_shell("kill -TERM $$; exit 7", NULL, false, -1, &pid) == TT_OK);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGTERM, SIG_DFL);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGTERM);
}

static void absent_programs_are_named(void)
{
	char name[] = "/no/such/program";
	char *const argv[] = { name, NULL };
	pid_t pid;

	CHECK(proc_spawn(&(struct proc_spawn){ .argv = argv, .pipe_fd = -1 }, &pid) == TT_NOTFOUND);
	CHECK_STR(err_text(), "cannot start /no/such/program: No such file or directory");
}

static void engine_path(void)
{
	char path[PATH_MAX];

	setenv("TRIMTAB_ENGINE", "/bin/sh", 1);
	CHECK(proc_engine_path(path, sizeof(path)) == TT_OK);
	CHECK_STR(path, "/bin/sh");
	setenv("TRIMTAB_ENGINE", "/no/engine", 1);
	CHECK(proc_engine_path(path, sizeof(path)) == TT_NOTFOUND);
	CHECK(strstr(err_text(), "/no/engine"));
	unsetenv("TRIMTAB_ENGINE");
}

static void who_and_when(void)
{
	char host[256], boot[64], small[2];
	const int64_t a = proc_clock_us(), b = proc_clock_us();

	CHECK(proc_host(host, sizeof(host)) == TT_OK && host[0]);
	CHECK(proc_host(small, 1) == TT_IO);
	if (fs_exists("/proc/sys/kernel/random/boot_id")) {
		CHECK(proc_boot_id(boot, sizeof(boot)) == TT_OK && strlen(boot) == 36);
		CHECK(proc_boot_id(small, sizeof(small)) == TT_IO);
	}
	CHECK(b >= a);
	CHECK(proc_now_us() > INT64_C(1700000000) * 1000000);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(top, sizeof(top), "%s/test_proc-XXXXXX", tmp && strlen(tmp) < 200 ? tmp : "/tmp");
	if (!CHECK(mkdtemp(top) != NULL))
		return check_done();
	log_is_appended();
	the_pipe_is_fd_3();
	session_and_start_time();
	signals_are_the_usual_ones();
	absent_programs_are_named();
	engine_path();
	who_and_when();
	CHECK(fs_remove_tree(top) == TT_OK);
	return check_done();
}
