#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/command.h"

/* Verbs of trimtab-engine: one file each, `const struct command verb_NAME`. */
const struct command *const *verb_all(void); /* ends with NULL */

/* Told to end (SIGTERM, SIGINT)? The handler is installed by engine_catch_signals. */
void engine_catch_signals(void);
int engine_told_to_stop(void);

#endif
