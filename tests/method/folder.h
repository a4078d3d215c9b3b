#ifndef TESTS_METHOD_FOLDER_H
#define TESTS_METHOD_FOLDER_H

/* What tests of single methods do with adapter folders, parameters and panels. */
#include "base/array.h"
#include "tests/method/bench.h"

/* A file of the bench's adapter folder; "": the folder. ret holds PATH_MAX bytes. */
static inline void folder_path(const struct bench *b, const char *name, char *ret)
{
	snprintf(ret, PATH_MAX, "%.3900s/adapter/%s", b->dir, name);
}

static inline int folder_save(struct bench *b)
{
	char dir[PATH_MAX];

	folder_path(b, "", dir);
	return adapter_save(b->method, dir, "../model");
}

/* What another bench has saved. */
static inline int folder_load(struct bench *b, const struct bench *from)
{
	char dir[PATH_MAX];

	folder_path(from, "", dir);
	return adapter_load(b->method, dir);
}

/* Is the saved config just these lines? */
static inline void folder_config_is(const struct bench *b, const char *const *line, size_t n)
{
	char path[PATH_MAX];
	struct buf text, want;

	buf_init(&want, 1 << 16);
	for (size_t i = 0; i < n; i++)
		buf_printf(&want, "%s%s", i ? "\n" : "", line[i]);
	folder_path(b, "adapter_config.json", path);
	if (CHECK(fs_read(path, 1 << 20, &text) == TT_OK)) {
		CHECK_STR(text.data, want.data);
		buf_done(&text);
	}
	buf_done(&want);
}

/* Does a file of the folder hold just these tensors? */
static inline void folder_holds(const struct bench *b, const char *name, const char *const *tensor,
				size_t n)
{
	char path[PATH_MAX];
	struct st_file *f = NULL;

	folder_path(b, name, path);
	if (!CHECK(st_open(path, &f) == TT_OK))
		return;
	if (!CHECK(st_count(f) == n)) {
		for (size_t k = 0; k < st_count(f); k++)
			printf("# %s\n", st_at(f, k)->name);
	}
	for (size_t i = 0; i < n; i++)
		CHECK_NAMED(st_find(f, tensor[i]) != NULL, tensor[i]);
	st_close(f);
}

/* Settings that are refused, and how. */
struct bad_setting {
	const char *json, *says;
};

static inline void refuses_all(const char *method, int task, const struct bad_setting *bad,
			       size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct bench b;

		CHECK_NAMED(bench_open(&b, method, bad[i].json, task) == TT_INVALID, bad[i].json);
		if (!CHECK_NAMED(strstr(err_text(), bad[i].says) != NULL, bad[i].json))
			printf("# %s\n", err_text());
		bench_close(&b);
	}
}

/* Configs of adapters that are refused, and how; says NULL: it is taken. */
struct adapter_config {
	const char *text, *says;
};

static inline void judges_all(const struct bench *b, const struct adapter_config *config, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const int code = adapter_check_config(b->method, config[i].text,
						      strlen(config[i].text));

		CHECK_NAMED(config[i].says ? code == TT_INVALID &&
						     strstr(err_text(), config[i].says) != NULL
					   : code == TT_OK,
			    config[i].text);
	}
}

/* A tensor that trains; NULL: none of that name. */
static inline struct tensor *bench_param(const struct bench *b, const char *name)
{
	for (size_t i = 0; i < b->method->nparam; i++) {
		if (!strcmp(b->method->param[i]->name, name))
			return b->method->param[i];
	}
	return NULL;
}

struct bench_heard {
	const char *key;
	double value;
};

static inline void bench_hear(void *arg, const char *key, double value)
{
	struct bench_heard *h = arg;

	if (!strcmp(key, h->key))
		h->value = value;
}

/* A number of the panel; NAN: it has none. */
static inline double bench_watched(struct bench *b, const char *key)
{
	struct bench_heard h = { .key = key, .value = (double)NAN };
	const struct watch out = { .metric = bench_hear, .arg = &h };

	stage_watch(b->method, &out);
	return h.value;
}

#endif
