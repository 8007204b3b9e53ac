/* Rings, bell and the turn of the loop; the fences F1 to F4 stand only here. */
#include "ipc/lane.h"

#include <errno.h>

#include "ipc/lane_priv.h"

/* Honest peers cause less than one empty look for each useful one; the rest is slack. */
#define STALE_PER_LOOK	8u
#define STALE_MAX	4096u

static void
see_tail(struct mgr_lane *l)
{
	uint64_t tail = get_acquire(&l->peer->tail);

	if (tail - l->peer_tail > l->head - l->peer_tail)
		mgr_lane_bad(l, "tail beyond head");
	else
		l->peer_tail = tail;
}

static void
push(struct mgr_lane *l, uint32_t entry)
{
	if (l->head - l->peer_tail == l->ring_n)
		see_tail(l);
	if (!l->bad && l->head - l->peer_tail == l->ring_n)
		mgr_lane_bad(l, "ring full");
	if (l->bad)
		return;
	put_relaxed32(&l->mine->ring[l->head_at], entry);
	MGR_LANE_STEP("push-ring");
	if (++l->head_at == l->ring_n)
		l->head_at = 0;
	put_release(&l->mine->head, ++l->head);
	l->pushed = true;
	MGR_LANE_STEP("push-head");
}

/* Never merged: NEW entries carry the order of the calls. */
void
mgr_lane_push_new(struct mgr_lane *l, uint32_t slot)
{
	push(l, slot | LANE_NEW);
}

void
mgr_lane_hint(struct mgr_lane *l, uint32_t slot)
{
	struct mgr_lane_slot *s = &l->slot[slot];

	if (s->hint_at > l->peer_tail) {
		mgr_lane_fence();		/* F1: my slot words, then his tail */
		see_tail(l);
		if (l->bad)
			return;
		if (s->hint_at > l->peer_tail) {
			l->count.merged++;
			return;
		}
	}
	push(l, slot);
	s->hint_at = l->head;
	l->count.hints++;
}

static void
ring_if_needed(struct mgr_lane *l)
{
	uint64_t bell = get_relaxed(&l->peer->bell);
	int r;

	l->pushed = false;
	if ((bell & 1) == 0 || bell == l->rung || l->gone)
		return;
	l->rung = bell;
	l->count.bells++;
	r = l->ops->ring(l);
	MGR_LANE_STEP("bell");
	if (r == 0)
		return;
	/* A dead peer is no liar: the answers that it finished are still to be swept up. */
	if (r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN)
		l->gone = true;
	else
		mgr_lane_bad(l, "bell refused");
}

void
mgr_lane_flush(struct mgr_lane *l)
{
	if (l->bad)
		return;
	mgr_lane_settle(l);
	if (l->bad || !l->pushed)
		return;
	mgr_lane_fence();			/* F2: my head, then his bell */
	ring_if_needed(l);
}

/* Copies the new entries to private memory: n, or 0 with the lane spoiled. */
static uint32_t
take_batch(struct mgr_lane *l)
{
	uint64_t head = get_acquire(&l->peer->head);
	uint64_t n = head - l->tail;
	uint32_t i;

	if (n == 0)
		return 0;
	if (n > l->ring_n) {
		mgr_lane_bad(l, "head beyond the ring");
		return 0;
	}
	for (i = 0; i < n; i++) {
		l->batch[i] = get_relaxed32(&l->peer->ring[l->tail_at]);
		if (++l->tail_at == l->ring_n)
			l->tail_at = 0;
	}
	l->tail = head;
	put_release(&l->mine->tail, l->tail);
	MGR_LANE_STEP("drain-tail");
	mgr_lane_fence();			/* F3: my tail, then his slot words */
	return (uint32_t)n;
}

static bool
look(struct mgr_lane *l, uint32_t slot, bool is_new)
{
	if (l->side == MGR_LANE_CALLER)
		return mgr_lane_caller_look(l, slot);
	return mgr_lane_worker_look(l, slot, is_new);
}

static void
handle(struct mgr_lane *l, uint32_t entry)
{
	uint32_t slot = entry & ~LANE_NEW;
	bool is_new = (entry & LANE_NEW) != 0;

	if (slot >= l->conf.slots || (is_new && l->side == MGR_LANE_CALLER)) {
		mgr_lane_bad(l, "no such ring entry");
		return;
	}
	if (look(l, slot, is_new)) {
		l->count.looks++;
		return;
	}
	l->count.stale++;
	if (l->count.stale / STALE_PER_LOOK > l->count.looks + STALE_MAX / STALE_PER_LOOK)
		mgr_lane_bad(l, "too many empty hints");
}

int
mgr_lane_drain(struct mgr_lane *l)
{
	uint32_t n;
	uint32_t i;

	mgr_assert(!l->draining);
	if (l->bad)
		return -EPROTO;
	if (l->gone)
		return -EPIPE;
	/* The byte of this epoch may be read by now: sleeping on in it would lose the next. */
	mgr_lane_wake(l);
	n = take_batch(l);
	l->draining = true;
	for (i = 0; i < n && !l->bad; i++)
		handle(l, l->batch[i]);
	l->draining = false;
	return l->bad ? -EPROTO : (int)n;
}

void
mgr_lane_sweep(struct mgr_lane *l)
{
	uint32_t i;

	mgr_assert(!l->draining);
	l->gone = true;
	l->draining = true;
	for (i = 0; i < l->conf.slots && !l->bad; i++)
		if (l->slot[i].use != LANE_FREE)
			(void)look(l, i, false);
	l->draining = false;
}

bool
mgr_lane_news(const struct mgr_lane *l)
{
	return l->bad || l->gone || get_relaxed(&l->peer->head) != l->tail;
}

/* A lane that is armed already keeps its epoch: if that was rung, the byte is on its way. */
void
mgr_lane_arm(struct mgr_lane *l)
{
	if (l->bad)
		return;
	mgr_lane_settle(l);
	if ((l->bell & 1) != 0)
		return;
	put_relaxed(&l->mine->bell, ++l->bell);
	l->count.arms++;
	MGR_LANE_STEP("arm");
}

bool
mgr_lane_arm_check(struct mgr_lane *l)
{
	if (!l->bad && l->pushed)
		ring_if_needed(l);
	if (!mgr_lane_news(l))
		return true;
	mgr_lane_wake(l);
	return false;
}

bool
mgr_lane_rest(struct mgr_lane *l)
{
	mgr_lane_arm(l);
	mgr_lane_fence();	/* F4: my bell and my head, then his head and his bell */
	return mgr_lane_arm_check(l);
}

void
mgr_lane_wake(struct mgr_lane *l)
{
	if (l->bad || (l->bell & 1) == 0)
		return;
	put_relaxed(&l->mine->bell, ++l->bell);
	MGR_LANE_STEP("wake");
}
