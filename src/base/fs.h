#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Files and folders. Every error sentence names the path and the system's reason. */

bool fs_exists(const char *path);
bool fs_is_dir(const char *path);
int fs_mkdirs(const char *path);      /* like mkdir -p */
int fs_remove_tree(const char *path); /* rm -r, never follows links; absent is fine */
int fs_read(const char *path, size_t max,
	    struct buf *ret); /* a whole regular file; ret is initialised here; caller buf_done */
/* Write to a temporary sibling, fsync, rename over path, fsync the folder: path is whole or unchanged. */
int fs_write_atomic(const char *path, const void *data, size_t size);
/* The same for a file whose parts lie apart: a header and many tensors. */
struct fs_part {
	const void *data;
	size_t size;
};
int fs_write_parts(const char *path, const struct fs_part *part, size_t n);
int fs_copy(const char *from, const char *to); /* atomic, as above */

/* A read-only mapping of a regular file. */
struct fs_map {
	const unsigned char *data;
	size_t size;
};
int fs_map(const char *path, struct fs_map *ret);
void fs_unmap(struct fs_map *m);
/* Give back the memory of a part of a mapping; whoever reads it again reads the file again. */
void fs_map_forget(const void *data, size_t size);

/*
 * Zeroed memory to work in. dir NULL: of the system. Else of a file in dir that
 * has no name any more, with its place on the disk reserved: it takes no memory
 * that others need, and is gone with the process.
 */
struct fs_room {
	void *data;
	size_t size;
};
int fs_room_open(const char *dir, size_t size, struct fs_room *ret);
void fs_room_close(struct fs_room *r); /* a zeroed one is fine */

/* Paths. ret buffers hold PATH_MAX bytes. */
int fs_join(char *ret, size_t size, const char *dir,
	    const char *name); /* an absolute name wins over dir */
int fs_dirname(char *ret, size_t size, const char *path);
int fs_absolute(char *ret, size_t size,
		const char *path); /* against the current folder; need not exist */
const char *fs_basename(const char *path);

/* The data home: $TRIMTAB_HOME, else $XDG_DATA_HOME/trimtab, else ~/.local/share/trimtab. Not created. */
int fs_home(char *ret, size_t size);
/* "nfs", "cifs", "fuse", ... when path lies on a network file system; NULL when local. */
const char *fs_network(const char *path);
/* A failure for tests: with TT_FAIL_WRITE=n in the environment the n-th atomic write of the process fails as a full disk. */

#endif
