/* The pre_tokenizer section of a tokenizer file: where a text is cut into words. */
#ifndef DATA_PRETOKENIZER_H
#define DATA_PRETOKENIZER_H

#include "base/arena.h"
#include "base/json.h"
#include "data/regex.h"
#include "data/text.h"

/* Bytes start .. end-1 of a text. */
struct span {
	uint32_t start, end;
};

struct spans {
	struct span *item;
	size_t n, room;
};

enum pre_kind {
	PRE_BERT,       /* white space removed, punctuation isolated */
	PRE_WHITESPACE, /* runs of \w, and of neither \w nor \s */
	PRE_PREDICATE,  /* by a property of one character */
	PRE_DELIMITER,
	PRE_LITERAL,
	PRE_REGEX
};

/* What becomes of the matches among the pieces. */
enum pre_behaviour { PRE_REMOVED, PRE_ISOLATED, PRE_PREVIOUS, PRE_NEXT, PRE_CONTIGUOUS };

struct pre_step {
	enum pre_kind kind;
	enum pre_behaviour behaviour;
	bool invert;
	bool (*predicate)(uint32_t c);
	uint32_t delimiter;
	const char *literal;
	size_t literal_size;
	struct regex *regex;
};

enum { PRE_STEPS = 32 };

struct pretokenizer {
	struct pre_step step[PRE_STEPS];
	size_t n;
};

/* j NULL or null: the whole text is one word. Errors name the type. */
int pretokenizer_load(const struct json *j, struct arena *a, struct pretokenizer *ret);
void pretokenizer_done(struct pretokenizer *p);
void pretokenizer_bert(struct pretokenizer *ret);

/* A piece of the text between two steps; match: what the step was looking for. */
struct pre_part {
	struct span span;
	bool match;
};

struct pre_scratch {
	struct spans words, spare; /* the result is in words */
	struct pre_part *part;
	size_t parts, part_room;
};

void pre_scratch_done(struct pre_scratch *s);
/* Cut checked UTF-8 into scratch->words: ascending, never empty, not overlapping. */
int pretokenizer_run(const struct pretokenizer *p, const char *s, size_t n,
		     struct pre_scratch *scratch);

#endif
