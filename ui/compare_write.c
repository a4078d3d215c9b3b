/* A comparison as Markdown, CSV or LaTeX. Names are from outside: each format escapes what it would take for its own. */
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/knob.h"
#include "ui/compare_table.h"
#include "ui/csv.h"
#include "ui/widget/text.h"

enum { FILE_MAX = 64 << 20 };

/* A character of text as it stands in a format. */
typedef void put_code(struct buf *out, int32_t code);

static void put_plain(struct buf *out, int32_t code)
{
	char text[8] = "";

	(void)text_append(text, sizeof(text), code);
	buf_text(out, text);
}

static void put_text(struct buf *out, const char *text, put_code *put)
{
	int32_t code;

	for (code = text_plain(&text); code; code = text_plain(&text))
		put(out, code);
}

/* What stands behind a value. */
static void put_extra(struct buf *out, const struct compare_cell *c, put_code *put)
{
	buf_text(out, c->stdev[0] ? " " : "");
	put_text(out, c->stdev, put);
	buf_text(out, c->delta[0] ? " (" : "");
	put_text(out, c->delta, put);
	buf_text(out, c->delta[0] ? ")" : "");
}

/* ---- Markdown ---- */

static void put_markdown(struct buf *out, int32_t code)
{
	if (code < 0x80 && strchr("\\|*_`<>[]~#", (char)code))
		buf_char(out, '\\');
	put_plain(out, code);
}

void compare_table_markdown(const struct compare_table *t, struct buf *out)
{
	for (size_t l = 0; l < t->n; l++) {
		buf_text(out, "| ");
		put_text(out, t->line[l].label, put_markdown);
		for (size_t i = 0; i < t->columns; i++) {
			const struct compare_cell *c = &t->line[l].cell[i];

			buf_text(out, c->best ? " | **" : " | ");
			put_text(out, c->text, put_markdown);
			buf_text(out, c->best ? "**" : "");
			put_extra(out, c, put_markdown);
		}
		buf_text(out, " |\n");
		if (l)
			continue;
		buf_text(out, "|---|");
		for (size_t i = 0; i < t->columns; i++)
			buf_text(out, "--:|");
		buf_char(out, '\n');
	}
}

/* ---- CSV ---- */

static const char *without_blanks(const char *text) { return text + strspn(text, " "); }

static const char *text_of(const struct compare_cell *c) { return c->text; }
static const char *stdev_of(const struct compare_cell *c)
{
	return c->stdev + strcspn(c->stdev, "0123456789"); /* behind its sign */
}
static const char *delta_of(const struct compare_cell *c) { return c->delta; }

/* One part of a line's cells, if any has it: programs want a number a field. */
static void csv_line(const struct compare_table *t, const struct compare_line *l, const char *what,
		     const char *(*part)(const struct compare_cell *c), struct buf *out)
{
	char label[COMPARE_PATH + 32];
	bool any = !what[0];

	for (size_t i = 0; i < t->columns; i++)
		any |= part(&l->cell[i])[0] != 0;
	if (!any)
		return;
	snprintf(label, sizeof(label), "%s%s", without_blanks(l->label), what);
	csv_field(out, label);
	for (size_t i = 0; i < t->columns; i++) {
		const char *text = part(&l->cell[i]);

		buf_char(out, ',');
		csv_field(out, text);
	}
	buf_char(out, '\n');
}

void compare_table_csv(const struct compare_table *t, struct buf *out)
{
	for (size_t l = 0; l < t->n; l++) {
		csv_line(t, &t->line[l], "", text_of, out);
		csv_line(t, &t->line[l], ", sd", stdev_of, out);
		csv_line(t, &t->line[l], ", difference", delta_of, out);
	}
}

/* ---- LaTeX ---- */

static const struct {
	int32_t code;
	const char *text;
} latex[] = {
	{ '\\', "\\textbackslash{}" },
	{ '~', "\\textasciitilde{}" },
	{ '^', "\\textasciicircum{}" },
	{ '&', "\\&" },
	{ '%', "\\%" },
	{ '$', "\\$" },
	{ '#', "\\#" },
	{ '_', "\\_" },
	{ '{', "\\{" },
	{ '}', "\\}" },
	{ '<', "\\textless{}" },
	{ '>', "\\textgreater{}" },
	{ 0xb1, "$\\pm$" },
	{ 0xd7, "$\\times$" },
};

static void put_latex(struct buf *out, int32_t code)
{
	for (size_t i = 0; i < COUNT(latex); i++)
		if (latex[i].code == code) {
			buf_text(out, latex[i].text);
			return;
		}
	put_plain(out, code);
}

static bool new_part(const struct compare_table *t, size_t line)
{
	return line && t->line[line].kind != t->line[line - 1].kind &&
	       (t->line[line - 1].kind == COMPARE_NAME || t->line[line].kind == COMPARE_SETTING);
}

void compare_table_latex(const struct compare_table *t, struct buf *out)
{
	buf_text(out, "\\begin{tabular}{l");
	for (size_t i = 0; i < t->columns; i++)
		buf_char(out, 'r');
	buf_text(out, "}\n\\hline\n");
	for (size_t l = 0; l < t->n; l++) {
		buf_text(out, new_part(t, l) ? "\\hline\n" : "");
		put_text(out, t->line[l].label, put_latex);
		for (size_t i = 0; i < t->columns; i++) {
			const struct compare_cell *c = &t->line[l].cell[i];

			buf_text(out, c->best ? " & \\textbf{" : " & ");
			put_text(out, c->text, put_latex);
			buf_text(out, c->best ? "}" : "");
			put_extra(out, c, put_latex);
		}
		buf_text(out, " \\\\\n");
	}
	buf_text(out, "\\hline\n\\end{tabular}\n");
}

/* ---- to a file ---- */

static const struct {
	const char *end;
	void (*write)(const struct compare_table *t, struct buf *out);
} formats[] = {
	{ ".md", compare_table_markdown },
	{ ".csv", compare_table_csv },
	{ ".tex", compare_table_latex },
};

int compare_table_write(const struct compare_table *t, const char *path)
{
	const char *end = strrchr(fs_basename(path), '.');
	char quoted[256];
	struct buf out;
	int code;

	for (size_t i = 0; end && i < COUNT(formats); i++) {
		if (strcmp(formats[i].end, end) != 0)
			continue;
		buf_init(&out, FILE_MAX);
		formats[i].write(t, &out);
		code = buf_check(&out, "the table");
		if (!code)
			code = fs_write_atomic(path, out.data, out.size);
		buf_done(&out);
		return code;
	}
	knob_quote(path, quoted, sizeof(quoted));
	return err_set(TT_INVALID,
		       "%s: a table is written to a file that ends in .md, .csv or .tex", quoted);
}
