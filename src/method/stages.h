#ifndef METHOD_STAGES_H
#define METHOD_STAGES_H

#include "method/method.h"
#include "tensor/leaves.h"

/*
 * The course of a run as its trainer goes through it (method_ops says what each
 * stage is for): a combination's parts in their order, and itself.
 */
int stage_plan(struct method *m, int64_t steps);
int stage_prime(struct method *m, const struct probe *p);
/* Does the method need a tape of its own? Without one before and after do nothing. */
bool stage_has_tape(const struct method *m);
/* On a tape that has begun. On failure the caller ends it. */
int stage_before(struct method *m, struct graph *step);
/*
 * After the shards: the penalty joins the loss, gradients go back through what
 * was made, and the tape is ended whatever happens.
 */
int stage_after(struct method *m, struct graph *step, struct leaves *leaves, double *ret_penalty);
int stage_gradients(struct method *m);
int stage_update(struct method *m, int64_t step); /* before the optimizer */
int stage_done(struct method *m, int64_t step);   /* after it */
/* Does something of a checkpoint have to come before its parameters? */
bool stage_reties(const struct method *m);
int stage_retie(struct method *m);
int stage_restored(struct method *m);
/* After an adapter; encoder: with the file of an encoder beside it. */
int stage_loaded(struct method *m, bool encoder);
void stage_watch(struct method *m, const struct watch *out);
/* Before an evaluation, or before what was made is looked at: make it anew, on a tape that is forgotten. */
int stage_refresh(struct method *m);
/* What the optimizer uses for a parameter, as its owner wants it. */
double stage_learning_rate(const struct method *m, const struct tensor *t, double base);
double stage_weight_decay(const struct method *m, const struct tensor *t, double base);
enum adamw_form stage_adamw(const struct method *m, const struct tensor *t);

#endif
