/* Curves as files: every value in a .csv, charts of what runs have, and sentences for the rest. */
#include "tests/check.h"

#include "tests/ui/stage.h"
#include "ui/csv.h"
#include "ui/plot_file.h"

static char path[400];
static struct run run[2];

static int write_as(struct store *st, const char *dir, const char *name, const char *key)
{
	const struct run *const of[] = { &run[0], &run[1] };
	const struct plot_file how = { path, &key, 1, false };

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return plot_file_write(st, of, 2, &how);
}

static void add(struct store *st, int n, const char *name, double odd)
{
	const struct metric m[] = { { "loss", 1, 0.5, 1 },
				    { "loss", 2, odd, 2 },
				    { "loss", 3, 1e-7, 3 } };
	char id[RUN_ID_SIZE];
	int64_t row;

	run_id_make(id, STAGE_NOW + n, 7);
	stage_must(run_add(st, &(const struct run){ .id = id, .name = name, .dir = "/nowhere" },
			   "{}", &row));
	stage_must(metric_add(st, row, 1, m, 3));
	stage_must(run_get_row(st, row, &run[n]));
}

static void every_value(struct store *st, const char *dir)
{
	char want[600];
	struct buf got;

	CHECK(!write_as(st, dir, "a.csv", "loss"));
	stage_must(fs_read(path, 1 << 20, &got));
	snprintf(want, sizeof(want),
		 "run,name,key,step,value\n"
		 "%s,\"a,\"\"b\",loss,1,0.5\n%s,\"a,\"\"b\",loss,2,nan\n%s,\"a,\"\"b\",loss,3,"
		 "9.9999999999999995e-08\n"
		 "%s,\"'=1+1\",loss,1,0.5\n%s,\"'=1+1\",loss,2,inf\n%s,\"'=1+1\",loss,3,"
		 "9.9999999999999995e-08\n",
		 run[0].id, run[0].id, run[0].id, run[1].id, run[1].id, run[1].id);
	CHECK_STR(got.data, want);
	buf_done(&got);
}

static void pictures(struct store *st, const char *dir)
{
	CHECK(!write_as(st, dir, "a.svg", "loss") && fs_exists(path));
	CHECK(!write_as(st, dir, "a.png", "loss") && fs_exists(path));
	CHECK(plot_file_knows("a.svg") && plot_file_knows("x/a.png") && !plot_file_knows("a.csv") &&
	      !plot_file_knows("svg") && !plot_file_knows("a.png/b"));
}

static void sentences(struct store *st, const char *dir)
{
	CHECK(write_as(st, dir, "b.svg", "other") == TT_NOTFOUND && !fs_exists(path));
	CHECK(strstr(err_text(), "no values to draw"));
	CHECK(write_as(st, dir, "b.pdf", "loss") == TT_INVALID);
	CHECK(strstr(err_text(), ".svg, .png or .csv"));
	CHECK(write_as(st, dir, "no/where/b.svg", "loss") && !fs_exists(path));
}

int main(void)
{
	struct stage s = { .nul = NULL };
	struct store *st;

	stage_folder(&s);
	stage_must(store_open(s.db, &st));
	add(st, 0, "a,\"b", NAN);
	add(st, 1, "=1+1", INFINITY);
	every_value(st, s.dir);
	pictures(st, s.dir);
	sentences(st, s.dir);
	run_done(&run[0]);
	run_done(&run[1]);
	store_close(st);
	(void)fs_remove_tree(s.dir);
	return check_done();
}
