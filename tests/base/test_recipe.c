/* Recipes: what is wrong with one is said in one sentence; what is right survives a save. */
#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/recipe.h"

/* Methods of the test's own: base knows none. */
struct lora {
	int64_t r;
	double lora_alpha;
	bool use_rslora;
	struct texts target_modules;
};

static const struct knob lora_knobs[] = {
	{ .name = "r",
	  .type = KNOB_INT,
	  .at = offsetof(struct lora, r),
	  .def = 8,
	  .min = 1,
	  .max = 1024 },
	{ .name = "lora_alpha",
	  .type = KNOB_REAL,
	  .at = offsetof(struct lora, lora_alpha),
	  .def = 8,
	  .max = 1e6,
	  .flags = KNOB_OPEN_MIN },
	{ .name = "use_rslora", .type = KNOB_BOOL, .at = offsetof(struct lora, use_rslora) },
	{ .name = "target_modules",
	  .type = KNOB_SELECT,
	  .at = offsetof(struct lora, target_modules),
	  .flags = KNOB_OPTIONAL },
	{ .name = NULL }
};

static const struct knob no_knobs[] = { { .name = NULL } };

static const struct recipe_method methods[] = { { "full", no_knobs, 0 },
						{ "lora", lora_knobs, sizeof(struct lora) },
						{ "prefix", no_knobs, 1 },
						{ NULL, NULL, 0 } };

#define TOP "{\"base_model\":\"org/m\","
#define TASK "\"task\":{\"type\":\"seq_cls\"},"
#define PEFT "\"peft\":{\"method\":\"lora\"}"
#define WITH(more) TOP TASK PEFT "," more "}"

static const struct {
	const char *text, *says;
} bad[] = {
	{ "", "line 1, column 1: the text is empty" },
	{ "[]", "the document is an array; it must be an object" },
	{ "7", "the document is a number; it must be an object" },
	{ "{", "line 1, column 2: expected a key" },
	{ "// hello\n{}", "comments are not allowed in JSON; use a \"note\" string" },
	{ "{\"name\":\"\xFF\"}", "column 10: byte 0xff is not UTF-8" },
	{ "{\"name\":\"a\",\"name\":\"b\"}", "the key \"name\" is in this object twice" },
	{ "{}", "base_model is missing; it must be a string" },
	{ "{\"base_model\":7," TASK PEFT "}", "base_model is 7; it must be a string" },
	{ "{\"base_model\":\"\"," TASK PEFT "}",
	  "base_model is an empty string; it must be a folder" },
	{ TOP PEFT "}", "task.type is missing; it must be one of seq_cls, regression, token_cls" },
	{ TOP "\"task\":{}," PEFT "}", "task.type is missing" },
	{ TOP "\"task\":\"seq_cls\"," PEFT "}", "task is a string; it must be an object" },
	{ TOP "\"task\":{\"type\":\"seqcls\"}," PEFT "}",
	  "task.type is \"seqcls\"; it must be one of seq_cls, regression, token_cls, "
	  "question_answering, cloze, mlm, causal_lm, seq2seq_lm" },
	{ TOP "\"task\":{\"type\":null}," PEFT "}", "task.type is null" },
	{ TOP "\"task\":{\"type\":\"mlm\",\"metric\":\"acuracy\"}," PEFT "}",
	  "task.metric is \"acuracy\"; it must be one of accuracy, f1" },
	{ TOP "\"task\":{\"type\":\"mlm\",\"labels\":\"a\"}," PEFT "}",
	  "task.labels is \"a\"; it must be an array of strings" },
	{ TOP "\"task\":{\"type\":\"mlm\",\"labels\":[\"a\",1]}," PEFT "}",
	  "task.labels.1 is 1; it must be a string" },
	{ TOP "\"task\":{\"type\":\"mlm\",\"labels\":[\"a\",\"b\",\"a\"]}," PEFT "}",
	  "task.labels has \"a\" twice" },
	{ TOP "\"task\":{\"type\":\"mlm\",\"labels\":[]}," PEFT "}",
	  "task.labels is an empty array" },
	{ TOP TASK "\"name\":\"n\"}", "peft.method is missing" },
	{ TOP TASK "\"peft\":{}}",
	  "peft.method is missing; it must name a method such as \"lora\"" },
	{ TOP TASK "\"peft\":\"lora\"}", "peft is a string; it must be an object with a method" },
	{ TOP TASK "\"peft\":[]}", "peft is an array of 0; it must hold 1 to 8 methods" },
	{ TOP TASK "\"peft\":[{\"method\":\"lora\"},{}]}", "peft.1.method is missing" },
	{ TOP TASK "\"peft\":[{\"method\":\"lora\"},[]]}",
	  "peft.1 is an array; it must be an object" },
	{ TOP TASK "\"peft\":{\"method\":5}}", "peft.method is a number; it must be a string" },
	{ TOP TASK "\"peft\":{\"method\":\"lroa\"}}",
	  "peft.method is \"lroa\", which is no method here (did you mean lora?); there are full, "
	  "lora, prefix" },
	{ TOP TASK "\"peft\":{\"method\":\"quantum\"}}",
	  "which is no method here; there are full, lora, prefix" },
	{ TOP TASK "\"peft\":{\"method\":\"lora\",\"lora_alhpa\":1}}",
	  "peft.lora_alhpa is not a key; did you mean lora_alpha?" },
	{ TOP TASK "\"peft\":{\"method\":\"lora\",\"r\":0}}",
	  "peft.r is 0; it must be a whole number from 1 to 1024" },
	{ TOP TASK "\"peft\":{\"method\":\"lora\",\"r\":8.5}}",
	  "peft.r is 8.5; it must be a whole number" },
	{ TOP TASK "\"peft\":[{\"method\":\"full\"},{\"method\":\"lora\",\"lora_alpha\":-1}]}",
	  "peft.1.lora_alpha is -1; it must be a number above 0" },
	{ TOP TASK "\"peft\":{\"method\":\"lora\",\"target_modules\":{}}}",
	  "peft.target_modules is an object" },
	{ TOP TASK "\"peft\":{\"method\":\"full\",\"r\":8}}",
	  "\"r\" is not a key of peft; the keys are method" },
	{ WITH("\"trian\":{}"), "trian is not a key; did you mean train?" },
	{ WITH("\"hyperparameters\":{}"),
	  "\"hyperparameters\" is not a key; the keys are name, base_model" },
	{ WITH("\"note\":{}"), "note is an object; it must be a string" },
	{ WITH("\"name\":5"), "name is 5; it must be a string" },
	{ WITH("\"name\":\"\""), "name is an empty string" },
	{ WITH("\"tags\":\"x\""), "tags is \"x\"; it must be an array of strings" },
	{ WITH("\"data\":[]"), "data is an array; it must be an object" },
	{ WITH("\"data\":{\"train\":5}"), "data.train is 5; it must be a path" },
	{ WITH("\"data\":{\"train\":\"\"}"), "data.train is an empty string" },
	{ WITH("\"data\":{\"max_length\":0}"),
	  "data.max_length is 0; it must be a whole number from 1 to 1048576" },
	{ WITH("\"data\":{\"max_lenght\":1}"),
	  "data.max_lenght is not a key; did you mean max_length?" },
	{ WITH("\"data\":{\"shuffle\":\"yes\"}"),
	  "data.shuffle is \"yes\"; it must be true or false" },
	{ WITH("\"data\":{\"limit\":0}"),
	  "data.limit is 0; it must be a whole number from 1 to 1000000000, or null" },
	{ WITH("\"train\":{\"learning_rate\":\"5e-4\"}"),
	  "train.learning_rate is \"5e-4\"; it must be a number" },
	{ WITH("\"train\":{\"learning_rate\":-1}"),
	  "train.learning_rate is -1; it must be a number from 0 to 1000" },
	{ WITH("\"train\":{\"learning_rate\":1e9999}"), "this number is too large" },
	{ WITH("\"train\":{\"per_device_train_batch_size\":-8}"),
	  "train.per_device_train_batch_size is -8; it must be a whole number from 1 to 65536" },
	{ WITH("\"train\":{\"max_steps\":1e300}"),
	  "train.max_steps is 1e+300; it must be a whole number" },
	{ WITH("\"train\":{\"max_steps\":1.5}"),
	  "train.max_steps is 1.5; it must be a whole number" },
	{ WITH("\"train\":{\"seed\":-1}"), "train.seed is -1" },
	{ WITH("\"train\":{\"num_train_epochs\":[3]}"),
	  "train.num_train_epochs is an array; it must be a number" },
	{ WITH("\"train\":{\"optim\":\"adam\"}"),
	  "train.optim is \"adam\"; it must be one of adamw, sgd, adafactor, adamw_8bit" },
	{ WITH("\"train\":{\"lr_scheduler_type\":\"lin\"}"),
	  "it must be one of linear, constant, constant_with_warmup, cosine" },
	{ WITH("\"train\":{\"adam_beta1\":1}"),
	  "train.adam_beta1 is 1; it must be a number of at least 0 and below 1" },
	{ WITH("\"train\":{\"warmup_ratio\":1.01}"),
	  "train.warmup_ratio is 1.01; it must be a number from 0 to 1" },
	{ WITH("\"train\":{\"dropout\":1}"), "train.dropout is 1" },
	{ WITH("\"train\":{\"batch_size\":1}"),
	  "\"batch_size\" is not a key of train; the keys are num_train_epochs" },
	{ WITH("\"compute\":{\"precision\":\"fp16\"}"),
	  "compute.precision is \"fp16\"; it must be one of auto, fp32, bf16" },
	{ WITH("\"compute\":{\"threads\":-1}"),
	  "compute.threads is -1; it must be a whole number from 0 to 4096" },
	{ WITH("\"compute\":{\"memory_limit\":\"lots\"}"),
	  "compute.memory_limit is \"lots\"; it must be a whole number" },
	{ WITH("\"compute\":{\"memory_limit\":0}"), "or a size like \"4GiB\"" },
	{ WITH("\"prompt\":\"x\""), "prompt is a string; it must be an object" },
	{ WITH("\"prompt\":{\"patern\":\"{a}\"}"),
	  "prompt.patern is not a key; did you mean pattern?" },
	{ WITH("\"prompt\":{\"pattern\":5}"), "prompt.pattern is 5; it must be a string" },
	{ WITH("\"prompt\":{\"verbalizer\":[]}"),
	  "prompt.verbalizer is an array; it must be an object" },
	{ WITH("\"prompt\":{\"verbalizer\":{\"pos\":[]}}"),
	  "prompt.verbalizer has no words for \"pos\"" },
	{ WITH("\"prompt\":{\"verbalizer\":{\"pos\":[1]}}"),
	  "prompt.verbalizer has no words for \"pos\"" },
	{ WITH("\"prompt\":{\"aggregate\":\"mean\"}"),
	  "it must be one of mean_logit, sum_prob, max" },
	{ WITH("\"prompt\":{\"mlm_weight\":2}"),
	  "prompt.mlm_weight is 2; it must be a number from 0 to 1" },
	{ WITH("\"prompt\":{\"temperature\":0}"),
	  "prompt.temperature is 0; it must be a number above 0" },
	{ WITH("\"prompt\":{\"patterns\":{}}"),
	  "prompt.patterns is an object; it must be an array of objects" },
	{ WITH("\"prompt\":{\"patterns\":[{\"weight\":1}]}"),
	  "prompt.patterns.0.pattern is missing" },
	{ WITH("\"prompt\":{\"patterns\":[{\"pattern\":\"p\",\"verbalizer\":{\"x\":{}}}]}"),
	  "prompt.patterns.0.verbalizer has no words for \"x\"" },
	{ WITH("\"prompt\":{\"ipet\":{\"generation\":3}}"),
	  "prompt.ipet.generation is not a key; did you mean generations?" },
	{ WITH("\"prompt\":{\"distill\":true}"),
	  "prompt.distill is a boolean; it must be an object" },
};

static char top[256], file[300];

static int load(const char *text, const char *const *set, size_t n_set,
		const struct recipe_method *known, struct recipe **ret)
{
	*ret = NULL;
	if (fs_write_atomic(file, text, strlen(text)))
		return TT_IO;
	return recipe_load(file, set, n_set, known, ret);
}

static void wrong_recipes(void)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct recipe *r;
		const int rc = load(bad[i].text, NULL, 0, methods, &r);
		const bool named = rc && strstr(err_text(), file) == err_text();
		const bool said = rc == TT_INVALID && strstr(err_text(), bad[i].says) &&
				  !strchr(err_text(), '\n');

		CHECK_NAMED(said && named, bad[i].says);
		if (!said || !named)
			printf("# it says: %s\n", rc ? err_text() : "nothing");
		recipe_free(r);
	}
}

static void wrong_files(void)
{
	char *large = malloc((1 << 20) + 3), deep[300];
	struct recipe *r;

	CHECK(recipe_load("/no/such/recipe.json", NULL, 0, methods, &r) == TT_NOTFOUND);
	CHECK(strstr(err_text(), "/no/such/recipe.json: No such file"));
	CHECK(recipe_load(top, NULL, 0, methods, &r) == TT_INVALID);
	CHECK(strstr(err_text(), "is a folder, not a file"));
	memset(large, ' ', (1 << 20) + 2);
	large[(1 << 20) + 2] = 0;
	memcpy(large, "{}", 2);
	CHECK(load(large, NULL, 0, methods, &r) == TT_INVALID);
	CHECK(strstr(err_text(), "larger than 1048576 bytes"));
	free(large);
	snprintf(deep, sizeof(deep), "{\"data\":");
	memset(deep + 8, '[', 200);
	deep[208] = 0;
	CHECK(load(deep, NULL, 0, methods, &r) == TT_INVALID &&
	      strstr(err_text(), "nested deeper than 64 levels"));
	CHECK(fs_write_atomic(file, WITH("\"name\":\"a\0b\""),
			      sizeof(WITH("\"name\":\"a\0b\"")) - 1) == TT_OK);
	CHECK(recipe_load(file, NULL, 0, methods, &r) == TT_INVALID &&
	      strstr(err_text(), "a NUL byte"));
}

/* ---- good ones ---- */

static void smallest(void)
{
	struct recipe *r;
	const struct lora *l;

	if (!CHECK(load(TOP TASK PEFT "}", NULL, 0, methods, &r) == TT_OK))
		return;
	l = r->peft[0].settings;
	CHECK_STR(r->name, "one.two");
	CHECK_STR(r->base_model, "org/m");
	CHECK_STR(r->path, file);
	CHECK_STR(r->dir, top);
	CHECK(!r->init_adapter && !r->description && !r->prompt && !r->tags.item && !r->data.train);
	CHECK(r->task.type == TASK_SEQ_CLS && r->task.metric == METRIC_DEFAULT &&
	      !r->task.labels.item);
	CHECK_STR(r->data.text_a, "text_a");
	CHECK(r->data.max_length == 128 && r->data.limit == KNOB_NONE && r->data.shuffle &&
	      !r->data.group_by_length);
	CHECK(r->n_peft == 1 && r->peft[0].method == &methods[1] && l->r == 8 &&
	      l->lora_alpha == 8 && !l->target_modules.item);
	CHECK(r->train.num_train_epochs == 3 && r->train.max_steps == KNOB_NONE &&
	      r->train.learning_rate == 5e-4);
	CHECK(r->train.per_device_train_batch_size == 32 &&
	      r->train.per_device_eval_batch_size == 64);
	CHECK(r->train.gradient_accumulation_steps == 1 && r->train.logging_steps == 1 &&
	      r->train.eval_steps == 0);
	CHECK(r->train.save_steps == 0 && r->train.save_total_limit == 2 && r->train.seed == 42);
	CHECK(r->train.early_stopping_patience == KNOB_NONE && isnan(r->train.dropout));
	CHECK(r->train.optim == OPTIM_ADAMW && r->train.lr_scheduler_type == SCHEDULE_LINEAR);
	CHECK(r->train.weight_decay == 0 && r->train.adam_beta1 == 0.9 &&
	      r->train.adam_beta2 == 0.999);
	CHECK(r->train.adam_epsilon == 1e-8 && r->train.max_grad_norm == 1 &&
	      r->train.sgd_momentum == 0);
	CHECK(r->train.warmup_ratio == 0 && r->train.warmup_steps == 0 &&
	      r->train.label_smoothing_factor == 0);
	CHECK(!r->train.load_best_model_at_end && !r->train.gradient_checkpointing);
	CHECK(r->compute.precision == PRECISION_AUTO && r->compute.backend == BACKEND_AUTO &&
	      r->compute.threads == 0);
	CHECK(r->compute.base_quant == QUANT_NONE && !r->compute.double_quant &&
	      r->compute.memory_limit == KNOB_NONE);
	recipe_free(r);
	CHECK(load(TOP TASK "\"peft\":{\"method\":\"full\"}}", NULL, 0, methods, &r) == TT_OK &&
	      r->train.learning_rate == 2e-5);
	recipe_free(r);
	CHECK(load(TOP TASK "\"peft\":{\"method\":\"full\"},\"train\":{\"learning_rate\":0.1}}",
		   NULL, 0, NULL, &r) == TT_OK &&
	      r->train.learning_rate == 0.1);
	recipe_free(r);
}

static const char everything[] =
	"{\"note\":\"n\",\"name\":\"all "
	"\\u00e9\",\"description\":\"d\",\"base_model\":\"sub/model\",\"init_adapter\":\"../"
	"adapter\","
	"\"tags\":[\"x\",\"y\"],\"task\":{\"note\":\"n\",\"type\":\"cloze\",\"labels\":[\"no\","
	"\"yes\"],\"metric\":\"macro_f1\"},"
	"\"data\":{\"note\":\"n\",\"train\":\"t.jsonl\",\"validation\":\"/abs/v.tsv\",\"test\":\"./"
	"sub/../x.csv\",\"unlabeled\":\"u.txt\","
	"\"text_a\":\"premise\",\"text_b\":\"hypothesis\",\"label\":\"gold\",\"max_length\":64,"
	"\"limit\":10,\"eval_limit\":20,"
	"\"per_label_limit\":5,\"shuffle\":false,\"group_by_length\":true},"
	"\"prompt\":{\"note\":\"n\",\"pattern\":\"{a} It was {mask} "
	".\",\"verbalizer\":{\"no\":\"bad\",\"yes\":[\"good\",\"great\"]},"
	"\"patterns\":[{\"pattern\":\"{mask}: "
	"{a}\",\"weight\":2,\"note\":\"n\"}],\"ipet\":{\"generations\":2,\"note\":\"n\"},"
	"\"aggregate\":\"max\",\"mlm_weight\":0.1,\"distill\":{\"num_train_epochs\":2}},"
	"\"peft\":[{\"note\":\"n\",\"method\":\"lora\",\"r\":4,\"lora_alpha\":1.5,\"use_rslora\":"
	"true,\"target_modules\":[\"q\"]},"
	"{\"method\":\"prefix\"}],"
	"\"train\":{\"note\":\"n\",\"num_train_epochs\":0.5,\"max_steps\":7,\"optim\":\"adamw_"
	"8bit\",\"lr_scheduler_type\":\"inverse_sqrt\","
	"\"learning_rate\":0.0003,\"early_stopping_patience\":3,\"dropout\":0,\"load_best_model_at_"
	"end\":true,"
	"\"seed\":9007199254740992,\"adam_epsilon\":1e-7,\"warmup_ratio\":0.06},"
	"\"compute\":{\"note\":\"n\",\"precision\":\"bf16\",\"backend\":\"ref\",\"base_quant\":"
	"\"int8\",\"double_quant\":true,"
	"\"executor\":\"mpi\",\"threads\":2,\"memory_limit\":\"1.5GiB\"}}";

static bool is_under(const char *path, const char *name)
{
	const size_t n = strlen(top);

	return path && !strncmp(path, top, n) && path[n] == '/' && !strcmp(path + n + 1, name);
}

static bool same_texts(const struct texts *a, const struct texts *b)
{
	if (a->n != b->n || a->is_list != b->is_list || !a->item != !b->item)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->item[i], b->item[i]))
			return false;
	return true;
}

static bool same_recipe(const struct recipe *a, const struct recipe *b)
{
	const struct lora *x = a->peft[0].settings, *y = b->peft[0].settings;

	return !strcmp(a->name, b->name) && !strcmp(a->base_model, b->base_model) &&
	       !strcmp(a->init_adapter, b->init_adapter) && same_texts(&a->tags, &b->tags) &&
	       same_texts(&a->task.labels, &b->task.labels) && a->task.type == b->task.type &&
	       a->task.metric == b->task.metric && !strcmp(a->data.train, b->data.train) &&
	       !strcmp(a->data.unlabeled, b->data.unlabeled) && a->data.limit == b->data.limit &&
	       a->data.shuffle == b->data.shuffle &&
	       !memcmp(&a->train, &b->train, sizeof(a->train)) &&
	       !memcmp(&a->compute, &b->compute, sizeof(a->compute)) && a->n_peft == b->n_peft &&
	       x->r == y->r && x->lora_alpha == y->lora_alpha && x->use_rslora == y->use_rslora &&
	       same_texts(&x->target_modules, &y->target_modules);
}

static void everything_set(void)
{
	struct recipe *r;
	const struct lora *l;

	if (!CHECK(load(everything, NULL, 0, methods, &r) == TT_OK)) {
		printf("# it says: %s\n", err_text());
		return;
	}
	l = r->peft[0].settings;
	CHECK_STR(r->name, "all \xC3\xA9");
	CHECK(is_under(r->base_model, "sub/model"));
	CHECK(r->init_adapter[0] == '/' && !strstr(r->init_adapter, "..") &&
	      strstr(r->init_adapter, "/adapter"));
	CHECK(r->tags.n == 2 && r->task.labels.n == 2 && !strcmp(r->task.labels.item[1], "yes"));
	CHECK(r->task.type == TASK_CLOZE && r->task.metric == METRIC_MACRO_F1);
	CHECK(is_under(r->data.train, "t.jsonl") && is_under(r->data.test, "x.csv"));
	CHECK_STR(r->data.validation, "/abs/v.tsv");
	CHECK_STR(r->data.label, "gold");
	CHECK(r->data.per_label_limit == 5 && r->data.eval_limit == 20 && !r->data.shuffle);
	CHECK(r->prompt && json_number(json_get(r->prompt, "mlm_weight")) == 0.1);
	CHECK(r->n_peft == 2 && l->r == 4 && l->use_rslora && l->target_modules.is_list);
	CHECK_STR(r->peft[1].name, "prefix");
	CHECK(r->train.seed == INT64_C(9007199254740992) && r->train.dropout == 0 &&
	      r->train.max_steps == 7);
	CHECK(r->train.optim == OPTIM_ADAMW_8BIT &&
	      r->train.lr_scheduler_type == SCHEDULE_INVERSE_SQRT);
	CHECK(r->compute.memory_limit == INT64_C(3) << 29 && r->compute.backend == BACKEND_REF);
	CHECK(r->compute.base_quant == QUANT_INT8 && r->compute.precision == PRECISION_BF16);
	recipe_free(r);
}

/* Saved elsewhere, a recipe is still the same one, and saving it once more changes no byte. */
static void save_and_reload(const char *text, const struct recipe_method *known)
{
	char other[400], dir[300];
	struct recipe *r, *again = NULL;
	struct buf first, second;

	snprintf(dir, sizeof(dir), "%s/run", top);
	snprintf(other, sizeof(other), "%s/recipe.json", dir);
	buf_init(&first, 1 << 20);
	buf_init(&second, 1 << 20);
	CHECK(load(text, NULL, 0, known, &r) == TT_OK && recipe_write(r, &first) == TT_OK);
	CHECK(fs_mkdirs(dir) == TT_OK && fs_write_atomic(other, first.data, first.size) == TT_OK);
	if (CHECK(recipe_load(other, NULL, 0, known, &again) == TT_OK)) {
		CHECK(recipe_write(again, &second) == TT_OK);
		CHECK_STR(first.data, second.data);
		if (text == everything && known)
			CHECK(same_recipe(r, again));
	} else {
		printf("# it says: %s\n", err_text());
	}
	CHECK(strstr(first.data, "\"adam_beta2\": 0.999,") && strstr(first.data, "\"text_b\":"));
	buf_done(&first);
	buf_done(&second);
	recipe_free(r);
	recipe_free(again);
}

static void saved_defaults(void)
{
	struct recipe *r;
	struct buf out;

	buf_init(&out, 1 << 20);
	CHECK(load(TOP TASK PEFT ",\"prompt\":{\"input\":\"{a}\"}}", NULL, 0, methods, &r) ==
	      TT_OK);
	CHECK(recipe_write(r, &out) == TT_OK);
	CHECK(strstr(out.data, "\"r\": 8") && strstr(out.data, "\"lora_alpha\": 8"));
	CHECK(strstr(out.data, "\"aggregate\": \"mean_logit\"") &&
	      strstr(out.data, "\"temperature\": 2"));
	CHECK(strstr(out.data, "\"learning_rate\": 0.0005") &&
	      strstr(out.data, "\"name\": \"one.two\""));
	CHECK(!strstr(out.data, "max_steps") && !strstr(out.data, "metric") &&
	      !strstr(out.data, "memory_limit"));
	buf_done(&out);
	buf_init(&out, 100);
	CHECK(recipe_write(r, &out) == TT_NOMEM);
	buf_done(&out);
	recipe_free(r);
}

/* ---- --set ---- */

static void overrides(void)
{
	static const char *const set[] = {
		"train.learning_rate=1e-3",
		"peft.r=16",
		"name=other",
		"data.train=x=y.tsv",
		"compute.threads=2",
		"task.labels=[\"a\",\"b\"]",
		"name=7th",
	};
	static const struct {
		const char *set, *says;
	} wrong[] = {
		{ "train.seed", "--set train.seed: write --set PATH=VALUE" },
		{ "=5", "write --set PATH=VALUE" },
		{ "train.sede=5", "train.sede is not a key; did you mean seed?" },
		{ "train.seed=abc", "train.seed is \"abc\"; it must be a whole number" },
		{ "name=7", "name is 7; it must be a string" },
		{ "peft.0.r=5", "\"0\" is not a key of peft" },
		{ "base_model.x=5", "--set: base_model.x: what is before 'x' is a string" },
		{ "..=5", "--set: .. is not a path" },
	};
	struct recipe *r;

	if (CHECK(load(TOP TASK PEFT "}", set, COUNT(set), methods, &r) == TT_OK)) {
		CHECK(r->train.learning_rate == 1e-3 &&
		      ((struct lora *)r->peft[0].settings)->r == 16);
		CHECK_STR(r->name, "7th");
		CHECK(is_under(r->data.train, "x=y.tsv"));
		CHECK(r->compute.threads == 2 && r->task.labels.n == 2);
		CHECK(json_number(json_get(json_get(r->doc, "train"), "learning_rate")) == 1e-3);
	} else {
		printf("# it says: %s\n", err_text());
	}
	recipe_free(r);
	for (size_t i = 0; i < COUNT(wrong); i++) {
		const bool said = load(TOP TASK PEFT "}", &wrong[i].set, 1, methods, &r) ==
					  TT_INVALID &&
				  strstr(err_text(), wrong[i].says) &&
				  strstr(err_text(), file) == err_text();

		CHECK_NAMED(said, wrong[i].set);
		if (!said)
			printf("# it says: %s\n", err_text());
		recipe_free(r);
	}
}

static void without_methods(void)
{
	struct recipe *r;

	CHECK(load(TOP TASK "\"peft\":{\"method\":\"anything\",\"x\":1}}", NULL, 0, NULL, &r) ==
	      TT_OK);
	CHECK_STR(r->peft[0].name, "anything");
	CHECK(!r->peft[0].method && !r->peft[0].settings);
	recipe_free(r);
	CHECK(load(TOP TASK "\"peft\":{\"x\":1}}", NULL, 0, NULL, &r) == TT_INVALID);
	recipe_free(NULL);
}

/* The words of the tables and of the name functions are the same list. */
static void names_match_tables(void)
{
	char joined[400] = "";

	for (int i = TASK_SEQ_CLS; i <= TASK_SEQ2SEQ_LM; i++)
		snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s",
			 i ? "|" : "", recipe_task_name(i));
	CHECK_STR(joined, recipe_task_knobs()[0].choices);
	joined[0] = 0;
	for (int i = METRIC_ACCURACY; i < METRIC_DEFAULT; i++)
		snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s",
			 i ? "|" : "", recipe_metric_name(i));
	CHECK_STR(joined, recipe_task_knobs()[2].choices);
}

static void tables_are_complete(void)
{
	const struct knob *const table[] = {
		recipe_top_knobs(),    recipe_task_knobs(),  recipe_data_knobs(),
		recipe_prompt_knobs(), recipe_train_knobs(), recipe_compute_knobs(),
	};
	bool helped = true, in_range = true;

	for (size_t i = 0; i < COUNT(table); i++)
		for (const struct knob *k = table[i]; k->name; k++) {
			helped = helped && k->help && k->help[strlen(k->help) - 1] == '.';
			if ((k->type == KNOB_INT || k->type == KNOB_REAL) &&
			    !(k->flags & KNOB_OPTIONAL))
				in_range = in_range && k->min < k->max && k->def >= k->min &&
					   k->def <= k->max;
		}
	CHECK(helped);
	CHECK(in_range);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");
	char model[300];

	snprintf(top, sizeof(top), "%s/test_recipe-XXXXXX",
		 tmp && tmp[0] == '/' && strlen(tmp) < 200 ? tmp : "/tmp");
	if (!CHECK(mkdtemp(top) != NULL))
		return check_done();
	snprintf(file, sizeof(file), "%s/one.two.json", top);
	snprintf(model, sizeof(model), "%s/sub/model", top);
	CHECK(fs_mkdirs(model) == TT_OK);
	wrong_recipes();
	wrong_files();
	smallest();
	everything_set();
	save_and_reload(everything, methods);
	save_and_reload(everything, NULL);
	save_and_reload(TOP TASK PEFT "}", methods);
	saved_defaults();
	overrides();
	without_methods();
	names_match_tables();
	tables_are_complete();
	CHECK(fs_remove_tree(top) == TT_OK);
	return check_done();
}
