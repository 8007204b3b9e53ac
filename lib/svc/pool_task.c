#include "svc/pool_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static struct mgr_task_list *
list_of(struct mgr_task *task)
{
	struct mgr_pool *pool = task->pool;
	struct mgr_task_list *const list[] = {
		[MGR_TASK_GATHER] = &pool->gathering,
		[MGR_TASK_RUNNING] = &pool->running,
		[MGR_TASK_LINGER] = &pool->lingering,
		[MGR_TASK_ENDING] = &pool->ending,
	};

	return task->state < MGR_N(list) ? list[task->state] : NULL;
}

void
mgr_task_unlink(struct mgr_task *task)
{
	struct mgr_pool *pool = task->pool;
	struct mgr_task_list *list = list_of(task);

	if (task->state == MGR_TASK_QUEUED)
		mgr_queue_remove(&pool->queue, task);
	else if (list != NULL)
		TAILQ_REMOVE(list, task, link);
	pool->gather_n -= task->state == MGR_TASK_GATHER ? 1 : 0;
	pool->run_n -= task->state == MGR_TASK_RUNNING || task->state == MGR_TASK_LINGER ? 1 : 0;
	task->state = MGR_TASK_OUT;
}

/* A transfer is judged by its stalls: gigabytes may take longer than an answer. */
static bool
is_moving(struct mgr_task *task)
{
	if (task->body_end && !task->head_sent)
		return false;
	if (task->moved_ns + task->time_ns <= mgr_loop_now(task->pool->loop))
		return false;
	task->deadline_ns = task->moved_ns + task->time_ns;
	if (task->slot != NULL)
		task->slot->deadline_ns = task->deadline_ns;
	return true;
}

static void
on_timer(struct mgr_timer *t)
{
	struct mgr_task *task = MGR_CONTAINER(t, struct mgr_task, timer);
	struct mgr_pool *pool = task->pool;

	if (mgr_loop_now(pool->loop) >= task->deadline_ns && !is_moving(task)) {
		if (task->slot != NULL)
			mgr_slot_abandon(task->slot, "deadline", true);
		mgr_task_finish(task, MGR_OUT_TIMEOUT, NULL);
	} else if (task->state == MGR_TASK_QUEUED) {
		pool->rejected++;
		mgr_task_finish(task, MGR_OUT_BUSY, "the request waited too long for a replica");
	} else if (mgr_timer_start(t, pool->loop, task->deadline_ns, on_timer) < 0) {
		mgr_task_finish(task, MGR_OUT_BUSY, "out of memory");
	}
}

/* The timer is not touched when the task is given to a replica: if it then goes off, it starts again. */
void
mgr_task_queue(struct mgr_task *task, bool first)
{
	struct mgr_pool *pool = task->pool;
	int64_t now = mgr_loop_now(pool->loop), at_ns = task->deadline_ns;

	if (task->state != MGR_TASK_OUT)
		mgr_task_unlink(task);
	if (task->queued_ns == 0)
		task->queued_ns = now;
	if (at_ns > task->queued_ns + pool->conf.queue_ns)
		at_ns = task->queued_ns + pool->conf.queue_ns;
	/* What comes back has been served once: it does not leave for having waited. */
	if (first && at_ns < now + MGR_S)
		at_ns = task->deadline_ns;
	task->state = MGR_TASK_QUEUED;
	if (first)
		mgr_queue_push_first(&pool->queue, task);
	else
		mgr_queue_push(&pool->queue, task);
	if (mgr_timer_start(&task->timer, pool->loop, at_ns, on_timer) < 0)
		mgr_task_finish(task, MGR_OUT_BUSY, "out of memory");
	mgr_pool_wake(pool);
}

void
mgr_task_back(struct mgr_task *task)
{
	struct mgr_slot *slot = task->slot;

	slot->held = false; /* the owner keeps the bytes for the next try */
	mgr_slot_free(slot);
	mgr_task_queue(task, true);
}

static bool
must_gather(struct mgr_task *task, const struct mgr_replica *r)
{
	struct iovec iov[2];

	if (r->driver->streams || r->caps.stream_in)
		return false;
	if (!task->body_end)
		return true;
	return task->gathered_n == 0 &&
	       mgr_task_body(task, iov) > task->pool->conf.body_buffer;
}

void
mgr_task_give(struct mgr_task *task, struct mgr_replica *r)
{
	struct mgr_pool *pool = task->pool;
	struct mgr_slot *slot;
	struct mgr_guard g;
	int err;

	mgr_task_unlink(task);
	if (must_gather(task, r)) {
		task->state = MGR_TASK_GATHER;
		TAILQ_INSERT_TAIL(&pool->gathering, task, link);
		pool->gather_n++;
		err = mgr_task_gather(task);
		if (err < 0)
			mgr_task_finish(task, MGR_OUT_ERROR, "the body cannot be kept");
		return;
	}
	task->state = MGR_TASK_RUNNING;
	TAILQ_INSERT_TAIL(&pool->running, task, link);
	pool->run_n++;
	mgr_guard_push(pool, &g, task);
	if (task->ops->started != NULL)
		task->ops->started(task);
	if (!mgr_guard_pop(pool, &g))
		return; /* its owner left inside */
	slot = mgr_slot_new(r);
	slot->task = task;
	slot->deadline_ns = task->deadline_ns;
	task->slot = slot;
	mgr_replica_settle(r);
	err = r->driver->begin(r, slot);
	if (err == -EINVAL)
		mgr_answer_end(slot, MGR_OUT_BAD_REQUEST, "the request does not fit the handler's mode");
	else if (err < 0)
		mgr_answer_end(slot, MGR_OUT_ERROR, "the request cannot be sent to the handler");
	else
		mgr_replica_touch(r);
}

void
mgr_task_release(struct mgr_task *task)
{
	if (task->state != MGR_TASK_OUT)
		mgr_task_unlink(task);
	mgr_timer_stop(&task->timer);
	mgr_task_body_fini(task);
	mgr_buf_fini(&task->answer);
	free(task->message);
	task->message = NULL;
	task->pool = NULL;
}

void
mgr_task_tell(struct mgr_task *task)
{
	struct mgr_pool *pool = task->pool;
	int64_t retry_ns = task->outcome == MGR_OUT_BUSY || task->outcome == MGR_OUT_UNAVAILABLE ?
				   mgr_seats_retry_ns(pool) : 0;
	char *message = task->message;

	task->message = NULL;
	enum mgr_outcome outcome = task->outcome;
	mgr_task_release(task);
	task->ops->done(task, outcome, message, retry_ns);
	free(message);
}

static void
count(struct mgr_pool *pool, enum mgr_outcome outcome)
{
	pool->calls++;
	if (outcome == MGR_OUT_TIMEOUT)
		pool->timeouts++;
	else if (outcome != MGR_OUT_OK)
		pool->errors++;
}

void
mgr_task_finish(struct mgr_task *task, enum mgr_outcome outcome, const char *message)
{
	struct mgr_pool *pool = task->pool;

	count(pool, outcome);
	if (pool->draining)
		mgr_pool_wake(pool);
	if (task->slot != NULL) {
		struct mgr_slot *slot = task->slot;
		mgr_slot_let_go(slot);
		slot->task = NULL;
		task->slot = NULL;
	}
	mgr_task_unlink(task);
	task->outcome = (uint8_t)outcome;
	if (pool->inside == 0) {
		int64_t retry_ns = outcome == MGR_OUT_BUSY || outcome == MGR_OUT_UNAVAILABLE ?
					   mgr_seats_retry_ns(pool) : 0;
		mgr_task_release(task);
		task->ops->done(task, outcome, message, retry_ns);
		return;
	}
	mgr_timer_stop(&task->timer);
	task->message = message != NULL ? strdup(message) : NULL;
	task->state = MGR_TASK_ENDING;
	TAILQ_INSERT_TAIL(&pool->ending, task, link);
	mgr_pool_wake(pool);
}
