#include "svc/pool_priv.h"

#include <string.h>

#include "base/assert.h"
#include "wire/json.h"

static bool
wanted(const struct mgr_slot *slot)
{
	return slot->task != NULL && !(slot->task->flags & MGR_TASK_DISPATCH);
}

void
mgr_answer_head(struct mgr_slot *slot, unsigned status, const char *meta, size_t meta_n, uint64_t body_n)
{
	struct mgr_task *task = slot->task;

	slot->head_seen = true;
	slot->replica->answered = true;
	mgr_slot_let_go(slot);
	if (!wanted(slot))
		return;
	task->head_sent = true;
	task->ops->head(task, status, meta, meta_n, body_n);
}

/* What is kept for the owner also bounds a window of CREDIT, so granted bytes always fit. */
size_t
mgr_answer_room(struct mgr_slot *slot)
{
	struct mgr_task *task = slot->task;

	if (!wanted(slot))
		return SIZE_MAX;
	size_t kept_n = mgr_buf_n(&task->answer);
	size_t spare = MGR_POOL_CHUNK - kept_n;
	if (kept_n > 0)
		return spare;
	size_t room = task->ops->room(task);
	return room > SIZE_MAX - spare ? SIZE_MAX : room + spare;
}

static void
took(struct mgr_slot *slot, size_t n)
{
	if (slot == NULL || slot->replica->caps.concurrency <= 1)
		return;
	slot->owed_n += n;
	mgr_frame_credit(slot);
}

size_t
mgr_answer_data(struct mgr_slot *slot, const char *p, size_t n)
{
	struct mgr_task *task = slot->task;
	size_t direct = 0;

	if (!wanted(slot)) {
		took(slot, n);
		return n;
	}
	if (mgr_buf_n(&task->answer) == 0) {
		size_t room = task->ops->room(task);
		direct = n < room ? n : room;
		if (direct > 0)
			task->ops->data(task, p, direct);
		if (direct > 0)
			took(slot, direct);
		if (slot->task != task)
			return n; /* the owner left inside */
	}
	size_t spare = MGR_POOL_CHUNK - mgr_buf_n(&task->answer);
	size_t keep = n - direct < spare ? n - direct : spare;
	if (keep > 0 && mgr_buf_add(&task->answer, p + direct, keep) < 0)
		keep = 0;
	return direct + keep;
}

bool
mgr_answer_push(struct mgr_task *task, bool *ret_left)
{
	struct mgr_pool *pool = task->pool;
	struct mgr_guard g;
	size_t have;

	while ((have = mgr_buf_n(&task->answer)) > 0) {
		size_t room = task->ops->room(task);
		size_t n = have < room ? have : room;
		if (n == 0)
			return false;
		mgr_guard_push(pool, &g, task);
		task->ops->data(task, mgr_buf_p(&task->answer), n);
		if (!mgr_guard_pop(pool, &g)) {
			*ret_left = true;
			return false;
		}
		mgr_buf_take(&task->answer, n);
		took(task->slot, n);
	}
	return true;
}

static void
linger(struct mgr_task *task, enum mgr_outcome outcome)
{
	struct mgr_pool *pool = task->pool;

	mgr_task_unlink(task);
	task->outcome = (uint8_t)outcome;
	task->state = MGR_TASK_LINGER;
	TAILQ_INSERT_TAIL(&pool->lingering, task, link);
	pool->run_n++;
}

void
mgr_answer_end(struct mgr_slot *slot, enum mgr_outcome outcome, const char *message)
{
	struct mgr_replica *r = slot->replica;
	struct mgr_task *task = slot->task;
	int64_t now = mgr_loop_now(r->pool->loop);

	if (outcome == MGR_OUT_OK || outcome == MGR_OUT_ERROR)
		r->answered = true;
	r->calls++;
	r->took_ns = now - (slot->started_ns > r->answer_ns ? slot->started_ns : r->answer_ns);
	r->answer_ns = now;
	if (outcome == MGR_OUT_OK && (r->pool->failed || r->pool->trouble))
		mgr_seats_recovered(r->pool);
	mgr_slot_let_go(slot);
	mgr_slot_free(slot);
	if (task == NULL)
		return;
	if (outcome == MGR_OUT_OK && mgr_buf_n(&task->answer) > 0)
		linger(task, outcome);
	else
		mgr_task_finish(task, outcome, message);
}

void
mgr_answer_error(struct mgr_slot *slot, unsigned status, const char *more, const char *message, size_t n)
{
	MGR_AUTO_BUF struct mgr_buf meta = {0}, text = {0};
	struct mgr_replica *r = slot->replica;
	uint32_t id = slot->id;

	if (!slot->head_seen) {
		mgr_buf_addf(&meta, "{\"status\":%u,\"message\":", status);
		mgr_json_add_string(&meta, message, n);
		mgr_buf_adds(&meta, more);
		if (mgr_buf_adds(&meta, "}\n") == 0)
			mgr_answer_head(slot, status, mgr_buf_p(&meta), mgr_buf_n(&meta), 0);
		slot = mgr_slot_find(r, id);
		mgr_assert(slot != NULL);
	}
	mgr_buf_add(&text, message, n);
	mgr_answer_end(slot, MGR_OUT_ERROR, mgr_buf_str(&text));
}
