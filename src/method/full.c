/*
 * Full fine-tuning: every parameter of the model trains; a tied one once, with
 * the gradients of all its uses. There is no adapter: a run is exported as a
 * model.
 */
#include "method/method.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static const struct knob knobs[] = { { 0 } };

static int full_begin(struct method *m)
{
	for (size_t i = 0; i < m->model->nparam; i++) {
		const int code = method_train_base(m, m->model->param[i]);

		if (code)
			return code;
	}
	return TT_OK;
}

/* How far a part of the model has drifted: |W - W0| / |W0|, of all its numbers together. */
struct drift {
	char part[64];
	double moved, size;
};

static void drift_add(struct drift *d, const float *now, const float *before, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		const double x = (double)now[i] - (double)before[i];

		d->moved += x * x;
		d->size += (double)before[i] * (double)before[i];
	}
}

static void drift_report(const struct drift *d, const struct watch *out)
{
	char key[128];

	snprintf(key, sizeof(key), "method/full/drift/%s", d->part);
	if (d->size > 0)
		out->metric(out->arg, key, sqrt(d->moved / d->size));
}

static void full_watch(struct method *m, const struct watch *out)
{
	struct drift all = { .part = "all" }, part = { .part = "" };

	/* parameters come in the order of the parts */
	for (size_t i = 0; i < m->nparam; i++) {
		const struct tensor *t = m->param[i];
		char name[64];

		method_part(t->name, name, sizeof(name));
		if (strcmp(name, part.part) != 0) {
			drift_report(&part, out);
			all.moved += part.moved;
			all.size += part.size;
			part = (struct drift){ .part = "" };
			memcpy(part.part, name, sizeof(name));
		}
		drift_add(&part, t->data, m->before[i], tensor_count(t));
		model_forget(m->model, m->before[i], tensor_count(t));
	}
	drift_report(&part, out);
	all.moved += part.moved;
	all.size += part.size;
	if (all.size > 0)
		out->metric(out->arg, "method/full/drift_mean", sqrt(all.moved / all.size));
}

const struct method_ops method_full = {
	.name = "full",
	.title = "Full fine-tuning",
	.cite = "every weight trains",
	.peft_type = "TRIMTAB_FULL",
	.starts_at_base = true,
	.saves_model = true,
	.knobs = knobs,
	.begin = full_begin,
	.watch = full_watch,
};
