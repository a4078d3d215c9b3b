#ifndef UI_CSV_H
#define UI_CSV_H

#include "base/buf.h"

/*
 * A text as a field of RFC 4180, quoted where there is a need. A spreadsheet
 * takes what begins with = or @ for a formula; such a text gets an apostrophe.
 */
void csv_field(struct buf *out, const char *text);

#endif
