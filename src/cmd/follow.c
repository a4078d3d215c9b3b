/*
 * Following a run to its end: a progress line on a terminal (bar, loss, speed,
 * time left), plain lines elsewhere. Everything is read from the run log, so
 * what is shown is what is kept. Ctrl-C asks the trainer to stop with a
 * checkpoint; a second one leaves it to itself.
 */
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/proc.h"
#include "cmd/cmd.h"
#include "db/metric.h"

enum { TICK_MS = 100, BAR = 24 };

static volatile sig_atomic_t interrupts;

static void on_interrupt(int number)
{
	(void)number;
	interrupts++;
}

struct follow {
	struct store *store;
	struct run run;
	bool terminal, quiet;
	int64_t began_us, began_step; /* for the time left: speed since we look */
	int64_t eval_step;            /* the last evaluation that was said */
	bool drawn;
};

static double last_of(struct follow *f, const char *key, int64_t *ret_step)
{
	struct metric_last *last;
	double value = NAN;
	size_t n;

	*ret_step = -1;
	if (metric_last(f->store, f->run.row, &last, &n))
		return NAN;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(last[i].key, key)) {
			value = last[i].value;
			*ret_step = last[i].step;
		}
	free(last);
	return value;
}

static void time_left(struct follow *f, char *ret, size_t size)
{
	const int64_t done = f->run.step - f->began_step;
	const double seconds = (double)(proc_clock_us() - f->began_us) * 1e-6;
	double left;

	if (done <= 0 || f->run.total_steps <= 0) {
		snprintf(ret, size, "-:--");
		return;
	}
	left = seconds / (double)done * (double)(f->run.total_steps - f->run.step);
	if (left >= 3600)
		snprintf(ret, size, "%d:%02d:%02d", (int)(left / 3600), (int)(left / 60) % 60,
			 (int)left % 60);
	else
		snprintf(ret, size, "%d:%02d", (int)(left / 60), (int)left % 60);
}

static int columns(void)
{
	struct winsize w;

	return !ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col ? w.ws_col : 80;
}

static void draw(struct follow *f)
{
	const int64_t total = f->run.total_steps > 0 ? f->run.total_steps : 1;
	const int full = (int)(BAR * f->run.step / total);
	char bar[BAR + 1], left[32];
	struct buf all, line;
	int64_t step;
	const double loss = last_of(f, "train/loss", &step),
		     speed = last_of(f, "train/tokens_per_second", &step);

	for (int i = 0; i < BAR; i++)
		bar[i] = i < full ? '#' : '.';
	bar[BAR] = 0;
	time_left(f, left, sizeof(left));
	buf_init(&all, 4096);
	buf_init(&line, 4096);
	cmd_left(&all, f->run.name, 12);
	buf_printf(&all, " [%s] %lld/%lld  loss %.4f  %.0f tokens/s  left %s%s", bar,
		   (long long)f->run.step, (long long)f->run.total_steps, loss,
		   isfinite(speed) ? speed : 0.0, left,
		   f->run.state == RUN_PAUSED ? "  paused" : "");
	cmd_left(&line, all.data ? all.data : "", columns() - 1);
	fprintf(stderr, "\r%s\033[K", line.data ? line.data : "");
	buf_done(&line);
	buf_done(&all);
	f->drawn = true;
}

/* One line an evaluation, for logs and pipes; on a terminal above the bar. */
static void say_eval(struct follow *f)
{
	int64_t step, at;
	const double loss = last_of(f, "eval/loss", &step);
	const double judged = last_of(f, f->run.metric_key, &at);

	if (step < 0 || step == f->eval_step)
		return;
	f->eval_step = step;
	fprintf(stderr, "%sstep %lld/%lld  eval/loss %.4f", f->drawn ? "\r\033[K" : "",
		(long long)step, (long long)f->run.total_steps, loss);
	if (at == step && strcmp(f->run.metric_key, "eval/loss") != 0)
		fprintf(stderr, "  %s %.4f", f->run.metric_key, judged);
	fputc('\n', stderr);
	f->drawn = false;
}

static bool over(const struct run *r)
{
	return r->state != RUN_QUEUED && r->state != RUN_RUNNING && r->state != RUN_PAUSED;
}

/* Ctrl-C: the first asks for a stop, the second leaves. True: leave. */
static bool heed_interrupt(const struct started *s, int *heard)
{
	if (interrupts == *heard)
		return false;
	*heard = interrupts;
	if (*heard > 1)
		return true;
	fprintf(stderr,
		"\nstopping with a checkpoint; Ctrl-C again leaves the trainer to itself\n");
	(void)kill((pid_t)s->pid, SIGTERM);
	return false;
}

static int follow(struct follow *f, const struct started *s)
{
	int heard = 0, code;

	do {
		(void)poll(NULL, 0, TICK_MS);
		if (heed_interrupt(s, &heard))
			return err_set(TT_STOPPED, "run %s goes on; `trimtab stop %s` ends it",
				       s->id, s->id);
		(void)waitpid((pid_t)s->pid, NULL, WNOHANG);
		if (!store_changed(f->store) && proc_start_time((pid_t)s->pid))
			continue;
		run_done(&f->run);
		code = run_get(f->store, s->id, &f->run);
		if (code)
			return code;
		if (!f->quiet)
			say_eval(f);
		if (f->terminal && !f->quiet && !over(&f->run))
			draw(f);
	} while (!over(&f->run));
	return TT_OK;
}

/* A terminal that can go back to the start of a line. */
static bool can_redraw(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

int cmd_follow(const struct started *s, bool quiet)
{
	struct follow f = { .terminal = can_redraw(STDERR_FILENO),
			    .quiet = quiet,
			    .eval_step = -1 };
	struct sigaction ours = { .sa_handler = on_interrupt }, before;
	int code = cmd_open_read(&f.store);

	if (!code)
		code = run_get(f.store, s->id, &f.run);
	if (!code) {
		f.began_us = proc_clock_us();
		f.began_step = f.run.step;
		sigemptyset(&ours.sa_mask);
		sigaction(SIGINT, &ours, &before);
		code = follow(&f, s);
		sigaction(SIGINT, &before, NULL);
	}
	if (f.drawn)
		fputs("\r\033[K", stderr);
	run_done(&f.run);
	store_close(f.store);
	return code;
}
