#ifndef METHOD_ADALORA_H
#define METHOD_ADALORA_H

#include "method/lowrank.h"
#include "method/rank_budget.h"

/* AdaLoRA's settings and state: for the method itself and for its adapter files. */
struct adalora_settings {
	struct lowrank_settings low; /* first, for lowrank.h; of its r only the default is taken */
	int64_t init_r, target_r, tinit, tfinal, deltaT;
	int64_t total_step; /* KNOB_NONE: the steps of the run */
	double beta1, beta2, orth_reg_weight;
};

/* The three factors of a triplet k: row k of A, row k of E, column k of B. */
enum adalora_factor { ADALORA_A, ADALORA_E, ADALORA_B, ADALORA_FACTORS };

struct adalora_site {
	struct lowrank low; /* first: the site's state is a struct lowrank, too */
	struct tensor *factor[ADALORA_FACTORS];
	/* Kept: averages of each factor's importance, and of how far it swings. */
	struct tensor *sense[ADALORA_FACTORS], *doubt[ADALORA_FACTORS];
	struct tensor *masked; /* [r], kept: 1 where ranks moved away the last time */
};

/* Kept with the run, one number each. */
enum adalora_entry {
	LEDGER_TOTAL,     /* total_step as planned; 0: not yet */
	LEDGER_THRESHOLD, /* the score at which ranks moved the last time */
	LEDGER_REVIVED,   /* triplets that came back then */
	LEDGER_TIED, /* triplets that fell beyond the budget then, as their scores were equal */
	LEDGER_ENTRIES
};

struct adalora {
	struct tensor *ledger;
	float *score;  /* [2][all triplets]: in the order of the sites, and for sorting */
	int64_t steps; /* of the run; -1: not planned */
};

enum { ADALORA_STEPS_MAX = 1 << 24 }; /* the ledger counts them in fp32 */

/* adalora_rank.c: where ranks go. Does a schedule of so many steps leave some for ranks to move in? */
int adalora_schedule(const struct adalora_settings *set, int64_t total, const char *whose);
int adalora_plan(struct method *m, int64_t steps);
int adalora_after_step(struct method *m, int64_t step);
void adalora_watch(struct method *m, const struct watch *out);
int64_t adalora_total(const struct method *m); /* total_step; 0: neither given nor planned */

/* Triplet k takes part: it was not masked, or has grown again since. */
bool adalora_lives(const struct adalora_site *a, int64_t k);

/* adalora_file.c: adapter folders. */
int adalora_config(const struct method *m, struct jsonw *w);
int adalora_agrees(const struct method *m, const struct json *config);
/* A file's rank_pattern becomes what is masked. */
int adalora_adopt(struct method *m, const struct json *config);
/* Files hold the triplets that live alone. */
const struct tensor *adalora_pack(const struct method *m, struct tensor *t, struct arena *a);
int adalora_unpack(struct method *m, struct tensor *t, const struct tensor *packed);

#endif
