#ifndef TESTS_NFS_H
#define TESTS_NFS_H
/* A network file system to order: while on_nfs, every path lies on one, as far as statfs says. */
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool on_nfs;

static inline int nfs_ask(const char *path, void *ret)
{
	return (int)syscall(SYS_statfs, path, ret);
}

/* Stands before the C library's for this program and the libraries it loads. */
int statfs(const char *path, struct statfs *ret)
{
	const int code = nfs_ask(path, ret);

	if (!code && on_nfs)
		ret->f_type = 0x6969;
	return code;
}

#endif
