/* export: a run's result as a PEFT adapter folder, or merged into a transformers model folder. */

#include "base/err.h"
#include "base/fs.h"
#include "engine/engine.h"
#include "engine/output.h"
#include "engine/session.h"
#include "method/adapter.h"

static int write_folder(struct session *s, const char *dir, bool merged)
{
	int code;

	if (!merged)
		return adapter_save(s->method, dir, s->recipe->base_model);
	code = method_merge(s->method);
	if (!code)
		code = fs_mkdirs(dir);
	return code ? code : model_save(s->model, dir);
}

static int export(const struct args *a)
{
	const char *which = args_value(a, "--checkpoint");
	struct session s;
	bool merged;
	int code = session_open_run(a->pos[0], &s);

	if (code)
		return code;
	code = output_check(a->pos[1]);
	/* a merge takes all digits, on any machine */
	s.recipe->compute.precision = PRECISION_FP32;
	if (!code)
		code = session_load(&s, false);
	if (!code)
		code = session_restore(&s, which ? which : "last");
	merged = args_has(a, "--merged") || (!code && s.method->ops->saves_model);
	if (!code && merged && !method_mergeable(s.method))
		code = err_set(TT_INVALID,
			       "%s cannot be merged into the model; export without --merged",
			       s.method->ops->name);
	if (!code)
		code = write_folder(&s, a->pos[1], merged);
	if (!code)
		code = output_say(a->pos[1], args_has(a, "--json"));
	session_close(&s);
	return code;
}

static const struct arg options[] = {
	{ "--merged", 0, NULL, "fold the adapter into the model and write a transformers folder" },
	{ "--checkpoint", 0, "best|last|STEP", "which checkpoint (last)" },
	{ "--json", 0, NULL, "{\"dir\",\"files\"}" },
	{ 0 }
};

const struct command verb_export = {
	.name = "export",
	.usage = "RUN DIR [--merged] [--checkpoint best|last|STEP] [--json]",
	.summary = "Write a run's result: an adapter folder that PEFT loads, or the merged model.",
	.options = options,
	.min_args = 2,
	.max_args = 2,
	.run = export,
};
