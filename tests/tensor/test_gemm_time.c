/* Choosing a backend by time: what the file is believed, and what is not. */
#include "tests/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "tensor/gemm_time.h"

enum { OUT = 48, IN = 40, TEXT_MAX = 1 << 16 };

static char path[256], head[TEXT_MAX]; /* head: what a file of this machine begins with */

static bool is_backend(const char *name)
{
	for (int i = 0; gemm_all()[i]; i++)
		if (!strcmp(gemm_all()[i]->name, name))
			return true;
	return false;
}

static void write_file(const char *text)
{
	CHECK(fs_write_atomic(path, text, strlen(text)) == TT_OK);
}

/* Opens, asks for one product, and says whether it had to be timed: then there is something to save. */
static bool was_timed(char *ret_best, size_t size)
{
	struct gemm_times *t;
	bool timed;

	if (!CHECK(gemm_times_open(path, &t) == TT_OK))
		return false;
	CHECK(gemm_times_add(t, OUT, IN, GEMM_BACKWARD) == TT_OK);
	snprintf(ret_best, size, "%s", gemm_times_best(t));
	CHECK(!fs_exists(path) || unlink(path) == 0);
	CHECK(gemm_times_save(t, path) == TT_OK);
	timed = fs_exists(path);
	gemm_times_free(t);
	return timed;
}

static void first_and_second_time(void)
{
	struct buf text;
	char best[32];

	CHECK(was_timed(best, sizeof(best)) && is_backend(best));
	CHECK(fs_read(path, TEXT_MAX, &text) == TT_OK);
	snprintf(head, sizeof(head), "%.*s", (int)(strstr(text.data, "[") + 1 - text.data),
		 text.data);
	CHECK(!was_timed(best, sizeof(best)) && is_backend(best));
	write_file(text.data);
	buf_done(&text);
}

/* One product, the preferred backend at 100 GFLOPS and the reference, the last, at `ref`. */
static void write_figures(double ref)
{
	char text[TEXT_MAX + 1024];
	size_t at = (size_t)snprintf(text, sizeof(text),
				     "%s{\"out\":%d,\"in\":%d,\"side\":\"backward\",\"gflops\":{",
				     head, OUT, IN);

	for (int i = 0; gemm_all()[i]; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\"%s\":%g", i ? "," : "",
				       gemm_all()[i]->name, gemm_all()[i + 1] || !i ? 100.0 : ref);
	snprintf(text + at, sizeof(text) - at, "}}]}");
	write_file(text);
}

static void only_a_clear_lead_counts(void)
{
	char best[32];

	if (!gemm_all()[1])
		return;
	write_figures(110);
	CHECK(!was_timed(best, sizeof(best)));
	CHECK_STR(best, gemm_all()[0]->name);
	write_figures(130);
	CHECK(!was_timed(best, sizeof(best)));
	CHECK_STR(best, "ref");
}

/* Each is as none, and is replaced. */
static void damaged_files_are_none(void)
{
	static const char *const whole[] = {
		"",
		"{",
		"[]",
		"{}",
		"\xff\xfe",
		"{\"processor\":1,\"libraries\":[],\"products\":{}}",
		"{\"processor\":\"another\",\"libraries\":\"another\",\"products\":[]}",
	};
	static const char *const tail[] = {
		"",
		"7]}",
		"{}]}",
		"{\"out\":48,\"in\":40,\"side\":\"backward\"}]}",
		"{\"out\":48,\"in\":40,\"side\":\"backward\",\"gflops\":{}}]}",
		"{\"out\":48,\"in\":40,\"side\":\"backward\",\"gflops\":{\"ref\":-1}}]}",
		"{\"out\":48,\"in\":40,\"side\":\"backward\",\"gflops\":{\"onednn\":1e99}}]}",
		"{\"out\":-48,\"in\":1e300,\"side\":\"sideways\",\"gflops\":7}]}",
		"{\"out\":48,\"in\":40,\"side\":\"backward\",\"gflops\":[1,2,3]}]}",
	};
	static char text[2 * TEXT_MAX];
	char best[32];

	for (size_t i = 0; i < COUNT(whole); i++) {
		write_file(whole[i]);
		CHECK_NAMED(was_timed(best, sizeof(best)) && is_backend(best), whole[i]);
	}
	for (size_t i = 0; i < COUNT(tail); i++) {
		snprintf(text, sizeof(text), "%s%s", head, tail[i]);
		write_file(text);
		CHECK_NAMED(was_timed(best, sizeof(best)) && is_backend(best), tail[i]);
	}
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");
	char dir[200];

	snprintf(dir, sizeof(dir), "%s/times-XXXXXX", tmp ? tmp : "/tmp");
	if (!CHECK(mkdtemp(dir) != NULL))
		return check_done();
	snprintf(path, sizeof(path), "%s/backends.json", dir);
	first_and_second_time();
	only_a_clear_lead_counts();
	damaged_files_are_none();
	CHECK(fs_remove_tree(dir) == TT_OK);
	return check_done();
}
