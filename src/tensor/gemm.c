/* Chooses a backend for matrix products and keeps frozen weights ready for it. */
#include "tensor/gemm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tensor/gemm_narrow.h"

extern const struct gemm_ops gemm_ref, gemm_blas, gemm_dnnl;

struct gemm {
	const struct gemm_ops *ops;
	struct narrow *narrow; /* NULL: all in fp32 */
};

/* A weight with a shorter side is a head or a rank: nothing is gained, and the rounding would be. */
enum { NARROW_LEAST = 32 };

struct prepared {
	const float *w; /* [rows,cols], as stored */
	int64_t rows, cols;
	enum gemm_side side;
	void *packed;                 /* NULL: the backend takes w as it is */
	struct narrow_weight *narrow; /* in bf16; NULL: in fp32 */
};

/* The order is the preference of "auto": with prepared weights oneDNN was the quickest wherever both were timed. */
static const struct gemm_ops *const all[] = {
#ifdef HAVE_ONEDNN
	&gemm_dnnl,
#endif
#ifdef HAVE_OPENBLAS
	&gemm_blas,
#endif
	&gemm_ref, NULL
};

static int unknown(const char *name)
{
	char have[128] = "auto";
	size_t at = strlen(have);

	for (int i = 0; all[i] && at < sizeof(have); i++)
		at += (size_t)snprintf(have + at, sizeof(have) - at, ", %s", all[i]->name);
	return err_set(TT_INVALID, "this build has no backend '%s' for matrix products; it has %s",
		       name, have);
}

int gemm_switch(struct gemm *gm, const char *name)
{
	const struct gemm_ops *const *ops = all;

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
	gm->ops = *ops;
	return TT_OK;
}

int gemm_open(const char *name, struct gemm **ret)
{
	struct gemm *gm = calloc(1, sizeof(*gm));
	int rc;

	if (!gm)
		return err_set(TT_NOMEM, "not enough memory for a backend");
	rc = gemm_switch(gm, name);
	if (rc)
		free(gm);
	else
		*ret = gm;
	return rc;
}

#ifndef HAVE_ONEDNN_BF16
int narrow_open(struct narrow **ret)
{
	(void)ret;
	return err_set(TT_INVALID, "compute.precision bf16 needs oneDNN 2, which this build lacks; "
				   "fp32 runs everywhere");
}

void narrow_close(struct narrow *n) { (void)n; }

int narrow_prepare(struct narrow *n, struct arena *a, const float *w, int64_t rows, int64_t cols,
		   bool transposed, struct narrow_weight **ret)
{
	(void)n, (void)a, (void)w, (void)rows, (void)cols, (void)transposed, (void)ret;
	return TT_INVALID;
}

/* Never called: nothing was opened. */
void narrow_prepared(struct narrow *n, const struct narrow_weight *w, const struct narrow_call *c)
{
	(void)n, (void)w, (void)c;
}

void narrow_run(struct narrow *n, const struct narrow_product *p) { (void)n, (void)p; }
#endif

int gemm_open_bf16(const char *name, struct gemm **ret)
{
	struct gemm *gm = NULL;
	int rc = gemm_open(name, &gm);

	if (rc)
		return rc;
	rc = narrow_open(&gm->narrow);
	if (rc)
		gemm_close(gm);
	else
		*ret = gm;
	return rc;
}

bool gemm_is_bf16(const struct gemm *gm) { return gm->narrow != NULL; }

void gemm_close(struct gemm *gm)
{
	if (!gm)
		return;
	narrow_close(gm->narrow);
	free(gm);
}

static bool fits_narrow(const struct gemm *gm, int64_t rows, int64_t cols)
{
	return gm->narrow && rows >= NARROW_LEAST && cols >= NARROW_LEAST;
}

const char *gemm_name(const struct gemm *gm) { return gm->ops->name; }

const struct gemm_ops *const *gemm_all(void) { return all; }

void gemm_run(const struct gemm *gm, bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
	      const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
	      int64_t ldc)
{
	gm->ops->run(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

int gemm_prepare(const struct gemm *gm, struct arena *a, const struct tensor *w,
		 enum gemm_side side, const struct prepared **ret)
{
	struct prepared *p;
	int rc;

	if (w->rank != 2)
		return err_set(TT_INVALID, "weight %s has %d dimensions; a linear layer takes 2",
			       w->name ? w->name : "(unnamed)", w->rank);
	p = arena_zero(a, 1, sizeof(*p));
	if (!p)
		return TT_NOMEM;
	*p = (struct prepared){ w->data, w->dim[0], w->dim[1], side, NULL, NULL };
	if (fits_narrow(gm, p->rows, p->cols)) {
		rc = narrow_prepare(gm->narrow, a, p->w, p->rows, p->cols, side == GEMM_FORWARD,
				    &p->narrow);
		if (rc)
			return rc;
	} else if (gm->ops->prepare) {
		rc = gm->ops->prepare(a, p->w, p->rows, p->cols, side == GEMM_FORWARD, &p->packed);
		if (rc)
			return rc;
	}
	*ret = p;
	return TT_OK;
}

bool prepared_is_copy(const struct prepared *p)
{
	return p->narrow || (p->packed && p->side == GEMM_FORWARD);
}

int64_t prepared_bytes(const struct prepared *p)
{
	if (!p || !prepared_is_copy(p))
		return 0;
	return p->rows * p->cols * (int64_t)(p->narrow ? sizeof(uint16_t) : sizeof(float));
}

void gemm_prepared(const struct gemm *gm, const struct prepared *p, int64_t m, const float *x,
		   int64_t ldx, float beta, float *y, int64_t ldy)
{
	const bool forward = p->side == GEMM_FORWARD;

	if (p->narrow)
		narrow_prepared(gm->narrow, p->narrow,
				&(struct narrow_call){ m, x, ldx, NULL, beta, y, ldy });
	else if (p->packed)
		gm->ops->run_prepared(p->packed, m, x, ldx, beta, y, ldy);
	else
		gm->ops->run(false, forward, m, forward ? p->rows : p->cols,
			     forward ? p->cols : p->rows, 1, x, ldx, p->w, p->cols, beta, y, ldy);
}

void gemm_prepared_bias(const struct gemm *gm, const struct prepared *p, int64_t m, const float *x,
			int64_t ldx, const float *bias, float *y, int64_t ldy)
{
	const size_t size = (size_t)(p->side == GEMM_FORWARD ? p->rows : p->cols) * sizeof(*y);

	if (p->narrow) {
		narrow_prepared(gm->narrow, p->narrow,
				&(struct narrow_call){ m, x, ldx, bias, 0, y, ldy });
		return;
	}
	for (int64_t i = 0; bias && i < m; i++)
		memcpy(y + i * ldy, bias, size);
	gemm_prepared(gm, p, m, x, ldx, bias ? 1 : 0, y, ldy);
}

void gemm_weight_forward(const struct gemm *gm, const struct gemm_weight *w, int64_t m,
			 const float *x, float beta, float *y)
{
	if (fits_narrow(gm, w->out, w->in))
		narrow_run(gm->narrow, &(struct narrow_product){ false, true, m, w->out, w->in, x,
								 w->w, beta, y });
	else
		gemm_run(gm, false, true, m, w->out, w->in, 1, x, w->in, w->w, w->in, beta, y,
			 w->out);
}

void gemm_weight_back(const struct gemm *gm, const struct gemm_weight *w, int64_t m, const float *g,
		      float beta, float *gx)
{
	if (fits_narrow(gm, w->out, w->in))
		narrow_run(gm->narrow, &(struct narrow_product){ false, false, m, w->in, w->out, g,
								 w->w, beta, gx });
	else
		gemm_run(gm, false, false, m, w->in, w->out, 1, g, w->out, w->w, w->in, beta, gx,
			 w->in);
}

void gemm_weight_grad(const struct gemm *gm, const struct gemm_weight *w, int64_t m, const float *g,
		      const float *x, float beta, float *gw)
{
	if (fits_narrow(gm, w->out, w->in))
		narrow_run(gm->narrow, &(struct narrow_product){ true, false, w->out, w->in, m, g,
								 x, beta, gw });
	else
		gemm_run(gm, true, false, w->out, w->in, m, 1, g, w->out, x, w->in, beta, gw,
			 w->in);
}
