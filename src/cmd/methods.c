/* methods: what can be trained, and with which settings. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cmd/catalogue.h"
#include "cmd/cmd.h"

/* Fields of `describe`: method NAME TITLE CITE PEFT_TYPE MERGES; knob SECTION NAME TYPE DEFAULT MIN MAX CHOICES HELP. */
static void write_knob(const char *const *f, bool json, bool first, struct buf *out)
{
	static const char *const name[] = { "name", "type",    "default", "min",
					    "max",  "choices", "help" };
	struct jsonw w;

	if (!json) {
		buf_printf(out, "\n    %-24s %-7s %-8s %s", f[2], f[3], f[4], f[8]);
		return;
	}
	if (!first)
		buf_char(out, ',');
	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		jsonw_key(&w, name[i]);
		jsonw_text(&w, strcmp(f[2 + i], "-") != 0 ? f[2 + i] : NULL);
	}
	jsonw_end(&w, '}');
}

static void write_method(const char *const *f, bool json, struct buf *out)
{
	struct jsonw w;

	if (!json) {
		buf_printf(out, "%s%-10s %s (%s)", out->size ? "\n" : "", f[1], f[2], f[3]);
		return;
	}
	if (out->size)
		buf_text(out, "]}\n");
	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "name");
	jsonw_text(&w, f[1]);
	jsonw_key(&w, "title");
	jsonw_text(&w, f[2]);
	jsonw_key(&w, "cite");
	jsonw_text(&w, f[3]);
	jsonw_key(&w, "peft_type");
	jsonw_text(&w, strcmp(f[4], "-") != 0 ? f[4] : NULL);
	jsonw_key(&w, "merges");
	jsonw_bool(&w, !strcmp(f[5], "merges"));
	jsonw_key(&w, "settings");
	jsonw_array(&w);
}

static int methods(const struct args *a)
{
	const bool json = args_has(a, "--json");
	const char *f[CATALOGUE_FIELDS];
	char method[64] = "";
	struct catalogue c;
	struct buf out;
	bool first = true;
	int code = catalogue_open(&c);

	if (code)
		return code;
	buf_init(&out, (size_t)16 << 20);
	while (catalogue_next(&c, f)) {
		if (!strcmp(f[0], "method")) {
			write_method(f, json, &out);
			snprintf(method, sizeof(method), "%s", f[1]);
			first = true;
		} else if (!strcmp(f[0], "knob") && !strcmp(f[1], method)) {
			write_knob(f, json, first, &out);
			first = false;
		}
	}
	if (json && out.size)
		buf_text(&out, "]}");
	code = cmd_print(&out);
	buf_done(&out);
	catalogue_done(&c);
	return code;
}

static const struct arg options[] = {
	{ "--json", 0, NULL, "JSON lines: name, title, cite, peft_type, merges, settings" },
	{ 0 },
};

const struct command command_methods = {
	.name = "methods",
	.usage = "[--json]",
	.summary = "List the fine-tuning methods and their settings.",
	.options = options,
	.max_args = 0,
	.run = methods,
};
