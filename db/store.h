#ifndef DB_STORE_H
#define DB_STORE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The run log: one SQLite file. A store is one connection and belongs to one
 * thread; open another for another thread. No function keeps a transaction or
 * a read open when it returns, unless the caller began one.
 */
struct store;

/*
 * Open for reading and writing; makes the file and its folder when they are
 * not there, and brings an older file to the present schema. A file that is
 * newer than the program, damaged or not a run log is refused, not touched.
 */
int store_open(const char *path, struct store **ret);

/* For reading only, also in a folder that cannot be written. TT_NOTFOUND: no run log yet. */
int store_open_read(const char *path, struct store **ret);
void store_close(struct store *st); /* NULL is fine; rolls back what was not committed */

/* Did another connection commit since the last call? Costs one integer. */
bool store_changed(struct store *st);

/*
 * Group several calls into one transaction. They nest: only the outermost
 * commit writes. After any failure inside, call store_rollback.
 */
int store_begin(struct store *st);
int store_commit(struct store *st);
void store_rollback(struct store *st); /* nothing begun is fine */

const char *store_journal(struct store *st);    /* "wal", or "truncate" where WAL is not safe */
int store_version(struct store *st);            /* of the schema in the file */
int store_head(void);                           /* the schema this program writes */
int store_schema(struct store *st, char **ret); /* every CREATE statement, for tests; free() it */
const char *store_path(const struct store *st);

/* Tests: let the file grow to `pages` pages only, so that the next write meets a full disk; 0 lifts it. */
int store_limit(struct store *st, int pages);

#endif
