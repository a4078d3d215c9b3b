/* Post-processors, all of which come down to a list of texts and special tokens. */
#include "data/template.h"

#include <string.h>

#include "base/err.h"

static int part_add(struct template *t, int32_t id, unsigned type)
{
	if (t->n == TEMPLATE_PARTS)
		return err_set(TT_INVALID, "a template has more than %d parts", TEMPLATE_PARTS);
	t->part[t->n++] = (struct template_part){ id, (uint8_t)type };
	t->added += id >= 0;
	return TT_OK;
}

static void templates_plain(struct templates *ret)
{
	memset(ret, 0, sizeof(*ret));
	part_add(&ret->single, -1, 0);
	part_add(&ret->pair, -1, 0);
	part_add(&ret->pair, -2, 1);
}

void templates_bert(int32_t cls, int32_t sep, struct templates *ret)
{
	memset(ret, 0, sizeof(*ret));
	part_add(&ret->single, cls, 0);
	part_add(&ret->single, -1, 0);
	part_add(&ret->single, sep, 0);
	ret->pair = ret->single;
	part_add(&ret->pair, -2, 1);
	part_add(&ret->pair, sep, 1);
}

/* <s> a </s>, <s> a </s> </s> b </s>, every type 0. */
static void templates_roberta(int32_t cls, int32_t sep, struct templates *ret)
{
	memset(ret, 0, sizeof(*ret));
	part_add(&ret->single, cls, 0);
	part_add(&ret->single, -1, 0);
	part_add(&ret->single, sep, 0);
	ret->pair = ret->single;
	part_add(&ret->pair, sep, 0);
	part_add(&ret->pair, -2, 0);
	part_add(&ret->pair, sep, 0);
}

static int known_id(const struct json *j, const struct vocab *v, int32_t *ret)
{
	int64_t id;

	if (!json_int(j, &id) || id < 0 || id >= v->size || !v->token[id])
		return err_set(TT_INVALID, "the post-processor names an id the vocabulary lacks");
	*ret = (int32_t)id;
	return TT_OK;
}

/* ["[SEP]", 102] */
static int load_named(const struct json *j, const char *key, const struct vocab *v, int32_t *ret)
{
	const struct json *list = json_get(j, key);

	if (json_count(list) != 2)
		return err_set(TT_INVALID, "the post-processor's \"%s\" must be a token and its id",
			       key);
	return known_id(json_next(json_first(list)), v, ret);
}

static int load_special(const struct json *specials, const char *name, unsigned type,
			const struct vocab *v, struct template *t)
{
	const struct json *ids = name ? json_get(json_get(specials, name), "ids") : NULL;
	int r = TT_OK;

	if (!ids || json_type(ids) != JSON_ARRAY)
		return err_set(TT_INVALID, "the template's token '%.80s' is not in special_tokens",
			       name ? name : "");
	for (const struct json *i = json_first(ids); i && r == TT_OK; i = json_next(i)) {
		int32_t id;
		r = known_id(i, v, &id);
		if (r == TT_OK)
			r = part_add(t, id, type);
	}
	return r;
}

static int load_part(const struct json *part, const struct json *specials, const struct vocab *v,
		     struct template *t)
{
	const struct json *sequence = json_get(part, "Sequence");
	const struct json *special = json_get(part, "SpecialToken");
	const struct json *body = sequence ? sequence : special;
	const char *id = json_text(json_get(body, "id"));
	int64_t type;

	if (!id || !json_int(json_get(body, "type_id"), &type) || type < 0 || type > 255)
		return err_set(TT_INVALID, "a part of the template needs \"id\" and \"type_id\"");
	if (!sequence)
		return load_special(specials, id, (unsigned)type, v, t);
	if (strcmp(id, "A") != 0 && strcmp(id, "B") != 0)
		return err_set(TT_INVALID, "a template has the texts A and B, not '%.40s'", id);
	return part_add(t, *id == 'A' ? -1 : -2, (unsigned)type);
}

static bool has_text(const struct template *t, int32_t id)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->part[i].id == id;
	return n == 1;
}

static int load_template(const struct json *j, const struct vocab *v, struct templates *ret)
{
	const struct json *specials = json_get(j, "special_tokens");
	int r = TT_OK;

	memset(ret, 0, sizeof(*ret));
	for (const struct json *i = json_first(json_get(j, "single")); i && r == TT_OK;
	     i = json_next(i))
		r = load_part(i, specials, v, &ret->single);
	for (const struct json *i = json_first(json_get(j, "pair")); i && r == TT_OK;
	     i = json_next(i))
		r = load_part(i, specials, v, &ret->pair);
	if (r < 0)
		return r;
	if (!has_text(&ret->single, -1) || has_text(&ret->single, -2))
		return err_set(TT_INVALID,
			       "the template \"single\" must have the text A once, no B");
	if (!has_text(&ret->pair, -1) || !has_text(&ret->pair, -2))
		return err_set(TT_INVALID,
			       "the template \"pair\" must have the texts A and B once");
	return TT_OK;
}

static int load_pair_of_ends(const struct json *j, const struct vocab *v, bool roberta,
			     struct templates *ret)
{
	int32_t sep, cls;
	int r = load_named(j, "sep", v, &sep);

	if (r == TT_OK)
		r = load_named(j, "cls", v, &cls);
	if (r < 0)
		return r;
	if (roberta)
		templates_roberta(cls, sep, ret);
	else
		templates_bert(cls, sep, ret);
	return TT_OK;
}

/* Members that only move offsets change nothing here; one may add tokens. */
static int load_sequence(const struct json *j, const struct vocab *v, struct templates *ret)
{
	const struct json *only = NULL;

	for (const struct json *i = json_first(json_get(j, "processors")); i; i = json_next(i)) {
		const char *type = json_text(json_get(i, "type"));
		if (type && !strcmp(type, "ByteLevel"))
			continue;
		if (only || (type && !strcmp(type, "Sequence")))
			return err_set(TT_INVALID, "a post-processor Sequence with several members "
						   "that add tokens is not supported yet");
		only = i;
	}
	return templates_load(only, v, ret);
}

int templates_load(const struct json *j, const struct vocab *v, struct templates *ret)
{
	const char *type = json_text(json_get(j, "type"));

	templates_plain(ret);
	if (!j || json_type(j) == JSON_NULL)
		return TT_OK;
	if (!type)
		return err_set(TT_INVALID, "the post-processor has no \"type\"");
	if (!strcmp(type, "ByteLevel"))
		return TT_OK;
	if (!strcmp(type, "TemplateProcessing"))
		return load_template(j, v, ret);
	if (!strcmp(type, "BertProcessing") || !strcmp(type, "RobertaProcessing"))
		return load_pair_of_ends(j, v, *type == 'R', ret);
	if (!strcmp(type, "Sequence"))
		return load_sequence(j, v, ret);
	return err_set(TT_INVALID, "post-processor '%.60s' is not supported yet", type);
}
