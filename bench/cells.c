/* What programs that measure many cells share around their measurements. */
#include "bench/cells.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"

/* ---- options ---- */

static int usage(const struct cells *b, unsigned takes)
{
	return err_set(TT_INVALID,
		       "usage: %s%s%s [--data DIR] [--vocab FILE] [--only TEXT] [--json FILE]%s",
		       b->name, takes & CELLS_PEER ? " --python FILE --script FILE" : "",
		       takes & CELLS_FULL ? " [--full]" : "",
		       takes & CELLS_LOCK ? " [--lock FILE]" : "");
}

static int options(struct cells *b, unsigned takes, int argc, char **argv)
{
	const struct {
		const char *name;
		const char **to;
		unsigned only_with;
	} with[] = { { "--data", &b->data, 0 },
		     { "--vocab", &b->vocab, 0 },
		     { "--only", &b->only, 0 },
		     { "--json", &b->json, 0 },
		     { "--lock", &b->lock, CELLS_LOCK },
		     { "--python", &b->python, CELLS_PEER },
		     { "--script", &b->script, CELLS_PEER } };

	for (int i = 1; i < argc; i++) {
		size_t k = 0;

		if (takes & CELLS_FULL && !strcmp(argv[i], "--full")) {
			b->full = true;
			continue;
		}
		while (k < COUNT(with) && strcmp(argv[i], with[k].name))
			k++;
		if (k == COUNT(with) || i + 1 == argc ||
		    (takes & with[k].only_with) != with[k].only_with)
			return usage(b, takes);
		*with[k].to = argv[++i];
	}
	return takes & CELLS_PEER && !(b->python && b->script) ? usage(b, takes) : TT_OK;
}

/* ---- the folder ---- */

int cells_prepare(struct cells *b, int shape, struct cell *c)
{
	int rc = fs_join(b->model, sizeof(b->model), b->dir, c->shape->name);

	if (!rc && !b->made[shape])
		rc = folder_bert(b->model, c->shape, b->vocab);
	b->made[shape] = !rc;
	if (!rc)
		rc = folder_data(b->dir, c->lengths, b->data, c->lengths->batch * c->steps,
				 b->rows);
	c->model = b->model;
	c->data = b->rows;
	return rc;
}

bool cells_wants(const struct cells *b, const char *line)
{
	return !b->only || strstr(line, b->only);
}

/* ---- the report ---- */

void cells_real(struct jsonw *w, const char *key, double value)
{
	jsonw_key(w, key);
	jsonw_real(w, value);
}

void cells_text(struct jsonw *w, const char *key, const char *value)
{
	jsonw_key(w, key);
	jsonw_text(w, value);
}

void cells_list(struct jsonw *w, const char *key, const double *value, int n)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (int i = 0; i < n; i++)
		jsonw_real(w, value[i]);
	jsonw_end(w, ']');
}

void cells_write_cell(struct jsonw *w, const struct cell *c, const char *method)
{
	cells_text(w, "shape", c->shape->name);
	cells_text(w, "data", c->lengths->name);
	cells_text(w, "method", method);
	cells_text(w, "precision", c->precision);
	cells_real(w, "threads", c->threads);
	cells_real(w, "batch", c->lengths->batch);
	cells_real(w, "steps", c->steps);
}

static int run(struct cells *b)
{
	int rc;

	setenv("TRIMTAB_HOME", b->dir, 1); /* the first times the backends, for all */
	buf_init(&b->text, 1 << 24);
	jsonw_init(&b->out, &b->text, 1);
	jsonw_object(&b->out);
	jsonw_key(&b->out, "machine");
	cell_write_machine(&b->out);
	jsonw_key(&b->out, "cells");
	jsonw_array(&b->out);
	cell_print_machine();
	rc = b->measure(b);
	jsonw_end(&b->out, ']');
	jsonw_end(&b->out, '}');
	if (!rc && b->json)
		rc = fs_write_atomic(b->json, b->text.data, b->text.size);
	buf_done(&b->text);
	return rc;
}

int cells_main(struct cells *b, unsigned takes, int argc, char **argv)
{
	const ssize_t n = readlink("/proc/self/exe", b->self, sizeof(b->self) - 1);
	const char *tmp = getenv("TMPDIR");
	int rc = options(b, takes, argc, argv);

	if (!rc && n <= 0)
		rc = err_set(TT_IO, "cannot find this program");
	snprintf(b->dir, sizeof(b->dir), "%s/trimtab-%s-XXXXXX", tmp && *tmp ? tmp : "/tmp",
		 b->name);
	if (!rc && !mkdtemp(b->dir))
		rc = err_set(TT_IO, "cannot make the folder %s", b->dir);
	if (!rc) {
		rc = run(b);
		fs_remove_tree(b->dir);
	}
	if (rc)
		fprintf(stderr, "%s: %s\n", b->name, err_text());
	return rc ? 1 : 0;
}
