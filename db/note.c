/* Tags and notes: what people say about a run. */
#include "db/note.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/proc.h"
#include "db/sql.h"

static int check_tag(const char *word)
{
	const size_t n = strlen(word);

	if (!n || n > TAG_MAX)
		return err_set(TT_INVALID, "a tag has 1 to %d characters, '%.80s' has %zu", TAG_MAX,
			       word, n);
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)word[i] <= ' ' || word[i] == 0x7f || word[i] == ',')
			return err_set(TT_INVALID,
				       "tag '%s' has a space, a comma or a control character in it",
				       word);
	}
	return TT_OK;
}

int tag_add(struct store *st, int64_t run, const char *word)
{
	sqlite3_stmt *q;
	int code = check_tag(word);

	if (!code)
		code = sql_prepare(
			st,
			"INSERT INTO tag (run, word) SELECT row, ?2 FROM run WHERE row = ?1 "
			"ON CONFLICT DO UPDATE SET word = excluded.word",
			&q);
	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	sql_bind_text(q, 2, word);
	return sql_write_run(st, q, run);
}

int tag_remove(struct store *st, int64_t run, const char *word)
{
	sqlite3_stmt *q;
	int code = sql_prepare(st, "DELETE FROM tag WHERE run = ?1 AND word = ?2", &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	sql_bind_text(q, 2, word);
	code = sql_write(st, q);
	if (!code && !sqlite3_changes(st->db))
		code = err_set(TT_NOTFOUND, "the run has no tag '%.80s'", word);
	return code;
}

int tag_list(struct store *st, int64_t run, char ***ret, size_t *ret_n)
{
	sqlite3_stmt *q;
	int code = sql_prepare(
		st, "SELECT DISTINCT word FROM tag WHERE ?1 = 0 OR run = ?1 ORDER BY word", &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	code = sql_texts(st, q, ret, ret_n);
	sql_done(q);
	return code;
}

static int note_remove(struct store *st, int64_t run)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(st, "DELETE FROM note WHERE run = ?1", &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	return sql_write(st, q);
}

int note_set(struct store *st, int64_t run, const char *text)
{
	sqlite3_stmt *q;
	int code;

	if (!text[0])
		return note_remove(st, run);
	if (strlen(text) > NOTE_MAX)
		return err_set(TT_INVALID, "a note has at most %d bytes, this one has %zu",
			       NOTE_MAX, strlen(text));
	code = sql_prepare(
		st,
		"INSERT OR REPLACE INTO note (run, text, time) SELECT row, ?2, ?3 FROM run "
		"WHERE row = ?1",
		&q);
	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	sql_bind_text(q, 2, text);
	sqlite3_bind_int64(q, 3, proc_now_us());
	return sql_write_run(st, q, run);
}

int note_get(struct store *st, int64_t run, char **ret)
{
	sqlite3_stmt *q;
	char *text;
	int got, code = sql_prepare(st, "SELECT text FROM note WHERE run = ?1", &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	got = sql_step(st, q);
	text = strdup(got > 0 ? sql_text(q, 0) : "");
	sql_done(q);
	if (got < 0) {
		free(text);
		return got;
	}
	if (!text)
		return err_set(TT_NOMEM, "not enough memory");
	*ret = text;
	return TT_OK;
}
