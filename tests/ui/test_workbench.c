/* The real program on a real (pseudo) terminal: it opens, shows runs, obeys keys and leaves the terminal as it was. */
#include "tests/check.h"

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <utmp.h>

#include "base/proc.h"
#include "tests/ui/stage.h"

static const int64_t patience_us = 30000000; /* for a machine that is very busy */

struct terminal {
	int fd, tty; /* tty: the program's side, held open so that its modes can be looked at */
	pid_t pid;
	char seen[1 << 18];
	size_t n;
};

enum { WAS_STOPPED = 10 };

/* A shell in little: the program is a job of its own; when it stops it is told to go on. Returns its status. */
static int run_as_job(const char *path)
{
	const pid_t job = fork();
	int status = 0, stopped = 0;

	if (job == 0) {
		(void)setpgid(0, 0);
		(void)tcsetpgrp(STDIN_FILENO, getpid());
		(void)signal(SIGTTOU, SIG_DFL);
		execl(path, "trimtab", (char *)NULL);
		_exit(127);
	}
	while (waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status)) {
		stopped = WAS_STOPPED;
		(void)kill(job, SIGCONT);
	}
	return stopped + (WIFEXITED(status) ? WEXITSTATUS(status) : 99);
}

static void start(struct terminal *t, const char *home, const char *term, bool job)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	const char *top = getenv("top_builddir");
	char path[PATH_MAX];
	struct termios modes;

	*t = (struct terminal){ .pid = -1 };
	snprintf(path, sizeof(path), "%s/trimtab", top ? top : ".");
	stage_must(openpty(&t->fd, &t->tty, NULL, NULL, &size) ? err_set(TT_IO, "no pty") : TT_OK);
	CHECK(!tcgetattr(t->tty, &modes));
	t->pid = fork();
	if (t->pid == 0) {
		(void)setenv("TRIMTAB_HOME", home, 1);
		(void)setenv("TERM", term, 1);
		(void)setenv("LC_ALL", "C.UTF-8", 1);
		close(t->fd);
		(void)login_tty(t->tty);
		(void)signal(SIGTTOU, SIG_IGN);
		if (job)
			_exit(run_as_job(path));
		(void)signal(SIGTTOU, SIG_DFL);
		execl(path, "trimtab", (char *)NULL);
		_exit(127);
	}
}

/* Read until this was written, or nothing more comes. */
static bool wait_for(struct terminal *t, const char *text)
{
	const int64_t end = proc_clock_us() + patience_us;
	const size_t from = t->n;

	while (proc_clock_us() < end && t->n + 1 < sizeof(t->seen)) {
		struct pollfd p = { .fd = t->fd, .events = POLLIN };
		ssize_t got;

		if (poll(&p, 1, 100) <= 0)
			continue;
		got = read(t->fd, t->seen + t->n, sizeof(t->seen) - 1 - t->n);
		if (got <= 0)
			return false;
		t->n += (size_t)got;
		t->seen[t->n] = 0;
		if (strstr(t->seen + from, text))
			return true;
	}
	return false;
}

static void type(const struct terminal *t, const char *keys)
{
	CHECK(write(t->fd, keys, strlen(keys)) == (ssize_t)strlen(keys));
}

/* The status of the program, which must end by itself. What it still writes is read, so that it can. */
static int finish(struct terminal *t)
{
	const int64_t end = proc_clock_us() + patience_us;
	int status = 0;

	while (waitpid(t->pid, &status, WNOHANG) == 0 && proc_clock_us() < end) {
		struct pollfd p = { .fd = t->fd, .events = POLLIN };
		ssize_t got = 0;

		if (poll(&p, 1, 20) > 0 && t->n + 1 < sizeof(t->seen))
			got = read(t->fd, t->seen + t->n, sizeof(t->seen) - 1 - t->n);
		t->n += got > 0 ? (size_t)got : 0;
	}
	for (;;) { /* its last words */
		struct pollfd p = { .fd = t->fd, .events = POLLIN };
		ssize_t got;

		if (poll(&p, 1, 0) <= 0 || t->n + 1 >= sizeof(t->seen))
			break;
		got = read(t->fd, t->seen + t->n, sizeof(t->seen) - 1 - t->n);
		if (got <= 0)
			break;
		t->n += (size_t)got;
	}
	t->seen[t->n] = 0;
	return status;
}

static bool restored(const struct terminal *t)
{
	struct termios modes;
	const char *last = t->seen, *p;

	for (p = strstr(t->seen, "\033[?1049h"); p; p = strstr(p + 1, "\033[?1049"))
		last = p;
	return !tcgetattr(t->tty, &modes) && (modes.c_lflag & (ICANON | ECHO)) == (ICANON | ECHO) &&
	       (modes.c_iflag & ICRNL) && !strncmp(last, "\033[?1049l", 8) &&
	       strstr(t->seen, "\033[?25h");
}

static void stop(struct terminal *t)
{
	close(t->fd);
	close(t->tty);
}

static void opens_and_quits(const char *home)
{
	static struct terminal t;
	struct winsize size = { .ws_row = 40, .ws_col = 132 };

	start(&t, home, "xterm-256color", false);
	CHECK(wait_for(&t, "mr-lora-r8"));
	type(&t, "G");
	CHECK(wait_for(&t, "mr-head"));
	type(&t, "\r");
	CHECK(wait_for(&t, "gradient norm"));
	CHECK(!ioctl(t.fd, TIOCSWINSZ, &size));
	CHECK(wait_for(&t, "gradient norm")); /* drawn anew at once */
	type(&t, "\033");
	CHECK(wait_for(&t, "boolq-full"));
	type(&t, "q");
	CHECK(finish(&t) == 0);
	CHECK(restored(&t));
	stop(&t);
}

static void dies_clean(const char *home, int number)
{
	static struct terminal t;
	int status;

	start(&t, home, "xterm", false);
	CHECK(wait_for(&t, "mr-lora-r8"));
	CHECK(!kill(t.pid, number));
	status = finish(&t);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == number);
	CHECK(restored(&t));
	stop(&t);
}

/* Ctrl-Z gives the terminal back to the shell, and fg draws anew. */
static void stops_and_goes_on(const char *home)
{
	static struct terminal t;
	int status;

	start(&t, home, "xterm", true);
	CHECK(wait_for(&t, "mr-lora-r8"));
	type(&t, "\x1a");
	CHECK(wait_for(&t, "mr-lora-r8"));
	CHECK(strstr(t.seen, "\033[?1049l") != NULL);
	type(&t, "q");
	status = finish(&t);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == WAS_STOPPED);
	CHECK(restored(&t));
	stop(&t);
}

static void refuses(const char *home, const char *term)
{
	static struct terminal t;
	int status;

	start(&t, home, term, false);
	status = finish(&t);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	CHECK(strstr(t.seen, "trimtab: the workbench needs a terminal") != NULL);
	CHECK(strchr(t.seen, '\033') == NULL); /* no garbage */
	stop(&t);
}

/* Some containers have no pseudo-terminals. */
static bool has_pty(void)
{
	int fd, tty;

	if (openpty(&fd, &tty, NULL, NULL, NULL))
		return false;
	close(fd);
	close(tty);
	return true;
}

int main(void)
{
	struct stage s = { .nul = NULL };
	struct store *st;

	if (!has_pty()) {
		puts("1..0 # SKIP there are no pseudo-terminals here");
		return 0;
	}
	stage_folder(&s);
	stage_must(store_open(s.db, &st));
	for (int i = 0; i < STAGE_RUNS; i++)
		stage_add(st, i, &stage_runs[i], NULL);
	store_close(st);
	opens_and_quits(s.dir);
	dies_clean(s.dir, SIGTERM);
	dies_clean(s.dir, SIGINT);
	dies_clean(s.dir, SIGHUP);
	dies_clean(s.dir, SIGSEGV);
	stops_and_goes_on(s.dir);
	refuses(s.dir, "dumb");
	refuses(s.dir, "no-such-terminal");
	(void)fs_remove_tree(s.dir);
	return check_done();
}
