#ifndef METHOD_LORA_DROP_H
#define METHOD_LORA_DROP_H

#include "method/lowrank.h"

/* LoRA-drop's settings and state: for looking at the data, and for what comes of it. */
struct drop_settings {
	struct lowrank_settings low; /* first, for lowrank.h */
	double sample_ratio, threshold;
	int64_t sample_epochs;
};

/* What is kept of a site. */
enum { PLACE_OF, PLACE_SHARE, PLACE_ENTRIES };

enum { FACTORS = 3 }; /* A, B and B's bias, where there is one */

/* Of one site. */
struct drop {
	struct tensor
		*place; /* number of the site whose factors it uses, plus 1 (0: not known), and I */
	struct tensor *factor[FACTORS]; /* its own, also where it uses another's */
	bool seen[FACTORS];             /* of a group's first: a file's numbers have come */
	double *gram, sum;              /* s^2 B^T B; g */
	const struct look *look;
};

/* Of the method. */
struct look {
	bool measures; /* the hooks add up g */
};

static inline struct lowrank *drop_lowrank(const struct method *m, size_t i)
{
	return m->site[i]->state;
}

static inline struct drop *drop_at(const struct method *m, size_t i)
{
	return drop_lowrank(m, i)->own;
}

/* lora_drop_share.c: is it known who shares? */
bool drop_is_known(const struct method *m);
/* From what was seen: shares of importance, who keeps a step, and the others tied to one. */
int drop_place(struct method *m);
int drop_tie(struct method *m);
int drop_side_write(const struct method *m, struct jsonw *w);
int drop_side_read(struct method *m, const struct json *side);
const struct tensor *drop_pack(const struct method *m, struct tensor *t, struct arena *a);
int drop_unpack(struct method *m, struct tensor *t, const struct tensor *packed);
void drop_watch(struct method *m, const struct watch *out);

#endif
