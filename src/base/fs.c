/*
 * Files and folders. What matters is written beside its final place, made
 * durable and then renamed, so that a reader never sees half a file.
 */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"

enum { TREE_DEPTH_MAX = 128 }; /* folders held open at once while a tree is removed */

/* "cannot VERB PATH: reason", with the code that fits errno. */
static int fail(const char *verb, const char *path)
{
	const int why = errno;

	return err_set(why == ENOENT || why == ENOTDIR ? TT_NOTFOUND
		       : why == ENOMEM                 ? TT_NOMEM
						       : TT_IO,
		       "cannot %s %s: %s", verb, path, strerror(why));
}

bool fs_exists(const char *path)
{
	struct stat st;

	return !stat(path, &st);
}

bool fs_is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static int make_dir(const char *path)
{
	if (!mkdir(path, 0777) || (errno == EEXIST && fs_is_dir(path)))
		return TT_OK;
	if (errno == EEXIST)
		return err_set(TT_IO, "cannot create the folder %s: a file with this name is there",
			       path);
	return fail("create the folder", path);
}

int fs_mkdirs(const char *path)
{
	char part[PATH_MAX];
	const size_t n = strlen(path);

	if (!n || n >= sizeof(part))
		return err_set(TT_INVALID, "cannot create a folder with a name of %zu bytes", n);
	memcpy(part, path, n + 1);
	for (size_t i = 1; i < n; i++) {
		if (part[i] != '/' || part[i - 1] == '/')
			continue;
		part[i] = 0;
		if (!fs_is_dir(part)) {
			const int rc = make_dir(part);

			if (rc)
				return rc;
		}
		part[i] = '/';
	}
	return make_dir(path);
}

/* Empty the folder behind fd (closed here); path is for sentences only. */
static int remove_inside(int fd, const char *path, int depth)
{
	DIR *dir = depth < TREE_DEPTH_MAX ? fdopendir(fd) : NULL;
	const struct dirent *e;
	int rc = TT_OK;

	if (!dir) {
		close(fd);
		if (depth >= TREE_DEPTH_MAX)
			return err_set(TT_IO, "cannot remove %s: more than %d folders deep", path,
				       TREE_DEPTH_MAX);
		return fail("read the folder", path);
	}
	while (!rc) {
		int sub;

		errno = 0;
		e = readdir(dir);
		if (!e) {
			if (errno)
				rc = fail("read the folder", path);
			break;
		}
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		sub = openat(dirfd(dir), e->d_name,
			     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			rc = remove_inside(sub, path, depth + 1);
		if (!rc && unlinkat(dirfd(dir), e->d_name, sub >= 0 ? AT_REMOVEDIR : 0) &&
		    errno != ENOENT)
			rc = fail("remove a part of", path);
	}
	closedir(dir);
	return rc;
}

int fs_remove_tree(const char *path)
{
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0) {
		const int rc = remove_inside(fd, path, 0);

		if (rc)
			return rc;
		return rmdir(path) && errno != ENOENT ? fail("remove", path) : TT_OK;
	}
	return unlink(path) && errno != ENOENT ? fail("remove", path) : TT_OK;
}

/* Open a regular file for reading; a pipe or a device is refused without waiting for it. */
static int open_regular(const char *path, int *ret_fd, struct stat *ret)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int rc = TT_OK;

	if (fd < 0)
		return fail("open", path);
	if (fstat(fd, ret))
		rc = fail("examine", path);
	else if (S_ISDIR(ret->st_mode))
		rc = err_set(TT_INVALID, "%s is a folder, not a file", path);
	else if (!S_ISREG(ret->st_mode))
		rc = err_set(TT_INVALID, "%s is not a regular file", path);
	if (rc)
		close(fd);
	else
		*ret_fd = fd;
	return rc;
}

int fs_read(const char *path, size_t max, struct buf *ret)
{
	char part[16384];
	struct stat st;
	int fd, rc = open_regular(path, &fd, &st);

	if (rc)
		return rc;
	buf_init(ret, max);
	for (;;) {
		const ssize_t n = read(fd, part, sizeof(part));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = fail("read", path);
		if (n <= 0)
			break;
		if ((size_t)n > max - ret->size) {
			rc = err_set(TT_INVALID, "%s is larger than %zu bytes", path, max);
			break;
		}
		buf_add(ret, part, (size_t)n);
		if (ret->bad) {
			rc = err_set(TT_NOMEM, "not enough memory to read %s", path);
			break;
		}
	}
	if (!rc)
		buf_add(ret, "", 0); /* an empty file has its NUL too */
	close(fd);
	if (rc)
		buf_done(ret);
	return rc;
}

/* ---- atomic writes ---- */

/* What goes into the file: bytes, or everything that can be read from fd. */
struct source {
	const struct fs_part *part;
	size_t n;
	int fd;
};

/* The one mutable static of this file: how many atomic writes there were, for names and TT_FAIL_WRITE. */
static unsigned long writes;

static bool fails_now(unsigned long number)
{
	const char *text = getenv("TT_FAIL_WRITE");

	return text && *text && strtoul(text, NULL, 10) == number;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		const ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/* 0, or -1 with errno. */
static int fill(int fd, const struct source *from, bool broken)
{
	char part[65536];

	if (broken) { /* half of it arrives, as on a disk that fills up */
		if (from->n && write_all(fd, from->part->data, from->part->size / 2))
			return -1;
		errno = ENOSPC;
		return -1;
	}
	for (size_t i = 0; i < from->n; i++)
		if (write_all(fd, from->part[i].data, from->part[i].size))
			return -1;
	if (from->fd < 0)
		return 0;
	for (;;) {
		const ssize_t n = read(from->fd, part, sizeof(part));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -1 : 0;
		if (write_all(fd, part, (size_t)n))
			return -1;
	}
}

/* Make a rename durable. A file system that cannot do it (EINVAL) has nothing to promise. */
static int sync_dir(const char *dir)
{
	const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = TT_OK;

	if (fd < 0)
		return fail("open the folder", dir);
	if (fsync(fd) && errno != EINVAL && errno != ENOTSUP)
		rc = fail("sync the folder", dir);
	close(fd);
	return rc;
}

/* A new file beside path; its name is short, whatever the length of path's own. */
static int open_sibling(const char *dir, unsigned long number, char *ret_name, size_t size)
{
	for (int i = 0; i < 100; i++) {
		const int n = snprintf(ret_name, size, "%s/.tt-%ld-%lu-%d.tmp", dir, (long)getpid(),
				       number, i);
		int fd;

		if (n < 0 || (size_t)n >= size) {
			errno = ENAMETOOLONG;
			return -1;
		}
		fd = open(ret_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

static int write_atomic(const char *path, const struct source *from)
{
	char dir[PATH_MAX], temp[PATH_MAX];
	const unsigned long number = ++writes;
	struct stat old;
	int fd, rc = fs_dirname(dir, sizeof(dir), path);

	if (rc)
		return rc;
	if (fs_is_dir(path))
		return err_set(TT_IO, "cannot write %s: it is a folder", path);
	fd = open_sibling(dir, number, temp, sizeof(temp));
	if (fd < 0)
		return fail("write", path);
	if (!stat(path, &old) && fchmod(fd, old.st_mode & 0777))
		rc = fail("write", path);
	if (!rc && (fill(fd, from, fails_now(number)) || fsync(fd)))
		rc = fail("write", path);
	if (close(fd) && !rc)
		rc = fail("write", path);
	if (!rc && rename(temp, path))
		rc = fail("write", path);
	if (rc) {
		unlink(temp);
		return rc;
	}
	return sync_dir(dir);
}

int fs_write_atomic(const char *path, const void *data, size_t size)
{
	return fs_write_parts(path, &(struct fs_part){ data, size }, 1);
}

int fs_write_parts(const char *path, const struct fs_part *part, size_t n)
{
	return write_atomic(path, &(struct source){ .part = part, .n = n, .fd = -1 });
}

int fs_copy(const char *from, const char *to)
{
	struct source source = { .fd = -1 };
	struct stat st;
	int rc = open_regular(from, &source.fd, &st);

	if (rc)
		return rc;
	rc = write_atomic(to, &source);
	close(source.fd);
	return rc;
}

int fs_map(const char *path, struct fs_map *ret)
{
	struct stat st;
	void *data = NULL;
	int fd, rc = open_regular(path, &fd, &st);

	if (rc)
		return rc;
	if (st.st_size > 0) {
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data == MAP_FAILED)
			rc = fail("map", path);
	}
	close(fd);
	if (!rc)
		*ret = (struct fs_map){ data, (size_t)st.st_size };
	return rc;
}

void fs_unmap(struct fs_map *m)
{
	if (m->data)
		munmap((void *)(uintptr_t)m->data, m->size);
	*m = (struct fs_map){ NULL, 0 };
}

/* A file that nobody else can open, its blocks reserved: a full disk is an error here, not a fault later. */
static int open_nameless(const char *dir, size_t size, int *ret)
{
	char path[PATH_MAX];
	int fd, rc = fs_join(path, sizeof(path), dir, "room-XXXXXX"), why;

	if (rc)
		return rc;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return fail("create a file in", dir);
	unlink(path);
	why = posix_fallocate(fd, 0, (off_t)size);
	if (why) {
		close(fd);
		errno = why;
		return err_set(TT_IO, "cannot reserve %zu MiB in %s: %s", (size >> 20) + 1, dir,
			       strerror(why));
	}
	*ret = fd;
	return TT_OK;
}

int fs_room_open(const char *dir, size_t size, struct fs_room *ret)
{
	int fd = -1, rc = dir && size ? open_nameless(dir, size, &fd) : TT_OK;
	void *data = NULL;

	if (rc)
		return rc;
	if (size)
		data = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    dir ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	if (data == MAP_FAILED)
		rc = err_set(TT_NOMEM, "not enough memory for %zu MiB: %s", (size >> 20) + 1,
			     strerror(errno));
	if (fd >= 0)
		close(fd);
	if (!rc)
		*ret = (struct fs_room){ data, size };
	return rc;
}

void fs_room_close(struct fs_room *r)
{
	if (r->data)
		munmap(r->data, r->size);
	*r = (struct fs_room){ 0 };
}

void fs_map_forget(const void *data, size_t size)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)data;
	const uintptr_t from = (at + page - 1) / page * page, to = (at + size) / page * page;

	if (to > from)
		(void)madvise((void *)from, to - from, MADV_DONTNEED);
}

/* ---- paths ---- */

static int path_set(char *ret, size_t size, const char *dir, size_t n_dir, const char *name)
{
	const size_t n_name = strlen(name);
	const bool slash = n_dir && n_name && dir[n_dir - 1] != '/';

	if (n_dir + slash + n_name >= size)
		return err_set(TT_INVALID, "the path %.60s.../%.60s is longer than %zu bytes", dir,
			       name, size - 1);
	memmove(ret, dir, n_dir);
	if (slash)
		ret[n_dir] = '/';
	memcpy(ret + n_dir + slash, name, n_name + 1);
	return TT_OK;
}

int fs_join(char *ret, size_t size, const char *dir, const char *name)
{
	return path_set(ret, size, dir, name[0] == '/' ? 0 : strlen(dir), name);
}

const char *fs_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int fs_dirname(char *ret, size_t size, const char *path)
{
	size_t n = (size_t)(fs_basename(path) - path);

	if (!n)
		return path_set(ret, size, ".", 1, "");
	while (n > 1 && path[n - 1] == '/')
		n--;
	return path_set(ret, size, path, n, "");
}

/* Drop "." and empty parts, take ".." back; in place, path is absolute. */
static void path_clean(char *path)
{
	size_t out = 0;

	for (const char *p = path; *p;) {
		const size_t n = strcspn(p += *p == '/', "/");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (out && path[--out] != '/')
				;
		} else if (n && !(n == 1 && p[0] == '.')) {
			path[out++] = '/';
			memmove(path + out, p, n);
			out += n;
		}
		p += n;
	}
	if (!out)
		path[out++] = '/';
	path[out] = 0;
}

/* Taking ".." back by name is wrong behind a link to a folder; then the path stays as it was. */
static bool same_place(const char *a, const char *b)
{
	struct stat x, y;

	if (stat(a, &x))
		return true;
	return !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int fs_absolute(char *ret, size_t size, const char *path)
{
	char cwd[PATH_MAX], whole[PATH_MAX], clean[PATH_MAX];
	const char *best;
	int rc;

	if (path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return fail("find the current folder for", path);
	rc = path[0] == '/' ? path_set(whole, sizeof(whole), "", 0, path)
			    : fs_join(whole, sizeof(whole), cwd, path);
	if (rc)
		return rc;
	memcpy(clean, whole, strlen(whole) + 1);
	path_clean(clean);
	best = same_place(whole, clean) ? clean : whole;
	return path_set(ret, size, best, strlen(best), "");
}

int fs_home(char *ret, size_t size)
{
	const char *own = getenv("TRIMTAB_HOME"), *data = getenv("XDG_DATA_HOME"),
		   *home = getenv("HOME");

	if (own && *own)
		return fs_absolute(ret, size, own);
	if (data && data[0] == '/') /* the XDG rule: relative values are to be ignored */
		return fs_join(ret, size, data, "trimtab");
	if (!home || !*home)
		return err_set(
			TT_NOTFOUND,
			"neither TRIMTAB_HOME nor HOME is set; set TRIMTAB_HOME to a folder");
	return fs_join(ret, size, home, ".local/share/trimtab");
}

/* ---- which file system ---- */

static const struct {
	unsigned long magic;
	const char *name;
} network[] = {
	{ 0x6969, "nfs" },        { 0x517B, "smb" },          { 0xFE534D42, "smb2" },
	{ 0xFF534D42, "cifs" },   { 0x01021997, "9p" },       { 0x0BD00BD0, "lustre" },
	{ 0x47504653, "gpfs" },   { 0x00C36400, "ceph" },     { 0x5346414F, "afs" },
	{ 0x6B414653, "afs" },    { 0x19830326, "beegfs" },   { 0x73757245, "coda" },
	{ 0x564C, "ncp" },        { 0x20030528, "orangefs" }, { 0x7461636F, "ocfs2" },
	{ 0x01161970, "gfs2" },   { 0xAAD7AAEA, "panfs" },    { 0x786F4256, "vboxsf" },
	{ 0xBACBACBC, "vmhgfs" },
};

/* What FUSE carries over a network, by the type in /proc/self/mountinfo. */
static const char *const network_fuse[] = {
	"fuse.sshfs",      "fuse.glusterfs",     "fuse.ceph-fuse", "fuse.ceph",      "fuse.s3fs",
	"fuse.rclone",     "fuse.gcsfuse",       "fuse.goofys",    "fuse.davfs2",    "fuse.davfs",
	"fuse.curlftpfs",  "fuse.nfs",           "fuse.smbnetfs",  "fuse.juicefs",   "fuse.JuiceFS",
	"fuse.mount-s3",   "fuse.mountpoint-s3", "fuse.blobfuse",  "fuse.blobfuse2", "fuse.moosefs",
	"fuse.mfs",        "fuse.lizardfs",      "fuse.seaweedfs", "fuse.beegfs",    "fuse.afuse",
	"fuse.gvfsd-fuse", "fuse.vmhgfs-fuse",   "fuse.hdfs",      "fuse.fuse_dfs",  "fuse.cvmfs",
	"fuse.cvmfs2",
};

static const char *fuse_type(const char *line)
{
	const char *type = strstr(line, " - ");

	for (size_t i = 0; type && i < COUNT(network_fuse); i++) {
		const size_t n = strlen(network_fuse[i]);

		if (!strncmp(type + 3, network_fuse[i], n) && type[3 + n] == ' ')
			return network_fuse[i];
	}
	return NULL;
}

/* A line is: id parent major:minor root mount options ... - type source options. */
static const char *fuse_network(dev_t device)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	const char *found = NULL;
	char *line = NULL;
	size_t room = 0;

	if (!f)
		return NULL;
	while (!found && getline(&line, &room, f) > 0) {
		unsigned major_number, minor_number;

		if (sscanf(line, "%*d %*d %u:%u", &major_number, &minor_number) == 2 &&
		    makedev(major_number, minor_number) == device)
			found = fuse_type(line);
	}
	free(line);
	fclose(f);
	return found;
}

const char *fs_network(const char *path)
{
	char at[PATH_MAX], up[PATH_MAX];
	struct statfs fs;
	struct stat st;

	if (fs_absolute(at, sizeof(at), path))
		return NULL;
	while (statfs(at, &fs) ||
	       stat(at, &st)) { /* what is not there yet will lie where its folder lies */
		if (!at[1] || fs_dirname(up, sizeof(up), at))
			return NULL;
		memcpy(at, up, strlen(up) + 1);
	}
	for (size_t i = 0; i < COUNT(network); i++)
		if (((unsigned long)fs.f_type & 0xFFFFFFFFul) == network[i].magic)
			return network[i].name;
	return ((unsigned long)fs.f_type & 0xFFFFFFFFul) == 0x65735546 ? fuse_network(st.st_dev)
								       : NULL;
}
