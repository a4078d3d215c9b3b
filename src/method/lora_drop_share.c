/*
 * LoRA-drop's layers that share a step: who they are by what was seen of the
 * data, tying their factors, and a file that tells of it.
 *
 * An adapter file holds the shared factors once for every layer, as LoRA's does,
 * and lora_drop.json beside it lists the layers that share.
 */
#include "method/lora_drop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "tensor/kernel.h"

enum { ALARM_ONE_LAYER = LOWRANK_ALARMS };

bool drop_is_known(const struct method *m)
{
	return m->nsite && drop_at(m, 0)->place->data[PLACE_OF] > 0;
}

/* The number of the site whose factors site i uses. */
static size_t place_of(const struct method *m, size_t i)
{
	return (size_t)drop_at(m, i)->place->data[PLACE_OF] - 1;
}

/* ---- sharing ---- */

/* How long a name is before the number of its layer. */
static size_t stem(const char *name)
{
	size_t n = (size_t)(method_term(name) - name);

	while (n > 0 && (name[n - 1] == '.' || (name[n - 1] >= '0' && name[n - 1] <= '9')))
		n--;
	return n;
}

/* May the two share a step? Matrices of one type in different layers, of one shape, rank and scale. */
static bool alike(const struct method *m, size_t i, size_t k)
{
	const struct site *a = m->site[i], *b = m->site[k];

	return !strcmp(method_term(a->name), method_term(b->name)) &&
	       stem(a->name) == stem(b->name) && !strncmp(a->name, b->name, stem(a->name)) &&
	       a->weight->dim[0] == b->weight->dim[0] && a->weight->dim[1] == b->weight->dim[1] &&
	       drop_lowrank(m, i)->r == drop_lowrank(m, k)->r &&
	       fabs(drop_lowrank(m, i)->scale - drop_lowrank(m, k)->scale) <= 0;
}

/* Site i uses the factors of `to`; once is enough. */
static int use(struct method *m, size_t i, size_t to)
{
	struct tensor *const *own = drop_at(m, i)->factor, *const *its = drop_at(m, to)->factor;
	struct low_rank *step = &drop_lowrank(m, i)->step;
	int code = TT_OK;

	for (int f = 0; !code && f < FACTORS; f++) {
		if (own[f] && own[f]->data != its[f]->data)
			code = method_tie(m, own[f], its[f]);
	}
	step->a = its[0];
	step->b = its[1];
	step->c = its[2];
	return code;
}

/* Let every site use the factors of its place. */
int drop_tie(struct method *m)
{
	int code = TT_OK;

	for (size_t i = 0; !code && drop_is_known(m) && i < m->nsite; i++) {
		const size_t to = place_of(m, i);

		if (to >= m->nsite || !alike(m, i, to) || place_of(m, to) != to)
			return err_set(TT_INVALID, "'%s' cannot share the step of another layer",
				       m->site[i]->name);
		code = use(m, i, to);
	}
	return code;
}

/* The most important of the type that has not been taken; m->nsite: there is none. */
static size_t next_of(const struct method *m, size_t type, const bool *taken)
{
	size_t best = m->nsite;

	for (size_t i = 0; i < m->nsite; i++) {
		if (!taken[i] && alike(m, type, i) &&
		    (best == m->nsite || drop_at(m, i)->sum > drop_at(m, best)->sum))
			best = i;
	}
	return best;
}

/* One type: shares of importance, who keeps a step, and where the others find theirs. */
static void place_type(struct method *m, size_t type, bool *taken)
{
	const struct drop_settings *set = m->settings;
	double all = 0, sum = 0;
	size_t shared = m->nsite, n = 0, kept = 0;

	for (size_t i = 0; i < m->nsite; i++) {
		if (alike(m, type, i))
			all += drop_at(m, i)->sum;
	}
	for (size_t i = next_of(m, type, taken); i < m->nsite; i = next_of(m, type, taken)) {
		struct tensor *place = drop_at(m, i)->place;

		taken[i] = true;
		place->data[PLACE_SHARE] = (float)(drop_at(m, i)->sum / all);
		place->data[PLACE_OF] = sum / all < set->threshold ? (float)(i + 1) : 0;
		kept += sum / all < set->threshold;
		sum += drop_at(m, i)->sum;
		n++;
	}
	/* the first of the others has what they share */
	for (size_t i = 0; i < m->nsite; i++) {
		if (!alike(m, type, i) || drop_at(m, i)->place->data[PLACE_OF] > 0)
			continue;
		shared = shared == m->nsite ? i : shared;
		drop_at(m, i)->place->data[PLACE_OF] = (float)(shared + 1);
	}
	kept = n - kept == 1 ? n : kept;
	log_line("LoRA-drop: of %zu modules '%s' %zu keep a step of their own, %zu share one", n,
		 method_term(m->site[type]->name), kept, n - kept);
}

int drop_place(struct method *m)
{
	bool *taken = calloc(m->nsite, sizeof(*taken));
	int code = taken ? TT_OK : err_set(TT_NOMEM, "no memory to share steps");

	for (size_t i = 0; !code && i < m->nsite; i++) {
		if (!(drop_at(m, i)->sum > 0) || !isfinite(drop_at(m, i)->sum))
			code = err_set(
				TT_INVALID,
				"the step of '%s' is %s after training on the sample, so layers "
				"cannot be compared; look at train.learning_rate",
				m->site[i]->name,
				isfinite(drop_at(m, i)->sum) ? "zero" : "not finite");
	}
	for (size_t i = 0; !code && i < m->nsite; i++) {
		if (!taken[i])
			place_type(m, i, taken);
	}
	free(taken);
	return code ? code : drop_tie(m);
}

/* ---- files ---- */

int drop_side_write(const struct method *m, struct jsonw *w)
{
	jsonw_key(w, "shared");
	jsonw_array(w);
	for (size_t i = 0; drop_is_known(m) && i < m->nsite; i++) {
		size_t n = 0;

		for (size_t k = 0; k < m->nsite; k++)
			n += place_of(m, k) == i;
		if (n < 2)
			continue;
		jsonw_array(w);
		for (size_t k = 0; k < m->nsite; k++) {
			if (place_of(m, k) == i)
				jsonw_text(w, m->site[k]->name);
		}
		jsonw_end(w, ']');
	}
	jsonw_end(w, ']');
	jsonw_key(w, "importance");
	jsonw_object(w);
	for (size_t i = 0; drop_is_known(m) && i < m->nsite; i++) {
		jsonw_key(w, m->site[i]->name);
		jsonw_real(w, (double)drop_at(m, i)->place->data[PLACE_SHARE]);
	}
	jsonw_end(w, '}');
	return TT_OK;
}

/* The site that a text names; m->nsite: none. */
static size_t site_named(const struct method *m, const char *name)
{
	size_t i = 0;

	while (name && i < m->nsite && strcmp(m->site[i]->name, name) != 0)
		i++;
	return name ? i : m->nsite;
}

/* of: of each site, number of the one whose factors it uses, plus 1; 0: not read yet. */
static int group_read(const struct method *m, const struct json *group, size_t *of)
{
	size_t first = m->nsite;

	if (json_type(group) != JSON_ARRAY)
		return err_set(TT_INVALID, "shared holds something else than lists of modules");
	for (const struct json *j = json_first(group); j; j = json_next(j)) {
		const size_t i = site_named(m, json_text(j));

		if (i == m->nsite || of[i])
			return err_set(
				TT_INVALID,
				"shared names a module that the recipe does not adapt, or one "
				"twice");
		first = first == m->nsite ? i : first;
		of[i] = first + 1;
	}
	return TT_OK;
}

/* Once it is known who shares, a file may only say the same. */
static int places_take(struct method *m, const size_t *of)
{
	for (size_t i = 0; i < m->nsite; i++) {
		float *place = &drop_at(m, i)->place->data[PLACE_OF];
		const size_t now = of[i] ? of[i] : i + 1;

		if (*place > 0 && (size_t)*place != now)
			return err_set(TT_INVALID, "other layers share a step already");
		*place = (float)now;
	}
	return drop_tie(m);
}

int drop_side_read(struct method *m, const struct json *side)
{
	const struct json *shared = json_get(side, "shared"),
			  *importance = json_get(side, "importance");
	size_t *of;
	int code = TT_OK;

	if (!shared || json_type(shared) != JSON_ARRAY)
		return err_set(TT_INVALID, "shared is missing, the lists of modules with one step");
	of = calloc(m->nsite + 1, sizeof(*of));
	if (!of)
		return err_set(TT_NOMEM, "no memory to share steps");
	for (const struct json *j = json_first(shared); !code && j; j = json_next(j))
		code = group_read(m, j, of);
	if (!code)
		code = places_take(m, of);
	free(of);
	for (size_t i = 0; !code && i < m->nsite; i++) {
		const double share = json_number(json_get(importance, m->site[i]->name));

		drop_at(m, i)->place->data[PLACE_SHARE] = isfinite(share) ? (float)share : 0;
	}
	return code;
}

/* Whose factor it is, and which; NULL: of none, or of a site with a step of its own. */
static struct drop *shared_by(const struct method *m, const struct tensor *t, int *ret)
{
	for (size_t i = 0; drop_is_known(m) && i < m->nsite; i++) {
		const struct drop *d = drop_at(m, i);

		for (int f = 0; f < FACTORS; f++) {
			if (d->factor[f] == t) {
				*ret = f;
				return drop_at(m, place_of(m, i));
			}
		}
	}
	return NULL;
}

/* A copy, so that a file's numbers for several layers do not overwrite each other. */
const struct tensor *drop_pack(const struct method *m, struct tensor *t, struct arena *a)
{
	const size_t size = (size_t)tensor_count(t) * sizeof(float);
	struct tensor *to;
	int f;

	if (!shared_by(m, t, &f))
		return t;
	to = arena_zero(a, 1, sizeof(*to));
	if (!to)
		return NULL;
	*to = *t;
	to->data = arena_alloc(a, size);
	if (!to->data)
		return NULL;
	memcpy(to->data, t->data, size);
	return to;
}

int drop_unpack(struct method *m, struct tensor *t, const struct tensor *packed)
{
	const size_t size = (size_t)tensor_count(t) * sizeof(float);
	int f = 0;
	struct drop *d = shared_by(m, t, &f);

	if (d->seen[f] && memcmp(t->data, packed->data, size) != 0)
		return err_set(TT_INVALID,
			       "'%s' is not what the other layers have with which it shares it",
			       t->name);
	d->seen[f] = true;
	memcpy(t->data, packed->data, size);
	return TT_OK;
}

/* ---- the panel ---- */

static double gradient_norm(const struct lowrank *l)
{
	const struct tensor *a = l->step.a, *b = l->step.b;

	if (!a->grad || !b->grad)
		return 0;
	return sqrt(kernel_sum_squares(a->grad, tensor_count(a)) +
		    kernel_sum_squares(b->grad, tensor_count(b)));
}

static bool is_shared(const struct method *m, size_t i)
{
	for (size_t k = 0; k < m->nsite; k++) {
		if (k != i && place_of(m, k) == place_of(m, i))
			return true;
	}
	return false;
}

/* "method/lora_drop/importance/layer_3/attention.self.query" */
static void say_of(const struct watch *out, const struct site *s, const char *what, double value)
{
	char key[192], part[64];

	snprintf(key, sizeof(key), "method/lora_drop/%s/%s/%s", what,
		 method_part(s->name, part, sizeof(part)), method_term(s->name));
	out->metric(out->arg, key, value);
}

static void say_gradients(const struct method *m, const struct watch *out)
{
	double sum[2] = { 0 };
	int n[2] = { 0 };

	for (size_t i = 0; i < m->nsite; i++) {
		const bool shared = is_shared(m, i);

		if (place_of(m, i) != i)
			continue;
		sum[shared] += gradient_norm(drop_lowrank(m, i));
		n[shared]++;
	}
	if (n[0] && sum[0] > 0)
		out->metric(out->arg, "method/lora_drop/gradient_own", sum[0] / n[0]);
	if (n[1] && sum[1] > 0)
		out->metric(out->arg, "method/lora_drop/gradient_shared", sum[1] / n[1]);
}

void drop_watch(struct method *m, const struct watch *out)
{
	struct panel step = { .out = out, .key = "method/lora_drop/delta_ratio", .brief = true };
	size_t kept = 0;

	lowrank_watch(m, &step);
	for (size_t i = 0; drop_is_known(m) && i < m->nsite; i++) {
		const double share = (double)drop_at(m, i)->place->data[PLACE_SHARE];
		const bool own = !is_shared(m, i);

		say_of(out, m->site[i], "importance", share);
		say_of(out, m->site[i], "own", own);
		kept += own;
		if (share > 0.5 && share < 1)
			panel_alarm(
				m, out, ALARM_ONE_LAYER,
				"lora_drop: '%s' has %.0f %% of the importance of its type, so the "
				"others have little to say; a larger sample may tell otherwise",
				m->site[i]->name, 100 * share);
	}
	if (drop_is_known(m)) {
		out->metric(out->arg, "method/lora_drop/kept", (double)kept);
		say_gradients(m, out);
	}
}
