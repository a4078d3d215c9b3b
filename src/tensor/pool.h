#ifndef TENSOR_POOL_H
#define TENSOR_POOL_H

#include <stdbool.h>
#include <stdint.h>

/* The only threads. */
struct pool;

int pool_new(int threads,
	     struct pool **ret); /* threads >= 1; the caller of pool_run is one of them */
void pool_free(struct pool *p);  /* NULL is fine */
int pool_threads(const struct pool *p);
int pool_cores(void); /* CPUs this process may run on */
/*
 * Run task 0 .. n-1; threads take them in ascending order, so task i is running
 * or done when i+1 starts. `thread` is 0 .. threads-1. Returns when all are done.
 */
void pool_run(struct pool *p, int n, void (*task)(void *arg, int i, int thread), void *arg);

/*
 * Turn: a number that goes 0, 1, 2 ...: shards add to a shared gradient in shard
 * order. turn_wait blocks until the number is `mine`.
 */
struct turn;
int turn_new(struct turn **ret);
void turn_free(struct turn *t);
void turn_reset(struct turn *t); /* to 0 */
void turn_wait(struct turn *t, int mine);
void turn_next(struct turn *t); /* mine -> mine + 1, wakes the waiters */

/* A thread beside the trainer, for the run-log writer and for reading ahead. */
struct thread;
int thread_start(void (*run)(void *arg), void *arg, struct thread **ret);
void thread_join(struct thread *t); /* and frees */
/* A lock with a condition, so that nobody else needs the threads library. */
struct gate;
int gate_new(struct gate **ret);
void gate_free(struct gate *g);
void gate_lock(struct gate *g);
void gate_unlock(struct gate *g);
bool gate_wait(struct gate *g,
	       int64_t timeout_us); /* locked; false: timed out; timeout < 0: for ever */
void gate_wake(struct gate *g);     /* locked; wakes all waiters */

#endif
