#include "svc/pool_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/assert.h"

/* A power of two, so that an id finds its slot by its low bits. */
int
mgr_slots_init(struct mgr_replica *r, unsigned n)
{
	uint32_t cap = 1;

	while (cap < n)
		cap *= 2;
	r->slot = calloc(cap, sizeof(*r->slot));
	if (r->slot == NULL)
		return -ENOMEM;
	r->slot_cap = cap;
	return 0;
}

void
mgr_slots_fini(struct mgr_replica *r)
{
	mgr_assert(r->slot_n == 0);
	free(r->slot);
	r->slot = NULL;
}

struct mgr_slot *
mgr_slot_new(struct mgr_replica *r)
{
	struct mgr_slot *slot;

	mgr_assert(r->slot_n < r->slot_cap);
	do {
		r->next_id += r->next_id == UINT32_MAX ? 2 : 1; /* never 0 */
		slot = &r->slot[r->next_id & (r->slot_cap - 1)];
	} while (slot->id != 0);
	*slot = (struct mgr_slot){
		.id = r->next_id,
		.replica = r,
		.begin_n = r->written_n + mgr_buf_n(&r->out),
		.window_in = MGR_POOL_WINDOW,
		.window_out = MGR_POOL_WINDOW,
		.started_ns = mgr_loop_now(r->pool->loop),
	};
	TAILQ_INSERT_TAIL(&r->slots, slot, link);
	r->slot_n++;
	return slot;
}

struct mgr_slot *
mgr_slot_find(struct mgr_replica *r, uint32_t id)
{
	struct mgr_slot *slot = &r->slot[id & (r->slot_cap - 1)];

	return id != 0 && slot->id == id ? slot : NULL;
}

static bool
runs(const struct mgr_slot *slot)
{
	const struct mgr_replica *r = slot->replica;

	return r->caps.concurrency > 1 || TAILQ_FIRST(&r->slots) == slot;
}

static void
on_grace(struct mgr_timer *t)
{
	struct mgr_replica *r = MGR_CONTAINER(t, struct mgr_replica, grace);
	int64_t now = mgr_loop_now(r->pool->loop), next_ns = INT64_MAX;
	struct mgr_slot *slot;

	TAILQ_FOREACH(slot, &r->slots, link) {
		if (slot->task != NULL || !runs(slot))
			continue;
		if (slot->kill_ns <= now) {
			r->verdict = true;
			mgr_pool_set_why(r->pool, "handler %s#%u did not answer in time", r->pool->conf.name,
					 r->index);
			mgr_replica_kill(r);
			return;
		}
		next_ns = slot->kill_ns < next_ns ? slot->kill_ns : next_ns;
	}
	if (next_ns != INT64_MAX)
		mgr_timer_start(t, r->pool->loop, next_ns, on_grace);
}

static void
watch_over(struct mgr_slot *slot)
{
	struct mgr_replica *r = slot->replica;

	if (mgr_timer_is_on(&r->grace) && r->grace.at_ns <= slot->kill_ns)
		return;
	if (mgr_timer_start(&r->grace, r->pool->loop, slot->kill_ns, on_grace) < 0)
		mgr_replica_kill(r);
}

/* The next one in the pipe begins only now, also when its caller is long gone. */
static void
watch_next(struct mgr_replica *r)
{
	struct mgr_slot *slot = TAILQ_FIRST(&r->slots);
	int64_t least_ns = mgr_loop_now(r->pool->loop) + r->pool->conf.grace_ns;

	if (slot == NULL) {
		mgr_timer_stop(&r->grace);
		return;
	}
	if (slot->task != NULL || r->caps.concurrency > 1)
		return;
	slot->kill_ns = slot->kill_ns < least_ns ? least_ns : slot->kill_ns;
	watch_over(slot);
}

void
mgr_slot_free(struct mgr_slot *slot)
{
	struct mgr_replica *r = slot->replica;

	mgr_frame_call_fini(r, &slot->call);
	if (slot->task != NULL)
		slot->task->slot = NULL;
	TAILQ_REMOVE(&r->slots, slot, link);
	r->slot_n--;
	*slot = (struct mgr_slot){0};
	watch_next(r);
	mgr_replica_settle(r);
	mgr_pool_wake(r->pool);
}

void
mgr_slot_abandon(struct mgr_slot *slot, const char *reason, bool over_due)
{
	struct mgr_replica *r = slot->replica;
	int64_t grace_ns = r->pool->conf.grace_ns;

	if (!over_due)
		mgr_slot_let_go(slot);
	slot->held = false;
	slot->task->slot = NULL;
	slot->task = NULL;
	slot->kill_ns = (over_due ? mgr_loop_now(r->pool->loop) : slot->deadline_ns) + grace_ns;
	if (r->state >= MGR_REPLICA_KILLED)
		return;
	if (runs(slot))
		watch_over(slot);
	r->driver->cancel(r, slot, reason);
	mgr_replica_resume(r);
}

/* Bytes that the process took out of its pipe: what lies behind them it cannot have begun. */
static uint64_t
read_n(const struct mgr_replica *r)
{
	int left = 0;

	if (r->fd_in < 0 || ioctl(r->fd_in, FIONREAD, &left) < 0 || left < 0 || (uint64_t)left > r->written_n)
		return r->written_n;
	return r->written_n - (uint64_t)left;
}

static bool
may_repeat(const struct mgr_slot *slot, bool first)
{
	struct mgr_task *task = slot->task;

	if (!(task->flags & MGR_TASK_IDEMPOTENT) || !mgr_task_is_whole(task))
		return false;
	return !first || task->tries == 0;
}

/*
 * A handler may read many requests ahead and answer them with one write, so of those that it read none is
 * known to be untouched: only what may be done twice goes to another replica.
 */
static void
lost(struct mgr_slot *slot, uint64_t taken_n, const char *message)
{
	struct mgr_task *task = slot->task;
	bool first = runs(slot);

	if (task == NULL) {
		mgr_slot_free(slot);
	} else if (slot->head_seen) {
		mgr_answer_end(slot, MGR_OUT_GONE, message);
	} else if (slot->begin_n >= taken_n && mgr_task_is_whole(task)) {
		mgr_task_back(task);
	} else if (may_repeat(slot, first)) {
		task->tries = (uint8_t)(task->tries + (first ? 1 : 0));
		mgr_task_back(task);
	} else {
		mgr_answer_end(slot, MGR_OUT_GONE, message);
	}
}

void
mgr_slots_lost(struct mgr_replica *r, const char *message)
{
	uint64_t taken_n = read_n(r);
	struct mgr_slot *slot;

	/* From the tail, so that the queue gets them back in their order, and "first" stays true. */
	while ((slot = TAILQ_LAST(&r->slots, mgr_slot_list)) != NULL)
		lost(slot, taken_n, message);
}
