/*
 * The workbench on a real terminal: one loop, no threads. It waits for keys,
 * for signals (which handlers write into a pipe) and for a tick four times a
 * second. However the program ends, the terminal is as it was before.
 */
#include "ui/app.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"
#include "ui/keymap.h"
#include "ui/widget/text.h"

enum { TICK_MS = 250, ESCAPE_MS = 25, DEAD_READS = 50 };

/* What signal handlers need: they get nothing else handed in. */
static struct {
	int pipe[2];
	bool saved;
	struct termios before;
	char leave[256]; /* what makes the terminal usual again */
	size_t leave_n;
} terminal = { .pipe = { -1, -1 } };

static const int told[] = { SIGWINCH, SIGTERM, SIGINT, SIGHUP, SIGTSTP, SIGCONT };
static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT };

static void on_told(int number)
{
	const int before = errno;
	const unsigned char c = (unsigned char)number;
	const ssize_t n = write(terminal.pipe[1], &c, 1);

	(void)n; /* a full pipe has told us enough */
	errno = before;
}

/* Only calls that a signal handler may make. SA_RESETHAND lets the second raise end the program. */
static void on_crash(int number)
{
	if (terminal.saved) {
		const ssize_t n = write(STDOUT_FILENO, terminal.leave, terminal.leave_n);

		(void)n;
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
	}
	(void)raise(number);
}

static void catch_signals(void)
{
	struct sigaction tell = { .sa_handler = on_told, .sa_flags = SA_RESTART };
	struct sigaction crash = { .sa_handler = on_crash,
				   .sa_flags = (int)SA_RESETHAND | SA_NODEFER };

	sigemptyset(&tell.sa_mask);
	sigemptyset(&crash.sa_mask);
	for (size_t i = 0; i < COUNT(told); i++)
		(void)sigaction(told[i], &tell, NULL);
	for (size_t i = 0; i < COUNT(crashes); i++)
		(void)sigaction(crashes[i], &crash, NULL);
}

/* What a crash must write: the sequences that curses would send on a good day. */
static void note_leave(void)
{
	static const char *const names[] = { "sgr0", "cnorm", "rmkx", "rmcup" };

	for (size_t i = 0; i < COUNT(names); i++) {
		char name[8];
		const char *text;
		size_t n;

		snprintf(name, sizeof(name), "%s", names[i]);
		text = tigetstr(name);
		if (!text || text == (char *)-1)
			continue;
		n = strcspn(text, "$"); /* padding is for terminals of another age */
		if (terminal.leave_n + n <= sizeof(terminal.leave)) {
			memcpy(terminal.leave + terminal.leave_n, text, n);
			terminal.leave_n += n;
		}
	}
}

static int refuse(const char *why)
{
	fprintf(stderr,
		"trimtab: the workbench needs a terminal, and %s; `trimtab --help` lists the "
		"verbs\n",
		why);
	return TT_INVALID;
}

/* Asked before newterm, which leaves memory behind when it fails. */
static bool is_known(const char *type)
{
	int found;

	if (setupterm(type, STDOUT_FILENO, &found) != OK)
		return false;
	(void)del_curterm(cur_term);
	return true;
}

static int open_terminal(SCREEN **ret)
{
	const char *type = getenv("TERM");
	SCREEN *screen;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return refuse("this is none");
	if (!type || !*type || !strcmp(type, "dumb") || !strcmp(type, "unknown"))
		return refuse("TERM does not name one that can move its cursor");
	if (!is_known(type))
		return refuse("TERM names none that this system knows");
	if (pipe2(terminal.pipe, O_CLOEXEC | O_NONBLOCK))
		return refuse("the system has no pipe left");
	terminal.saved = !tcgetattr(STDIN_FILENO, &terminal.before);
	catch_signals(); /* first: curses then leaves them alone */
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return refuse("curses cannot use this one");
	note_leave();
	(void)cbreak();
	(void)noecho();
	(void)nonl();
	(void)set_escdelay(ESCAPE_MS);
	(void)intrflush(stdscr, FALSE);
	(void)keypad(stdscr, TRUE);
	(void)nodelay(stdscr, TRUE);
	(void)curs_set(0);
	*ret = screen;
	return TT_OK;
}

static void resize(void)
{
	struct winsize w;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && w.ws_row && w.ws_col)
		(void)resizeterm(w.ws_row, w.ws_col);
}

/* Stop as if nothing had been caught; we come back here when the shell lets us go on. */
static void suspend(void)
{
	struct sigaction usual = { .sa_handler = SIG_DFL };

	(void)endwin();
	sigemptyset(&usual.sa_mask);
	(void)sigaction(SIGTSTP, &usual, NULL);
	(void)raise(SIGTSTP);
	catch_signals();
}

/* Returns the signal that ends the program, or 0. */
static int heed_signals(bool *redraw)
{
	unsigned char c;

	while (read(terminal.pipe[0], &c, 1) == 1) {
		if (c == SIGTSTP)
			suspend();
		if (c == SIGWINCH || c == SIGTSTP || c == SIGCONT) {
			resize();
			(void)clearok(curscr, TRUE);
			*redraw = true;
		} else {
			return c;
		}
	}
	return 0;
}

/* True while there are keys; a resize that curses reports is known already. */
static bool next_key(int *ret)
{
	wint_t wc;
	const int got = wget_wch(stdscr, &wc);

	if (got == ERR)
		return false;
	*ret = got == KEY_CODE_YES ? KEY_TERMINAL((int)wc) : (int)wc;
	return true;
}

static int heed_keys(struct app *app, bool *redraw)
{
	int key, n = 0;

	for (; !app->quit && next_key(&key); n++)
		if (key != KEY_TERMINAL(KEY_RESIZE) && app_key(app, key))
			*redraw = true;
	return n;
}

static void show(struct app *app)
{
	app_draw(app, stdscr);
	(void)wnoutrefresh(stdscr);
	(void)doupdate();
}

static int wait_ms(const struct app *app, int64_t next)
{
	const int64_t left = (next - proc_clock_us()) / 1000 + 1;

	if (app->busy || left < 0)
		return 0;
	return left > TICK_MS ? TICK_MS : (int)left;
}

/* Returns the signal that ended it, or 0. */
static int loop(struct app *app)
{
	struct pollfd fd[] = { { .fd = STDIN_FILENO, .events = POLLIN },
			       { .fd = terminal.pipe[0], .events = POLLIN } };
	int64_t next = proc_clock_us() + TICK_MS * 1000;
	bool redraw = true;
	int dead = 0, number = 0;

	while (!app->quit && !number) {
		if (redraw)
			show(app);
		redraw = false;
		if (poll(fd, COUNT(fd), wait_ms(app, next)) < 0 && errno != EINTR)
			return SIGHUP;
		number = heed_signals(&redraw);
		if (number)
			break;
		dead = heed_keys(app, &redraw) || !(fd[0].revents & POLLIN) ? 0 : dead + 1;
		if (dead > DEAD_READS || (fd[0].revents & (POLLHUP | POLLERR | POLLNVAL)))
			return SIGHUP;
		if (app->busy || proc_clock_us() >= next) {
			redraw |= app_tick(app);
			next = proc_clock_us() + TICK_MS * 1000;
		}
	}
	return number;
}

/* Die of the signal, so that whoever waits for us learns the truth. */
static void die_of(int number)
{
	struct sigaction usual = { .sa_handler = SIG_DFL };

	sigemptyset(&usual.sa_mask);
	(void)sigaction(number, &usual, NULL);
	(void)raise(number);
}

/* With a run to watch, its screen lies on top and the workbench closes with it. */
static int begin(struct app *app, const char *db, const char *watched, const struct verb *verbs)
{
	int code = app_init(app, db, proc_now_us);

	if (code)
		return code;
	app->verbs = verbs;
	app->program = "/proc/self/exe";
	if (!watched)
		return TT_OK;
	snprintf(app->watched, sizeof(app->watched), "%s", watched);
	return app_open(app, "run", watched);
}

static int work(const char *watched, const struct verb *verbs)
{
	char home[PATH_MAX], db[PATH_MAX];
	struct app app;
	SCREEN *screen;
	int number = 0, code = fs_home(home, sizeof(home));

	if (!code)
		code = fs_join(db, sizeof(db), home, "runs.db");
	if (code) {
		fprintf(stderr, "trimtab: %s\n", err_text());
		return 1;
	}
	if (open_terminal(&screen))
		return 1;
	code = begin(&app, db, watched, verbs);
	if (!code)
		number = loop(&app);
	(void)endwin();
	if (code)
		fprintf(stderr, "trimtab: %s\n", err_text());
	app_done(&app);
	delscreen(screen);
	if (number)
		die_of(number);
	return code ? 1 : 0;
}

int app_main(const struct verb *verbs) { return work(NULL, verbs); }

int app_watch(const char *id) { return work(id, NULL); }
