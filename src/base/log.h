#ifndef BASE_LOG_H
#define BASE_LOG_H

/* The engine's own words: lines with a UTC time stamp on stderr, which the front points at RUN/log.txt. */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * While a recipe is opened, lines are held back (some 16 KiB of them): they belong into the log of
 * a run that may never come to be, and a failure is to be one sentence. Release writes them, drop
 * forgets them; without a hold both do nothing.
 */
void log_hold(void);
void log_release(void);
void log_drop(void);

#endif
