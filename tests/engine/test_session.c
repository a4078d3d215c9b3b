/* Opening what a recipe names: what was timed to choose a backend is kept, or said once. */
#include "tests/check.h"

#include <fcntl.h>
#include <unistd.h>

#include "engine/session.h"
#include "tests/train/world.h"

static char top[PATH_MAX];

static const char *in_top(const char *name)
{
	static char path[PATH_MAX];

	CHECK(fs_join(path, sizeof(path), top, name) == TT_OK);
	return path;
}

/* A session whose backend was timed; ret_log: what keeping the times says. */
static void keep(const char *home, struct buf *ret_log)
{
	const char *set[] = { "compute.threads=1" };
	struct session s = { 0 };
	int fd, was;

	CHECK(!setenv("TRIMTAB_HOME", home, 1));
	if (!CHECK(session_open_recipe(in_top("recipe.json"), set, 1, &s) == TT_OK &&
		   session_load(&s, true) == TT_OK))
		printf("# %s\n", err_text());
	CHECK(s.times != NULL && !fs_exists(home));
	fflush(stderr);
	was = dup(STDERR_FILENO);
	fd = open(in_top("log"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	dup2(fd, STDERR_FILENO);
	session_keep_times(&s);
	dup2(was, STDERR_FILENO);
	close(was);
	close(fd);
	session_close(&s);
	CHECK(fs_read(in_top("log"), 1 << 16, ret_log) == TT_OK);
}

static void the_first_ever_makes_the_home(void)
{
	char home[PATH_MAX];
	struct buf log;

	snprintf(home, sizeof(home), "%s", in_top("share/home"));
	keep(home, &log);
	CHECK(log.size == 0 && fs_exists(in_top("share/home/backends.json")));
	buf_done(&log);
}

static void a_home_that_cannot_be_is_said_once(void)
{
	char home[PATH_MAX];
	struct buf log;

	CHECK(fs_write_atomic(in_top("file"), "x", 1) == TT_OK);
	snprintf(home, sizeof(home), "%s", in_top("file/home"));
	keep(home, &log);
	buf_char(&log, 0);
	CHECK(strstr(log.data, "timings are not kept: cannot create the folder"));
	CHECK(strchr(log.data, '\n') && !strchr(log.data, '\n')[1]);
	buf_done(&log);
}

int main(void)
{
	if (!CHECK(toy_folder(top, sizeof(top)) != NULL) || !CHECK(world_make(top) == TT_OK))
		return check_done();
	the_first_ever_makes_the_home();
	a_home_that_cannot_be_is_said_once();
	CHECK(fs_remove_tree(top) == TT_OK);
	return check_done();
}
