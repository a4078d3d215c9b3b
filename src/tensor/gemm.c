/* Chooses a backend for matrix products and keeps frozen weights ready for it. */
#include "tensor/gemm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

extern const struct gemm_ops gemm_ref, gemm_blas, gemm_dnnl;

struct gemm {
	const struct gemm_ops *ops;
};

struct prepared {
	const float *w;		/* [rows,cols], as stored */
	int64_t rows, cols;
	enum gemm_side side;
	void *packed;		/* NULL: the backend takes w as it is */
};

/* The order is the preference of "auto". */
static const struct gemm_ops *const all[] = {
#ifdef HAVE_OPENBLAS
	&gemm_blas,
#endif
#ifdef HAVE_ONEDNN
	&gemm_dnnl,
#endif
	&gemm_ref,
	NULL
};

static int unknown(const char *name)
{
	char have[128] = "auto";
	size_t at = strlen(have);

	for (int i = 0; all[i] && at < sizeof(have); i++)
		at += (size_t)snprintf(have + at, sizeof(have) - at, ", %s", all[i]->name);
	return err_set(TT_INVALID, "this build has no backend '%s' for matrix products; it has %s", name, have);
}

int gemm_open(const char *name, struct gemm **ret)
{
	const struct gemm_ops *const *ops = all;
	struct gemm *gm;

	if (strcmp(name, "auto"))
		while (*ops && strcmp((*ops)->name, name))
			ops++;
	if (!*ops)
		return unknown(name);
	if ((*ops)->start) {
		const int rc = (*ops)->start();

		if (rc)
			return rc;
	}
	gm = malloc(sizeof(*gm));
	if (!gm)
		return err_set(TT_NOMEM, "not enough memory for a backend");
	gm->ops = *ops;
	*ret = gm;
	return TT_OK;
}

void gemm_close(struct gemm *gm)
{
	free(gm);
}

const char *gemm_name(const struct gemm *gm)
{
	return gm->ops->name;
}

const struct gemm_ops *const *gemm_all(void)
{
	return all;
}

void gemm_run(const struct gemm *gm, bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
	      int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
	gm->ops->run(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

int gemm_prepare(const struct gemm *gm, struct arena *a, const struct tensor *w, enum gemm_side side,
		 const struct prepared **ret)
{
	struct prepared *p;
	int rc;

	if (w->rank != 2)
		return err_set(TT_INVALID, "weight %s has %d dimensions; a linear layer takes 2",
			       w->name ? w->name : "(unnamed)", w->rank);
	p = arena_zero(a, 1, sizeof(*p));
	if (!p)
		return TT_NOMEM;
	*p = (struct prepared){ w->data, w->dim[0], w->dim[1], side, NULL };
	if (gm->ops->prepare) {
		rc = gm->ops->prepare(a, p->w, p->rows, p->cols, side == GEMM_FORWARD, &p->packed);
		if (rc)
			return rc;
	}
	*ret = p;
	return TT_OK;
}

void gemm_prepared(const struct gemm *gm, const struct prepared *p, int64_t m, const float *x, int64_t ldx, float beta,
		   float *y, int64_t ldy)
{
	const bool forward = p->side == GEMM_FORWARD;

	if (p->packed)
		gm->ops->run_prepared(p->packed, m, x, ldx, beta, y, ldy);
	else
		gm->ops->run(false, forward, m, forward ? p->rows : p->cols, forward ? p->cols : p->rows, 1, x, ldx,
			     p->w, p->cols, beta, y, ldy);
}
