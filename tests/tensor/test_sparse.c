/* Zeros are found, and left alone. */
#include "tests/check.h"

#include <stdlib.h>

#include "tensor/sparse.h"

enum { N = 3 * SPARSE_PART + 7 };

static void only_zeros_rest(void)
{
	float x[5] = { 0 };

	CHECK(sparse_rests(x, 5) && sparse_rests(x, 1) && sparse_rests(x, 0));
	x[4] = 1e-40F;
	CHECK(!sparse_rests(x, 5) && sparse_rests(x, 4));
	x[0] = -0.0F; /* adding to it would be seen */
	CHECK(!sparse_rests(x, 1));
}

static void all_is_cleared(void)
{
	float *x = calloc(N, sizeof(*x));
	bool clear = true;

	if (!x)
		abort();
	x[1] = x[SPARSE_PART] = x[N - 1] = 2;
	sparse_clear(x, N);
	for (int i = 0; i < N; i++)
		clear = clear && x[i] == 0.0F;
	CHECK(clear);
	CHECK(sparse_part(0, N) == SPARSE_PART && sparse_part(3 * SPARSE_PART, N) == 7);
	free(x);
}

int main(void)
{
	only_zeros_rest();
	all_is_cleared();
	return check_done();
}
