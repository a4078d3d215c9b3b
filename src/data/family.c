/* The list of tokenizer families, and what they share. */
#include "data/family.h"

#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "data/text.h"

#define ITEM(name) extern const struct family_ops family_##name;
#include "data/list.inc"
#undef ITEM

#define ITEM(name) &family_##name,
static const struct family_ops *const families[] = {
#include "data/list.inc"
};
#undef ITEM

const struct family_ops *family_find(const char *type)
{
	for (size_t i = 0; i < COUNT(families); i++)
		if (!strcmp(type, families[i]->name))
			return families[i];
	return NULL;
}

const char *family_name(size_t i) { return i < COUNT(families) ? families[i]->name : NULL; }

int family_vocab_object(const struct json *model, struct arena *a, struct vocab *ret)
{
	const struct json *list = json_get(model, "vocab");
	int r;

	if (!list || json_type(list) != JSON_OBJECT)
		return err_set(TT_INVALID, "model.vocab must be an object of tokens and ids");
	r = vocab_init(ret, a, json_count(list));
	for (const struct json *i = json_first(list); i && r == TT_OK; i = json_next(i)) {
		const char *token = json_key(i);
		int64_t id;

		if (!json_int(i, &id) || id < 0 || id >= VOCAB_MAX)
			return err_set(TT_INVALID,
				       "model.vocab: the id of '%.80s' must be a whole number "
				       "from 0 to %d",
				       token, VOCAB_MAX - 1);
		r = vocab_add(ret, token, strlen(token), (int32_t)id);
	}
	if (r == TT_OK && !ret->size)
		r = err_set(TT_INVALID, "model.vocab is empty");
	return r;
}

int tokens_room(struct tokens *t, size_t more)
{
	size_t room = t->room, same = t->room;
	int r;

	if (t->room - t->n >= more)
		return TT_OK;
	r = array_grow(&t->id, &room, t->n + more, sizeof(*t->id));
	room = same;
	if (r == TT_OK)
		r = array_grow(&t->word, &room, t->n + more, sizeof(*t->word));
	room = same;
	if (r == TT_OK)
		r = array_grow(&t->text, &room, t->n + more, sizeof(*t->text));
	if (r == TT_OK)
		t->room = room;
	return r;
}
