#ifndef CMD_CATALOGUE_H
#define CMD_CATALOGUE_H

#include <stdbool.h>

#include "base/buf.h"

/* What the engine says it can do (`trimtab-engine describe`), record by record. */
struct catalogue {
	struct buf text; /* cut into fields in place */
	char *next;
};

enum { CATALOGUE_FIELDS = 10 };

int catalogue_open(struct catalogue *ret);
void catalogue_done(struct catalogue *c);
/* The next record's fields (the missing ones are ""), or false at the end. */
bool catalogue_next(struct catalogue *c, const char *ret[CATALOGUE_FIELDS]);

#endif
