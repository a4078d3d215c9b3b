/* Opening row files, reading their lines, and plain text files. */
#include "data/rows.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "data/rows_inside.h"

const char *rows_path(const struct rows *r) { return r->path; }

const char *rows_columns(const struct rows *r) { return r->names.n ? r->names.data : ""; }

int rows_blame(const struct rows *r) { return err_in("%s:%lld", r->path, (long long)r->line); }

int rows_name_add(struct rows *r, const char *name)
{
	int code;

	if (r->names.n > 1000)
		return TT_OK;
	if (r->names.n)
		r->names.n--; /* the NUL */
	code = r->names.n ? text_add(&r->names, ", ", 2) : TT_OK;
	if (code == TT_OK)
		code = text_add(&r->names, name, strnlen(name, 100));
	return code < 0 ? code : text_add(&r->names, "", 1);
}

int rows_no_column(struct rows *r, const char *column)
{
	return err_set(TT_INVALID, "there is no column '%.100s'; there are: %.400s", column,
		       rows_columns(r));
}

static int rows_fill(struct rows *r)
{
	int n, error = Z_OK;
	const char *why;

	if (r->done)
		return 0;
	n = gzread(r->file, r->chunk, CHUNK);
	why = gzerror(r->file, &error);
	if (n < 0 || (error != Z_OK && error != Z_STREAM_END))
		return err_set(TT_IO, "%s: reading failed: %s", r->path,
			       error == Z_ERRNO       ? strerror(errno)
			       : error == Z_BUF_ERROR ? "the compressed file ends too early"
						      : why);
	r->chunk_at = 0;
	r->chunk_n = (size_t)n;
	r->done = n == 0;
	return n > 0;
}

static int record_add(struct rows *r, const char *s, size_t n)
{
	if (r->record.n + n > RECORD_MAX)
		return err_set(TT_INVALID, "a row is longer than %d MiB", RECORD_MAX >> 20);
	return text_add(&r->record, s, n);
}

/* What was read from `from` on is one whole line: check it and end it with a NUL. */
static int record_check(struct rows *r, size_t from)
{
	char *line = r->record.data + from;
	size_t n = r->record.n - from, at;

	if (r->lines == 1 && n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
		memmove(line, line + 3, n - 3); /* a byte order mark is not text */
		r->record.n -= 3;
		n -= 3;
	}
	if (memchr(line, 0, n))
		return err_set(TT_INVALID, "the line holds a NUL byte");
	if (!utf8_check(line, n, &at))
		return err_set(TT_INVALID, "the line is not UTF-8 at byte %zu", at + 1);
	line[n] = 0;
	return 1;
}

static int read_line(struct rows *r, bool more)
{
	size_t from = 0;
	bool any = false;
	int code = TT_OK;

	if (!more)
		r->record.n = 0;
	else
		code = record_add(r, "\n", 1);
	from = r->record.n;
	while (code >= 0) {
		const char *s = r->chunk + r->chunk_at;
		const size_t left = r->chunk_n - r->chunk_at;
		const char *end = left ? memchr(s, '\n', left) : NULL;
		const size_t n = end ? (size_t)(end - s) : left;

		if (!left) {
			code = rows_fill(r);
			if (code == 0)
				break;
			continue;
		}
		any = true;
		code = record_add(r, s, n);
		r->chunk_at += end ? n + 1 : n;
		if (end)
			break;
	}
	if (code < 0 || !any)
		return code < 0 ? code : 0;
	r->lines++;
	code = text_reserve(&r->record, r->record.n + 1);
	return code < 0 ? code : record_check(r, from);
}

int rows_line(struct rows *r, bool more)
{
	if (!more)
		r->line = r->lines + 1;
	return read_line(r, more);
}

void row_label(struct row *row, const char *label)
{
	struct json *number = NULL;

	if (!label || !*label)
		return;
	row->label = label;
	if (*label != '-' && (*label < '0' || *label > '9'))
		return;
	if (json_parse(label, strlen(label), &number) == TT_OK) {
		row->number = json_number(number);
		row->label_is_number = isfinite(row->number);
	}
	json_free(number);
}

static int txt_open(struct rows *r) { return rows_name_add(r, r->text_a); }

/* The one column has whatever name is asked for. */
static int txt_next(struct rows *r, struct row *ret)
{
	const int code = rows_line(r, false);

	if (code <= 0)
		return code;
	ret->text_a = r->record.data;
	ret->size_a = r->record.n;
	return 1;
}

static const struct rows_format rows_txt = { ".txt", txt_open, txt_next, NULL };

static const struct rows_format *const formats[] = { &rows_jsonl, &rows_tsv, &rows_csv, &rows_txt };

static const struct rows_format *format_find(const char *path)
{
	size_t n = strlen(path);

	if (n > 3 && !strcmp(path + n - 3, ".gz"))
		n -= 3;
	for (size_t i = 0; i < COUNT(formats); i++) {
		const size_t e = strlen(formats[i]->ending);
		if (n > e && !memcmp(path + n - e, formats[i]->ending, e))
			return formats[i];
	}
	return NULL;
}

static char *copy_or_null(const char *s, bool *failed)
{
	char *copy = s ? strdup(s) : NULL;

	*failed = *failed || (s && !copy);
	return copy;
}

static int rows_start(struct rows *r, const char *path, const struct row_columns *columns)
{
	bool failed = false;

	r->path = copy_or_null(path, &failed);
	r->text_a = copy_or_null(columns->text_a ? columns->text_a : "text_a", &failed);
	r->text_b = copy_or_null(columns->text_b, &failed);
	r->label = copy_or_null(columns->label, &failed);
	r->chunk = malloc(CHUNK);
	if (failed || !r->chunk || text_reserve(&r->record, 1) < 0)
		return err_set(TT_NOMEM, "there is no memory to read %s", path);
	errno = 0;
	r->file = gzopen(path, "rbe");
	if (!r->file)
		return err_set(errno == ENOENT ? TT_NOTFOUND : TT_IO, "%s: %s", path,
			       errno ? strerror(errno) : "there is no memory to read it");
	gzbuffer(r->file, CHUNK);
	return TT_OK;
}

int rows_open(const char *path, const struct row_columns *columns, struct rows **ret)
{
	const struct rows_format *format = format_find(path);
	struct rows *r;
	int code;

	if (!format)
		return err_set(TT_INVALID,
			       "%s: data files end in .jsonl, .tsv, .csv or .txt, "
			       "perhaps with .gz",
			       path);
	if (fs_is_dir(path))
		return err_set(TT_INVALID, "%s is a folder, not a data file", path);
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(TT_NOMEM, "there is no memory to read %s", path);
	code = rows_start(r, path, columns);
	r->format = format;
	if (code == TT_OK && format->open) {
		code = format->open(r);
		if (code < 0 && code != TT_IO)
			rows_blame(r);
	}
	if (code < 0) {
		rows_close(r);
		return code;
	}
	*ret = r;
	return TT_OK;
}

int rows_next(struct rows *r, struct row *ret)
{
	struct row row = { .number = (double)NAN };
	const int code = r->format->next(r, &row);

	if (code < 0 && code != TT_IO)
		return rows_blame(r);
	if (code <= 0)
		return code;
	if (!row.size_b)
		row.text_b = NULL;
	row.line = r->line;
	*ret = row;
	return 1;
}

void rows_close(struct rows *r)
{
	if (!r)
		return;
	if (r->file)
		gzclose(r->file);
	if (r->format && r->format->close)
		r->format->close(r);
	free(r->path);
	free(r->text_a);
	free(r->text_b);
	free(r->label);
	free(r->chunk);
	free(r->field);
	text_done(&r->record);
	text_done(&r->names);
	text_done(&r->fields);
	free(r);
}
