#ifndef METHOD_PANEL_H
#define METHOD_PANEL_H

#include "method/method.h"

/*
 * One number of every site as a few numbers of a panel: the mean of each layer
 * (KEY/layer_3), and over all sites KEY_mean and KEY_max. Sites come in the
 * order of the layers.
 */
struct panel {
	const struct watch *out;
	const char *key; /* "method/lora/delta_ratio" */
	bool brief;      /* no numbers of layers */
	/* The rest starts as zero. */
	char layer[64];
	double layer_sum, sum, most;
	int layer_n, n;
};

void panel_add(struct panel *p, const char *site, double value);
void panel_end(struct panel *p); /* nothing without sites */
/* What is wrong, as a sentence: once a run for each of a method's alarms, 0 to 31. */
void panel_alarm(struct method *m, const struct watch *out, int alarm, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
