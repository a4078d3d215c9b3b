/*
 * A plain main for the fuzz targets, where libFuzzer is not there: every file
 * of the target's corpus, then seeded mutations of them. With clang and
 * --enable-fuzzing the same targets link with libFuzzer instead.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEEDS_MAX = 64, MUTATIONS = 2000, SIZE_MAX_INPUT = 1 << 16 };

static struct buf seed[SEEDS_MAX];
static size_t seeds;

static void load(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;

	while (d && seeds < SEEDS_MAX && (e = readdir(d))) {
		char path[4096];

		snprintf(path, sizeof(path), "%.3800s/%.255s", dir, e->d_name);
		if (e->d_name[0] != '.' && !fs_read(path, SIZE_MAX_INPUT, &seed[seeds]))
			seeds++;
	}
	if (d)
		closedir(d);
}

/* Change some bytes, cut, or repeat a piece. */
static size_t mutate(struct rng *r, uint8_t *data, size_t size, size_t room)
{
	const uint32_t changes = 1 + rng_below(r, 8);

	for (uint32_t i = 0; i < changes && size; i++) {
		const size_t at = rng_below(r, (uint32_t)size);

		switch (rng_below(r, 5)) {
		case 0: data[at] = (uint8_t)rng_u32(r); break;
		case 1: data[at] ^= (uint8_t)(1u << rng_below(r, 8)); break;
		case 2: size = at; break;
		case 3: data[at] = (uint8_t) "{}[]\",:0919e-\\"[rng_below(r, 14)]; break;
		default: {
			const size_t n = rng_below(r, (uint32_t)(size - at)) + 1;

			if (size + n <= room) {
				memmove(data + at + n, data + at, size - at);
				size += n;
			}
		}
		}
	}
	return size;
}

int main(int argc, char **argv)
{
	static uint8_t data[2 * SIZE_MAX_INPUT];
	const char *name = strrchr(argv[0], '/');
	const char *top = getenv("top_srcdir");
	char dir[4096];
	struct rng r;

	name = name ? name + 1 : argv[0];
	if (!strncmp(name, "lt-", 3))
		name += 3;
	snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", top ? top : ".", name);
	load(argc > 1 ? argv[1] : dir);
	for (size_t i = 0; i < seeds; i++)
		LLVMFuzzerTestOneInput((const uint8_t *)seed[i].data, seed[i].size);
	printf("%sok 1 - %zu files of the corpus\n", seeds ? "" : "not ", seeds);
	rng_init(&r, 42, RNG_TEST, 0);
	for (int i = 0; i < MUTATIONS && seeds; i++) {
		const struct buf *s = &seed[rng_below(&r, (uint32_t)seeds)];
		uint8_t *exact;
		size_t n = s->size;

		memcpy(data, s->data, n);
		n = mutate(&r, data, n, sizeof(data));
		exact = malloc(n ? n : 1); /* so that a read past the end is seen */
		if (!exact)
			return 1;
		memcpy(exact, data, n);
		LLVMFuzzerTestOneInput(exact, n);
		free(exact);
	}
	printf("ok 2 - %d mutations\n1..2\n", MUTATIONS);
	for (size_t i = 0; i < seeds; i++)
		buf_done(&seed[i]);
	return seeds ? 0 : 1;
}
