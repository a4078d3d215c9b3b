/* Reading a data file into token arrays, row by row. */
#include "data/dataset.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/input.h"
#include "data/text.h"

struct dataset {
	size_t n;
	int32_t *id; /* of all examples, end to end */
	uint8_t *type;
	size_t tokens, id_room, type_room;
	size_t *start;           /* [n] */
	int32_t *length, *label; /* [n] */
	float *value;            /* [n] */
	int64_t *index;          /* [n] */
	/* The places that the head reads and their classes, end to end; of no example: NULL. */
	int32_t *place, *tag;
	size_t *place_start; /* [n] */
	int32_t *places;     /* [n] */
	size_t marks, place_room, tag_room, place_start_room, places_room;
	size_t start_room, length_room, label_room, value_room, index_room;
};

struct loading {
	const struct dataset_options *how;
	struct dataset *to;
	struct rows *rows;
	struct input input;
	int64_t *per_label; /* [classes] kept so far; NULL: not limited */
	int64_t read;       /* rows */
};

static bool limited(int64_t limit) { return limit > 0; /* KNOB_NONE is negative */ }

static int dataset_room(struct dataset *d, size_t tokens)
{
	int r = array_grow(&d->id, &d->id_room, d->tokens + tokens, sizeof(*d->id));

	if (r == TT_OK)
		r = array_grow(&d->type, &d->type_room, d->tokens + tokens, sizeof(*d->type));
	if (r == TT_OK)
		r = array_grow(&d->start, &d->start_room, d->n + 1, sizeof(*d->start));
	if (r == TT_OK)
		r = array_grow(&d->length, &d->length_room, d->n + 1, sizeof(*d->length));
	if (r == TT_OK)
		r = array_grow(&d->label, &d->label_room, d->n + 1, sizeof(*d->label));
	if (r == TT_OK)
		r = array_grow(&d->value, &d->value_room, d->n + 1, sizeof(*d->value));
	if (r == TT_OK)
		r = array_grow(&d->index, &d->index_room, d->n + 1, sizeof(*d->index));
	return r;
}

static int marks_add(struct dataset *d, const struct input *in)
{
	int r = array_grow(&d->place, &d->place_room, d->marks + in->places, sizeof(*d->place));

	if (r == TT_OK)
		r = array_grow(&d->tag, &d->tag_room, d->marks + in->places, sizeof(*d->tag));
	if (r == TT_OK)
		r = array_grow(&d->place_start, &d->place_start_room, d->n + 1,
			       sizeof(*d->place_start));
	if (r == TT_OK)
		r = array_grow(&d->places, &d->places_room, d->n + 1, sizeof(*d->places));
	if (r < 0)
		return r;
	if (in->places) {
		memcpy(d->place + d->marks, in->place, in->places * sizeof(*d->place));
		memcpy(d->tag + d->marks, in->tag, in->places * sizeof(*d->tag));
	}
	d->place_start[d->n] = d->marks;
	d->places[d->n] = (int32_t)in->places;
	d->marks += in->places;
	return TT_OK;
}

static int dataset_add(struct dataset *d, const struct input *in, int32_t label, float value,
		       int64_t index)
{
	const struct encoding *e = &in->encoding;
	int r;

	if (!e->n)
		return err_set(TT_INVALID, "the text has no token");
	if (e->n > INT32_MAX)
		return err_set(TT_INVALID, "the text has %zu tokens", e->n);
	r = dataset_room(d, e->n);
	if (r == TT_OK)
		r = marks_add(d, in);
	if (r < 0)
		return r;
	memcpy(d->id + d->tokens, e->id, e->n * sizeof(*d->id));
	memcpy(d->type + d->tokens, e->type, e->n);
	d->start[d->n] = d->tokens;
	d->length[d->n] = (int32_t)e->n;
	d->label[d->n] = label;
	d->value[d->n] = value;
	d->index[d->n++] = index;
	d->tokens += e->n;
	return TT_OK;
}

static bool maskable(const struct tokenizer *t, const struct encoding *e)
{
	for (size_t i = 0; i < e->n; i++)
		if (!tokenizer_is_special(t, e->id[i]))
			return true;
	return false;
}

/* The row's label; *ret_skip when its class is full. */
static int load_label(struct loading *x, const struct row *row, int32_t *label, float *value,
		      bool *ret_skip)
{
	const struct dataset_options *how = x->how;
	int r = TT_OK;

	if (how->task == TASK_MLM || how->task == TASK_TOKEN_CLS ||
	    (!row->label && how->label_optional))
		return TT_OK;
	if (how->task == TASK_REGRESSION)
		return label_number(x->rows, row, value);
	r = labels_find(how->labels, x->rows, row, label);
	if (r == TT_OK && x->per_label)
		*ret_skip = x->per_label[*label]++ >= how->per_label_limit;
	return r;
}

static int load_row(struct loading *x, const struct row *row)
{
	const struct dataset_options *how = x->how;
	const struct input_text text = { row->text_a, row->size_a, row->text_b, row->size_b,
					 row->label };
	int32_t label = -1;
	float value = NAN;
	bool skip = false;
	int r = load_label(x, row, &label, &value, &skip);

	if (r < 0 || skip)
		return r;
	r = input_make(how, &text, label, &x->input);
	if (r == TT_OK && how->task == TASK_MLM && !maskable(how->tokenizer, &x->input.encoding))
		return TT_OK;
	if (r == TT_OK)
		r = dataset_add(x->to, &x->input, label, value, x->read);
	return r < 0 ? rows_blame(x->rows) : TT_OK;
}

static int load_rows(struct loading *x)
{
	struct row row;
	int r = 1;

	while (!limited(x->how->limit) || x->read < x->how->limit) {
		if (x->how->stop && x->how->stop(x->how->stop_arg))
			return err_set(TT_STOPPED, "%s is read no further", x->how->path);
		r = rows_next(x->rows, &row);
		if (r <= 0)
			break;
		r = load_row(x, &row);
		if (r < 0)
			break;
		x->read++;
	}
	return r < 0 ? r : TT_OK;
}

static bool has_classes(int task)
{
	return task == TASK_SEQ_CLS || task == TASK_TOKEN_CLS || task == TASK_CLOZE;
}

static int load_check(const struct dataset_options *how)
{
	if (!has_classes(how->task) && how->task != TASK_REGRESSION && how->task != TASK_MLM)
		return err_set(TT_INVALID, "data for the task %s cannot be read yet",
			       recipe_task_name(how->task));
	if (has_classes(how->task) && !how->labels)
		return err_set(TT_INVALID, "the labels of %s are not known", how->path);
	return TT_OK;
}

static int load_start(struct loading *x)
{
	const struct dataset_options *how = x->how;
	int r;

	input_init(&x->input);
	if (how->task != TASK_TOKEN_CLS && has_classes(how->task) &&
	    limited(how->per_label_limit)) {
		x->per_label = calloc((size_t)labels_count(how->labels), sizeof(*x->per_label));
		if (!x->per_label)
			return err_set(TT_NOMEM, "there is no memory to read %s", how->path);
	}
	r = rows_open(how->path, &how->columns, &x->rows);
	return r < 0 ? r : load_rows(x);
}

int dataset_load(const struct dataset_options *how, struct dataset **ret)
{
	struct loading x = { .how = how, .to = NULL };
	int r = load_check(how);

	if (r < 0)
		return r;
	x.to = calloc(1, sizeof(*x.to));
	if (!x.to)
		return err_set(TT_NOMEM, "there is no memory to read %s", how->path);
	r = load_start(&x);
	if (r == TT_OK && !x.to->n)
		r = err_set(TT_INVALID, "%s has no rows", how->path);
	rows_close(x.rows);
	input_done(&x.input);
	free(x.per_label);
	if (r < 0) {
		dataset_free(x.to);
		return r;
	}
	*ret = x.to;
	return TT_OK;
}

int dataset_of_text(const struct dataset_options *how, const char *a, const char *b,
		    struct dataset **ret)
{
	const struct input_text text = { a, strlen(a), b, b ? strlen(b) : 0, NULL };
	struct dataset *d = calloc(1, sizeof(*d));
	struct input in;
	int r;

	if (!d)
		return err_set(TT_NOMEM, "there is no memory for a text");
	input_init(&in);
	r = input_make(how, &text, -1, &in);
	if (r == TT_OK)
		r = dataset_add(d, &in, -1, NAN, 0);
	input_done(&in);
	if (r < 0) {
		dataset_free(d);
		return r;
	}
	*ret = d;
	return TT_OK;
}

void dataset_free(struct dataset *d)
{
	if (!d)
		return;
	free(d->id);
	free(d->type);
	free(d->start);
	free(d->length);
	free(d->label);
	free(d->value);
	free(d->index);
	free(d->place);
	free(d->tag);
	free(d->place_start);
	free(d->places);
	free(d);
}

size_t dataset_count(const struct dataset *d) { return d->n; }

struct example dataset_example(const struct dataset *d, size_t i)
{
	return (struct example){
		.id = d->id + d->start[i],
		.type = d->type + d->start[i],
		.n = d->length[i],
		.places = d->places[i],
		.place = d->places[i] ? d->place + d->place_start[i] : NULL,
		.tag = d->places[i] ? d->tag + d->place_start[i] : NULL,
		.label = d->label[i],
		.value = d->value[i],
		.index = d->index[i],
	};
}

const int32_t *dataset_lengths(const struct dataset *d) { return d->length; }

int64_t dataset_rows(const struct dataset *d)
{
	int64_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		n += d->places[i] ? d->places[i] : 1;
	return n;
}

int64_t dataset_tokens(const struct dataset *d) { return (int64_t)d->tokens; }

size_t dataset_bytes(const struct dataset *d)
{
	return d->id_room * sizeof(*d->id) + d->type_room + d->start_room * sizeof(*d->start) +
	       d->length_room * sizeof(*d->length) + d->label_room * sizeof(*d->label) +
	       d->value_room * sizeof(*d->value) + d->index_room * sizeof(*d->index) +
	       d->place_room * sizeof(*d->place) + d->tag_room * sizeof(*d->tag) +
	       d->place_start_room * sizeof(*d->place_start) + d->places_room * sizeof(*d->places);
}
