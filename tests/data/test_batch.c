/* Packing, and masking that does not depend on what else is in the batch. */
#include "tests/check.h"

#include <math.h>

#include "base/err.h"
#include "data/batch.h"

enum { LONG = 4000, VOCAB = 50, MASK = 4 };

static const int32_t ids_a[] = { 2, 10, 11, 3 }, ids_b[] = { 2, 12, 3 };
static const uint8_t types_a[] = { 0, 0, 0, 0 }, types_b[] = { 0, 1, 1 };
static uint8_t special[VOCAB];

static const struct example pair[] = {
	{ .id = ids_a, .type = types_a, .n = 4, .label = 1, .value = (float)NAN, .index = 7 },
	{ .id = ids_b, .type = types_b, .n = 3, .label = 0, .value = (float)NAN, .index = 2 },
};

/* The head reads the places that an example names, each with a class of its own. */
static void packs_places(struct arena *a)
{
	static const int32_t place[] = { 1, 2 }, tag[] = { 4, -1 };
	struct example ex[] = { pair[0], pair[1] };
	struct batch b;

	ex[0].places = 2;
	ex[0].place = place;
	ex[0].tag = tag;
	CHECK(batch_pack(a, ex, 2, &b) == TT_OK && b.rows == 3 && b.tokens == 7);
	CHECK(b.row[0] == 1 && b.row[1] == 2 && b.row[2] == 4);
	CHECK(b.row_seq[0] == 0 && b.row_seq[1] == 0 && b.row_seq[2] == 1);
	CHECK(b.label[0] == 4 && b.label[1] == -1 && b.label[2] == 0);
}

static void packs_end_to_end(struct arena *a)
{
	static const int32_t id[] = { 2, 10, 11, 3, 2, 12, 3 }, type[] = { 0, 0, 0, 0, 0, 1, 1 },
			     pos[] = { 0, 1, 2, 3, 0, 1, 2 };
	struct batch b;

	CHECK(batch_pack(a, pair, 2, &b) == TT_OK);
	CHECK(b.seqs == 2 && b.tokens == 7 && b.start[0] == 0 && b.start[1] == 4 &&
	      b.start[2] == 7);
	CHECK(!memcmp(b.id, id, sizeof(id)) && !memcmp(b.type, type, sizeof(type)) &&
	      !memcmp(b.pos, pos, sizeof(pos)));
	CHECK(b.example[0] == 7 && b.example[1] == 2);
	CHECK(b.rows == 2 && b.row[0] == 0 && b.row[1] == 4 && b.row_seq[0] == 0 &&
	      b.row_seq[1] == 1);
	CHECK(b.label && b.label[0] == 1 && b.label[1] == 0 && !b.value);
}

static void numbers_and_no_labels(struct arena *a)
{
	struct example ex[2] = { pair[0], pair[1] };
	struct batch b;

	ex[0].label = ex[1].label = -1;
	CHECK(batch_pack(a, ex, 2, &b) == TT_OK && !b.label && !b.value);
	ex[1].value = 2.5f;
	CHECK(batch_pack(a, ex, 2, &b) == TT_OK && !b.label && b.value && isnan(b.value[0]) &&
	      b.value[1] == 2.5f);
	CHECK(batch_pack(a, ex, 0, &b) == TT_OK && b.seqs == 0 && b.start[0] == 0 && b.rows == 0);
	ex[1].n = 0;
	CHECK(batch_pack(a, ex, 2, &b) == TT_INVALID && strstr(err_text(), "row 3 has no token"));
}

static struct mlm_options options(void)
{
	return (struct mlm_options){ .probability = 0.15,
				     .mask_id = MASK,
				     .vocab = VOCAB,
				     .seed = 11,
				     .epoch = 3,
				     .special = special };
}

/* One long sequence of token 20, [CLS] and [SEP] in between. */
static struct example long_example(int64_t index)
{
	static int32_t id[LONG];
	static uint8_t type[LONG];

	for (int i = 0; i < LONG; i++)
		id[i] = i % 10 == 0 ? 2 : 20;
	return (struct example){
		.id = id, .type = type, .n = LONG, .label = -1, .value = (float)NAN, .index = index
	};
}

static void rates_are_those_of_bert(struct arena *a)
{
	const struct example ex[] = { long_example(0), long_example(1), long_example(2),
				      long_example(3) };
	const struct mlm_options how = options();
	const double tokens = 4 * LONG * 0.9;
	int64_t mask = 0, kept = 0, other = 0, bad = 0;
	struct batch b;

	CHECK(batch_pack_mlm(a, ex, 4, &how, &b) == TT_OK);
	for (int64_t i = 0; i < b.rows; i++) {
		const int32_t now = b.id[b.row[i]];

		bad += b.label[i] != 20 || (i && b.row[i] <= b.row[i - 1]) ||
		       b.row_seq[i] != b.row[i] / LONG || now < 0 || now >= VOCAB;
		mask += now == MASK;
		kept += now == 20;
		other += now != MASK && now != 20;
	}
	CHECK(bad == 0 && !b.value);
	/* Five standard deviations of the binomials. */
	CHECK_NEAR((double)b.rows, 0.15 * tokens, 5 * sqrt(tokens * 0.15 * 0.85));
	CHECK_NEAR((double)mask / (double)b.rows, 0.8 + 0.1 / VOCAB, 0.045);
	CHECK_NEAR((double)kept / (double)b.rows, 0.1 + 0.1 / VOCAB, 0.033);
	CHECK_NEAR((double)other / (double)b.rows, 0.1, 0.033);
	for (int64_t i = 0; i < b.tokens; i += 10)
		bad += b.id[i] != 2;
	CHECK(bad == 0);
}

/* A sequence alone is masked as it is among others. */
static void masks_do_not_depend_on_the_batch(struct arena *a)
{
	const struct example both[] = { long_example(8), long_example(9) },
			     swapped[] = { both[1], both[0] };
	const size_t bytes = LONG * sizeof(int32_t);
	struct mlm_options how = options();
	struct batch two, one, other;

	CHECK(batch_pack_mlm(a, both, 2, &how, &two) == TT_OK);
	CHECK(batch_pack_mlm(a, both + 1, 1, &how, &one) == TT_OK);
	CHECK(!memcmp(two.id + LONG, one.id, bytes));
	CHECK(batch_pack_mlm(a, swapped, 2, &how, &other) == TT_OK &&
	      !memcmp(other.id, one.id, bytes));
	CHECK(memcmp(two.id, two.id + LONG, bytes) != 0);
	how.epoch++;
	CHECK(batch_pack_mlm(a, both + 1, 1, &how, &other) == TT_OK &&
	      memcmp(other.id, one.id, bytes));
	how.epoch--;
	how.seed++;
	CHECK(batch_pack_mlm(a, both + 1, 1, &how, &other) == TT_OK &&
	      memcmp(other.id, one.id, bytes));
}

static void edges(struct arena *a)
{
	const struct example ex = long_example(0);
	struct mlm_options how = options();
	struct batch b;

	how.probability = 0;
	CHECK(batch_pack_mlm(a, &ex, 1, &how, &b) == TT_OK && b.rows == 0 && !b.label);
	how.probability = 1;
	CHECK(batch_pack_mlm(a, &ex, 1, &how, &b) == TT_OK && b.rows == LONG * 9 / 10);
	how.probability = 1.5;
	CHECK(batch_pack_mlm(a, &ex, 1, &how, &b) == TT_INVALID);
	how = options();
	how.mask_id = -1;
	CHECK(batch_pack_mlm(a, &ex, 1, &how, &b) == TT_INVALID &&
	      strstr(err_text(), "no mask token"));
	how = options();
	how.vocab = 15;
	CHECK(batch_pack_mlm(a, &ex, 1, &how, &b) == TT_INVALID && strstr(err_text(), "outside"));
}

int main(void)
{
	struct arena *a = arena_new();

	special[2] = special[3] = special[MASK] = 1;
	packs_places(a);
	packs_end_to_end(a);
	numbers_and_no_labels(a);
	rates_are_those_of_bert(a);
	masks_do_not_depend_on_the_batch(a);
	edges(a);
	arena_free(a);
	return check_done();
}
