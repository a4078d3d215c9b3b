#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * safetensors: names <-> tensors. The reader maps the file read-only and takes
 * the header for hostile: it never loads partly. On a network file system the
 * file is read into memory instead, since a mapping there may fail later.
 */
struct st_tensor {
	const char *name;
	const char *dtype; /* "F32", "F16", "BF16", "I64", ... */
	int rank;
	int64_t dim[8];
	const unsigned char *data; /* in the mapping; may be unaligned */
	size_t size;               /* bytes */
};

struct st_file;

int st_open(const char *path, struct st_file **ret); /* one file */
int st_open_memory(const void *data, size_t size, const char *name,
		   struct st_file **ret); /* for tests and fuzzing; not copied */
/* model.safetensors, or the shards that model.safetensors.index.json names; pickles are refused with the reason. */
int st_open_folder(const char *folder, struct st_file **ret);
void st_close(struct st_file *f); /* NULL is fine */
size_t st_count(const struct st_file *f);
const struct st_tensor *st_at(const struct st_file *f,
			      size_t i); /* in file order, over all shards */
const struct st_tensor *st_find(const struct st_file *f, const char *name); /* NULL: not there */
const char *st_metadata(const struct st_file *f,
			const char *key); /* NULL: not there; shards: of the first */
/* F32, F16 or BF16 as fp32, exactly, into out[count]; others are refused. */
int st_read_f32(const struct st_tensor *t, float *out);
/* The data itself when it is F32 and aligned, so that a frozen weight needs no copy; else NULL. */
const float *st_map_f32(const struct st_tensor *t);
/* Do these numbers lie in a mapping of the file? */
bool st_maps(const struct st_file *f, const void *data);
/* Give back the memory of numbers that lie in a mapping: whoever reads them again reads the file again. Others stay. */
void st_forget(const struct st_file *f, const void *data, size_t size);
/* The same for all pages that a look at this place may have brought in, whatever they hold. */
void st_forget_around(const struct st_file *f, const void *data);
/* The name with what is not printable written as \xHH, cut to fit: for sentences. Returns ret. */
const char *st_printable(const char *name, char *ret, size_t size);
/* Bits of one element; 0: no such dtype. ret_rank, unless NULL: its place in the order of a written file. */
int st_dtype_bits(const char *dtype, int *ret_rank);

/*
 * Writing: collect, then write atomically: widest dtypes first, then by name,
 * with {"format":"pt"} and the given metadata. The folder must exist.
 */
struct st_writer;
int st_writer_new(struct st_writer **ret);
void st_writer_free(struct st_writer *w); /* NULL is fine */
/* data is kept by reference until st_write. dtype: "F32", "F16", "BF16", "I64", "U8". */
int st_writer_add(struct st_writer *w, const char *name, const char *dtype, int rank,
		  const int64_t *dim, const void *data);
int st_writer_metadata(struct st_writer *w, const char *key, const char *value);
int st_write(struct st_writer *w, const char *path);

#endif
