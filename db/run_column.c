/* What a key of a filter, a sort or a list means: a column of runs, a metric, or a path of the recipe. */
#include "db/run_column.h"

#include <string.h>

#include "base/array.h"
#include "base/knob.h"
#include "db/run.h"

#define ISO(time)                                                                        \
	"iif(" time " > 0, strftime('%Y-%m-%d %H:%M', " time " / 1000000, 'unixepoch', " \
	"'localtime'), NULL)"
#define NOW "(CAST(strftime('%s', 'now') AS INTEGER) * 1000000)"

static const struct run_column columns[] = {
	{ "id", "run.id", COLUMN_TEXT, true, NULL },
	{ "name", "run.name", COLUMN_TEXT, true, "run.name COLLATE NOCASE" },
	{ "state", "run_state(run.state, run.row)", COLUMN_STATE, true, "state" },
	{ "method", "method", COLUMN_TEXT, true, NULL },
	{ "model", "model", COLUMN_TEXT, true, NULL },
	{ "task", "task", COLUMN_TEXT, true, NULL },
	{ "host", "host", COLUMN_TEXT, true, NULL },
	{ "parent", "parent", COLUMN_TEXT, true, NULL },
	{ "cause", "cause", COLUMN_TEXT, true, NULL },
	{ "tag", "word", COLUMN_TAG, true, "" },
	{ "note", "text", COLUMN_NOTE, true, "" },
	{ "created", ISO("created"), COLUMN_TIME, false, "created" },
	{ "started", ISO("started"), COLUMN_TIME, false, "nullif(started, 0)" },
	{ "ended", ISO("ended"), COLUMN_TIME, false, "nullif(ended, 0)" },
	{ "age", "(" NOW " - created)", COLUMN_SPAN, true, NULL },
	{ "time", "iif(started > 0, iif(ended > 0, ended, " NOW ") - started, NULL)", COLUMN_SPAN,
	  false, NULL },
	{ "step", "run.step", COLUMN_NUMBER, false, NULL },
	{ "total_steps", "nullif(total_steps, 0)", COLUMN_NUMBER, false, NULL },
	{ "epoch", "epoch", COLUMN_NUMBER, false, NULL },
	{ "attempt", "attempt", COLUMN_NUMBER, false, NULL },
	{ "trainable_params", "nullif(trainable_params, 0)", COLUMN_NUMBER, false, NULL },
	{ "total_params", "nullif(total_params, 0)", COLUMN_NUMBER, false, NULL },
	{ "best", "iif(best_step IS NULL, NULL, best_value)", COLUMN_NUMBER, false,
	  "iif(best_greater, best_value, -best_value)" },
};

/* Settings at the top of a recipe, whose paths have no dot. */
static const char *const top[] = { "base_model", "init_adapter", "description" };

bool run_key_find(const char *name, struct run_key *ret)
{
	*ret = (struct run_key){ .kind = KEY_COLUMN, .name = name };
	for (size_t i = 0; i < COUNT(columns); i++) {
		if (strcmp(name, columns[i].word) != 0)
			continue;
		ret->column = &columns[i];
		return true;
	}
	ret->kind = strchr(name, '/') ? KEY_METRIC : KEY_SETTING;
	for (size_t i = 0; i < COUNT(top); i++) {
		if (!strcmp(name, top[i]))
			return true;
	}
	return strpbrk(name, "/.") != NULL;
}

const char *run_column_name(size_t i) { return i < COUNT(columns) ? columns[i].word : NULL; }

const char *run_key_nearest(const char *word)
{
	const char *name[COUNT(columns)];

	for (size_t i = 0; i < COUNT(columns); i++)
		name[i] = columns[i].word;
	return knob_nearest(word, name, COUNT(columns));
}
