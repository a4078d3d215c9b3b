/*
 * What an adapter holds besides PEFT's two files: an object of the method's own,
 * NAME.json beside them (method_ops.side_name).
 */
#include "method/adapter.h"

#include <stdio.h>

#include "base/err.h"
#include "base/fs.h"

enum { SIDE_MAX = 1 << 24 };

/* In a combination a part's number, from 1, is in the name. */
static int side_path(const struct method *m, const char *dir, char *ret, size_t size)
{
	char name[80];
	size_t i = 0;

	while (m->whole && m->whole->part[i] != m)
		i++;
	if (m->whole)
		snprintf(name, sizeof(name), "%s-%zu.json", m->ops->side_name, i + 1);
	else
		snprintf(name, sizeof(name), "%s.json", m->ops->side_name);
	return fs_join(ret, size, dir, name);
}

int adapter_side_save(const struct method *m, const char *dir)
{
	char path[4096];
	struct buf text;
	struct jsonw w;
	int code = TT_OK;

	for (size_t i = 0; !code && i < m->nparts; i++)
		code = adapter_side_save(m->part[i], dir);
	if (code || !m->ops->side_name)
		return code;
	buf_init(&text, SIDE_MAX);
	jsonw_init(&w, &text, 2);
	jsonw_object(&w);
	code = m->ops->side_write(m, &w);
	jsonw_end(&w, '}');
	if (!code)
		code = side_path(m, dir, path, sizeof(path));
	if (!code)
		code = buf_check(&text, path);
	if (!code)
		code = fs_write_atomic(path, text.data, text.size);
	buf_done(&text);
	return code;
}

int adapter_side_load(struct method *m, const char *dir)
{
	char path[4096];
	struct json *side;
	int code = TT_OK;

	for (size_t i = 0; !code && i < m->nparts; i++)
		code = adapter_side_load(m->part[i], dir);
	if (code || !m->ops->side_name)
		return code;
	code = side_path(m, dir, path, sizeof(path));
	if (!code && !fs_exists(path))
		return err_set(TT_NOTFOUND, "'%s' has no %s, which method '%s' needs", dir,
			       fs_basename(path), m->ops->name);
	if (!code)
		code = json_load(path, SIDE_MAX, &side);
	if (code)
		return code;
	code = m->ops->side_read(m, side);
	json_free(side);
	return code ? err_in("%s", path) : TT_OK;
}
