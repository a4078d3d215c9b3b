#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H

#include "base/arena.h"
#include "base/fs.h"
#include "tensor/tensor.h"

/*
 * safetensors: names <-> tensors. The reader maps the file read-only and takes
 * the header for hostile (formats-and-models 1.2, 1.4): it never loads partly.
 */
struct st_tensor {
	const char *name;
	const char *dtype;		/* "F32", "F16", "BF16", "I64", ... */
	int rank;
	int64_t dim[8];
	const unsigned char *data;	/* in the mapping; may be unaligned */
	size_t size;			/* bytes */
};

struct st_file;

int st_open(const char *path, struct st_file **ret);		/* one file */
int st_open_memory(const void *data, size_t size, const char *name, struct st_file **ret);	/* for tests and fuzzing; not copied */
/* model.safetensors, or the shards that model.safetensors.index.json names; pickles are refused with the reason. */
int st_open_folder(const char *folder, struct st_file **ret);
void st_close(struct st_file *f);				/* NULL is fine */
size_t st_count(const struct st_file *f);
const struct st_tensor *st_at(const struct st_file *f, size_t i);	/* in file order, over all shards */
const struct st_tensor *st_find(const struct st_file *f, const char *name);	/* NULL: not there */
const char *st_metadata(const struct st_file *f, const char *key);	/* NULL: not there */
/* F32, F16 or BF16 as fp32, into out[count]; others are refused. */
int st_read_f32(const struct st_tensor *t, float *out);
/* The data itself when it is F32 and aligned, so that a frozen weight needs no copy; else NULL. */
const float *st_map_f32(const struct st_tensor *t);

/* Writing: collect, then write atomically in the reference order (1.3), with {"format":"pt"} and the given metadata. */
struct st_writer;
int st_writer_new(struct st_writer **ret);
void st_writer_free(struct st_writer *w);
/* data is kept by reference until st_write. dtype: "F32", "F16", "BF16", "I64", "U8". */
int st_writer_add(struct st_writer *w, const char *name, const char *dtype, int rank, const int64_t *dim, const void *data);
int st_writer_metadata(struct st_writer *w, const char *key, const char *value);
int st_write(struct st_writer *w, const char *path);

#endif
