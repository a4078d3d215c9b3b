/* Text of others on our lines: made harmless, and cut and filled by the columns it takes. */
#include <string.h>
#include <wchar.h>

#include "cmd/cmd.h"
#include "ui/widget/text.h"

static bool is_plain(char c) { return c >= 0x20 && c <= 0x7e; }

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

	while (used < most && is_plain(text[used]))
		used++;
	if (!text[used] || is_plain(text[used])) { /* what follows may belong to the last one */
		buf_add(out, text, (size_t)used);
		return used;
	}
	used = 0;
	while (text_next(&text, &c) && used + c.width <= most) {
		add_cell(out, &c);
		used += c.width;
	}
	return used;
}

void cmd_text(struct buf *out, const char *text) { (void)add_text(out, text, INT_MAX); }

void cmd_left(struct buf *out, const char *text, int width)
{
	buf_spaces(out, width - add_text(out, text, width));
}

/* A long text keeps its end, where paths and numbers differ. */
void cmd_right(struct buf *out, const char *text, int width)
{
	const int all = text_width(text);
	struct text_cell c;
	int left = all;

	if (all <= width) {
		buf_spaces(out, width - all);
		cmd_text(out, text);
		return;
	}
	while (left > width - 2 && text_next(&text, &c))
		left -= c.width;
	buf_spaces(out, width - 2 - left);
	buf_text(out, "..");
	cmd_text(out, text);
}
