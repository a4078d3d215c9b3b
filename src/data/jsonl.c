/* Rows of JSON lines: an object a line; the columns are its keys. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "data/rows_inside.h"

static void jsonl_close(struct rows *r)
{
	json_free(r->doc);
	free(r->number);
	r->doc = NULL;
	r->number = NULL;
}

static int name_keys(struct rows *r)
{
	int code = TT_OK;

	r->names.n = 0;
	for (const struct json *i = json_first(r->doc); i && code == TT_OK; i = json_next(i))
		code = rows_name_add(r, json_key(i));
	return code;
}

static int jsonl_text(struct rows *r, const char *column, bool needed, const char **ret,
		      size_t *ret_size)
{
	const struct json *j = column ? json_get(r->doc, column) : NULL;

	if (needed && !j) {
		const int code = name_keys(r);
		return code < 0 ? code : rows_no_column(r, column);
	}
	if (!j || (!needed && json_type(j) == JSON_NULL))
		return TT_OK;
	if (json_type(j) != JSON_TEXT)
		return err_set(TT_INVALID, "'%.100s' must be a string, and is %s", column,
			       json_type_name(json_type(j)));
	*ret = json_text(j);
	*ret_size = strlen(*ret);
	return TT_OK;
}

static int jsonl_label(struct rows *r, struct row *row)
{
	const struct json *j = r->label ? json_get(r->doc, r->label) : NULL;

	if (!j || json_type(j) == JSON_NULL)
		return TT_OK;
	switch (json_type(j)) {
	case JSON_TEXT: row_label(row, json_text(j)); return TT_OK;
	case JSON_NUMBER:
	case JSON_BOOL:
		r->number = json_print(j, false);
		if (!r->number)
			return err_set(TT_NOMEM, "there is no memory for a label");
		row_label(row, r->number);
		return TT_OK;
	default:
		return err_set(TT_INVALID, "'%.100s' must be a string or a number, and is %s",
			       r->label, json_type_name(json_type(j)));
	}
}

/* Skips lines of white space. */
static int jsonl_line(struct rows *r)
{
	int code;

	do
		code = rows_line(r, false);
	while (code > 0 && strspn(r->record.data, " \t\r") == r->record.n);
	return code;
}

static int jsonl_next(struct rows *r, struct row *row)
{
	int code = jsonl_line(r);

	jsonl_close(r);
	if (code <= 0)
		return code;
	code = json_parse(r->record.data, r->record.n, &r->doc);
	if (code < 0)
		return code;
	if (json_type(r->doc) != JSON_OBJECT)
		return err_set(TT_INVALID, "the line must be an object, and is %s",
			       json_type_name(json_type(r->doc)));
	if (!r->names.n)
		code = name_keys(r);
	if (code == TT_OK)
		code = jsonl_text(r, r->text_a, true, &row->text_a, &row->size_a);
	if (code == TT_OK)
		code = jsonl_text(r, r->text_b, false, &row->text_b, &row->size_b);
	row->has_text_b = r->text_b && json_get(r->doc, r->text_b);
	if (code == TT_OK)
		code = jsonl_label(r, row);
	return code < 0 ? code : 1;
}

const struct rows_format rows_jsonl = { ".jsonl", NULL, jsonl_next, jsonl_close };
