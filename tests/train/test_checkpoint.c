/*
 * Checkpoints come back bit by bit, or not at all: damage, full disks and strangers
 * are told by a sentence.
 */
#include "tests/check.h"

#include <limits.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/fs.h"
#include "tests/model/toy.h"
#include "train/checkpoint.h"

static char top[PATH_MAX], dir[PATH_MAX];

/* A parameter of each rank with an optimizer's state; fresh values from the seed. */
struct small {
	float data[2][6], grad[2][6];
	struct tensor tensor[2], *param[2];
	struct optim *optim;
	struct train_settings how;
	struct checkpoint_parts parts;
};

static void small_new(struct small *s, unsigned seed)
{
	const struct optim_rule rule[2] = { { .scale = 1 }, { .scale = 1 } };
	struct pool *pool = NULL;

	memset(s, 0, sizeof(*s));
	s->how = (struct train_settings){
		.optim = OPTIM_ADAMW, .adam_beta1 = 0.9, .adam_beta2 = 0.999, .adam_epsilon = 1e-8
	};
	s->tensor[0] = (struct tensor){ .name = "a.weight",
					.rank = 2,
					.dim = { 2, 3 },
					.data = s->data[0],
					.grad = s->grad[0] };
	s->tensor[1] = (struct tensor){
		.name = "a.bias", .rank = 1, .dim = { 6 }, .data = s->data[1], .grad = s->grad[1]
	};
	for (int i = 0; i < 2; i++) {
		s->param[i] = &s->tensor[i];
		for (int k = 0; k < 6; k++) {
			seed = seed * 1103515245u + 12345u;
			s->data[i][k] = (float)(seed >> 16) / 65536.0f;
			s->grad[i][k] = (float)(seed >> 8 & 0xffff) / 65536.0f - 0.5f;
		}
	}
	CHECK(optim_new(&s->how, s->param, rule, 2, &s->optim) == TT_OK &&
	      pool_new(1, &pool) == TT_OK);
	optim_step(s->optim, pool, 0.01, 1);
	pool_free(pool);
	s->parts = (struct checkpoint_parts){ .param = s->param, .n = 2, .optim = s->optim };
}

static bool small_same(const struct small *a, const struct small *b)
{
	bool same = !memcmp(a->data, b->data, sizeof(a->data));

	for (size_t i = 0; i < optim_state_count(a->optim); i++) {
		const struct optim_state x = optim_state(a->optim, i), y = optim_state(b->optim, i);

		same = same && x.n == y.n && !memcmp(x.data, y.data, (size_t)x.n * sizeof(float));
	}
	return same;
}

static struct checkpoint state(int64_t step)
{
	return (struct checkpoint){
		.step = step,
		.epoch = (double)step / 3,
		.cursor = 5,
		.learning_rate = 0.1 + 0.2,
		.evaluated = 4,
		.best_step = 2,
		.best = 2.0 / 3,
		.since_best = 1,
		.loss_sum = 1e-300,
		.loss_steps = 2,
		.recipe = UINT64_C(0xfedcba9876543210),
	};
}

static char *path_of(int64_t step, const char *ending, char *ret)
{
	char name[64];

	snprintf(name, sizeof(name), "step-%08lld.%s", (long long)step, ending);
	CHECK(fs_join(ret, PATH_MAX, dir, name) == TT_OK);
	return ret;
}

static size_t count(void)
{
	int64_t *step = NULL;
	size_t n = 0;

	CHECK(checkpoint_list(dir, &step, &n) == TT_OK);
	free(step);
	return n;
}

static void comes_back(void)
{
	const struct checkpoint c = state(123);
	struct checkpoint back = { 0 };
	struct small a, b;

	small_new(&a, 1);
	small_new(&b, 2);
	CHECK(!small_same(&a, &b));
	CHECK(count() == 0);
	CHECK(checkpoint_resume(dir, c.recipe, &b.parts, &back) == TT_NOTFOUND);
	CHECK(checkpoint_write(dir, &c, &a.parts) == TT_OK);
	CHECK(checkpoint_resume(dir, c.recipe, &b.parts, &back) == TT_OK);
	CHECK(small_same(&a, &b));
	CHECK(back.step == 123 && back.cursor == 5 && back.evaluated == 4 && back.best_step == 2 &&
	      back.since_best == 1 && back.loss_steps == 2 && back.recipe == c.recipe);
	CHECK(back.epoch == c.epoch && back.learning_rate == c.learning_rate &&
	      back.best == c.best && back.loss_sum == c.loss_sum);
	optim_free(a.optim);
	optim_free(b.optim);
}

/* Not fs_write_atomic: that many syncs take their time. */
static bool put(const char *path, const char *data, size_t size)
{
	FILE *f = fopen(path, "wb");
	const bool fine = f && fwrite(data, 1, size, f) == size;

	return f && !fclose(f) && fine;
}

/* No byte may change unnoticed. */
static void every_byte_counts(void)
{
	struct small a, b, before;
	struct checkpoint back;
	struct buf file;
	char path[PATH_MAX];
	int64_t step = 0;
	int missed = 0, touched = 0;

	small_new(&a, 1);
	small_new(&b, 3);
	memcpy(before.data, b.data, sizeof(b.data));
	CHECK(fs_read(path_of(123, "safetensors", path), 1 << 20, &file) == TT_OK);
	for (size_t i = 0; i < file.size; i++) {
		file.data[i] = (char)(file.data[i] ^ 1 << i % 8);
		missed += !put(path, file.data, file.size);
		missed += checkpoint_read(dir, 123, &b.parts, &back) == TT_OK &&
			  !small_same(&a, &b);
		touched += memcmp(before.data, b.data, sizeof(b.data)) != 0 && !small_same(&a, &b);
		file.data[i] = (char)(file.data[i] ^ 1 << i % 8);
	}
	CHECK(missed == 0);
	CHECK(touched == 0);
	for (size_t n = 0; n < file.size; n += 7) { /* and no end may be missing */
		missed += !put(path, file.data, n);
		missed += checkpoint_newest(dir, &step) == TT_OK;
	}
	CHECK(missed == 0);
	CHECK(put(path, file.data, file.size));
	CHECK(checkpoint_newest(dir, &step) == TT_OK && step == 123);
	buf_done(&file);
	optim_free(a.optim);
	optim_free(b.optim);
}

static void a_damaged_one_is_passed_over(void)
{
	struct checkpoint c = state(200), back = { 0 };
	struct small a, b;
	struct buf file;
	char path[PATH_MAX];

	small_new(&a, 1);
	small_new(&b, 4);
	CHECK(checkpoint_write(dir, &c, &b.parts) == TT_OK);
	CHECK(fs_read(path_of(200, "safetensors", path), 1 << 20, &file) == TT_OK);
	file.data[file.size - 3] ^= 4;
	CHECK(put(path, file.data, file.size));
	buf_done(&file);
	CHECK(checkpoint_read(dir, 200, &b.parts, &back) == TT_INVALID);
	CHECK(strstr(err_text(), "damaged") != NULL);
	CHECK(checkpoint_resume(dir, c.recipe, &b.parts, &back) == TT_OK && back.step == 123);
	CHECK(small_same(&a, &b));
	CHECK(!fs_exists(path) && fs_exists(path_of(200, "damaged", path)));
	optim_free(a.optim);
	optim_free(b.optim);
}

static void strangers_are_refused(void)
{
	struct checkpoint back;
	struct small a;

	small_new(&a, 5);
	CHECK(checkpoint_resume(dir, 1, &a.parts, &back) == TT_INVALID);
	CHECK(strstr(err_text(), "other settings") != NULL);
	a.tensor[0].dim[0] = 3;
	a.tensor[0].dim[1] = 2;
	CHECK(checkpoint_read(dir, 123, &a.parts, &back) == TT_INVALID);
	CHECK(strstr(err_text(), "another shape") != NULL);
	a.tensor[0].name = "b.weight";
	CHECK(checkpoint_read(dir, 123, &a.parts, &back) == TT_INVALID);
	CHECK(strstr(err_text(), "holds no param/b.weight") != NULL);
	CHECK(checkpoint_read(dir, 7, &a.parts, &back) == TT_NOTFOUND);
	CHECK(checkpoint_start(dir) == TT_INVALID);
	optim_free(a.optim);
}

/*
 * The disk fills up while the next one is written: what was there stays, and nothing
 * else lies about.
 */
static void a_full_disk(void)
{
	const struct checkpoint c = state(300);
	struct checkpoint back;
	struct small a;
	char path[PATH_MAX];
	bool refused = false;

	small_new(&a, 6);
	setenv("TT_FAIL_WRITE", "20", 1); /* the 20th of this process; there were fewer so far */
	for (int i = 0; i < 20 && !refused; i++) {
		refused = checkpoint_write(dir, &c, &a.parts) != TT_OK;
		if (!refused)
			remove(path_of(300, "safetensors", path));
	}
	CHECK(refused && strstr(err_text(), "the checkpoint of step 300 was not written") != NULL);
	unsetenv("TT_FAIL_WRITE");
	CHECK(!fs_exists(path_of(300, "safetensors", path)));
	CHECK(count() == 1);
	CHECK(checkpoint_read(dir, CHECKPOINT_LAST, &a.parts, &back) == TT_OK && back.step == 123);
	optim_free(a.optim);
}

static void pruning_and_picking(void)
{
	static const struct method_ops plain = { .name = "plain" };
	struct method m = { 0 };
	struct checkpoint back;
	struct small a, b;

	small_new(&a, 7);
	small_new(&b, 8);
	for (int64_t step = 1; step <= 5; step++) {
		struct checkpoint c = state(step);

		CHECK(checkpoint_write(dir, &c, step == 2 ? &a.parts : &b.parts) == TT_OK);
	}
	CHECK(count() == 6);
	CHECK(checkpoint_prune(dir, 2, 2) == TT_OK && count() == 3); /* 123, 5, and the best */
	CHECK(checkpoint_read(dir, 5, &b.parts, &back) == TT_OK &&
	      checkpoint_read(dir, 4, &b.parts, &back) == TT_NOTFOUND);
	m.ops = &plain;
	m.param = b.param;
	m.nparam = 2;
	CHECK(checkpoint_load_params(dir, "best", &m) == TT_OK &&
	      !memcmp(a.data, b.data, sizeof(a.data)));
	CHECK(checkpoint_load_params(dir, "5", &m) == TT_OK &&
	      memcmp(a.data, b.data, sizeof(a.data)));
	CHECK(checkpoint_load_params(dir, "last", &m) == TT_OK);
	CHECK(checkpoint_load_params(dir, "latest", &m) == TT_INVALID &&
	      checkpoint_load_params(dir, "-3", &m) == TT_INVALID);
	optim_free(a.optim);
	optim_free(b.optim);
}

/* Other files in the folder are left alone; what a killed writer left is not. */
static void other_files(void)
{
	static const char *const other[] = {
		"step-1.safetensors",
		"step-00000x01.safetensors",
		"notes.txt",
		"step-00000009.damaged",
		"step-99999999999999999999999.safetensors",
	};
	const struct checkpoint c = state(123);
	struct checkpoint back;
	struct small a;
	char path[PATH_MAX];

	small_new(&a, 9);
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		CHECK(fs_join(path, sizeof(path), dir, other[i]) == TT_OK);
		CHECK(fs_write_atomic(path, "x", 1) == TT_OK);
	}
	CHECK(fs_join(path, sizeof(path), dir, ".tt-77-3-0.tmp") == TT_OK &&
	      fs_write_atomic(path, "x", 1) == TT_OK);
	CHECK(count() == 3);
	CHECK(checkpoint_resume(dir, c.recipe, &a.parts, &back) == TT_OK && back.step == 123);
	CHECK(!fs_exists(path));
	CHECK(checkpoint_prune(dir, 1, -1) == TT_OK && count() == 1);
	CHECK(fs_join(path, sizeof(path), dir, other[2]) == TT_OK && fs_exists(path));
	optim_free(a.optim);
}

int main(void)
{
	if (!CHECK(toy_folder(top, sizeof(top)) != NULL))
		return check_done();
	CHECK(fs_join(dir, sizeof(dir), top, "checkpoints") == TT_OK);
	comes_back();
	every_byte_counts();
	a_damaged_one_is_passed_over();
	strangers_are_refused();
	a_full_disk();
	pruning_and_picking();
	other_files();
	CHECK(fs_remove_tree(top) == TT_OK);
	return check_done();
}
