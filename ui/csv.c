/* Fields of comma-separated values. */
#include "ui/csv.h"

#include <stdbool.h>
#include <string.h>

#include "ui/widget/text.h"

void csv_field(struct buf *out, const char *text)
{
	const bool formula = text[0] == '=' || text[0] == '@';
	const bool quoted = formula || text[strcspn(text, ",\"\n\r")];
	int32_t code;

	buf_text(out, quoted ? "\"" : "");
	buf_text(out, formula ? "'" : "");
	for (code = text_plain(&text); code; code = text_plain(&text)) {
		char one[8] = "";

		(void)text_append(one, sizeof(one), code);
		buf_text(out, code == '"' ? "\"\"" : one);
	}
	buf_text(out, quoted ? "\"" : "");
}
