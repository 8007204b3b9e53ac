#include "svc/pool_priv.h"

#include "base/assert.h"
#include "os/log.h"

/* Ends what waits: nobody will come to serve it. */
static void
fail_waiting(struct mgr_pool *pool, const char *message)
{
	struct mgr_task *task;

	while ((task = mgr_queue_first(&pool->queue)) != NULL)
		mgr_task_finish(task, MGR_OUT_UNAVAILABLE, message);
	while ((task = TAILQ_FIRST(&pool->gathering)) != NULL)
		mgr_task_finish(task, MGR_OUT_UNAVAILABLE, message);
}

static void
fail_running(struct mgr_pool *pool)
{
	struct mgr_task *task;

	while ((task = TAILQ_FIRST(&pool->running)) != NULL) {
		if (task->slot != NULL)
			mgr_slot_abandon(task->slot, "shutdown", true);
		mgr_task_finish(task, task->head_sent ? MGR_OUT_GONE : MGR_OUT_UNAVAILABLE,
				"the handler is being stopped");
	}
	while ((task = TAILQ_FIRST(&pool->lingering)) != NULL)
		mgr_task_finish(task, MGR_OUT_GONE, "the handler is being stopped");
}

static void
on_over(struct mgr_timer *t)
{
	struct mgr_pool *pool = MGR_CONTAINER(t, struct mgr_pool, drain_timer);
	struct mgr_replica *r, *next;

	mgr_log(MGR_WARN, "drain-over", "handler=%s in_flight=%llu queued=%llu", pool->conf.name,
		(unsigned long long)pool->run_n, (unsigned long long)pool->queue.n);
	pool->drain_over = true;
	fail_waiting(pool, "the handler is being stopped");
	fail_running(pool);
	for (r = TAILQ_FIRST(&pool->replicas); r != NULL; r = next) {
		next = TAILQ_NEXT(r, link);
		r->expected = true;
		mgr_replica_terminate(r);
	}
	mgr_pool_wake(pool);
}

void
mgr_pool_drain(struct mgr_pool *pool)
{
	int64_t until_ns = mgr_loop_now(pool->loop) + pool->conf.drain_ns;

	if (pool->draining || pool->stopped)
		return;
	pool->draining = true;
	pool->roll = false;
	mgr_timer_stop(&pool->failed_timer);
	for (unsigned i = 0; i < pool->seat_n && pool->queue.n == 0; i++)
		mgr_timer_stop(&pool->seat[i]->timer);
	if (mgr_timer_start(&pool->drain_timer, pool->loop, until_ns, on_over) < 0)
		mgr_log(MGR_ERR, "drain-unbounded", "handler=%s error=out of memory", pool->conf.name);
	mgr_pool_wake(pool);
	mgr_pool_say(pool);
}

static bool
is_empty(const struct mgr_pool *pool)
{
	return TAILQ_EMPTY(&pool->replicas) && TAILQ_EMPTY(&pool->dead) && pool->queue.n == 0 &&
	       pool->run_n == 0 && pool->gather_n == 0 && TAILQ_EMPTY(&pool->ending);
}

/* From the turn: goes on with a drain as far as it can. */
void
mgr_drain_step(struct mgr_pool *pool)
{
	struct mgr_replica *r, *next;

	if (!pool->draining || pool->stopped)
		return;
	if (pool->failed || !pool->started)
		fail_waiting(pool, "the handler is being stopped");
	if (pool->queue.n == 0 && pool->gather_n == 0) {
		for (r = TAILQ_FIRST(&pool->replicas); r != NULL; r = next) {
			next = TAILQ_NEXT(r, link);
			mgr_replica_drain(r, pool->drain_timer.at_ns);
		}
	}
	if (!is_empty(pool))
		return;
	pool->stopped = true;
	mgr_timer_stop(&pool->drain_timer);
	mgr_log(MGR_POOL_NEWS(pool), "handler-stopped", "handler=%s", pool->conf.name);
	mgr_pool_say(pool);
	if (pool->ops->stopped != NULL)
		pool->ops->stopped(pool);
}
