/* Answers of a run, row by row. */
#include "ui/answers.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"

enum { FILE_MAX = 1 << 30 };

/* FNV-1a; the length goes in too, so that texts cannot run into each other. */
static uint64_t hash_text(uint64_t h, const char *text)
{
	const size_t n = text ? strlen(text) + 1 : 0;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	return (h ^ n) * UINT64_C(0x100000001b3);
}

static const char *text_at(const struct json *row, const char *key)
{
	return json_text(json_get(row, key));
}

static int read_line(struct answers *a, size_t at, size_t size)
{
	struct answer *row = &a->row[a->n];
	const char *label, *said;
	struct json *j;
	const int code = json_parse(a->file.data + at, size, &j);

	if (code)
		return err_in("row %zu", a->n + 1);
	label = text_at(j, "label");
	said = text_at(j, "predicted");
	*row = (struct answer){ .at = at, .size = size };
	if (label && said) {
		row->right = !strcmp(label, said);
		row->example = hash_text(
			hash_text(hash_text(UINT64_C(0xcbf29ce484222325), text_at(j, "text_a")),
				  text_at(j, "text_b")),
			label);
		a->n++;
	}
	json_free(j);
	return label && said
		       ? TT_OK
		       : err_set(TT_INVALID, "row %zu has no label or no prediction", a->n + 1);
}

static size_t count_lines(const struct buf *file)
{
	size_t n = 1;

	for (size_t i = 0; i < file->size; i++)
		n += file->data[i] == '\n';
	return n;
}

static int read_lines(struct answers *a)
{
	int code = TT_OK;

	a->row = calloc(count_lines(&a->file), sizeof(*a->row));
	if (!a->row)
		return err_set(TT_NOMEM, "not enough memory for the answers of a run");
	for (size_t at = 0, size; !code && at < a->file.size; at += size + 1) {
		const char *end = memchr(a->file.data + at, '\n', a->file.size - at);

		size = end ? (size_t)(end - a->file.data) - at : a->file.size - at;
		code = read_line(a, at, size);
	}
	return code;
}

int answers_read(const char *dir, struct answers *ret)
{
	char path[PATH_MAX];
	int code;

	*ret = (struct answers){ .n = 0 };
	code = fs_join(path, sizeof(path), dir, "predictions.jsonl");
	if (code || !fs_exists(path))
		return code;
	code = fs_read(path, FILE_MAX, &ret->file);
	if (!code)
		code = read_lines(ret);
	return code ? err_in("%s", path) : TT_OK;
}

void answers_done(struct answers *a)
{
	free(a->row);
	buf_done(&a->file);
	*a = (struct answers){ .n = 0 };
}

int answers_row(const struct answers *a, size_t i, struct json **ret)
{
	return json_parse(a->file.data + a->row[i].at, a->row[i].size, ret);
}

bool answers_same_rows(const struct answers *a, const struct answers *b)
{
	if (!a->n || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->row[i].example != b->row[i].example)
			return false;
	return true;
}

void answers_count(const struct answers *a, const struct answers *b, int64_t *ret_only_a,
		   int64_t *ret_only_b)
{
	*ret_only_a = *ret_only_b = 0;
	for (size_t i = 0; i < a->n; i++) {
		*ret_only_a += a->row[i].right && !b->row[i].right;
		*ret_only_b += !a->row[i].right && b->row[i].right;
	}
}
