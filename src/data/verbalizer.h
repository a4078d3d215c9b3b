#ifndef DATA_VERBALIZER_H
#define DATA_VERBALIZER_H

#include "base/arena.h"
#include "base/json.h"
#include "base/recipe.h"
#include "data/tokenizer.h"

/* How the scores of one label's words become one. */
enum aggregate { AGGREGATE_MEAN_LOGIT, AGGREGATE_SUM_PROB, AGGREGATE_MAX };

/* For every label the tokens that stand for it at the mask. */
struct verbalizer {
	int64_t labels, words;
	const int32_t *word;  /* [words] token ids, those of one label together */
	const int64_t *start; /* [labels + 1] */
	enum aggregate aggregate;
};

/*
 * From the recipe's prompt.verbalizer, an object from label to a word or several.
 * Every label of the task needs words, every word must be one token that is
 * neither special nor unknown, and no two labels may share one. Lives in the arena.
 */
int verbalizer_load(const struct json *from, enum aggregate how, const struct texts *labels,
		    const struct tokenizer *t, struct arena *a, struct verbalizer *ret);

#endif
