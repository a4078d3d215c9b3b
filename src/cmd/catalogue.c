/* Reading the engine's own catalogue. */
#include "cmd/catalogue.h"

#include <limits.h>
#include <string.h>

#include "base/err.h"
#include "base/proc.h"

int catalogue_open(struct catalogue *ret)
{
	char path[PATH_MAX], verb[] = "describe";
	char *const argv[] = { path, verb, NULL };
	int code = proc_engine_path(path, sizeof(path));

	if (!code)
		code = proc_capture(argv, 1 << 22, &ret->text);
	if (!code)
		ret->next = ret->text.data;
	return code;
}

void catalogue_done(struct catalogue *c) { buf_done(&c->text); }

bool catalogue_next(struct catalogue *c, const char *ret[CATALOGUE_FIELDS])
{
	char *p = c->next, *end;
	int n = 0;

	if (!p || !*p)
		return false;
	end = strchr(p, '\n');
	c->next = end ? end + 1 : NULL;
	if (end)
		*end = 0;
	while (n < CATALOGUE_FIELDS && p) {
		char *tab = strchr(p, '\t');

		if (tab)
			*tab = 0;
		ret[n++] = p;
		p = tab ? tab + 1 : NULL;
	}
	while (n < CATALOGUE_FIELDS)
		ret[n++] = "";
	return true;
}
