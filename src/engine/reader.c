/* Reading the data of a run beside the loading of its model. */
#include "engine/reader.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

struct reader {
	struct session *session;
	struct thread *thread;
	atomic_bool stop;
	int code;
	char why[512]; /* a sentence belongs to the thread that failed */
};

static bool told_to_stop(void *arg) { return atomic_load(&((struct reader *)arg)->stop); }

static int read_file(struct reader *r, const char *path, bool eval, struct dataset **ret)
{
	struct dataset_options how = session_dataset_how(r->session, path, eval, false);

	how.stop = told_to_stop;
	how.stop_arg = r;
	return dataset_load(&how, ret);
}

static void read_all(void *arg)
{
	struct reader *r = arg;
	struct session *s = r->session;

	r->code = read_file(r, s->recipe->data.train, false, &s->train);
	if (!r->code && s->recipe->data.validation)
		r->code = read_file(r, s->recipe->data.validation, true, &s->other);
	if (r->code)
		snprintf(r->why, sizeof(r->why), "%s", err_text());
}

int reader_start(struct session *s, struct reader **ret)
{
	struct reader *r = calloc(1, sizeof(*r));
	int code;

	if (!r)
		return err_set(TT_NOMEM, "not enough memory to read the data");
	r->session = s;
	code = thread_start(read_all, r, &r->thread);
	if (code)
		free(r);
	else
		*ret = r;
	return code;
}

int reader_finish(struct reader *r, int code)
{
	if (!r)
		return code;
	if (code)
		atomic_store(&r->stop, true);
	thread_join(r->thread);
	if (!code && r->code)
		code = err_set(r->code, "%s", r->why);
	free(r);
	return code;
}
