/* Text of others on our lines: made harmless, and cut and filled by the columns it takes. */
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "cmd/cmd.h"
#include "ui/widget/text.h"

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

static void add_cell(struct buf *out, const struct text_cell *c)
{
	mbstate_t state = { 0 };

	for (const wchar_t *w = c->wc; *w; w++) {
		char bytes[16]; /* MB_LEN_MAX */
		const size_t n = wcrtomb(bytes, *w, &state);

		if (n != (size_t)-1)
			buf_add(out, bytes, n);
	}
}

/* At most `most` columns; returns how many it took. */
static int add_text(struct buf *out, const char *text, int most)
{
	struct text_cell c;
	int used = 0;

	if (is_plain(text)) {
		const size_t n = strlen(text);

		used = n < (size_t)most ? (int)n : most;
		buf_add(out, text, (size_t)used);
		return used;
	}
	while (text_next(&text, &c) && used + c.width <= most) {
		add_cell(out, &c);
		used += c.width;
	}
	return used;
}

void cmd_text(struct buf *out, const char *text) { (void)add_text(out, text, INT_MAX); }

void cmd_left(struct buf *out, const char *text, int width)
{
	buf_printf(out, "%*s", width - add_text(out, text, width), "");
}

/* A long text keeps its end, where paths and numbers differ. */
void cmd_right(struct buf *out, const char *text, int width)
{
	const int all = text_width(text);
	struct text_cell c;
	int left = all;

	if (all <= width) {
		buf_printf(out, "%*s", width - all, "");
		cmd_text(out, text);
		return;
	}
	while (left > width - 2 && text_next(&text, &c))
		left -= c.width;
	buf_printf(out, "%*s..", width - 2 - left, "");
	cmd_text(out, text);
}
