/* Tasks run once each and in ascending picks; turns keep order; gates wake and time out. */
#include "tests/check.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/err.h"
#include "tensor/pool.h"

enum { TASKS = 200, ROUNDS = 200 };

struct count {
	atomic_int ran[TASKS], picked, late;
	int threads;
	atomic_bool strange;
};

static void count_task(void *arg, int i, int thread)
{
	struct count *c = arg;

	atomic_fetch_add(&c->ran[i], 1);
	/* Picks ascend: when task i starts, all before it but those of the other threads have started. */
	if (atomic_fetch_add(&c->picked, 1) < i - c->threads + 1)
		atomic_fetch_add(&c->late, 1);
	if (thread < 0 || thread >= c->threads)
		atomic_store(&c->strange, true);
}

static void each_task_runs_once(int threads)
{
	struct pool *p;
	bool once = true;

	CHECK(pool_new(threads, &p) == TT_OK);
	CHECK(pool_threads(p) == threads);
	for (int round = 0; round < ROUNDS; round++) {
		struct count c = { .threads = threads };
		const int n = round % TASKS;

		pool_run(p, n, count_task, &c);
		for (int i = 0; i < TASKS; i++)
			once &= atomic_load(&c.ran[i]) == (i < n);
		once &= !atomic_load(&c.strange) && !atomic_load(&c.late);
	}
	CHECK(once);
	pool_free(p);
}

struct relay {
	struct turn *turn;
	int order[TASKS], n; /* guarded by the turn */
};

static void relay_task(void *arg, int i, int thread)
{
	struct relay *r = arg;

	(void)thread;
	turn_wait(r->turn, i);
	r->order[r->n++] = i;
	turn_next(r->turn);
}

static void turns_keep_order(int threads)
{
	struct relay r = { 0 };
	struct pool *p;
	bool ordered = true;

	CHECK(pool_new(threads, &p) == TT_OK);
	CHECK(turn_new(&r.turn) == TT_OK);
	for (int round = 0; round < ROUNDS; round++) {
		turn_reset(r.turn);
		r.n = 0;
		pool_run(p, TASKS, relay_task, &r);
		for (int i = 0; i < TASKS; i++)
			ordered &= r.order[i] == i;
	}
	CHECK(ordered);
	turn_free(r.turn);
	pool_free(p);
}

struct mailbox {
	struct gate *gate;
	int letters, answers; /* guarded by the gate */
};

static void reader(void *arg)
{
	struct mailbox *m = arg;

	gate_lock(m->gate);
	for (int i = 1; i <= ROUNDS; i++) {
		while (m->letters < i)
			gate_wait(m->gate, -1);
		m->answers++;
		gate_wake(m->gate);
	}
	gate_unlock(m->gate);
}

static void gates_wake(void)
{
	struct mailbox m = { 0 };
	struct thread *t;

	CHECK(gate_new(&m.gate) == TT_OK);
	CHECK(thread_start(reader, &m, &t) == TT_OK);
	gate_lock(m.gate);
	for (int i = 1; i <= ROUNDS; i++) {
		m.letters = i;
		gate_wake(m.gate);
		while (m.answers < i)
			gate_wait(m.gate, 60 * 1000000);
	}
	gate_unlock(m.gate);
	thread_join(t);
	CHECK(m.answers == ROUNDS);
	gate_lock(m.gate);
	CHECK(!gate_wait(m.gate, 0)); /* nobody wakes it any more */
	CHECK(!gate_wait(m.gate, 1500));
	gate_unlock(m.gate);
	gate_free(m.gate);
}

static void nothing_is_fine(void)
{
	struct pool *p;
	struct count c = { .threads = 2 };

	CHECK(pool_new(2, &p) == TT_OK);
	pool_run(p, 0, count_task, &c);
	CHECK(atomic_load(&c.picked) == 0);
	pool_free(p);
	CHECK(pool_new(2, &p) == TT_OK); /* freed before its thread ran anything */
	pool_free(p);
	pool_free(NULL);
	turn_free(NULL);
	gate_free(NULL);
	thread_join(NULL);
	CHECK(pool_cores() >= 1);
}

int main(void)
{
	for (int threads = 1; threads <= 4; threads++) {
		each_task_runs_once(threads);
		turns_keep_order(threads);
	}
	gates_wake();
	nothing_is_fine();
	return check_done();
}
