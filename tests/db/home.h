#ifndef TESTS_DB_HOME_H
#define TESTS_DB_HOME_H
/* A folder of its own for a test, with a run log in it, and runs to put there. */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "db/run.h"
#include "db/store.h"

struct home {
	char dir[256], db[300];
	struct store *st;
};

static inline void home_open(struct home *h)
{
	const char *tmp = getenv("TMPDIR");

	*h = (struct home){ .st = NULL };
	snprintf(h->dir, sizeof(h->dir), "%.200s/trimtab-db-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
	if (!mkdtemp(h->dir)) {
		printf("Bail out! no temporary folder: %s\n", h->dir);
		exit(99);
	}
	snprintf(h->db, sizeof(h->db), "%s/runs.db", h->dir);
	if (store_open(h->db, &h->st)) {
		printf("Bail out! %s\n", err_text());
		exit(99);
	}
}

static inline void home_close(struct home *h)
{
	store_close(h->st);
	(void)fs_remove_tree(h->dir);
}

/* A second is a second: run n was created n seconds into 2026. */
static inline int64_t home_time(int n) { return (1767225600 + (int64_t)n) * 1000000; }

/* Run number n under that name; returns its row, 0 when it could not be added. */
static inline int64_t home_run(struct home *h, int n, const char *name, char *ret_id)
{
	char id[RUN_ID_SIZE];
	struct run r = { .id = id,
			 .name = name,
			 .method = n % 2 ? "lora" : "full",
			 .model = "mini",
			 .task = "seq_cls",
			 .created = home_time(n),
			 .dir = "runs",
			 .metric_key = "eval/accuracy",
			 .best_greater = true };
	int64_t row = 0;

	run_id_make(id, r.created, (uint32_t)n);
	if (run_add(h->st, &r, "{\"name\": \"x\"}", &row))
		printf("# %s\n", err_text());
	if (ret_id)
		memcpy(ret_id, id, sizeof(id));
	return row;
}

#endif
