/*
 * describe: the catalogue of what this engine can do, one tab-separated record
 * a line, for forms, help and completion. Nothing is listed twice: the records
 * are the tables that the engine itself works by.
 *
 *     method NAME TITLE CITE PEFT_TYPE MERGES
 *     model  NAME TITLE
 *     backend NAME VERSION
 *     knob   SECTION NAME TYPE DEFAULT MIN MAX CHOICES HELP
 */
#include <stdio.h>
#include <string.h>
#include <string.h>

#include "base/err.h"
#include "base/recipe.h"
#include "engine/engine.h"
#include "method/method.h"

static const char *type_name(enum knob_type type)
{
	static const char *const name[] = {
		[KNOB_INT] = "int",       [KNOB_REAL] = "real",   [KNOB_BOOL] = "bool",
		[KNOB_CHOICE] = "choice", [KNOB_TEXT] = "text",   [KNOB_PATH] = "path",
		[KNOB_TEXTS] = "texts",   [KNOB_PATHS] = "paths", [KNOB_SELECT] = "select",
		[KNOB_INTS] = "ints",     [KNOB_JSON] = "json",
	};

	return name[type];
}

enum { FIELDS_MAX = 8 };

static const char *const method_fields[] = { "name", "title", "cite", "peft_type", "merges" };
static const char *const model_fields[] = { "name", "title" };
static const char *const backend_fields[] = { "name", "version" };
static const char *const knob_fields[] = { "section", "name", "type",    "default",
					   "min",     "max",  "choices", "help" };

/* One record: its kind, and n fields of which some may be NULL. */
static void record(struct buf *out, bool json, const char *kind, const char *const *name, int n,
		   const char *const *value)
{
	struct jsonw w;

	if (!json) {
		buf_text(out, kind);
		for (int i = 0; i < n; i++)
			buf_printf(out, "\t%s", value[i] ? value[i] : "-");
		buf_char(out, '\n');
		return;
	}
	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "record");
	jsonw_text(&w, kind);
	for (int i = 0; i < n; i++) {
		jsonw_key(&w, name[i]);
		jsonw_text(&w, value[i]);
	}
	jsonw_end(&w, '}');
	buf_char(out, '\n');
}

/* A number as text, NULL where there is none. */
static const char *number(double v, char *text, size_t size)
{
	if (isnan(v) || v == (double)KNOB_NONE)
		return NULL;
	snprintf(text, size, "%.15g", v);
	return text;
}

/* The default as a person writes it. */
static const char *standard(const struct knob *k, char *text, size_t size)
{
	const char *word = k->choices;

	switch (k->type) {
	case KNOB_TEXT:
	case KNOB_PATH: return k->text;
	case KNOB_INT:
	case KNOB_REAL: return k->flags & KNOB_OPTIONAL ? NULL : number(k->def, text, size);
	case KNOB_BOOL: return k->def != 0 ? "true" : "false";
	case KNOB_CHOICE:
		for (int i = 0; word && i < (int)k->def; i++) {
			word = strchr(word, '|');
			word = word ? word + 1 : NULL;
		}
		if (!word)
			return NULL;
		snprintf(text, size, "%.*s", (int)strcspn(word, "|"), word);
		return text;
	default: return NULL;
	}
}

static void knobs(struct buf *out, bool json, const char *section, const struct knob *table)
{
	for (const struct knob *k = table; k->name; k++) {
		const bool ranged = k->min < k->max;
		char def[64], min[32], max[32];
		const char *const value[] = {
			section,
			k->name,
			type_name(k->type),
			standard(k, def, sizeof(def)),
			ranged ? number(k->min, min, sizeof(min)) : NULL,
			ranged ? number(k->max, max, sizeof(max)) : NULL,
			k->choices,
			k->help,
		};

		record(out, json, "knob", knob_fields, FIELDS_MAX, value);
	}
}

static void methods(struct buf *out, bool json)
{
	for (const struct method_ops *const *m = method_all(); *m; m++) {
		const char *const value[] = { (*m)->name, (*m)->title, (*m)->cite, (*m)->peft_type,
					      (*m)->merge || (!(*m)->wants && !(*m)->seated)
						      ? "merges"
						      : NULL };

		record(out, json, "method", method_fields, 5, value);
		knobs(out, json, (*m)->name, (*m)->knobs);
	}
}

static int describe(const struct args *a)
{
	const bool json = args_has(a, "--json");
	struct buf out;
	int code;

	buf_init(&out, (size_t)16 << 20);
	methods(&out, json);
	for (const struct model_ops *const *m = model_all(); *m; m++)
		record(&out, json, "model", model_fields, 2,
		       (const char *const[]){ (*m)->name, (*m)->title });
	for (const struct gemm_ops *const *g = gemm_all(); *g; g++)
		record(&out, json, "backend", backend_fields, 2,
		       (const char *const[]){ (*g)->name, (*g)->version ? (*g)->version() : NULL });
	knobs(&out, json, "task", recipe_task_knobs());
	knobs(&out, json, "data", recipe_data_knobs());
	knobs(&out, json, "prompt", recipe_prompt_knobs());
	knobs(&out, json, "train", recipe_train_knobs());
	knobs(&out, json, "compute", recipe_compute_knobs());
	code = buf_check(&out, "the catalogue");
	if (!code && (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout)))
		code = err_set(TT_IO, "cannot write the catalogue");
	buf_done(&out);
	return code;
}

static const struct arg options[] = {
	{ "--json", 0, NULL, "JSON lines, a record each" },
	{ 0 },
};

const struct command verb_describe = {
	.name = "describe",
	.usage = "[--json]",
	.summary = "Print what this engine can do: methods, models, settings with ranges, "
		   "tab-separated.",
	.options = options,
	.max_args = 0,
	.run = describe,
};
