/*
 * Reading a tokenizer folder: tokenizer.json, or vocab.txt with the settings
 * of tokenizer_config.json, and which token plays which role.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "data/tokenizer_inside.h"

enum { FILE_BYTES = 256 << 20, CONFIG_BYTES = 16 << 20 };

/* The small files beside; NULL where one is not there. */
struct beside {
	struct json *config, *specials;
};

static int load_optional(const char *folder, const char *name, struct json **ret)
{
	char path[PATH_MAX];
	int r = fs_join(path, sizeof(path), folder, name);

	if (r < 0 || !fs_exists(path))
		return r;
	r = json_load(path, CONFIG_BYTES, ret);
	if (r == TT_OK && json_type(*ret) != JSON_OBJECT)
		return err_set(TT_INVALID, "%s must hold an object", path);
	return r;
}

/* "[CLS]" or {"content": "[CLS]"}. */
static const char *role_text(const struct beside *b, const char *key)
{
	const struct json *from[] = { json_get(b->config, key), json_get(b->specials, key) };

	for (size_t i = 0; i < COUNT(from); i++) {
		const char *text = json_text(from[i]);
		if (!text)
			text = json_text(json_get(from[i], "content"));
		if (text)
			return text;
	}
	return NULL;
}

static const struct {
	const char *key;
	size_t at;
	const char *usual[3]; /* names to try when no file says */
} roles[] = {
	{ "cls_token", offsetof(struct tokenizer_roles, cls), { "[CLS]", "<s>" } },
	{ "sep_token", offsetof(struct tokenizer_roles, sep), { "[SEP]", "</s>" } },
	{ "mask_token", offsetof(struct tokenizer_roles, mask), { "[MASK]", "<mask>" } },
	{ "pad_token", offsetof(struct tokenizer_roles, pad), { "[PAD]", "<pad>" } },
	{ "unk_token", offsetof(struct tokenizer_roles, unk), { "[UNK]", "<unk>" } },
	{ "bos_token", offsetof(struct tokenizer_roles, bos), { "<s>" } },
	{ "eos_token", offsetof(struct tokenizer_roles, eos), { "</s>", "<|endoftext|>" } },
};

static void roles_fill(struct tokenizer *t, const struct beside *b)
{
	for (size_t i = 0; i < COUNT(roles); i++) {
		int32_t *role = (int32_t *)(void *)((char *)&t->roles + roles[i].at);
		const char *said = role_text(b, roles[i].key);

		*role = said ? tokenizer_id(t, said) : -1;
		for (size_t k = 0; !said && *role < 0 && roles[i].usual[k]; k++)
			*role = tokenizer_id(t, roles[i].usual[k]);
	}
	if (t->roles.unk < 0 && t->family->unk(t->state))
		t->roles.unk = tokenizer_id(t, t->family->unk(t->state));
}

static int specials_fill(struct tokenizer *t)
{
	const int32_t *role = (const int32_t *)&t->roles;

	t->special = arena_zero(t->arena, (size_t)t->vocab.size, 1);
	if (!t->special)
		return TT_NOMEM;
	for (size_t i = 0; i < t->added.n; i++)
		if (t->added.all[i].special)
			t->special[t->added.all[i].id] = 1;
	for (size_t i = 0; i < sizeof(t->roles) / sizeof(*role); i++)
		if (role[i] >= 0)
			t->special[role[i]] = 1;
	return TT_OK;
}

/* Old files do not name their model. */
static const char *model_type(const struct json *model)
{
	const char *type = json_text(json_get(model, "type"));

	if (type)
		return type;
	if (json_get(model, "merges"))
		return "BPE";
	if (json_get(model, "vocab") && json_type(json_get(model, "vocab")) == JSON_ARRAY)
		return "Unigram";
	return json_get(model, "max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

static int load_model(const struct json *model, struct tokenizer *t)
{
	const char *type;
	int r;

	if (!model || json_type(model) != JSON_OBJECT)
		return err_set(TT_INVALID, "there is no \"model\"");
	type = model_type(model);
	t->family = family_find(type);
	if (!t->family)
		return err_set(TT_INVALID, "tokenizer model '%.60s' is not supported yet", type);
	r = t->family->vocab(model, t->arena, &t->vocab);
	return r < 0 ? r : t->family->open(model, &t->vocab, t->arena, &t->state);
}

/*
 * BERT's settings in tokenizer_config.json win over the normalizer of
 * tokenizer.json, as they do in the reference; other normalizers are left as
 * they are.
 */
static void override_bert(const struct json *doc, const struct json *config, struct tokenizer *t)
{
	const struct json *n = json_get(doc, "normalizer");
	const char *type = json_text(json_get(n, "type"));
	const char *class = json_text(json_get(config, "tokenizer_class"));
	const struct json *lower = json_get(config, "do_lower_case");
	const struct json *strip = json_get(config, "strip_accents");
	const struct json *chinese = json_get(config, "tokenize_chinese_chars");
	struct bert_normal how = { .lowercase = true };

	if (!type || strcmp(type, "BertNormalizer") != 0 || !class || !strstr(class, "Bert"))
		return;
	lower = lower ? lower : json_get(n, "lowercase");
	strip = strip ? strip : json_get(n, "strip_accents");
	chinese = chinese ? chinese : json_get(n, "handle_chinese_chars");
	how.lowercase = !lower || json_bool(lower);
	how.clean_text = !json_get(n, "clean_text") || json_bool(json_get(n, "clean_text"));
	how.handle_chinese_chars = !chinese || json_bool(chinese);
	how.strip_accents = strip && json_type(strip) == JSON_BOOL ? json_bool(strip) : -1;
	normalizer_bert(&how, &t->normalizer);
}

static int load_sections(const struct json *doc, const struct beside *b, struct tokenizer *t)
{
	const char *version = json_text(json_get(doc, "version"));
	int r;

	if (json_type(doc) != JSON_OBJECT)
		return err_set(TT_INVALID, "it must hold an object");
	if (version && strcmp(version, "1.0") != 0)
		return err_set(TT_INVALID, "its version is '%.20s'; 1.0 is known", version);
	r = load_model(json_get(doc, "model"), t);
	if (r == TT_OK)
		r = normalizer_load(json_get(doc, "normalizer"), t->arena, &t->normalizer);
	if (r < 0)
		return r;
	override_bert(doc, b->config, t);
	r = pretokenizer_load(json_get(doc, "pre_tokenizer"), t->arena, &t->pretokenizer);
	if (r == TT_OK)
		r = added_load(json_get(doc, "added_tokens"), t->arena, &t->vocab, &t->added);
	if (r == TT_OK)
		r = added_finish(&t->added, &t->normalizer, t->arena);
	if (r == TT_OK)
		r = templates_load(json_get(doc, "post_processor"), &t->vocab, &t->templates);
	return r;
}

static int open_text(const char *text, size_t size, const struct beside *b, struct tokenizer *t)
{
	struct json *doc = NULL;
	int r = json_parse(text, size, &doc);

	t->print = vocab_hash(VOCAB_HASH, text, size);
	if (r == TT_OK)
		r = load_sections(doc, b, t);
	json_free(doc);
	return r;
}

static int open_json(const char *path, const struct beside *b, struct tokenizer *t)
{
	struct buf text;
	int r = fs_read(path, FILE_BYTES, &text);

	if (r < 0)
		return r;
	r = open_text(text.data ? text.data : "", text.size, b, t);
	buf_done(&text);
	return r < 0 ? err_in("%s", path) : TT_OK;
}

/* A token a line, its number is the id; of two equal lines the later one counts. */
static int vocab_lines(const char *text, size_t size, struct vocab *v)
{
	int32_t id = 0;
	int r = TT_OK;

	for (size_t at = 0; at < size && r == TT_OK; id++) {
		const char *line = text + at, *end = memchr(line, '\n', size - at);
		size_t n = end ? (size_t)(end - line) : size - at;

		at += n + 1;
		if (n && line[n - 1] == '\r')
			n--;
		r = vocab_find(v, line, n) < 0 ? vocab_add(v, line, n, id)
					       : vocab_move(v, line, n, id);
	}
	return r;
}

static int add_special(struct tokenizer *t, const char *text)
{
	const struct added_token token = {
		.text = text,
		.size = strlen(text),
		.id = tokenizer_id(t, text),
		.special = true,
	};

	if (token.id < 0)
		return TT_OK;
	for (size_t i = 0; i < t->added.n; i++)
		if (t->added.all[i].id == token.id)
			return TT_OK;
	return added_add(&t->added, &token, t->arena, &t->vocab);
}

/* What the BERT tokenizer class adds to a bare vocabulary. */
static int bert_pipeline(const struct beside *b, struct tokenizer *t)
{
	const struct json *lower = json_get(b->config, "do_lower_case");
	const struct json *strip = json_get(b->config, "strip_accents");
	const struct json *chinese = json_get(b->config, "tokenize_chinese_chars");
	const struct bert_normal how = {
		.clean_text = true,
		.lowercase = !lower || json_bool(lower),
		.handle_chinese_chars = !chinese || json_bool(chinese),
		.strip_accents = strip && json_type(strip) == JSON_BOOL ? json_bool(strip) : -1,
	};
	const char *cls = role_text(b, "cls_token"), *sep = role_text(b, "sep_token");
	int r = TT_OK;

	normalizer_bert(&how, &t->normalizer);
	pretokenizer_bert(&t->pretokenizer);
	for (size_t i = 0; i < 5 && r == TT_OK; i++) {
		const char *said = role_text(b, roles[i].key);
		r = add_special(t, said ? said : roles[i].usual[0]);
	}
	if (r == TT_OK)
		r = added_finish(&t->added, &t->normalizer, t->arena);
	if (r < 0)
		return r;
	cls = cls ? cls : "[CLS]";
	sep = sep ? sep : "[SEP]";
	if (tokenizer_id(t, cls) < 0 || tokenizer_id(t, sep) < 0)
		return err_set(TT_INVALID, "the vocabulary lacks '%.40s' or '%.40s'", cls, sep);
	templates_bert(tokenizer_id(t, cls), tokenizer_id(t, sep), &t->templates);
	return TT_OK;
}

static int open_vocab(const char *path, const struct beside *b, struct tokenizer *t)
{
	struct buf text;
	size_t at;
	int r = fs_read(path, FILE_BYTES, &text);

	if (r < 0)
		return r;
	t->print = vocab_hash(VOCAB_HASH, text.data ? text.data : "", text.size);
	if (!utf8_check(text.data ? text.data : "", text.size, &at))
		r = err_set(TT_INVALID, "it is not UTF-8 at byte %zu", at + 1);
	t->family = family_find("WordPiece");
	if (r == TT_OK)
		r = vocab_init(&t->vocab, t->arena, 32768);
	if (r == TT_OK)
		r = vocab_lines(text.data, text.size, &t->vocab);
	if (r == TT_OK)
		r = t->family->open(b->config, &t->vocab, t->arena, &t->state);
	if (r == TT_OK)
		r = bert_pipeline(b, t);
	buf_done(&text);
	return r < 0 ? err_in("%s", path) : TT_OK;
}

static int open_either(const char *folder, const struct beside *b, struct tokenizer *t)
{
	char path[PATH_MAX];
	int r = fs_join(path, sizeof(path), folder, "tokenizer.json");

	if (r < 0)
		return r;
	if (fs_exists(path))
		return open_json(path, b, t);
	r = fs_join(path, sizeof(path), folder, "vocab.txt");
	if (r < 0)
		return r;
	if (fs_exists(path))
		return open_vocab(path, b, t);
	return err_set(TT_NOTFOUND, "%s has no tokenizer: neither tokenizer.json nor vocab.txt",
		       folder);
}

static struct tokenizer *tokenizer_new(void)
{
	struct tokenizer *t = calloc(1, sizeof(*t));

	if (t)
		t->arena = arena_new();
	if (t && t->arena)
		return t;
	free(t);
	err_set(TT_NOMEM, "there is no memory for a tokenizer");
	return NULL;
}

/* The end of opening, well or not: r is how it went so far. */
static int tokenizer_finish(struct tokenizer *t, const struct beside *b, int r,
			    struct tokenizer **ret)
{
	if (r == TT_OK) {
		roles_fill(t, b);
		r = specials_fill(t);
	}
	if (r == TT_OK)
		*ret = t;
	else
		tokenizer_close(t);
	return r;
}

int tokenizer_parse(const char *text, size_t size, struct tokenizer **ret)
{
	const struct beside none = { 0 };
	struct tokenizer *t = tokenizer_new();

	return t ? tokenizer_finish(t, &none, open_text(text, size, &none, t), ret) : TT_NOMEM;
}

int tokenizer_open(const char *folder, struct tokenizer **ret)
{
	struct beside b = { 0 };
	struct tokenizer *t = tokenizer_new();
	int r;

	if (!t)
		return TT_NOMEM;
	r = load_optional(folder, "tokenizer_config.json", &b.config);
	if (r == TT_OK)
		r = load_optional(folder, "special_tokens_map.json", &b.specials);
	if (r == TT_OK)
		r = open_either(folder, &b, t);
	r = tokenizer_finish(t, &b, r, ret);
	json_free(b.config);
	json_free(b.specials);
	return r;
}

void tokenizer_close(struct tokenizer *t)
{
	if (!t)
		return;
	normalizer_done(&t->normalizer);
	pretokenizer_done(&t->pretokenizer);
	arena_free(t->arena);
	free(t);
}
