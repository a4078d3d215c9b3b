/* A number of every site, summed up for a panel. */
#include "method/panel.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(const struct panel *p, const char *end, double value)
{
	char key[160];

	snprintf(key, sizeof(key), "%s%s", p->key, end);
	p->out->metric(p->out->arg, key, value);
}

static void end_layer(struct panel *p)
{
	char end[80];

	if (!p->layer_n || p->brief)
		return;
	snprintf(end, sizeof(end), "/%s", p->layer);
	if (!p->brief)
		say(p, end, p->layer_sum / p->layer_n);
	p->layer_sum = 0;
	p->layer_n = 0;
}

void panel_add(struct panel *p, const char *site, double value)
{
	char layer[64];

	method_part(site, layer, sizeof(layer));
	if (strcmp(layer, p->layer) != 0)
		end_layer(p);
	snprintf(p->layer, sizeof(p->layer), "%s", layer);
	p->layer_sum += value;
	p->layer_n++;
	p->most = p->n ? fmax(p->most, value) : value;
	p->sum += value;
	p->n++;
}

void panel_end(struct panel *p)
{
	if (!p->n)
		return;
	end_layer(p);
	say(p, "_mean", p->sum / p->n);
	say(p, "_max", p->most);
}

void panel_alarm(struct method *m, const struct watch *out, int alarm, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (m->alarms >> alarm & 1 || !out->alarm)
		return;
	m->alarms |= 1u << alarm;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	out->alarm(out->arg, text);
}
