#ifndef ENGINE_OUTPUT_H
#define ENGINE_OUTPUT_H

#include <stdbool.h>

/* An existing folder may only be one that a former export could have made. */
int output_check(const char *dir);
/* Print the folder's path; as JSON, what lies in it too: {"dir","files"}. */
int output_say(const char *dir, bool json);

#endif
