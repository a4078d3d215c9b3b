/*
 * Where AdaLoRA's ranks go: importance scores, the moves after a step, and the
 * panel that shows them.
 */
#include "method/adalora.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "method/panel.h"

enum { ALARM_STUCK = LOWRANK_ALARMS, ALARM_TIED };

static struct rank_plan plan_of(const struct method *m)
{
	const struct adalora_settings *set = m->settings;

	return (struct rank_plan){
		.first = set->init_r * (int64_t)m->nsite,
		.last = set->target_r * (int64_t)m->nsite,
		.tinit = set->tinit,
		.tfinal = set->tfinal,
		.deltaT = set->deltaT,
		.total = adalora_total(m),
	};
}

int64_t adalora_total(const struct method *m)
{
	const struct adalora_settings *set = m->settings;
	const struct adalora *ada = m->state;

	if (set->total_step != KNOB_NONE)
		return set->total_step;
	return ada->ledger ? (int64_t)ada->ledger->data[LEDGER_TOTAL] : 0;
}

int adalora_schedule(const struct adalora_settings *set, int64_t total, const char *whose)
{
	if (set->tinit < total - set->tfinal)
		return TT_OK;
	return err_set(TT_INVALID,
		       "peft.tinit %lld and peft.tfinal %lld leave none of %s %lld steps for ranks "
		       "to move in; make them smaller",
		       (long long)set->tinit, (long long)set->tfinal, whose, (long long)total);
}

/* ---- the budget ---- */

int adalora_plan(struct method *m, int64_t steps)
{
	const struct adalora_settings *set = m->settings;
	struct adalora *ada = m->state;
	struct rank_plan p;

	if (!m->nsite || !steps)
		return TT_OK;
	if (steps > ADALORA_STEPS_MAX)
		return err_set(TT_INVALID, "AdaLoRA takes at most %d steps, and the run has %lld",
			       ADALORA_STEPS_MAX, (long long)steps);
	if (set->total_step == KNOB_NONE && adalora_schedule(set, steps, "the run's"))
		return TT_INVALID;
	ada->steps = steps;
	ada->ledger->data[LEDGER_TOTAL] = (float)(set->total_step == KNOB_NONE ? steps
									       : set->total_step);
	ada->score = method_alloc(m, 2 * m->nsite * (size_t)set->init_r * sizeof(*ada->score));
	if (!ada->score)
		return TT_NOMEM;
	p = plan_of(m);
	if (rank_first_move(&p, steps) < 0)
		log_line("AdaLoRA: no rank will move in the run's %lld steps (init_r %lld, "
			 "target_r %lld, tinit %lld, deltaT %lld, total_step %lld)",
			 (long long)steps, (long long)set->init_r, (long long)set->target_r,
			 (long long)set->tinit, (long long)set->deltaT, (long long)p.total);
	return TT_OK;
}

static void take_averages(const struct method *m)
{
	const struct adalora_settings *set = m->settings;
	const struct rank_decay decay = { set->beta1, set->beta2 };

	for (size_t i = 0; i < m->nsite; i++) {
		const struct adalora_site *a = m->site[i]->state;

		for (int k = 0; k < ADALORA_FACTORS; k++) {
			const struct tensor *t = a->factor[k];

			rank_average(a->sense[k]->data, a->doubt[k]->data, t->data, t->grad,
				     tensor_count(t), &decay);
		}
	}
}

static void forget_averages(const struct method *m)
{
	for (size_t i = 0; i < m->nsite; i++) {
		const struct adalora_site *a = m->site[i]->state;

		for (int k = 0; k < ADALORA_FACTORS; k++) {
			const size_t size = (size_t)tensor_count(a->sense[k]) * sizeof(float);

			memset(a->sense[k]->data, 0, size);
			memset(a->doubt[k]->data, 0, size);
		}
	}
}

/* The mean of I o U over n numbers that lie `stride` apart. */
static float mean_score(const struct adalora_site *a, int factor, int64_t from, int64_t n,
			int64_t stride)
{
	const float *sense = a->sense[factor]->data, *doubt = a->doubt[factor]->data;
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)(sense[from + i * stride] * doubt[from + i * stride]);
	return (float)(sum / (double)n);
}

static float triplet_score(const struct adalora_site *a, int64_t k)
{
	const int64_t r = a->low.r, in = a->factor[ADALORA_A]->dim[1],
		      out = a->factor[ADALORA_B]->dim[0];

	return mean_score(a, ADALORA_E, k, 1, 1) +
	       (mean_score(a, ADALORA_A, k * in, in, 1) + mean_score(a, ADALORA_B, k, out, r));
}

static void mask(const struct adalora_site *a)
{
	for (int64_t k = 0; k < a->low.r; k++) {
		if (a->masked->data[k] > 0)
			a->factor[ADALORA_E]->data[k] = 0;
	}
}

/* Everything not above the threshold goes: where scores are equal more may fall than the budget asks. */
static void spend(struct method *m, int64_t budget)
{
	struct adalora *ada = m->state;
	const size_t n = (size_t)plan_of(m).first;
	float *score = ada->score, *sorted = score + n, threshold;
	int64_t kept = 0, revived = 0;
	size_t at = 0;

	for (size_t i = 0; i < m->nsite; i++) {
		for (int64_t k = 0; k < ((const struct lowrank *)m->site[i]->state)->r; k++)
			score[at++] = triplet_score(m->site[i]->state, k);
	}
	memcpy(sorted, score, n * sizeof(*score));
	threshold = rank_kth(sorted, n, n - (size_t)budget);
	for (size_t i = at = 0; i < m->nsite; i++) {
		struct adalora_site *a = m->site[i]->state;

		for (int64_t k = 0; k < a->low.r; k++, at++) {
			const bool falls = score[at] <= threshold;

			kept += !falls;
			revived += !falls && a->masked->data[k] > 0;
			a->masked->data[k] = falls;
		}
		mask(a);
	}
	ada->ledger->data[LEDGER_THRESHOLD] = threshold;
	ada->ledger->data[LEDGER_REVIVED] = (float)revived;
	ada->ledger->data[LEDGER_TIED] = (float)(budget - kept);
}

int adalora_after_step(struct method *m, int64_t step)
{
	const struct adalora_settings *set = m->settings;
	const struct rank_plan p = plan_of(m);
	const int64_t t = step - 1, end = p.total - p.tfinal;
	int64_t budget;
	bool due;

	if (!m->nsite || set->target_r == set->init_r)
		return TT_OK;
	if (t < end)
		take_averages(m);
	budget = rank_budget(&p, t, &due);
	if (due && budget < p.first)
		spend(m, budget);
	if (t == end)
		forget_averages(m);
	for (size_t i = 0; t > end && i < m->nsite; i++)
		mask(m->site[i]->state);
	return TT_OK;
}

/* ---- the panel ---- */

/* |A A^T - I| or |B^T B - I|. */
static double apart(const struct adalora_site *a, enum adalora_factor which)
{
	const struct tensor *t = a->factor[which];
	const int64_t r = a->low.r, n = tensor_count(t) / r;
	const int64_t next = which == ADALORA_A ? 1 : r, row = which == ADALORA_A ? n : 1;
	double square = 0;

	for (int64_t p = 0; p < r; p++) {
		for (int64_t q = 0; q < r; q++) {
			double dot = p == q ? -1 : 0;

			for (int64_t i = 0; i < n; i++)
				dot += (double)t->data[p * row + i * next] *
				       (double)t->data[q * row + i * next];
			square += dot * dot;
		}
	}
	return sqrt(square);
}

static void say(const struct watch *out, const char *what, double value)
{
	char key[64];

	snprintf(key, sizeof(key), "method/adalora/%s", what);
	out->metric(out->arg, key, value);
}

/* One square of the map: the rank of a module, "method/adalora/rank/layer_3/attention.self.query". */
static int64_t say_rank(const struct watch *out, const struct site *s)
{
	const struct adalora_site *a = s->state;
	char key[192], part[64];
	int64_t rank = a->low.r;

	for (int64_t k = 0; k < a->low.r; k++)
		rank -= a->masked->data[k] > 0;
	snprintf(key, sizeof(key), "method/adalora/rank/%s/%s",
		 method_part(s->name, part, sizeof(part)), method_term(s->name));
	out->metric(out->arg, key, (double)rank);
	return rank;
}

static void alarms(struct method *m, const struct watch *out, const struct rank_plan *p,
		   int64_t kept)
{
	const struct adalora *ada = m->state;
	const int64_t first = rank_first_move(p, ada->steps);

	if (kept == p->first && ada->steps >= 0 && (first < 0 || first < out->step))
		panel_alarm(m, out, ALARM_STUCK,
			    "adalora: no rank has moved, and none will in this run's %lld steps; "
			    "look at target_r, tinit, deltaT and total_step",
			    (long long)ada->steps);
	if (ada->ledger->data[LEDGER_TIED] > 0)
		panel_alarm(m, out, ALARM_TIED,
			    "adalora: at the last move %.0f ranks fell beyond the budget, as their "
			    "importance was that of the last one to go",
			    (double)ada->ledger->data[LEDGER_TIED]);
}

void adalora_watch(struct method *m, const struct watch *out)
{
	const struct adalora *ada = m->state;
	const struct rank_plan p = plan_of(m);
	const int64_t t = out->step - 1;
	double sum = 0, most = 0;
	int64_t kept = 0, grown = 0;
	bool due;

	if (!m->nsite)
		return;
	for (size_t i = 0; i < m->nsite; i++) {
		const struct adalora_site *a = m->site[i]->state;
		const double rows = apart(a, ADALORA_A), cols = apart(a, ADALORA_B);

		kept += say_rank(out, m->site[i]);
		for (int64_t k = 0; k < a->low.r; k++)
			grown += a->masked->data[k] > 0 && adalora_lives(a, k);
		sum += rows + cols;
		most = fmax(most, fmax(rows, cols));
	}
	say(out, "kept", (double)kept);
	say(out, "budget", (double)(p.total ? rank_budget(&p, t, &due) : p.first));
	say(out, "phase", p.total ? rank_phase(&p, t) : RANK_WARMUP);
	say(out, "threshold", (double)ada->ledger->data[LEDGER_THRESHOLD]);
	say(out, "revived", (double)ada->ledger->data[LEDGER_REVIVED]);
	say(out, "tied", (double)ada->ledger->data[LEDGER_TIED]);
	say(out, "regrown", (double)grown);
	say(out, "orth_error", sum / (2.0 * (double)m->nsite));
	say(out, "orth_error_max", most);
	alarms(m, out, &p, kept);
}
