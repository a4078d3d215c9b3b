/* A disk that fills up, and one that cannot be written: one sentence, and nothing is damaged. */
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "db/metric.h"
#include "tests/db/home.h"

enum { ROWS = 200 };

/* Batches until one fails; returns its code, 0 when none of n failed. */
static int fill(struct store *st, int64_t run, int n, int *ret_batches)
{
	struct metric m[ROWS];

	for (int i = 0; i < n; i++) {
		int code;

		for (int k = 0; k < ROWS; k++)
			m[k] = (struct metric){ .key = "train/loss",
						.step = i * ROWS + k,
						.value = k };
		code = metric_add(st, run, 1, m, ROWS);
		if (code) {
			*ret_batches = i;
			return code;
		}
	}
	return TT_OK;
}

static size_t rows(struct store *st, int64_t run)
{
	struct metric_point *p = NULL;
	size_t n = 0;

	if (metric_read(st, run, "train/loss", &p, &n))
		return 0;
	free(p);
	return n;
}

static void limit_is_a_full_disk(void)
{
	struct home h;
	int64_t run;
	int batches = 0, more = 0;

	home_open(&h);
	run = home_run(&h, 1, "large", NULL);
	CHECK(store_limit(h.st, 60) == TT_OK);
	CHECK(fill(h.st, run, 1000, &batches) == TT_IO);
	CHECK_NAMED(strstr(err_text(), "is full") != NULL, err_text());
	CHECK(batches > 0);
	CHECK(rows(h.st, run) == (size_t)batches * ROWS); /* whole batches, and all of them */
	CHECK(store_limit(h.st, 0) == TT_OK);
	CHECK(fill(h.st, run, batches + 5, &more) == TT_OK);
	CHECK(rows(h.st, run) == (size_t)(batches + 5) * ROWS);
	home_close(&h);
}

/* Everything below happens on a small disk of our own, in a child with its own table of mounts. */
static int small_disk(const char *dir)
{
	char db[300];
	struct home h = { .st = NULL };
	struct store *read = NULL;
	int batches = 0;
	size_t found;
	int64_t run;

	snprintf(db, sizeof(db), "%.250s/runs.db", dir);
	if (store_open(db, &h.st))
		return 3;
	run = home_run(&h, 1, "large", NULL);
	if (fill(h.st, run, 1000, &batches) != TT_IO || !strstr(err_text(), "is full"))
		return 4;
	found = rows(h.st, run);
	store_close(h.st);
	if (found != (size_t)batches * ROWS)
		return 5;
	if (mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL))
		return 6;
	if (store_open(db, &h.st) != TT_IO || !strstr(err_text(), "read-only"))
		return 7;
	if (store_open_read(db, &read))
		return 8;
	found = rows(read, run);
	store_close(read);
	return found == (size_t)batches * ROWS ? 0 : 9;
}

static int in_child(const char *dir)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("trimtab", dir, "tmpfs", 0, "size=1m"))
		return 77;
	return small_disk(dir);
}

static void small_disk_is_survived(void)
{
	struct home h;
	int status = -1;
	pid_t pid;

	home_open(&h);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		const int code = in_child(h.dir);

		if (code && code != 77)
			fprintf(stderr, "# place %d: %s\n", code, err_text());
		_exit(code);
	}
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 77)
		printf("ok %d # SKIP this test may not mount a small disk\n", ++check_count);
	else
		CHECK(status == 0);
	home_close(&h);
}

int main(void)
{
	limit_is_a_full_disk();
	small_disk_is_survived();
	return check_done();
}
