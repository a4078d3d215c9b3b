/*
 * Which modules the rules pick: PEFT's examples, its traps, and expressions that
 * are wrong or hostile.
 */
#include "tests/check.h"

#include "base/array.h"
#include "base/err.h"
#include "method/target.h"

enum { ITEMS = 4 };

#define LIST(...)                                                                  \
	{                                                                          \
		.item = (const char *const[]){ __VA_ARGS__ }, .is_list = true,     \
		.n = sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *) \
	}
#define TEXT(t)                                            \
	{                                                  \
		.item = (const char *const[]){ t }, .n = 1 \
	}
#define INTS(...)                                                               \
	{                                                                       \
		.item = (const int64_t[]){ __VA_ARGS__ },                       \
		.n = sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t) \
	}

#define QUERY "bert.encoder.layer.1.attention.self.query"

static const struct {
	struct targeting rules;
	struct texts save;
	const char *module;
	enum target_verdict expect;
} cases[] = {
	/* a list: the path, or a dotted end of it */
	{ { .target_modules = LIST("query", "value") }, { 0 }, QUERY, TARGET_YES },
	{ { .target_modules = LIST("self.query") }, { 0 }, QUERY, TARGET_YES },
	{ { .target_modules = LIST("uery") }, { 0 }, QUERY, TARGET_NO },
	{ { .target_modules = LIST("query") }, { 0 }, "query", TARGET_YES },
	{ { .target_modules = LIST("query") }, { 0 }, QUERY ".lora", TARGET_NO },
	{ { .target_modules = LIST("output.dense") },
	  { 0 },
	  "bert.encoder.layer.0.attention.output.dense",
	  TARGET_YES },
	{ { .target_modules = LIST("self.*") }, { 0 }, QUERY, TARGET_NO },
	/* a string: an expression for the whole path */
	{ { .target_modules = TEXT("query") }, { 0 }, QUERY, TARGET_NO },
	{ { .target_modules = TEXT(".*\\.query") }, { 0 }, QUERY, TARGET_YES },
	{ { .target_modules = TEXT(".*\\.(query|key)") }, { 0 }, QUERY, TARGET_YES },
	{ { .target_modules = TEXT(".*\\.que") }, { 0 }, QUERY, TARGET_NO },
	{ { .target_modules = TEXT("(?P<a>.*)\\.layer\\.[12]\\..*query") },
	  { 0 },
	  QUERY,
	  TARGET_YES },
	/* exclude_modules comes first */
	{ { .target_modules = LIST("query"), .exclude_modules = LIST("query") },
	  { 0 },
	  QUERY,
	  TARGET_EXCLUDED },
	{ { .target_modules = LIST("query"), .exclude_modules = LIST("uery") },
	  { 0 },
	  QUERY,
	  TARGET_YES },
	{ { .target_modules = LIST("query"), .exclude_modules = TEXT(".*layer\\.1\\..*") },
	  { 0 },
	  QUERY,
	  TARGET_EXCLUDED },
	{ { .target_modules = LIST("query"), .exclude_modules = TEXT("layer\\.1") },
	  { 0 },
	  QUERY,
	  TARGET_YES },
	/*
	 * modules_to_save keeps adapters away from the module and all inside it,
	 * by whole segments
	 */
	{ { .target_modules = LIST("dense") },
	  LIST("classifier"),
	  "classifier.dense",
	  TARGET_EXCLUDED },
	{ { .target_modules = LIST("classifier") },
	  LIST("classifier"),
	  "classifier",
	  TARGET_EXCLUDED },
	{ { .target_modules = LIST("pre_classifier") },
	  LIST("classifier"),
	  "pre_classifier",
	  TARGET_YES },
	{ { .target_modules = LIST("dense") },
	  LIST("pooler"),
	  "bert.pooler.dense",
	  TARGET_EXCLUDED },
	{ { .target_modules = LIST("lm_head") }, LIST("head"), "lm_head", TARGET_YES },
	/* layers: the first numbered segment; a full path is beyond them */
	{ { .target_modules = LIST("query"), .layers_to_transform = INTS(1) },
	  { 0 },
	  QUERY,
	  TARGET_YES },
	{ { .target_modules = LIST("query"), .layers_to_transform = INTS(0, 2) },
	  { 0 },
	  QUERY,
	  TARGET_NO },
	{ { .target_modules = LIST(QUERY), .layers_to_transform = INTS(0) },
	  { 0 },
	  QUERY,
	  TARGET_YES },
	{ { .target_modules = LIST("w"), .layers_to_transform = INTS(1) },
	  { 0 },
	  "m.layers.1.experts.0.w",
	  TARGET_YES },
	{ { .target_modules = LIST("w"), .layers_to_transform = INTS(0) },
	  { 0 },
	  "m.layers.1.experts.0.w",
	  TARGET_NO },
	{ { .target_modules = LIST("w"), .layers_to_transform = INTS(0) },
	  { 0 },
	  "layers.0.w",
	  TARGET_NO },
	{ { .target_modules = LIST("w"), .layers_to_transform = INTS(0) }, { 0 }, "w", TARGET_YES },
	{ { .target_modules = LIST("w"),
	    .layers_to_transform = INTS(0),
	    .layers_pattern = TEXT("layers") },
	  { 0 },
	  "layers.0.w",
	  TARGET_YES },
	{ { .target_modules = LIST("w"),
	    .layers_to_transform = INTS(0),
	    .layers_pattern = LIST("h", "experts") },
	  { 0 },
	  "m.layers.1.experts.0.w",
	  TARGET_YES },
	{ { .target_modules = LIST("w"),
	    .layers_to_transform = INTS(0),
	    .layers_pattern = LIST("blocks") },
	  { 0 },
	  "m.layers.0.w",
	  TARGET_NO },
};

static void every_case(void)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct target *t = NULL;
		enum target_verdict got = TARGET_NO;
		char what[160];

		snprintf(what, sizeof(what), "case %d: %s on %s", (int)i,
			 cases[i].rules.target_modules.item[0], cases[i].module);
		CHECK_NAMED(target_new(&cases[i].rules, &cases[i].save, &t) == TT_OK, what);
		CHECK_NAMED(t && target_match(t, cases[i].module, &got) == TT_OK &&
				    got == cases[i].expect,
			    what);
		target_free(t);
	}
}

static const struct {
	struct targeting rules;
	const char *says;
} refused[] = {
	{ { .target_modules = TEXT(".*"), .layers_to_transform = INTS(1) },
	  "peft.layers_to_transform goes with a list of target_modules, not with a string" },
	{ { .target_modules = TEXT("all-linear"), .layers_pattern = TEXT("layer") },
	  "peft.layers_pattern goes with a list of target_modules, not with a string" },
	{ { .target_modules = LIST("query"), .layers_pattern = TEXT("layer") },
	  "peft.layers_pattern needs peft.layers_to_transform as well" },
	{ { .target_modules = { .item = (const char *const[]){ "" }, .is_list = true } },
	  "peft.target_modules is an empty list; name at least one module" },
	{ { .target_modules = LIST("query", "") }, "peft.target_modules holds an empty name" },
	{ { .target_modules = TEXT("(query") },
	  "peft.target_modules: '(query' is no regular expression: missing closing parenthesis at "
	  "character 7" },
};

static void wrong_rules_are_refused(void)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct target *t = NULL;

		CHECK_NAMED(target_new(&refused[i].rules, &(struct texts){ 0 }, &t) == TT_INVALID,
			    refused[i].says);
		CHECK_STR(err_text(), refused[i].says);
	}
}

static const struct targeting slow = { .target_modules = TEXT("([a-z.0-9]+)*[0-9]") };

static void hostile_expressions_end(void)
{
	static char text[8192];
	const char *const item[] = { text };
	const struct targeting long_one = { .target_modules = { .item = item, .n = 1 } };
	enum target_verdict got;
	struct target *t = NULL;

	CHECK(target_new(&slow, &(struct texts){ 0 }, &t) == TT_OK);
	CHECK(target_match(t, QUERY, &got) == TT_INVALID);
	CHECK(strstr(err_text(), "takes too long to match '" QUERY "'"));
	target_free(t);
	memset(text, 'a', sizeof(text) - 1);
	CHECK(target_new(&long_one, &(struct texts){ 0 }, &t) == TT_INVALID);
	memset(text, '(', 2000);
	text[2000] = '\0';
	CHECK(target_new(&long_one, &(struct texts){ 0 }, &t) == TT_INVALID);
}

static const struct texts classifier = LIST("classifier"), head = LIST("score", "head");

/* modules_to_save wraps by the plain end of the name: peft-methods 2.3. */
static void saving_needs_no_dot(void)
{
	CHECK(target_saves(&classifier, "classifier"));
	CHECK(target_saves(&classifier, "pre_classifier"));
	CHECK(target_saves(&head, "lm_head"));
	CHECK(!target_saves(&classifier, "classifier.dense"));
	CHECK(!target_saves(&(struct texts){ 0 }, "classifier"));
}

static const struct {
	const char *pattern, *module;
	bool hits;
} patterns[] = {
	{ "q_proj", "model.layers.0.self_attn.q_proj", true },
	{ "layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj", true },
	{ "^model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj", true },
	{ ".*\\\\.0\\\\..*q_proj", "model.layers.0.self_attn.q_proj", true },
	{ "^q_proj", "model.layers.0.self_attn.q_proj", false },
	{ "proj", "model.layers.0.self_attn.q_proj", false },
	{ "q_proj|k_proj", "model.layers.0.self_attn.k_proj", true },
};

static void patterns_match_the_end(void)
{
	const struct json *got;
	struct json *map;

	for (size_t i = 0; i < COUNT(patterns); i++) {
		char text[128];
		const int n = snprintf(text, sizeof(text), "{\"%s\": 3}", patterns[i].pattern);

		CHECK(json_parse(text, (size_t)n, &map) == TT_OK);
		CHECK_NAMED(target_pattern(map, "peft.rank_pattern", patterns[i].module, &got) ==
					    TT_OK &&
				    !!got == patterns[i].hits,
			    patterns[i].pattern);
		json_free(map);
	}
	CHECK(json_parse("{\"x\": 1, \"query\": 2, \".*query\": 3}", 34, &map) == TT_OK);
	CHECK(target_pattern(map, "peft.rank_pattern", QUERY, &got) == TT_OK);
	CHECK(got && json_number(got) < 2.5 && json_number(got) > 1.5); /* the first that matches */
	json_free(map);
	CHECK(target_pattern(NULL, "peft.rank_pattern", QUERY, &got) == TT_OK && !got);
	CHECK(json_parse("{\"(\": 1}", 8, &map) == TT_OK);
	CHECK(target_pattern(map, "peft.rank_pattern", QUERY, &got) == TT_INVALID);
	CHECK(strstr(err_text(), "peft.rank_pattern: '(' is no regular expression"));
	json_free(map);
}

int main(void)
{
	every_case();
	wrong_rules_are_refused();
	hostile_expressions_end();
	saving_needs_no_dot();
	patterns_match_the_end();
	return check_done();
}
