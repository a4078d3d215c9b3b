/* The engine's own words: one line, one write, so that lines of two processes never mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Lines that wait to be wanted; only before a second thread is started. */
static struct {
	bool holding;
	size_t n;
	char text[16384];
} held;

/* Nobody is left to tell when stderr fails. */
static void say(const char *text, size_t n)
{
	if (n && write(STDERR_FILENO, text, n) < 0)
		return;
}

void log_hold(void) { held.holding = true; }

void log_release(void)
{
	say(held.text, held.n);
	log_drop();
}

void log_drop(void)
{
	held.holding = false;
	held.n = 0;
}

void log_line(const char *fmt, ...)
{
	char line[2048];
	const time_t now = time(NULL);
	struct tm utc;
	size_t n;
	va_list ap;

	if (!gmtime_r(&now, &utc))
		return;
	n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%SZ ", &utc);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - n - 1, fmt,
		  ap); /* cut when too long; room for the end */
	va_end(ap);
	for (char *p = line; *p; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	n = strlen(line);
	line[n++] = '\n';
	if (!held.holding) {
		say(line, n);
	} else if (n <= sizeof(held.text) - held.n) {
		memcpy(held.text + held.n, line, n);
		held.n += n;
	}
}
