#ifndef TESTS_METHOD_TOLD_H
#define TESTS_METHOD_TOLD_H

/* What a method tells: the numbers of its panel, and its adapter_config.json. */
#include "base/fs.h"
#include "tests/method/bench.h"

struct told {
	char key[64][96];
	double value[64];
	int n;
	char alarm[256]; /* the last one */
	int64_t step;    /* how many the panel hears of */
};

static inline void told_add(void *arg, const char *key, double value)
{
	struct told *t = arg;

	snprintf(t->key[t->n], sizeof(t->key[0]), "%s", key);
	t->value[t->n++] = value;
}

static inline void told_alarm(void *arg, const char *text)
{
	struct told *t = arg;

	snprintf(t->alarm, sizeof(t->alarm), "%s", text);
}

/* The panel as it is now; what was told before is forgotten. */
static inline void told_panel(const struct bench *b, struct told *ret)
{
	const struct watch out = {
		.metric = told_add, .arg = ret, .alarm = told_alarm, .step = ret->step
	};

	ret->n = 0;
	*ret->alarm = 0;
	stage_watch(b->method, &out);
}

/* NAN: it was not told. */
static inline double told_value(const struct told *t, const char *key)
{
	for (int i = 0; i < t->n; i++) {
		if (!strcmp(t->key[i], key))
			return t->value[i];
	}
	return (double)NAN;
}

/* Save the adapter beside the bench; its folder. */
static inline const char *told_folder(struct bench *b, char *ret, size_t size)
{
	snprintf(ret, size, "%.4000s/adapter", b->dir);
	CHECK(adapter_save(b->method, ret, "toy") == TT_OK);
	return ret;
}

/* Is the saved config these lines? */
static inline void told_config(struct bench *b, const char *const *line, size_t n)
{
	char dir[PATH_MAX], path[PATH_MAX + 32];
	struct buf text, want;

	snprintf(path, sizeof(path), "%s/adapter_config.json", told_folder(b, dir, sizeof(dir)));
	buf_init(&want, 1 << 16);
	for (size_t i = 0; i < n; i++)
		buf_printf(&want, "%s%s", i ? "\n" : "", line[i]);
	if (CHECK(fs_read(path, 1 << 16, &text) == TT_OK)) {
		CHECK_STR(text.data, want.data);
		buf_done(&text);
	}
	buf_done(&want);
}

#endif
