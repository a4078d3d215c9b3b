/*
 * How bottleneck adapters are built: what a recipe's settings come to, and the
 * members of adapter_config.json, which are named as AdapterHub's settings.
 */
#include "method/bottleneck.h"

#include <math.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "method/adapter.h"

/* What goes with a placement when a recipe does not say. */
static const struct {
	const char *name, *non_linearity;
	double reduction, by;
} places[] = {
	[PLACE_HOULSBY] = { "houlsby", "swish", 16, 1 },
	[PLACE_PFEIFFER] = { "pfeiffer", "relu", 16, 1 },
	[PLACE_PARALLEL] = { "parallel", "relu", 2, 1 },
	[PLACE_SCALED_PARALLEL] = { "scaled_parallel", "relu", 2, 4 },
};

static const char *const inits[] = {
	[BOTTLENECK_BERT] = "bert",
	[BOTTLENECK_MAM] = "mam_adapter",
	[BOTTLENECK_HOULSBY] = "houlsby",
};

static const char *const scalings[] = {
	[SCALING_LEARNED] = "learned", [SCALING_CHANNEL] = "channel"
};

/* In the order of the knob's choices; the first name of a kind is the one that is written. */
static const struct {
	const char *name;
	enum activation kind;
} activations[] = {
	{ "relu", ACT_RELU },  { "gelu", ACT_GELU }, { "gelu_new", ACT_GELU_TANH },
	{ "swish", ACT_SILU }, { "silu", ACT_SILU }, { "tanh", ACT_TANH },
};

static const char *activation_name(enum activation kind)
{
	for (size_t i = 0; i < COUNT(activations); i++) {
		if (activations[i].kind == kind)
			return activations[i].name;
	}
	return NULL;
}

const char *bottleneck_place_name(enum bottleneck_place place) { return places[place].name; }

/* ---- settings ---- */

static int scaling_parse(const struct json *j, const char *key, struct bottleneck_how *ret)
{
	const char *text = json_text(j);
	const double by = json_number(j);

	if (isfinite(by)) {
		ret->scaling = SCALING_FIXED;
		ret->by = by;
		return TT_OK;
	}
	for (size_t i = SCALING_LEARNED; text && i < COUNT(scalings); i++) {
		if (strcmp(text, scalings[i]) != 0)
			continue;
		ret->scaling = (enum bottleneck_scaling)i;
		ret->by = 1;
		return TT_OK;
	}
	return err_set(TT_INVALID, "%s is %s%s%s; it takes a number, \"learned\" or \"channel\"",
		       key, text ? "\"" : "", text ? text : json_type_name(json_type(j)),
		       text ? "\"" : "");
}

static int size_of(const struct bottleneck_settings *set, const struct model *m, int64_t *ret)
{
	const double by = isnan(set->reduction_factor) ? places[set->placement].reduction
						       : set->reduction_factor;
	const double size = floor((double)m->hp.hidden_size / by);

	if (set->bottleneck_size != KNOB_NONE && !isnan(set->reduction_factor))
		return err_set(TT_INVALID, "peft.bottleneck_size and peft.reduction_factor say the "
					   "same thing twice; leave one of them out");
	*ret = set->bottleneck_size != KNOB_NONE ? set->bottleneck_size
	       : size >= 1                       ? (int64_t)size
						 : 1;
	return TT_OK;
}

static int check_layers(const struct ints *leave_out, const struct model *m)
{
	const int64_t layers = m->hp.num_hidden_layers;

	for (size_t i = 0; i < leave_out->n; i++) {
		if (leave_out->item[i] >= layers)
			return err_set(TT_INVALID,
				       "peft.leave_out names layer %lld, and the model's are 0 to "
				       "%lld",
				       (long long)leave_out->item[i], (long long)layers - 1);
	}
	return TT_OK;
}

int bottleneck_resolve(const struct bottleneck_settings *set, const struct model *m,
		       struct bottleneck_how *ret)
{
	const char *usual = places[set->placement].non_linearity;
	int code = check_layers(&set->leave_out, m);

	*ret = (struct bottleneck_how){
		.place = (enum bottleneck_place)set->placement,
		.init = (enum bottleneck_init)set->init_weights,
		.scaling = SCALING_FIXED,
		.by = places[set->placement].by,
		.dropout = set->dropout,
		.leave_out = set->leave_out,
		.gated = set->gated,
	};
	if (!code)
		code = size_of(set, m, &ret->size);
	if (!code && set->scaling)
		code = scaling_parse(set->scaling, "peft.scaling", ret);
	if (code)
		return code;
	if ((size_t)set->non_linearity < COUNT(activations))
		usual = activations[set->non_linearity].name;
	return activation_parse(usual, &ret->kind);
}

/* ---- adapter_config.json ---- */

void bottleneck_config(const struct bottleneck_how *how, struct jsonw *w)
{
	jsonw_key(w, "placement");
	jsonw_text(w, places[how->place].name);
	jsonw_key(w, "bottleneck_size");
	jsonw_int(w, how->size);
	jsonw_key(w, "non_linearity");
	jsonw_text(w, activation_name(how->kind));
	jsonw_key(w, "scaling");
	if (how->scaling == SCALING_FIXED)
		adapter_write_float(w, how->by);
	else
		jsonw_text(w, scalings[how->scaling]);
	jsonw_key(w, "dropout");
	adapter_write_float(w, how->dropout);
	jsonw_key(w, "init_weights");
	jsonw_text(w, inits[how->init]);
	jsonw_key(w, "leave_out");
	jsonw_array(w);
	for (size_t i = 0; i < how->leave_out.n; i++)
		jsonw_int(w, how->leave_out.item[i]);
	jsonw_end(w, ']');
}

/* A scaled parallel adapter is a parallel one with another number. */
static int place_parse(const struct json *config, enum bottleneck_place *ret)
{
	const struct json *j = json_get(config, "placement");
	const char *text = j ? json_text(j) : NULL;

	for (size_t i = 0; text && i < COUNT(places); i++) {
		if (!strcmp(text, places[i].name)) {
			*ret = i == PLACE_SCALED_PARALLEL ? PLACE_PARALLEL
							  : (enum bottleneck_place)i;
			return TT_OK;
		}
	}
	return err_set(TT_INVALID, "placement is no word that this version knows");
}

int bottleneck_parse(const struct json *config, struct bottleneck_how *ret)
{
	const struct json *kind = json_get(config, "non_linearity"),
			  *size = json_get(config, "bottleneck_size"),
			  *scaling = json_get(config, "scaling");
	int code;

	*ret = (struct bottleneck_how){ .by = 1 };
	code = place_parse(config, &ret->place);
	if (!code && (!kind || !json_text(kind)))
		return err_set(TT_INVALID, "non_linearity is missing");
	if (!code)
		code = activation_parse(json_text(kind), &ret->kind);
	if (!code && (!size || !json_int(size, &ret->size) || ret->size < 1 || ret->size > 1 << 20))
		return err_set(TT_INVALID, "bottleneck_size is missing, or no size");
	return !code && scaling ? scaling_parse(scaling, "scaling", ret) : code;
}

int bottleneck_agrees(const struct bottleneck_how *how, const struct json *config)
{
	static const char *const known[] = {
		"bottleneck_size", "dropout",         "init_weights",
		"leave_out",       "modules_to_save", "name",
		"non_linearity",   "placement",       "scaling",
	};
	const enum bottleneck_place place = how->place == PLACE_SCALED_PARALLEL ? PLACE_PARALLEL
										: how->place;
	struct bottleneck_how file;
	int code = adapter_refuse_others(config, known, COUNT(known));

	if (!code)
		code = bottleneck_parse(config, &file);
	if (code)
		return code;
	if (file.place != place)
		return err_set(TT_INVALID, "placement is \"%s\", and the recipe says \"%s\"",
			       places[file.place].name, places[how->place].name);
	if (file.kind != how->kind)
		return err_set(TT_INVALID, "non_linearity is \"%s\", and the recipe says \"%s\"",
			       activation_name(file.kind), activation_name(how->kind));
	if (file.scaling != how->scaling || !(fabs(file.by - how->by) <= 1e-6 * fabs(how->by)))
		return err_set(TT_INVALID, "scaling is not what the recipe says");
	return TT_OK;
}
