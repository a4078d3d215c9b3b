#ifndef MODEL_SAFETENSORS_HEADER_H
#define MODEL_SAFETENSORS_HEADER_H

#include "model/safetensors.h"

/* The header of one file, parsed and checked: inside of the reader. */
struct st_pair {
	const char *key, *value;
};

struct st_header {
	struct st_tensor *tensor; /* in file order; data points into the bytes that were parsed */
	const struct st_tensor **by_name;
	size_t n, room;
	struct st_pair *meta; /* by key */
	size_t nmeta, meta_room;
	char *text; /* all its strings, decoded */
};

/* data: the whole file. ret is touched only on success; then st_header_done. */
int st_header_parse(const void *data, size_t size, const char *file, struct st_header *ret);
void st_header_done(struct st_header *h);                                   /* all zero is fine */
const char *st_header_metadata(const struct st_header *h, const char *key); /* NULL: not there */

/* Arrays of tensors ordered by name. */
void st_sort_by_name(const struct st_tensor **tensor, size_t n);
const struct st_tensor *st_by_name(const struct st_tensor *const *by_name, size_t n,
				   const char *name);

#endif
