/* Threads: a pool that runs numbered tasks, turns, a helper thread, and a lock with a condition. */
#include "tensor/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

/*
 * Looks at a flag before sleeping: some ten microseconds, about what a sleep
 * and a wake-up cost. Longer would take the core from a thread with work.
 */
enum { SPIN = 500 };

static void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Signals go to the first thread: it alone knows what a request to stop means. */
static int quiet_create(pthread_t *id, void *(*run)(void *), void *arg)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(id, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc ? err_set(TT_NOMEM, "cannot start a thread: %s", strerror(rc)) : TT_OK;
}

/* ---- pool ---- */

struct worker {
	struct pool *pool;
	pthread_t id;
	int number;
};

struct pool {
	int threads, started; /* started: workers that run, besides the caller */
	struct worker *worker;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	atomic_uint round;     /* goes up with every run; a worker sleeps while it stays */
	atomic_int next, busy; /* next task; workers that have not finished this round */
	atomic_bool quit;
	int n; /* these three are written before round and read after it */
	void (*task)(void *arg, int i, int thread);
	void *arg;
};

static void take_tasks(struct pool *p, int thread)
{
	for (;;) {
		const int i = atomic_fetch_add(&p->next, 1);

		if (i >= p->n)
			return;
		p->task(p->arg, i, thread);
	}
}

static void wait_for_round(struct pool *p, unsigned last)
{
	for (int i = 0; i < SPIN && atomic_load(&p->round) == last; i++)
		spin_pause();
	if (atomic_load(&p->round) != last)
		return;
	pthread_mutex_lock(&p->lock);
	while (atomic_load(&p->round) == last)
		pthread_cond_wait(&p->work, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;

	for (unsigned round = 0;; round++) {
		wait_for_round(p, round);
		if (atomic_load(&p->quit))
			return NULL;
		take_tasks(p, w->number);
		if (atomic_fetch_sub(&p->busy, 1) == 1) {
			pthread_mutex_lock(&p->lock);
			pthread_cond_signal(&p->idle);
			pthread_mutex_unlock(&p->lock);
		}
	}
}

int pool_new(int threads, struct pool **ret)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (p)
		p->worker = calloc((size_t)threads, sizeof(*p->worker));
	if (!p || !p->worker) {
		free(p);
		return err_set(TT_NOMEM, "not enough memory for %d threads", threads);
	}
	p->threads = threads;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->idle, NULL);
	for (int i = 1; i < threads; i++) {
		struct worker *w = p->worker + i;

		*w = (struct worker){ .pool = p, .number = i };
		if (quiet_create(&w->id, worker_run, w)) {
			pool_free(p);
			return TT_NOMEM;
		}
		p->started++;
	}
	*ret = p;
	return TT_OK;
}

static void next_round(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	atomic_fetch_add(&p->round, 1);
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	atomic_store(&p->quit, true);
	next_round(p);
	for (int i = 1; i <= p->started; i++)
		pthread_join(p->worker[i].id, NULL);
	pthread_cond_destroy(&p->idle);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p->worker);
	free(p);
}

int pool_threads(const struct pool *p) { return p->threads; }

int pool_cores(void)
{
	long n = 0;
#ifdef __linux__
	cpu_set_t set;

	if (!sched_getaffinity(0, sizeof(set), &set))
		n = CPU_COUNT(&set);
#endif
	if (n < 1)
		n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : (int)n;
}

static void wait_until_idle(struct pool *p)
{
	for (int i = 0; i < SPIN && atomic_load(&p->busy); i++)
		spin_pause();
	pthread_mutex_lock(&p->lock);
	while (atomic_load(&p->busy))
		pthread_cond_wait(&p->idle, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void pool_run(struct pool *p, int n, void (*task)(void *arg, int i, int thread), void *arg)
{
	if (n <= 1 || p->threads == 1) {
		for (int i = 0; i < n; i++)
			task(arg, i, 0);
		return;
	}
	p->n = n;
	p->task = task;
	p->arg = arg;
	atomic_store(&p->next, 0);
	atomic_store(&p->busy, p->started);
	next_round(p);
	take_tasks(p, 0);
	wait_until_idle(p);
}

/* ---- turn ---- */

/*
 * A waiter counts itself before it looks at `now`, and turn_next moves `now`
 * before it looks at the count: one of them sees the other, so no wake-up is
 * lost and a turn that nobody waits for costs one addition.
 */
struct turn {
	atomic_int now, waiters;
	pthread_mutex_t lock;
	pthread_cond_t moved;
};

int turn_new(struct turn **ret)
{
	struct turn *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(TT_NOMEM, "not enough memory for a turn");
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->moved, NULL);
	*ret = t;
	return TT_OK;
}

void turn_free(struct turn *t)
{
	if (!t)
		return;
	pthread_cond_destroy(&t->moved);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void turn_reset(struct turn *t) { atomic_store(&t->now, 0); }

void turn_wait(struct turn *t, int mine)
{
	for (int i = 0; i < SPIN && atomic_load(&t->now) < mine; i++)
		spin_pause();
	if (atomic_load(&t->now) >= mine)
		return;
	pthread_mutex_lock(&t->lock);
	atomic_fetch_add(&t->waiters, 1);
	while (atomic_load(&t->now) < mine)
		pthread_cond_wait(&t->moved, &t->lock);
	atomic_fetch_sub(&t->waiters, 1);
	pthread_mutex_unlock(&t->lock);
}

void turn_next(struct turn *t)
{
	atomic_fetch_add(&t->now, 1);
	if (atomic_load(&t->waiters)) {
		pthread_mutex_lock(&t->lock);
		pthread_cond_broadcast(&t->moved);
		pthread_mutex_unlock(&t->lock);
	}
}

/* ---- thread ---- */

struct thread {
	pthread_t id;
	void (*run)(void *arg);
	void *arg;
};

static void *thread_run(void *arg)
{
	struct thread *t = arg;

	t->run(t->arg);
	return NULL;
}

int thread_start(void (*run)(void *arg), void *arg, struct thread **ret)
{
	struct thread *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(TT_NOMEM, "not enough memory for a thread");
	t->run = run;
	t->arg = arg;
	if (quiet_create(&t->id, thread_run, t)) {
		free(t);
		return TT_NOMEM;
	}
	*ret = t;
	return TT_OK;
}

void thread_join(struct thread *t)
{
	if (!t)
		return;
	pthread_join(t->id, NULL);
	free(t);
}

/* ---- gate ---- */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;
};

int gate_new(struct gate **ret)
{
	struct gate *g = calloc(1, sizeof(*g));
	pthread_condattr_t attr;

	if (!g)
		return err_set(TT_NOMEM, "not enough memory for a lock");
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->moved, &attr);
	pthread_condattr_destroy(&attr);
	*ret = g;
	return TT_OK;
}

void gate_free(struct gate *g)
{
	if (!g)
		return;
	pthread_cond_destroy(&g->moved);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

void gate_lock(struct gate *g) { pthread_mutex_lock(&g->lock); }

void gate_unlock(struct gate *g) { pthread_mutex_unlock(&g->lock); }

bool gate_wait(struct gate *g, int64_t timeout_us)
{
	struct timespec at;

	if (timeout_us < 0)
		return pthread_cond_wait(&g->moved, &g->lock) == 0;
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)(timeout_us / 1000000);
	at.tv_nsec += (long)(timeout_us % 1000000) * 1000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return pthread_cond_timedwait(&g->moved, &g->lock, &at) != ETIMEDOUT;
}

void gate_wake(struct gate *g) { pthread_cond_broadcast(&g->moved); }
