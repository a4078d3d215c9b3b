/* Files: whole or unchanged, never through links, and sentences that name the path. */
#include "tests/check.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"

static char top[256]; /* a fresh folder, removed at the end */

static const char *in_top(const char *name)
{
	static char path[4][512];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", top, name);
	return path[turn];
}

static int entries(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 2;
}

static bool holds(const char *path, const char *text)
{
	struct buf b;
	bool same;

	if (fs_read(path, 1000, &b))
		return false;
	same = b.size == strlen(text) && !memcmp(b.data, text, b.size);
	buf_done(&b);
	return same;
}

/* Comes first: TT_FAIL_WRITE counts the writes of the whole process. */
static void full_disk_leaves_the_old_file(void)
{
	const char *path = in_top("kept");

	CHECK(fs_write_atomic(path, "first", 5) == TT_OK);
	setenv("TT_FAIL_WRITE", "2", 1);
	CHECK(fs_write_atomic(path, "second one", 10) == TT_IO);
	CHECK(strstr(err_text(), "No space left") && strstr(err_text(), path));
	CHECK(holds(path, "first"));
	CHECK(entries(top) == 1);
	CHECK(fs_write_atomic(path, "third", 5) == TT_OK);
	setenv("TT_FAIL_WRITE", "4", 1);
	CHECK(fs_copy(path, in_top("copy")) == TT_IO);
	CHECK(!fs_exists(in_top("copy")));
	CHECK(entries(top) == 1);
	unsetenv("TT_FAIL_WRITE");
	CHECK(holds(path, "third"));
}

static void writes_replace(void)
{
	const char *path = in_top("mode");
	char name[300];
	struct stat st;

	CHECK(fs_write_atomic(path, "a", 1) == TT_OK);
	chmod(path, 0640);
	CHECK(fs_write_atomic(path, "", 0) == TT_OK);
	CHECK(!stat(path, &st) && (st.st_mode & 0777) == 0640 && st.st_size == 0);
	CHECK(fs_write_atomic(in_top("no/such/folder"), "a", 1) == TT_NOTFOUND);
	CHECK(strstr(err_text(), "no/such/folder"));
	CHECK(fs_write_atomic(top, "a", 1) == TT_IO);
	memset(name, 'n', 255); /* the longest name there can be: the temporary one must fit too */
	name[255] = 0;
	CHECK(fs_write_atomic(in_top(name), "long", 4) == TT_OK);
	CHECK(holds(in_top(name), "long"));
	CHECK(fs_copy(in_top(name), path) == TT_OK);
	CHECK(holds(path, "long"));
	CHECK(fs_copy(in_top("absent"), path) == TT_NOTFOUND);
	CHECK(holds(path, "long"));
}

static void parts_are_joined(void)
{
	const struct fs_part part[] = { { "head", 4 }, { NULL, 0 }, { " and tail", 9 } };

	CHECK(fs_write_parts(in_top("parts"), part, COUNT(part)) == TT_OK);
	CHECK(holds(in_top("parts"), "head and tail"));
	CHECK(fs_write_parts(in_top("parts"), NULL, 0) == TT_OK);
	CHECK(holds(in_top("parts"), ""));
}

static void reading_is_careful(void)
{
	struct buf b;
	struct fs_map m;

	CHECK(fs_read(in_top("absent"), 10, &b) == TT_NOTFOUND);
	CHECK(strstr(err_text(), "absent: No such file"));
	CHECK(fs_read(top, 10, &b) == TT_INVALID);
	CHECK(strstr(err_text(), "is a folder, not a file"));
	mkfifo(in_top("pipe"), 0600);
	CHECK(fs_read(in_top("pipe"), 10, &b) == TT_INVALID); /* and does not wait for a writer */
	CHECK(fs_map(in_top("pipe"), &m) == TT_INVALID);
	fs_write_atomic(in_top("ten"), "0123456789", 10);
	CHECK(fs_read(in_top("ten"), 10, &b) == TT_OK && b.size == 10);
	buf_done(&b);
	CHECK(fs_read(in_top("ten"), 9, &b) == TT_INVALID);
	CHECK(strstr(err_text(), "larger than 9 bytes"));
	fs_write_atomic(in_top("empty"), "", 0);
	CHECK(fs_read(in_top("empty"), 10, &b) == TT_OK && b.size == 0 && b.data && !b.data[0]);
	buf_done(&b);
	CHECK(fs_map(in_top("ten"), &m) == TT_OK && m.size == 10 &&
	      !memcmp(m.data, "0123456789", 10));
	fs_unmap(&m);
	CHECK(!m.data && !m.size);
	CHECK(fs_map(in_top("empty"), &m) == TT_OK && m.size == 0);
	fs_unmap(&m);
	CHECK(fs_map(in_top("absent"), &m) == TT_NOTFOUND);
}

static void rooms(void)
{
	static const char *const dirs[] = { NULL, top };
	struct fs_room r = { 0 };

	fs_room_close(&r);
	for (size_t i = 0; i < COUNT(dirs); i++) {
		CHECK(fs_room_open(dirs[i], 100000, &r) == TT_OK && r.size == 100000);
		for (size_t k = 0; k < r.size; k += 999) {
			CHECK(((unsigned char *)r.data)[k] == 0);
			((unsigned char *)r.data)[k] = 7;
		}
		fs_room_close(&r);
		CHECK(!r.data && !r.size);
		CHECK(fs_room_open(dirs[i], 0, &r) == TT_OK);
		fs_room_close(&r);
	}
	CHECK(fs_room_open(in_top("absent"), 10, &r) != TT_OK && strstr(err_text(), "absent"));
}

static void folders(void)
{
	CHECK(fs_mkdirs(in_top("a/b//c/")) == TT_OK);
	CHECK(fs_is_dir(in_top("a/b/c")));
	CHECK(fs_mkdirs(in_top("a/b/c")) == TT_OK);
	fs_write_atomic(in_top("a/file"), "x", 1);
	CHECK(fs_mkdirs(in_top("a/file/d")) == TT_IO);
	CHECK(strstr(err_text(), "a file with this name"));
	CHECK(fs_mkdirs("") == TT_INVALID);
	fs_mkdirs(in_top("outside"));
	fs_write_atomic(in_top("outside/treasure"), "x", 1);
	CHECK(!symlink(in_top("outside"), in_top("a/b/link")));
	CHECK(!symlink("nowhere", in_top("a/b/dangling")));
	CHECK(fs_remove_tree(in_top("a")) == TT_OK);
	CHECK(!fs_exists(in_top("a")));
	CHECK(fs_exists(in_top("outside/treasure")));
	CHECK(!symlink(in_top("outside"), in_top("link")));
	CHECK(fs_remove_tree(in_top("link")) == TT_OK); /* the link, not what it names */
	CHECK(fs_exists(in_top("outside/treasure")));
	CHECK(fs_remove_tree(in_top("absent")) == TT_OK);
}

static void paths(void)
{
	static const struct {
		const char *in, *dir, *base;
	} cases[] = {
		{ "a/b.c", "a", "b.c" }, { "b", ".", "b" }, { "/b", "/", "b" },
		{ "/a//b", "/a", "b" },  { "a/", "a", "" },
	};
	static const char *const clean[][2] = {
		{ "/a/./b//c/../d", "/a/b/d" },
		{ "/..", "/" },
		{ "/", "/" },
		{ "//a/", "/a" },
		{ "/a/../..", "/" },
	};
	char ret[512], small[8];

	for (size_t i = 0; i < COUNT(cases); i++) {
		CHECK_NAMED(fs_dirname(ret, sizeof(ret), cases[i].in) == TT_OK &&
				    !strcmp(ret, cases[i].dir),
			    cases[i].in);
		CHECK_NAMED(!strcmp(fs_basename(cases[i].in), cases[i].base), cases[i].in);
	}
	for (size_t i = 0; i < COUNT(clean); i++)
		CHECK_NAMED(fs_absolute(ret, sizeof(ret), clean[i][0]) == TT_OK &&
				    !strcmp(ret, clean[i][1]),
			    clean[i][0]);
	CHECK(fs_join(ret, sizeof(ret), "a", "b") == TT_OK && !strcmp(ret, "a/b"));
	CHECK(fs_join(ret, sizeof(ret), "a/", "b") == TT_OK && !strcmp(ret, "a/b"));
	CHECK(fs_join(ret, sizeof(ret), "a", "/b") == TT_OK && !strcmp(ret, "/b"));
	CHECK(fs_join(small, sizeof(small), "abcd", "efg") == TT_INVALID);
	CHECK(fs_join(small, sizeof(small), "abc", "efg") == TT_OK && !strcmp(small, "abc/efg"));
	CHECK(fs_absolute(ret, sizeof(ret), "x") == TT_OK && ret[0] == '/' &&
	      !strcmp(fs_basename(ret), "x"));
}

/* real/deep is linked as short; short/../f is real/f, which no reading of names alone can tell. */
static void dots_behind_a_link(void)
{
	char ret[512];

	fs_mkdirs(in_top("real/deep"));
	fs_write_atomic(in_top("real/f"), "right", 5);
	fs_write_atomic(in_top("f"), "wrong", 5);
	CHECK(!symlink(in_top("real/deep"), in_top("short")));
	CHECK(fs_absolute(ret, sizeof(ret), in_top("short/../f")) == TT_OK);
	CHECK(holds(ret, "right"));
	CHECK(fs_absolute(ret, sizeof(ret), in_top("real/deep/../f")) == TT_OK);
	CHECK_STR(ret, in_top("real/f"));
}

static void home(void)
{
	char ret[512];

	setenv("HOME", "/home/x", 1);
	unsetenv("XDG_DATA_HOME");
	unsetenv("TRIMTAB_HOME");
	CHECK(fs_home(ret, sizeof(ret)) == TT_OK && !strcmp(ret, "/home/x/.local/share/trimtab"));
	setenv("XDG_DATA_HOME", "relative", 1);
	CHECK(fs_home(ret, sizeof(ret)) == TT_OK && !strcmp(ret, "/home/x/.local/share/trimtab"));
	setenv("XDG_DATA_HOME", "/data", 1);
	CHECK(fs_home(ret, sizeof(ret)) == TT_OK && !strcmp(ret, "/data/trimtab"));
	setenv("TRIMTAB_HOME", "/tt", 1);
	CHECK(fs_home(ret, sizeof(ret)) == TT_OK && !strcmp(ret, "/tt"));
	unsetenv("TRIMTAB_HOME");
	unsetenv("XDG_DATA_HOME");
	unsetenv("HOME");
	CHECK(fs_home(ret, sizeof(ret)) == TT_NOTFOUND);
	CHECK(strstr(err_text(), "TRIMTAB_HOME"));
}

static void network(void)
{
	const char *here = fs_network(top), *below = fs_network(in_top("not/there/yet"));

	CHECK(fs_network("/proc") == NULL);
	CHECK(here == below);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(top, sizeof(top), "%s/test_fs-XXXXXX", tmp && strlen(tmp) < 200 ? tmp : "/tmp");
	if (!CHECK(mkdtemp(top) != NULL))
		return check_done();
	full_disk_leaves_the_old_file();
	writes_replace();
	parts_are_joined();
	reading_is_careful();
	rooms();
	folders();
	paths();
	dots_behind_a_link();
	home();
	network();
	CHECK(fs_remove_tree(top) == TT_OK);
	CHECK(!fs_exists(top));
	return check_done();
}
