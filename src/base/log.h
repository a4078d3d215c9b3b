#ifndef BASE_LOG_H
#define BASE_LOG_H

/* The engine's own words: lines with a UTC time stamp on stderr, which the front points at RUN/log.txt. */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
