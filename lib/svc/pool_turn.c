#include "svc/pool_priv.h"

/* The idle one that worked last; else the least loaded that has room in its pipe. */
static struct mgr_replica *
choose(struct mgr_pool *pool)
{
	struct mgr_replica *r, *best = TAILQ_FIRST(&pool->idle);

	if (best != NULL || !pool->driver->resident)
		return best;
	TAILQ_FOREACH(r, &pool->replicas, link)
		if (r->state == MGR_REPLICA_READY && (best == NULL || r->slot_n < best->slot_n) &&
		    r->slot_n < mgr_replica_depth(r))
			best = r;
	return best;
}

static void
dispatch(struct mgr_pool *pool)
{
	struct mgr_task *task;
	struct mgr_replica *r;

	while ((task = mgr_queue_first(&pool->queue)) != NULL) {
		if (mgr_pool_state_now(pool) == MGR_POOL_FAILED) {
			mgr_task_finish(task, MGR_OUT_UNAVAILABLE, pool->why);
			continue;
		}
		if (!pool->driver->resident && pool->working_n >= pool->want)
			return;
		if (pool->driver->resident || pool->driver->spare)
			r = choose(pool);
		else if (mgr_once_spawn(pool, task, &r) < 0)
			continue;
		if (r == NULL)
			return;
		mgr_task_give(task, r);
		/* A process for one request that did not get it has no other use. */
		if (!pool->driver->resident && !pool->driver->spare && r->slot_n == 0)
			mgr_replica_kill(r);
	}
}

static void
flush_dirty(struct mgr_pool *pool)
{
	struct mgr_replica_list list = TAILQ_HEAD_INITIALIZER(list);
	struct mgr_replica *r;

	TAILQ_CONCAT(&list, &pool->dirty, dirty_link);
	while ((r = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, r, dirty_link);
		r->dirty = false;
		mgr_replica_unblock(r);
		mgr_replica_flush(r);
	}
}

static void
turn(struct mgr_pool *pool)
{
	struct mgr_task_list ending = TAILQ_HEAD_INITIALIZER(ending);
	struct mgr_task *last = TAILQ_LAST(&pool->ending, mgr_task_list), *task;
	struct mgr_replica *r;
	bool more = last != NULL;

	pool->in_turn = true;
	pool->pending = false;
	while (more && (task = TAILQ_FIRST(&pool->ending)) != NULL) {
		more = task != last;
		mgr_task_tell(task);
	}
	dispatch(pool);
	flush_dirty(pool);
	while ((r = TAILQ_FIRST(&pool->dead)) != NULL)
		mgr_replica_free(r);
	mgr_drain_step(pool);
	pool->in_turn = false;
}

bool
mgr_pool_on_turn(struct mgr_hook *h)
{
	struct mgr_pool *pool = MGR_CONTAINER(h, struct mgr_pool, hook);

	if (pool->pending)
		turn(pool);
	return pool->pending;
}

bool
mgr_pool_on_check(struct mgr_hook *h)
{
	return !MGR_CONTAINER(h, struct mgr_pool, hook)->pending;
}

void
mgr_pool_flush(struct mgr_pool *pool)
{
	if (pool->pending && !pool->in_turn && pool->inside == 0)
		turn(pool);
}
