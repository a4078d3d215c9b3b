/*
 * Rows of tables with a header: TSV, where fields end at tabs and nothing else
 * has a meaning, and CSV as RFC 4180 has it, where a quoted field may hold
 * commas, newlines and doubled quotes.
 */
#include <string.h>

#include "base/err.h"
#include "data/rows_inside.h"

static int field_start(struct rows *r)
{
	int code = TT_OK;

	if (r->n_fields == COLUMNS_MAX)
		return err_set(TT_INVALID, "the line has more than %d fields", COLUMNS_MAX);
	code = array_grow(&r->field, &r->field_room, r->n_fields + 1, sizeof(*r->field));
	if (code == TT_OK)
		r->field[r->n_fields++] = r->fields.n;
	return code;
}

static int field_end(struct rows *r) { return text_add(&r->fields, "", 1); }

/* A carriage return before the line's end belongs to the end. */
static void record_trim(struct rows *r)
{
	if (r->record.n && r->record.data[r->record.n - 1] == '\r')
		r->record.data[--r->record.n] = 0;
}

static int tsv_split(struct rows *r)
{
	const char *at = r->record.data, *end = at + r->record.n;
	int code = TT_OK;

	record_trim(r);
	end = at + r->record.n;
	for (;;) {
		const char *tab = memchr(at, '\t', (size_t)(end - at));
		const char *stop = tab ? tab : end;

		code = field_start(r);
		if (code == TT_OK)
			code = text_add(&r->fields, at, (size_t)(stop - at));
		if (code == TT_OK)
			code = field_end(r);
		if (code < 0 || !tab)
			return code;
		at = tab + 1;
	}
}

/* A quoted field from *at, behind its quote, to behind the closing one. */
static int csv_quoted(struct rows *r, size_t *at)
{
	int code = TT_OK;

	for (;;) {
		const char *s = r->record.data + *at;
		const char *quote = memchr(s, '"', r->record.n - *at);

		if (!quote) {
			const size_t n = r->record.n - *at;
			code = text_add(&r->fields, s, n);
			if (code == TT_OK)
				code = text_add(&r->fields, "\n", 1);
			*at += n + 1;
			if (code == TT_OK)
				code = rows_line(r, true);
			if (code <= 0)
				return code < 0 ? code
						: err_set(TT_INVALID,
							  "a quoted field has no closing quote");
			continue;
		}
		code = text_add(&r->fields, s, (size_t)(quote - s));
		*at += (size_t)(quote - s) + 1;
		if (code < 0 || r->record.data[*at] != '"')
			return code;
		code = text_add(&r->fields, "\"", 1);
		*at += 1;
		if (code < 0)
			return code;
	}
}

static int csv_field(struct rows *r, size_t *at)
{
	int code = field_start(r);
	size_t n;

	if (code < 0)
		return code;
	if (r->record.data[*at] == '"') {
		*at += 1;
		code = csv_quoted(r, at);
		if (code == TT_OK && r->record.data[*at] == '\r' && *at + 1 == r->record.n)
			*at += 1;
		if (code == TT_OK && *at < r->record.n && r->record.data[*at] != ',')
			code = err_set(TT_INVALID, "field %zu goes on behind its closing quote",
				       r->n_fields);
	} else {
		n = strcspn(r->record.data + *at, ",");
		if (*at + n == r->record.n && n && r->record.data[r->record.n - 1] == '\r') {
			record_trim(r);
			n--;
		}
		code = text_add(&r->fields, r->record.data + *at, n);
		*at += n;
	}
	return code < 0 ? code : field_end(r);
}

static int csv_split(struct rows *r)
{
	size_t at = 0;

	for (;;) {
		const int code = csv_field(r, &at);

		if (code < 0 || at >= r->record.n)
			return code;
		at++; /* the comma */
	}
}

/* Read a record into fields, over lines that are empty. */
static int table_record(struct rows *r, int (*split)(struct rows *r))
{
	int code;

	do
		code = rows_line(r, false);
	while (code > 0 && (!r->record.n || !strcmp(r->record.data, "\r")));
	if (code <= 0)
		return code;
	r->fields.n = 0;
	r->n_fields = 0;
	code = split(r);
	return code < 0 ? code : 1;
}

static const char *field(const struct rows *r, size_t i) { return r->fields.data + r->field[i]; }

static int column_find(const struct rows *r, const char *name, int *ret)
{
	*ret = -1;
	for (size_t i = 0; name && i < r->n_fields; i++) {
		if (strcmp(field(r, i), name) != 0)
			continue;
		if (*ret >= 0)
			return err_set(TT_INVALID, "the header has two columns '%.100s'", name);
		*ret = (int)i;
	}
	return TT_OK;
}

static int table_open(struct rows *r, int (*split)(struct rows *r))
{
	int code = table_record(r, split);

	if (code == 0)
		return err_set(TT_INVALID,
			       "the file is empty; its first line must name the columns");
	if (code < 0)
		return code;
	code = TT_OK;
	for (size_t i = 0; i < r->n_fields && code == TT_OK; i++)
		code = rows_name_add(r, field(r, i));
	if (code == TT_OK)
		code = column_find(r, r->text_a, &r->at_a);
	if (code == TT_OK)
		code = column_find(r, r->text_b, &r->at_b);
	if (code == TT_OK)
		code = column_find(r, r->label, &r->at_label);
	if (code == TT_OK && r->at_a < 0)
		code = rows_no_column(r, r->text_a);
	r->columns = r->n_fields;
	return code;
}

static int table_next(struct rows *r, struct row *row, int (*split)(struct rows *r))
{
	const int code = table_record(r, split);

	if (code <= 0)
		return code;
	if (r->n_fields != r->columns)
		return err_set(TT_INVALID, "the row has %zu fields, and the header has %zu",
			       r->n_fields, r->columns);
	row->text_a = field(r, (size_t)r->at_a);
	row->size_a = strlen(row->text_a);
	row->has_text_b = r->at_b >= 0;
	if (r->at_b >= 0) {
		row->text_b = field(r, (size_t)r->at_b);
		row->size_b = strlen(row->text_b);
	}
	if (r->at_label >= 0)
		row_label(row, field(r, (size_t)r->at_label));
	return 1;
}

static int tsv_open(struct rows *r) { return table_open(r, tsv_split); }

static int tsv_next(struct rows *r, struct row *row) { return table_next(r, row, tsv_split); }

static int csv_open(struct rows *r) { return table_open(r, csv_split); }

static int csv_next(struct rows *r, struct row *row) { return table_next(r, row, csv_split); }

const struct rows_format rows_tsv = { ".tsv", tsv_open, tsv_next, NULL };
const struct rows_format rows_csv = { ".csv", csv_open, csv_next, NULL };
