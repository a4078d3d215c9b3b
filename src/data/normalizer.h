/* The normalizer section of a tokenizer file: steps that change the text. */
#ifndef DATA_NORMALIZER_H
#define DATA_NORMALIZER_H

#include "base/arena.h"
#include "base/json.h"
#include "data/regex.h"
#include "data/text.h"
#include "data/unicode.h"

enum normal_kind { NORMAL_FOLD, NORMAL_STRIP, NORMAL_REPLACE, NORMAL_PREPEND };

struct normal_step {
	enum normal_kind kind;
	unsigned fold;          /* NORMAL_FOLD: enum fold */
	bool left, right;       /* NORMAL_STRIP */
	const char *find, *put; /* NORMAL_REPLACE: find NULL: regex; NORMAL_PREPEND: put */
	size_t find_size, put_size;
	struct regex *regex;
};

enum { NORMAL_STEPS = 32 };

struct normalizer {
	struct normal_step step[NORMAL_STEPS];
	size_t n;
};

/* What BERT's normalizer can be told; strip_accents -1: as lowercase. */
struct bert_normal {
	bool clean_text, handle_chinese_chars, lowercase;
	int strip_accents;
};

/* j NULL or null: no steps. Strings go to the arena. Errors name the type. */
int normalizer_load(const struct json *j, struct arena *a, struct normalizer *ret);
void normalizer_done(struct normalizer *n);
void normalizer_bert(const struct bert_normal *how, struct normalizer *ret);

/* Working memory, kept between calls; the result is in *text. */
struct normal_scratch {
	struct text text, spare;
	struct fold_scratch fold;
};

void normal_scratch_done(struct normal_scratch *s);
int normalizer_run(const struct normalizer *n, const char *s, size_t size,
		   struct normal_scratch *scratch);

#endif
