/* MT19937: the published known answer, and torch's uniform numbers bit for bit. */
#include "tests/check.h"

#include "base/array.h"
#include "base/mersenne.h"

static void known_answer(void)
{
	struct mersenne m;
	uint32_t last = 0;

	/* C++11 asks this of std::mt19937 */
	mersenne_init(&m, 5489);
	for (int i = 0; i < 10000; i++)
		last = mersenne_u32(&m);
	CHECK(last == 4123659995u);
}

/* torch.empty(shape).uniform_(-b, b, generator=manual_seed(key)), b = sqrt(6 / columns): torch 2.13. */
static const struct {
	uint64_t key;
	int cols;
	float want[6];
} drawn[] = {
	{ 7,
	  8,
	  { 0x1.ef83b8p-5f, -0x1.0b1ab6p-1f, 0x1.1a618cp-2f, 0x1.164384p-2f, -0x1.d9fabcp-2f,
	    -0x1.09d340p-3f } },
	{ 0,
	  5,
	  { -0x1.0cbe56p-7f, 0x1.2cdfbep-1f, -0x1.cd9e9ep-1f, -0x1.9cc3bcp-1f, -0x1.b00a9cp-2f,
	    0x1.2ccd3ep-2f } },
	{ ((uint64_t)1 << 32) + 7, 3, { 0x1.9495fep-4f, -0x1.b42df8p-1f, 0x1.cd2056p-2f } },
};

static void as_torch(void)
{
	for (size_t i = 0; i < COUNT(drawn); i++) {
		const float bound = (float)(sqrt(3.0) * (sqrt(2.0) / sqrt((double)drawn[i].cols)));
		struct mersenne m;
		bool same = true;

		mersenne_init(&m, drawn[i].key);
		for (size_t k = 0; k < COUNT(drawn[i].want) && drawn[i].want[k] != 0; k++)
			same &= mersenne_uniform(&m, -bound, bound) == drawn[i].want[k];
		CHECK(same);
	}
}

int main(void)
{
	known_answer();
	as_torch();
	return check_done();
}
