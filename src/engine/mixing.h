#ifndef ENGINE_MIXING_H
#define ENGINE_MIXING_H

#include "base/args.h"
#include "engine/session.h"
#include "method/mixed.h"

/*
 * Several adapters over the one model of a session, for predict and eval: each row is
 * answered by the one that a column of the data names, or by all of them, and then
 * their answers become one, or stay apart.
 */
struct mixing;

enum combine { COMBINE_MEAN, COMBINE_VOTE, COMBINE_EACH };

/* Does a verb ask for it (--adapter more than once, or with what goes with that)? */
bool mixing_wanted(const struct args *a);
/* Is an adapter meant as a folder, whether it is there or not? Else it is a run. */
bool mixing_is_folder(const char *what);
/*
 * In place of session_load: the session's base and, of every --adapter, a folder with the
 * session's own settings, or a run with its own.
 */
int mixing_open(struct session *s, const struct args *a, struct mixing **ret);
void mixing_close(struct mixing *x); /* before the session; NULL is fine */
/*
 * Outputs of every row of s->other; the caller frees. With COMBINE_EACH those of a row's
 * adapters stand one after another, else they are one. data: the file, for its column.
 */
int mixing_predict(struct mixing *x, struct trainer *t, const char *data, float **ret_logits);
/* How many answers a row has, and the name of the adapter of its k-th; NULL: it is of all. */
int mixing_answers(const struct mixing *x);
const char *mixing_name(const struct mixing *x, size_t row, int k);
/* Among all rows and adapters, the share that agrees with what came of them; NAN: each row has but one. */
double mixing_agreement(const struct mixing *x);

#endif
