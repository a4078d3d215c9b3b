/* Rows of text and label from .jsonl, .tsv, .csv and .txt files. */
#ifndef DATA_ROWS_H
#define DATA_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The ending chooses the format: .jsonl (an object a line), .tsv (a header,
 * fields split at tabs, quotes mean nothing), .csv (a header, RFC 4180), .txt
 * (a text a line, no label); each may be followed by .gz. Text is handed on
 * verbatim. A line of JSON, TSV or CSV without anything in it is skipped; in a
 * .txt it is an empty text.
 *
 * The file is hostile: a record is at most 16 MiB, text is UTF-8 without NUL,
 * and every complaint names FILE:LINE.
 */
struct rows;

/* Which columns hold what; a NULL name is not looked for. */
struct row_columns {
	const char *text_a, *text_b, *label;
};

struct row {
	const char *text_a, *text_b; /* text_b NULL: absent, null or empty */
	size_t size_a, size_b;
	const char *label;    /* as text; NULL: absent, null or empty */
	bool label_is_number; /* label reads as a finite number */
	bool has_text_b;      /* the row has that column, even if it is null or empty */
	double number;
	int64_t line; /* where the row starts, from 1 */
};

/*
 * text_a must be a column; text_b and label may be missing from a file, and
 * then simply are not there. Strings of columns are copied.
 */
int rows_open(const char *path, const struct row_columns *columns, struct rows **ret);
/* 1: a row, valid until the next call; 0: the end; negative: an error. */
int rows_next(struct rows *r, struct row *ret);
void rows_close(struct rows *r); /* NULL is fine */
const char *rows_path(const struct rows *r);
/* Put "FILE:LINE: " in front of the recorded error, LINE that of the row last read; returns its code. */
int rows_blame(const struct rows *r);
/* The columns this file has, for sentences: "text, score". */
const char *rows_columns(const struct rows *r);

#endif
