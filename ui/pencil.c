/* Finding cairo. */
#include "ui/pencil.h"

#include <dlfcn.h>
#include <stdbool.h>

#include "base/err.h"

static bool find(void *library, const char *name, void *ret)
{
	*(void **)ret = dlsym(library, name); /* as POSIX has it */
	return *(void **)ret;
}

int pencil_open(struct pencil *ret)
{
	void *library = dlopen("libcairo.so.2", RTLD_NOW | RTLD_LOCAL);
	bool all = library;

#define FIND(f) all = all && find(library, #f, &ret->f);
	PENCIL_EACH(FIND)
#undef FIND
	return all ? TT_OK
		   : err_set(TT_NOTFOUND, "a picture needs libcairo.so.2 (Debian: libcairo2), "
					  "which is not here; "
					  "a .csv needs nothing");
}
