#ifndef DB_SQL_H
#define DB_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/store.h"

/* Inside the room only: the connection, prepared statements, and sentences for what SQLite says. */

enum { SQL_CACHED = 64 };

struct store {
	sqlite3 *db;
	char *path;
	int depth;             /* of store_begin */
	int64_t seen;          /* data_version at the last store_changed */
	int64_t waiting_since; /* of the busy handler */
	bool no_locks;         /* found out while waiting */
	struct {
		const char *sql; /* compared by address: a literal, or static */
		sqlite3_stmt *q;
	} cached[SQL_CACHED];
	size_t cached_n;
	char **key; /* names of metric keys seen, an open hash table by text */
	int64_t *key_id;
	size_t key_n, key_room;
};

/* A statement for a literal, kept ready for next time. Give it back with sql_done. */
int sql_prepare(struct store *st, const char *sql, sqlite3_stmt **ret);
void sql_done(sqlite3_stmt *q); /* NULL is fine */
/* A statement for a text made up on the spot: sqlite3_finalize it. */
int sql_prepare_once(struct store *st, const char *sql, sqlite3_stmt **ret);

int sql_step(struct store *st, sqlite3_stmt *q);  /* 1: a row, 0: no more, < 0: failed */
int sql_write(struct store *st, sqlite3_stmt *q); /* a statement without rows; gives it back */
int sql_write_run(struct store *st, sqlite3_stmt *q,
		  int64_t run); /* ... which must change that run */
int sql_exec(struct store *st, const char *sql);
int sql_int(struct store *st, const char *sql,
	    int64_t *ret); /* the one integer a literal selects */
/* Several reads that must see one state of the file; sql_end closes it. */
int sql_begin_read(struct store *st);
/* Commit when code is TT_OK, else roll back; returns what became of it. */
int sql_end(struct store *st, int code);

/* Record a sentence for what SQLite answered: what, where, what to do. */
int sql_fail(struct store *st, int rc);
bool sql_lockless(const char *path); /* does the folder of path refuse locks? */

void sql_bind_ints(sqlite3_stmt *q, int n, const int64_t *value); /* ?1 to ?n */
void sql_bind_text(sqlite3_stmt *q, int at, const char *text);    /* NULL binds "" */
const char *sql_text(sqlite3_stmt *q, int column);                /* never NULL */
double sql_real(sqlite3_stmt *q, int column);                     /* NAN for NULL */

/*
 * Results of unknown number whose rows hold texts: add each row's texts in
 * order, then the row; packing puts all in one malloc'ed block, and sets the
 * pointers at the offsets in `field`.
 */
struct sql_rows {
	size_t row_size; /* set this, the rest zero */
	char *row, *text;
	size_t *at; /* where each text begins */
	size_t row_n, row_room, text_n, text_room, at_n, at_room;
};
int sql_rows_text(struct sql_rows *r, const char *text);
int sql_rows_add(struct sql_rows *r, const void *row);
int sql_rows_pack(struct sql_rows *r, const size_t *field, size_t fields, void **ret,
		  size_t *ret_n);
void sql_rows_done(struct sql_rows *r);
int sql_texts(struct store *st, sqlite3_stmt *q, char ***ret, size_t *ret_n); /* the first column */

/* The number of a metric key: found, or 0 when the store does not know it. */
int sql_key_find(struct store *st, const char *name, int64_t *ret);
int sql_key_add(struct store *st, const char *name, int64_t *ret); /* made when new */
void sql_key_forget(struct store *st);                             /* after a rollback */

/* db/metric_add.c for db/run.c: what a run's latest values are after an attempt began at from_step. */
int metric_relast(struct store *st, int64_t run);
/* ... and the best of one curve; ret_any false when it has no finite value. */
int metric_best(struct store *st, int64_t run, const char *key, bool greater, bool *ret_any,
		double *ret_value, int64_t *ret_step);

#endif
