#ifndef BENCH_LOGGED_H
#define BENCH_LOGGED_H

#include "engine/runlog.h"

/* A run log of its own in a folder, with a run that has started; its writer thread goes on until the process ends. */
int logged_open(const char *dir, struct runlog **ret);

#endif
