#ifndef TESTS_MEMORY_H
#define TESTS_MEMORY_H

/*
 * Counts how often our code asks the system for memory. The linker sends every call
 * that could do so through here: MEMORY_WRAPS in tests/local.mk. What libraries do
 * inside is not seen.
 */
#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "tests/check.h"

static atomic_int memory_calls;
static atomic_bool memory_counting;                    /* by any thread */
static _Thread_local atomic_bool memory_counting_here; /* by this one */

static inline void memory_count(void)
{
	if (atomic_load(&memory_counting) || atomic_load(&memory_counting_here))
		atomic_fetch_add(&memory_calls, 1);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
char *__real_strdup(const char *text);
FILE *__real_fopen(const char *path, const char *mode);
DIR *__real_opendir(const char *path);
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t from);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
char *__wrap_strdup(const char *text);
FILE *__wrap_fopen(const char *path, const char *mode);
DIR *__wrap_opendir(const char *path);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t from);

void *__wrap_malloc(size_t size)
{
	memory_count();
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	memory_count();
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	memory_count();
	return __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	memory_count();
	return __real_aligned_alloc(align, size);
}

char *__wrap_strdup(const char *text)
{
	memory_count();
	return __real_strdup(text);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
	memory_count();
	return __real_fopen(path, mode);
}

DIR *__wrap_opendir(const char *path)
{
	memory_count();
	return __real_opendir(path);
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t from)
{
	memory_count();
	return __real_mmap(at, size, prot, flags, fd, from);
}

/* Without this, a build that wraps nothing would find nothing. */
static inline void memory_check(void)
{
	char *volatile text;

	atomic_store(&memory_calls, 0);
	atomic_store(&memory_counting, true);
	text = strdup("x");
	free(text);
	atomic_store(&memory_counting, false);
	atomic_store(&memory_counting_here, true);
	text = malloc(10);
	text = realloc(text, 20);
	free(text);
	atomic_store(&memory_counting_here, false);
	free(malloc(10));
	CHECK(atomic_load(&memory_calls) == 3);
}

#endif
