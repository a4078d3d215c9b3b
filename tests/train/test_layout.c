/* What a run's tapes are said to hold, beside what they hold. */
#include "tests/train/world.h"

#include "tests/check.h"

#include "base/array.h"
#include "tensor/graph.h"
#include "train/layout.h"

static const struct {
	const char *what, *set[4];
} cases[] = {
	{ "lora", { NULL } },
	{ "full", { "peft={\"method\":\"full\"}", NULL } },
	{ "head", { "peft={\"method\":\"head\"}", NULL } },
	{ "bitfit", { "peft={\"method\":\"bitfit\"}", NULL } },
	{ "dora", { "peft={\"method\":\"dora\"}", NULL } },
	{ "ia3", { "peft={\"method\":\"ia3\"}", NULL } },
	{ "prefix", { "peft={\"method\":\"prefix\",\"num_virtual_tokens\":3}", NULL } },
	{ "checkpointing", { "train.gradient_checkpointing=true", NULL } },
	{ "masked words", { "task.type=mlm", "task.labels=null", NULL } },
	{ "no validation", { "data.validation=null", NULL } },
};

/*
 * On one thread one tape sees every shard and every group. What ops need only while
 * they run is not laid out: with sixteen numbers a token scores are the larger part.
 */
static void as_a_run_holds(const char *top, const char *what, const char *const *set)
{
	char dir[PATH_MAX];
	struct layout said;
	struct world w;
	enum train_end end;
	int64_t held;

	CHECK_NAMED(!fs_join(dir, sizeof(dir), top, what) && !fs_mkdirs(dir), what);
	CHECK_NAMED(world_open(&w, top, dir, set, 1, NULL) == TT_OK, what);
	CHECK_NAMED(layout_make(&w.trainer, &said) == TT_OK, what);
	CHECK_NAMED(train_open(&w.trainer) == TT_OK, what);
	CHECK_NAMED(train_run(&w.trainer, false, &end) == TT_OK, what);
	held = (int64_t)graph_reached(w.trainer.graph[0]);
	CHECK_NAMED(said.tape <= held + held / 50 && said.tape > held / 2, what);
	CHECK_NAMED(said.shards > 0 && said.tokens > 0, what);
	if (said.tape > held + held / 50 || said.tape <= held / 2)
		printf("# %s: %lld said, %lld held\n", what, (long long)said.tape, (long long)held);
	world_close(&w);
}

/* Without data: rows as long as they may be. */
static void without_data(const char *top)
{
	struct layout some, none;
	struct world w;

	CHECK(world_open(&w, top, top, NULL, 1, NULL) == TT_OK);
	CHECK(layout_make(&w.trainer, &some) == TT_OK);
	w.trainer.train = w.trainer.validation = NULL;
	CHECK(layout_make(&w.trainer, &none) == TT_OK);
	CHECK(none.tape > some.tape && none.tokens >= some.tokens);
	w.trainer.train = w.train;
	w.trainer.validation = w.dev;
	world_close(&w);
}

int main(void)
{
	char top[] = "/tmp/trimtab-layout-XXXXXX";

	if (!mkdtemp(top) || world_make(top))
		abort();
	for (size_t i = 0; i < COUNT(cases); i++)
		as_a_run_holds(top, cases[i].what, cases[i].set);
	without_data(top);
	CHECK(fs_remove_tree(top) == TT_OK);
	return check_done();
}
