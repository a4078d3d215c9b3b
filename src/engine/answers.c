/* The answers of a run at its end, row by row. */
#include "engine/answers.h"

#include <stdio.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"

enum { FILE_MAX = 1 << 30 };

static void write_text(struct jsonw *w, const char *key, const char *text, size_t size)
{
	if (!text)
		return;
	jsonw_key(w, key);
	jsonw_text_n(w, text, size);
}

static void write_row(const struct session *s, int64_t i, const struct row *row, int32_t said,
		      struct buf *out)
{
	struct jsonw w;

	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "row");
	jsonw_int(&w, i + 1);
	write_text(&w, "text_a", row->text_a, row->size_a);
	write_text(&w, "text_b", row->text_b, row->size_b);
	jsonw_key(&w, "label");
	jsonw_text(&w, labels_name(s->labels, dataset_example(s->other, (size_t)i).label));
	jsonw_key(&w, "predicted");
	jsonw_text(&w, labels_name(s->labels, said));
	jsonw_end(&w, '}');
	buf_char(out, '\n');
}

/* The rows of the file once more: a dataset keeps tokens, not texts. */
static int write_rows(const struct session *s, const struct scores *scores, struct buf *out)
{
	const struct data_settings *d = &s->recipe->data;
	const struct row_columns columns = { d->text_a, d->text_b, d->label };
	struct rows *rows;
	struct row row;
	int code = rows_open(d->validation, &columns, &rows);

	if (code)
		return code;
	for (int64_t i = 0; !code && i < scores->examples; i++) {
		const int got = rows_next(rows, &row);

		if (got < 0)
			code = got;
		else if (!got)
			code = err_set(TT_INVALID, "%s has fewer rows than when the run began",
				       rows_path(rows));
		else
			write_row(s, i, &row, scores->said[i], out);
	}
	rows_close(rows);
	return code ? code : buf_check(out, "predictions.jsonl");
}

void answers_keep(void *arg, const struct scores *scores)
{
	const struct answers *a = arg;
	const int task = a->s->recipe->task.type;
	char path[PATH_MAX];
	struct buf out;
	int code;

	if (!scores->said || (task != TASK_SEQ_CLS && task != TASK_CLOZE))
		return;
	buf_init(&out, FILE_MAX);
	code = fs_join(path, sizeof(path), a->dir, "predictions.jsonl");
	if (!code)
		code = write_rows(a->s, scores, &out);
	if (!code)
		code = fs_write_atomic(path, out.data, out.size);
	if (code)
		log_line("the answers are not kept: %s", err_text());
	buf_done(&out);
}
