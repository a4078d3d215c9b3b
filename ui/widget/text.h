#ifndef UI_WIDGET_TEXT_H
#define UI_WIDGET_TEXT_H

#include <curses.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Text from anywhere on the screen. Names, causes and log lines come from
 * files and are hostile: control characters, escape sequences, bidi controls
 * and broken UTF-8 become a mark, a tab a blank, joiners and variation selectors vanish, a
 * base takes few combining characters, and widths are columns, not bytes.
 * Where the locale is not UTF-8 everything beyond ASCII is '?'.
 */

enum { TEXT_MARKS = 3 }; /* combining characters that one base may carry */

struct text_cell {
	wchar_t wc[TEXT_MARKS + 2]; /* base, marks, 0 */
	int width;                  /* 1 or 2 columns */
};

bool text_unicode(void); /* does the locale speak UTF-8? */
/* The next cell of *p, which moves on; false at the end. */
bool text_next(const char **p, struct text_cell *ret);
int text_width(const char *text);
/* At most `width` columns at y, x with the window's attributes; too long ends in an ellipsis. Returns the columns used. */
int text_put(WINDOW *w, int y, int x, int width, const char *text);
int text_put_right(WINDOW *w, int y, int x, int width,
		   const char *text); /* flush right; the same */
/* Plain text of our own, in printf's words, put the same way. */
int text_printf(WINDOW *w, int y, int x, int width, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* Over at most `most` lines, broken at blanks where there are any. Returns the lines used. */
int text_paragraph(WINDOW *w, int y, int x, int width, int most, const char *text);

/* One code point of UTF-8; *p moves on. -1 for a broken byte, 0 at the end. */
int32_t text_decode(const char **p);
/* The same for files: control characters are blanks, a broken byte is U+FFFD; 0 at the end. */
int32_t text_plain(const char **p);
/* Append a code point to a NUL-terminated text in a room of `size`; false when it does not fit. */
bool text_append(char *text, size_t size, int32_t code);
void text_chop(char *text); /* take the last code point away */

/* Numbers for people; ret holds NUMBER_SIZE bytes. */
enum { NUMBER_SIZE = 32 };
void number_count(char *ret, int64_t n); /* 1,080 */
void number_short(char *ret, double n);  /* 1.2M, 340k: for parameters and bytes */
void number_value(char *ret, double v,
		  int room); /* as many digits as `room` columns hold, at least 5; NaN, inf */
void number_duration(char *ret, int64_t us); /* 04:12, 3:04:12, 12d 3h */

#endif
