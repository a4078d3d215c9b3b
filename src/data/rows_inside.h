/* What the readers of the row formats share. */
#ifndef DATA_ROWS_INSIDE_H
#define DATA_ROWS_INSIDE_H

#include "data/rows.h"
#include "data/text.h"

enum { RECORD_MAX = 16 << 20, COLUMNS_MAX = 4096, CHUNK = 64 << 10 };

struct rows_format {
	const char *ending;
	int (*open)(struct rows *r); /* reads the header; may be NULL */
	int (*next)(struct rows *r, struct row *ret);
	void (*close)(struct rows *r); /* may be NULL */
};

extern const struct rows_format rows_jsonl, rows_tsv, rows_csv;

struct rows {
	char *path;
	char *text_a, *text_b, *label; /* column names, NULL: not looked for */
	const struct rows_format *format;
	void *file; /* gzFile; reads plain files too */
	char *chunk;
	size_t chunk_at, chunk_n;
	bool done;
	struct text record;  /* the line, NUL-terminated after rows_line */
	int64_t line, lines; /* where the record starts; lines read so far */
	struct text names;   /* column names, comma-separated, NUL-terminated */

	/* of jsonl */
	struct json *doc;
	char *number; /* a number label as text */

	/* of tsv and csv */
	struct text fields; /* all fields of the record, each NUL-terminated */
	size_t *field;      /* where each starts */
	size_t n_fields, field_room;
	size_t columns;           /* of the header */
	int at_a, at_b, at_label; /* -1: not there */
};

/* Read a line into record; 1, 0 at the end, or negative. more: append it, behind a newline. */
int rows_line(struct rows *r, bool more);
int rows_name_add(struct rows *r, const char *name); /* to names */
/* The error for a file without the column text_a. */
int rows_no_column(struct rows *r, const char *column);
/* Set the row's label and what follows from it. */
void row_label(struct row *row, const char *label);

#endif
