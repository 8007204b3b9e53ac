#include "svc/pool_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/assert.h"
#include "os/log.h"

static const struct mgr_driver *const drivers[MGR_POOL_MODE_N] = {
	[MGR_POOL_FRAME] = &mgr_driver_frame,   [MGR_POOL_PACKET] = &mgr_driver_packet,
	[MGR_POOL_LINE] = &mgr_driver_line,     [MGR_POOL_FILTER] = &mgr_driver_filter,
	[MGR_POOL_EXEC] = &mgr_driver_exec,     [MGR_POOL_CGI] = &mgr_driver_cgi,
};

static void
fill_conf(struct mgr_pool_conf *c)
{
#define DEFAULT(field, value) c->field = c->field != 0 ? c->field : (value)
	DEFAULT(replicas, 1);
	DEFAULT(concurrency_max, 64);
	DEFAULT(pipeline_max, 16);
	DEFAULT(queue_n, 1024);
	DEFAULT(queue_ns, 10 * MGR_S);
	DEFAULT(timeout_ns, 120 * MGR_S);
	DEFAULT(start_ns, 10 * MGR_S);
	DEFAULT(drain_ns, 30 * MGR_S);
	DEFAULT(grace_ns, 2 * MGR_S);
	DEFAULT(frame_ns, 30 * MGR_S);
	DEFAULT(backoff_min_ns, 100 * MGR_MS);
	DEFAULT(backoff_max_ns, 30 * MGR_S);
	DEFAULT(stable_ns, 60 * MGR_S);
	DEFAULT(failed_retry_ns, 30 * MGR_S);
	DEFAULT(body_buffer, UINT64_C(1) << 20);
	DEFAULT(body_max, UINT64_C(10) << 30);
#undef DEFAULT
}

/* A handler that closed its stdin must not end us. */
static void
ignore_sigpipe(void)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction now;

	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		sigaction(SIGPIPE, &ignore, NULL);
}

int
mgr_pool_new(struct mgr_pool **ret_pool, struct mgr_loop *loop, const struct mgr_pool_conf *conf,
	     const struct mgr_pool_ops *ops, void *user)
{
	struct mgr_pool *pool;

	if (conf->mode >= MGR_POOL_MODE_N || conf->replicas > MGR_POOL_REPLICAS_MAX || conf->argv == NULL ||
	    conf->argv[0] == NULL)
		return -EINVAL;
	pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return -ENOMEM;
	pool->loop = loop;
	pool->conf = *conf;
	pool->ops = ops;
	pool->user = user;
	fill_conf(&pool->conf);
	pool->driver = drivers[conf->mode];
	pool->want = pool->conf.replicas;
	mgr_queue_init(&pool->queue);
	TAILQ_INIT(&pool->gathering);
	TAILQ_INIT(&pool->running);
	TAILQ_INIT(&pool->lingering);
	TAILQ_INIT(&pool->ending);
	TAILQ_INIT(&pool->replicas);
	TAILQ_INIT(&pool->idle);
	TAILQ_INIT(&pool->dirty);
	TAILQ_INIT(&pool->dead);
	pool->hook = (struct mgr_hook){.turn = mgr_pool_on_turn, .check = mgr_pool_on_check};
	mgr_hook_add(&pool->hook, loop);
	ignore_sigpipe();
	pool->scratch = malloc(MGR_POOL_CHUNK);
	int r = pool->scratch == NULL ? -ENOMEM : mgr_env_make(pool);
	if (r < 0) {
		mgr_pool_free(pool);
		return r;
	}
	*ret_pool = pool;
	return 0;
}

void *
mgr_pool_user(const struct mgr_pool *pool)
{
	return pool->user;
}

static void
end_all(struct mgr_task_list *list)
{
	struct mgr_task *task;

	while ((task = TAILQ_FIRST(list)) != NULL) {
		if (task->state == MGR_TASK_ENDING)
			mgr_task_tell(task);
		else
			mgr_task_finish(task, MGR_OUT_GONE, "the handler was stopped");
	}
}

void
mgr_pool_free(struct mgr_pool *pool)
{
	struct mgr_task *task;
	struct mgr_slot *slot;

	if (pool == NULL)
		return;
	pool->freeing = true;
	pool->draining = true; /* refuses what a done() may want to submit */
	pool->inside = 0;
	while ((task = mgr_queue_first(&pool->queue)) != NULL)
		mgr_task_finish(task, MGR_OUT_GONE, "the handler was stopped");
	end_all(&pool->gathering);
	end_all(&pool->running);
	end_all(&pool->lingering);
	end_all(&pool->ending);
	mgr_timer_stop(&pool->drain_timer);
	mgr_timer_stop(&pool->pause_timer);
	TAILQ_CONCAT(&pool->replicas, &pool->dead, link);
	while (!TAILQ_EMPTY(&pool->replicas)) {
		struct mgr_replica *r = TAILQ_FIRST(&pool->replicas);
		while ((slot = TAILQ_FIRST(&r->slots)) != NULL)
			mgr_slot_free(slot);
		r->state = r->state == MGR_REPLICA_DEAD ? MGR_REPLICA_KILLED : r->state;
		mgr_replica_free(r);
	}
	mgr_seats_fini(pool);
	mgr_hook_del(&pool->hook, pool->loop);
	mgr_env_fini(pool);
	free(pool->scratch);
	free(pool);
}

void
mgr_pool_wake(struct mgr_pool *pool)
{
	pool->pending = true;
}

void
mgr_guard_push(struct mgr_pool *pool, struct mgr_guard *g, struct mgr_task *task)
{
	*g = (struct mgr_guard){.task = task, .up = pool->guard};
	pool->guard = g;
}

bool
mgr_guard_pop(struct mgr_pool *pool, struct mgr_guard *g)
{
	pool->guard = g->up;
	return g->task != NULL;
}

int
mgr_pool_start(struct mgr_pool *pool)
{
	if (pool->started)
		return -EALREADY;
	pool->started = true;
	if (!pool->driver->resident && !pool->driver->spare) {
		mgr_once_check(pool);
		mgr_pool_say(pool);
		return 0;
	}
	return mgr_seats_set(pool, pool->want);
}

const char *
mgr_pool_refusal(const struct mgr_pool *pool)
{
	return pool->refusal != NULL ? pool->refusal : "";
}

static int
admit(struct mgr_pool *pool, struct mgr_task *task)
{
	pool->refusal = "";
	if (pool->draining || pool->stopped)
		return -ESHUTDOWN;
	if (mgr_pool_state_now(pool) == MGR_POOL_FAILED)
		return -EHOSTDOWN;
	if (pool->driver->check != NULL && pool->driver->check(task, &pool->refusal) < 0)
		return -EINVAL;
	uint64_t n = pool->queue.n + pool->gather_n;
	if (n < pool->conf.queue_n)
		return 0;
	unsigned free_n = pool->driver->resident ? pool->idle_n :
			  pool->want > pool->working_n ? pool->want - pool->working_n : 0;
	return n - pool->conf.queue_n < free_n ? 0 : -EAGAIN;
}

int
mgr_pool_submit(struct mgr_pool *pool, struct mgr_task *task)
{
	int r;

	mgr_assert(task->pool == NULL);
	r = admit(pool, task);
	if (r < 0) {
		pool->rejected += r == -EINVAL ? 0 : 1;
		return r;
	}
	task->pool = pool;
	task->slot = NULL;
	task->state = MGR_TASK_OUT;
	task->tries = 0;
	task->head_sent = task->spooled = task->back = false;
	task->gathered_n = 0;
	task->queued_ns = 0;
	task->gathered = task->answer = (struct mgr_buf){0};
	task->spool_fd = -1;
	task->spool_path = task->message = NULL;
	task->timer = (struct mgr_timer){0};
	if (task->deadline_ns == 0)
		task->deadline_ns = mgr_loop_now(pool->loop) + pool->conf.timeout_ns;
	task->time_ns = task->deadline_ns - mgr_loop_now(pool->loop);
	task->moved_ns = mgr_loop_now(pool->loop);
	task->was_whole = task->body_end;
	pool->inside++;
	mgr_task_queue(task, false);
	pool->inside--;
	return 0;
}

void
mgr_pool_body(struct mgr_task *task)
{
	struct mgr_pool *pool = task->pool;

	if (pool == NULL)
		return;
	task->moved_ns = mgr_loop_now(pool->loop);
	if (task->body_end && !task->was_whole) {
		task->was_whole = true;
		task->deadline_ns = task->moved_ns + task->time_ns;
	}
	pool->inside++;
	if (task->state == MGR_TASK_GATHER) {
		if (mgr_task_gather(task) < 0)
			mgr_task_finish(task, MGR_OUT_ERROR, "the body cannot be kept");
	} else if (task->slot != NULL && !task->slot->fed_all) {
		mgr_replica_touch(task->slot->replica);
	}
	pool->inside--;
}

void
mgr_pool_room(struct mgr_task *task)
{
	struct mgr_pool *pool = task->pool;

	if (pool == NULL)
		return;
	task->moved_ns = mgr_loop_now(pool->loop);
	pool->inside++;
	bool left = false, all = mgr_answer_push(task, &left);
	if (all && task->state == MGR_TASK_LINGER)
		mgr_task_finish(task, task->outcome, NULL);
	else if (!left && task->slot != NULL)
		mgr_replica_resume(task->slot->replica);
	pool->inside--;
}

void
mgr_pool_cancel(struct mgr_task *task, const char *reason)
{
	struct mgr_pool *pool = task->pool;

	if (pool == NULL)
		return;
	pool->inside++;
	for (struct mgr_guard *g = pool->guard; g != NULL; g = g->up)
		if (g->task == task)
			g->task = NULL;
	if (task->slot != NULL)
		mgr_slot_abandon(task->slot, reason, false);
	mgr_task_release(task);
	pool->inside--;
	mgr_pool_wake(pool);
}

bool
mgr_pool_has_spare(const struct mgr_pool *pool, const struct mgr_replica *asking)
{
	const struct mgr_replica *r;

	if (!pool->driver->resident)
		return pool->working_n < pool->want;
	if (pool->queue.n > 0)
		return false;
	/* What waits behind the CALL in the same pipe would wait for ever; a slot of its own is another thing. */
	TAILQ_FOREACH(r, &pool->replicas, link)
		if (r->state == MGR_REPLICA_READY && (r != asking || r->caps.concurrency > 1) &&
		    r->slot_n < (r->caps.concurrency > 1 ? r->caps.concurrency : 1))
			return true;
	return false;
}

void
mgr_pool_scale(struct mgr_pool *pool, unsigned replicas)
{
	if (replicas == 0 || replicas > MGR_POOL_REPLICAS_MAX || pool->draining)
		return;
	pool->want = replicas;
	if ((pool->driver->resident || pool->driver->spare) && pool->started &&
	    mgr_seats_set(pool, replicas) < 0)
		mgr_log(MGR_ERR, "scale", "handler=%s error=out of memory", pool->conf.name);
	mgr_pool_wake(pool);
	mgr_pool_say(pool);
}

void
mgr_pool_restart(struct mgr_pool *pool)
{
	if (!pool->started || pool->draining)
		return;
	mgr_log(MGR_INFO, "restart", "handler=%s", pool->conf.name);
	pool->trouble = false;
	mgr_seats_roll(pool);
	mgr_pool_say(pool);
}
