#ifndef BENCH_FOLDER_H
#define BENCH_FOLDER_H

#include <stdint.h>

/*
 * What the step benchmarks train: folders with a BERT of random weights, and
 * data files. Real texts are used where a folder of data sets is given; else
 * made-up ones with the same lengths.
 */
struct shape {
	const char *name;
	int layers, hidden, heads, ffn;
	int positions; /* 0: 512 */
};

/* The lengths of a data set as a batch sees them. */
struct lengths {
	const char *name;
	const char *file;      /* below the folder of data sets */
	int batch, max_length; /* as trained */
	int mean, max;         /* made-up texts: tokens, [CLS] and [SEP] included */
	const char *labels[2];
	int constant; /* > 0: every row has so many tokens; nothing is read */
};

/* The three sizes and the three data sets that the benchmarks take. */
enum { SHAPE_MINILM, SHAPE_BASE, SHAPE_LARGE, SHAPES };
enum { LENGTHS_SST2, LENGTHS_RTE, LENGTHS_BOOLQ };
extern const struct shape folder_shapes[SHAPES];
extern const struct lengths folder_lengths[];

/* dir is created; vocab: a vocab.txt for the first ids, or NULL. */
int folder_bert(const char *dir, const struct shape *s, const char *vocab);
/*
 * The data file for l: the one below data when it is there, else rows made up in
 * dir. ret: PATH_MAX bytes.
 */
int folder_data(const char *dir, const struct lengths *l, const char *data, int rows, char *ret);

#endif
