#ifndef DB_WHERE_TREE_H
#define DB_WHERE_TREE_H

#include <stdint.h>

#include "db/run_column.h"
#include "db/where.h"

/* Inside the room only: a filter as it was read. */

enum where_kind {
	WHERE_AND, /* of two */
	WHERE_OR,
	WHERE_NOT,  /* of one */
	WHERE_WORD, /* text in name or id */
	WHERE_TEST  /* key op text */
};

enum where_op { OP_GLOB, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE };

struct where_node {
	enum where_kind kind;
	int left, right; /* places of the parts of and, or, not */
	struct run_key key;
	enum where_op op;
	size_t text;     /* place of the value among the texts */
	bool is_number;  /* ... and it is one: */
	double number;   /* microseconds for a span of time; NAN is a number, too */
	unsigned states; /* of a test of the state: bits that fit it */
	bool quoted;
};

struct where {
	int root;
	size_t n, texts_n;
	/* A test, what puts it beside another, and every "not" that the text has room for. */
	struct where_node node[2 * WHERE_TESTS + WHERE_MAX / 3];
	char texts[WHERE_MAX + 2 * WHERE_TESTS]; /* keys and values, each NUL-terminated */
};

struct sqlite3_stmt;
struct store;
struct buf;

/*
 * As an SQL expression over a row of run; its parameters begin behind `first`
 * and are bound by where_bind, which looks settings up within the same read.
 */
void where_sql(const struct where *w, int first, struct buf *sql);
int where_bind(struct store *st, const struct where *w, int first, struct sqlite3_stmt *q);

#endif
