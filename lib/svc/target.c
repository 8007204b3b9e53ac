#include "svc/caller_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "os/clock.h"

#define IDLE_NS (60 * MGR_S)
#define SWEEP_NS (10 * MGR_S)

static const struct mgr_link_ops link_ops;

struct mgr_target *
mgr_target_find(struct mgr_caller *c, const char *lane_path)
{
	struct mgr_target *t;

	LIST_FOREACH(t, &c->targets, entry)
		if (!t->dead && strcmp(t->lane_path, lane_path) == 0)
			return t;
	return NULL;
}

static bool
is_idle(const struct mgr_target *t)
{
	return t->in_flight == 0 && t->waiting_n == 0 &&
	       (!t->up || mgr_lane_zombie_n(&t->link.lane) == 0);
}

static void
sweep(struct mgr_timer *timer)
{
	struct mgr_caller *c = MGR_CONTAINER(timer, struct mgr_caller, sweep);
	int64_t now_ns = mgr_now_ns();
	struct mgr_target *t, *next;

	for (t = LIST_FIRST(&c->targets); t != NULL; t = next) {
		next = LIST_NEXT(t, entry);
		if (is_idle(t) && (t->dead || now_ns - t->used_ns > IDLE_NS))
			mgr_target_free(t);
	}
	if (!LIST_EMPTY(&c->targets))
		mgr_timer_start(&c->sweep, c->loop, now_ns + SWEEP_NS, sweep);
}

struct mgr_target *
mgr_target_new(struct mgr_caller *c, const char *lane_path, int *ret_r)
{
	size_t n = strlen(lane_path) + 1;
	struct mgr_target *t = calloc(1, sizeof(*t) + n);

	*ret_r = -ENOMEM;
	if (t == NULL)
		return NULL;
	memcpy(t->lane_path, lane_path, n);
	t->caller = c;
	t->used_ns = mgr_now_ns();
	TAILQ_INIT(&t->waiting);
	*ret_r = mgr_link_connect(&t->link, c->links, lane_path, &link_ops);
	if (*ret_r < 0) {
		free(t);
		return NULL;
	}
	LIST_INSERT_HEAD(&c->targets, t, entry);
	if (!mgr_timer_is_on(&c->sweep))
		mgr_timer_start(&c->sweep, c->loop, t->used_ns + SWEEP_NS, sweep);
	return t;
}

void
mgr_target_free(struct mgr_target *t)
{
	mgr_assert(t->in_flight == 0 && t->waiting_n == 0);
	LIST_REMOVE(t, entry);
	mgr_link_fini(&t->link);
	free(t);
}

static int
open_slot(struct mgr_target *t, struct mgr_call *call, const struct iovec *iov, int iov_n, bool end,
	  size_t *ret_copied)
{
	struct mgr_lane_head head = {.deadline_ns = call->deadline_ns, .body_n = call->body_n,
				     .meta_n = call->meta_n, .info = call->flags};
	int slot = mgr_lane_open(&t->link.lane, &head, iov, iov_n, end, ret_copied);

	if (slot < 0)
		return slot;
	mgr_lane_set_user(&t->link.lane, (uint32_t)slot, call);
	call->slot = slot;
	mgr_link_touch(&t->link);
	t->in_flight++;
	return 0;
}

static int
hold(struct mgr_target *t, struct mgr_call *call, const char *meta, size_t meta_n, const void *body,
     size_t body_n, size_t *ret_taken)
{
	size_t n = body_n < MGR_CALL_HELD_MAX ? body_n : MGR_CALL_HELD_MAX;

	if (t->waiting_n >= MGR_CALL_WAITING_MAX)
		return -EAGAIN;
	if (mgr_buf_add(&call->held, meta, meta_n) < 0 || mgr_buf_add(&call->held, body, n) < 0) {
		mgr_buf_fini(&call->held);
		return -ENOMEM;
	}
	call->slot = -1;
	call->want_room = n < body_n;
	TAILQ_INSERT_TAIL(&t->waiting, call, link);
	t->waiting_n++;
	*ret_taken = n;
	return 0;
}

/* META larger than the ring goes out piece by piece, as a body does. */
static int
keep_rest(struct mgr_call *call, const char *meta, size_t meta_n, size_t body_n, size_t copied,
	  size_t *ret_taken)
{
	if (copied < meta_n) {
		int r = mgr_buf_add(&call->held, meta + copied, meta_n - copied);
		if (r < 0)
			return r;
		copied = meta_n;
	}
	*ret_taken = copied - meta_n;
	call->want_room = *ret_taken < body_n || mgr_buf_n(&call->held) > 0;
	return 0;
}

/* Half-placed: as if it had never been given to t. */
static void
give_up(struct mgr_target *t, struct mgr_call *call)
{
	if (call->slot >= 0) {
		mgr_lane_cancel(&t->link.lane, (uint32_t)call->slot, 0);
		t->in_flight--;
	}
	call->slot = -1;
	call->target = NULL;
	mgr_buf_fini(&call->held);
}

int
mgr_target_add(struct mgr_target *t, struct mgr_call *call, const char *meta, size_t meta_n,
	       const void *body, size_t body_n, size_t *ret_taken)
{
	struct iovec iov[2] = {{(void *)(uintptr_t)meta, meta_n}, {(void *)(uintptr_t)body, body_n}};
	size_t copied;
	int r = -EAGAIN;

	call->target = t;
	t->used_ns = mgr_loop_now(t->caller->loop);
	if (t->up && t->waiting_n == 0)
		r = open_slot(t, call, iov, 2, call->ended, &copied);
	if (r == -EAGAIN || r == -EPIPE || r == -EPROTO)
		r = hold(t, call, meta, meta_n, body, body_n, ret_taken);
	else if (r == 0)
		r = keep_rest(call, meta, meta_n, body_n, copied, ret_taken);
	if (r < 0)
		give_up(t, call);
	return r;
}

void
mgr_target_admit(struct mgr_target *t)
{
	struct mgr_call *call;

	while (t->up && (call = TAILQ_FIRST(&t->waiting)) != NULL) {
		struct iovec iov = {mgr_buf_p(&call->held), mgr_buf_n(&call->held)};
		size_t copied;
		int r = open_slot(t, call, &iov, 1, call->ended, &copied);

		if (r == -EAGAIN || r == -EPIPE || r == -EPROTO)
			return;
		TAILQ_REMOVE(&t->waiting, call, link);
		t->waiting_n--;
		if (r < 0) {
			call->slot = -1;
			call->target = NULL;
			mgr_call_finish(call, MGR_OUT_BAD_REQUEST, 0);
			continue;
		}
		mgr_buf_take(&call->held, copied);
		if (mgr_buf_n(&call->held) > 0)
			call->want_room = true;
		else
			mgr_buf_fini(&call->held);
		mgr_call_look(call, MGR_LANE_ROOM);
	}
}

void
mgr_target_del(struct mgr_target *t, struct mgr_call *call, uint8_t reason)
{
	if (call->slot < 0) {
		TAILQ_REMOVE(&t->waiting, call, link);
		t->waiting_n--;
	} else {
		if (call->closed)
			mgr_lane_release(&t->link.lane, (uint32_t)call->slot);
		else
			mgr_lane_cancel(&t->link.lane, (uint32_t)call->slot, reason);
		mgr_link_touch(&t->link);
		t->in_flight--;
	}
	call->slot = -1;
	call->target = NULL;
	mgr_buf_fini(&call->held);
	if (t->waiting_n > 0 && t->up)
		mgr_caller_tell_soon(t->caller);
}

static void
up(struct mgr_link *l)
{
	struct mgr_target *t = MGR_CONTAINER(l, struct mgr_target, link);

	t->up = true;
	mgr_target_admit(t);
}

static void
look(struct mgr_link *l, uint32_t slot, unsigned events)
{
	struct mgr_target *t = MGR_CONTAINER(l, struct mgr_target, link);
	struct mgr_call *call = mgr_lane_user(&l->lane, slot);

	if (call != NULL)
		mgr_call_look(call, events);
	if (t->waiting_n > 0)
		mgr_target_admit(t);
}

static void
down(struct mgr_link *l)
{
	struct mgr_target *t = MGR_CONTAINER(l, struct mgr_target, link);
	int slot = t->up ? 0 : -1;

	t->up = false;
	t->dead = true;
	while (slot >= 0 && (slot = mgr_lane_next(&l->lane, (uint32_t)slot)) >= 0) {
		struct mgr_call *on = mgr_lane_user(&l->lane, (uint32_t)slot++);
		/* An answer that was complete before the worker died is still read to its end. */
		if (on != NULL && !(on->closed && on->head_seen))
			mgr_call_lost(on);
	}
	struct mgr_call *call;
	while ((call = TAILQ_FIRST(&t->waiting)) != NULL)
		mgr_call_lost(call);
	if (is_idle(t))
		mgr_target_free(t);
}

static const struct mgr_link_ops link_ops = {.up = up, .look = look, .down = down};
