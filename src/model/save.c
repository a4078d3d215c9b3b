/*
 * A model as a transformers folder: config.json with what the head needs,
 * model.safetensors in fp32 with one name for each tied group, and the
 * tokenizer's files as they were.
 */
#include "model/model.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"

static const char *const tokenizer_files[] = { "tokenizer.json", "vocab.txt",
					       "tokenizer_config.json", "special_tokens_map.json",
					       "added_tokens.json" };

static bool is_same_folder(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool is_classifier(const struct model *m) { return head_classifies(m->head); }

/* Members that are written anew. */
static bool is_replaced(const struct model *m, const char *key)
{
	static const char *const always[] = { "architectures", "dtype", "torch_dtype" };
	static const char *const classes[] = { "id2label", "label2id", "num_labels",
					       "problem_type" };

	for (size_t i = 0; i < COUNT(always); i++)
		if (!strcmp(key, always[i]))
			return true;
	for (size_t i = 0; is_classifier(m) && i < COUNT(classes); i++)
		if (!strcmp(key, classes[i]))
			return true;
	return false;
}

/* The name of class i: the task's, or the one that transformers gives by itself. */
static const char *label_name(const struct model *m, size_t i, char *room, size_t size)
{
	if (i < m->labels.n)
		return m->labels.item[i];
	snprintf(room, size, "LABEL_%zu", i);
	return room;
}

/* The number of labels is not stored: it is the length of id2label. */
static void write_labels(const struct model *m, struct jsonw *w)
{
	char room[32];

	jsonw_key(w, "id2label");
	jsonw_object(w);
	for (size_t i = 0; i < (size_t)m->n_labels; i++) {
		snprintf(room, sizeof(room), "%zu", i);
		jsonw_key(w, room);
		jsonw_text(w, label_name(m, i, room, sizeof(room)));
	}
	jsonw_end(w, '}');
	jsonw_key(w, "label2id");
	jsonw_object(w);
	for (size_t i = 0; i < (size_t)m->n_labels; i++) {
		jsonw_key(w, label_name(m, i, room, sizeof(room)));
		jsonw_int(w, (int64_t)i);
	}
	jsonw_end(w, '}');
	if (!head_pools(m->head))
		return;
	jsonw_key(w, "problem_type");
	jsonw_text(w, m->head == HEAD_REGRESSION ? "regression" : "single_label_classification");
}

static int save_config(const struct model *m, const char *path)
{
	struct buf out;
	struct jsonw w;
	int rc;

	buf_init(&out, (size_t)64 << 20);
	jsonw_init(&w, &out, 2);
	jsonw_object(&w);
	jsonw_key(&w, "architectures");
	jsonw_array(&w);
	jsonw_text(&w, m->ops->architectures[m->head]);
	jsonw_end(&w, ']');
	jsonw_key(&w, "dtype");
	jsonw_text(&w, "float32");
	if (json_get(m->config, "torch_dtype")) {
		jsonw_key(&w, "torch_dtype");
		jsonw_text(&w, "float32");
	}
	if (is_classifier(m))
		write_labels(m, &w);
	for (const struct json *j = json_first(m->config); j; j = json_next(j)) {
		if (is_replaced(m, json_key(j)))
			continue;
		jsonw_key(&w, json_key(j));
		jsonw_json(&w, j);
	}
	jsonw_end(&w, '}');
	buf_char(&out, '\n');
	rc = buf_check(&out, path);
	if (!rc)
		rc = fs_write_atomic(path, out.data, out.size);
	buf_done(&out);
	return rc;
}

static int save_weights(const struct model *m, const char *path)
{
	struct st_writer *w;
	int rc = st_writer_new(&w);

	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < m->nparam; i++) {
		const struct tensor *t = m->param[i];

		rc = st_writer_add(w, t->name, "F32", t->rank, t->dim, t->data);
	}
	if (!rc)
		rc = st_write(w, path);
	st_writer_free(w);
	return rc;
}

static int copy_tokenizer(const struct model *m, const char *dir)
{
	char from[PATH_MAX], to[PATH_MAX];
	int rc = TT_OK;

	for (size_t i = 0; !rc && i < COUNT(tokenizer_files); i++) {
		rc = fs_join(from, sizeof(from), m->folder, tokenizer_files[i]);
		if (!rc)
			rc = fs_join(to, sizeof(to), dir, tokenizer_files[i]);
		if (!rc && fs_exists(from))
			rc = fs_copy(from, to);
	}
	return rc;
}

int model_save(const struct model *m, const char *dir)
{
	char path[PATH_MAX];
	int rc;

	if (is_same_folder(m->folder, dir))
		return err_set(TT_INVALID,
			       "%s is the base model's own folder; choose another one to export to",
			       dir);
	rc = fs_mkdirs(dir);
	if (!rc)
		rc = fs_join(path, sizeof(path), dir, "model.safetensors");
	if (!rc)
		rc = save_weights(m, path);
	if (!rc)
		rc = copy_tokenizer(m, dir);
	if (!rc)
		rc = fs_join(path, sizeof(path), dir, "config.json");
	return rc ? rc : save_config(m, path); /* last: a folder with a config.json is whole */
}
