#include "ipc/lane.h"

#include <errno.h>

#include "ipc/lane_priv.h"

uint32_t
mgr_lane_free_n(const struct mgr_lane *l)
{
	return l->free_n;
}

uint32_t
mgr_lane_zombie_n(const struct mgr_lane *l)
{
	if (l->slot == NULL || l->side != MGR_LANE_CALLER)
		return 0;
	return l->conf.slots - l->free_n - l->live_n;
}

/* The declared length against the bytes at hand; a complete request must be just that. */
static int
check_request(const struct mgr_lane *l, const struct mgr_lane_head *head,
	const struct iovec *iov, int iov_n, bool end)
{
	uint64_t total;
	uint64_t n = 0;
	int i;

	if (!mgr_lane_head_ok(l, head))
		return -EMSGSIZE;
	total = mgr_lane_head_total(l, head);
	for (i = 0; i < iov_n; i++) {
		if (iov[i].iov_len > total - n)
			return -EINVAL;
		n += iov[i].iov_len;
	}
	return end && n < mgr_lane_head_least(head) ? -EINVAL : 0;
}

/* True if all of iov fitted. */
static bool
copy_request(struct mgr_lane *l, uint32_t i, const struct iovec *iov, int iov_n)
{
	struct mgr_lane_slot *s = &l->slot[i];
	size_t left;
	int k;

	for (k = 0; k < iov_n; k++) {
		left = l->conf.bytes - (size_t)s->out;
		if (iov[k].iov_len > left) {
			mgr_lane_copy_in(l, i, iov[k].iov_base, left);
			return false;
		}
		mgr_lane_copy_in(l, i, iov[k].iov_base, iov[k].iov_len);
	}
	return true;
}

static void
free_slot(struct mgr_lane *l, uint32_t i)
{
	struct mgr_lane_slot *s = &l->slot[i];

	if (s->use == LANE_LIVE)
		l->live_n--;
	/* The worker closed, so nobody reads; on a spoiled lane that is not known. */
	if (!l->bad)
		mgr_lane_wipe(l, i);
	MGR_LANE_STEP("wipe");
	s->use = LANE_FREE;
	s->user = NULL;
	l->free[l->free_n++] = i;
}

int
mgr_lane_open(struct mgr_lane *l, const struct mgr_lane_head *head,
	const struct iovec *iov, int iov_n, bool end, size_t *ret_copied)
{
	struct mgr_lane_slot *s;
	uint32_t i;
	int r;

	mgr_assert(l->side == MGR_LANE_CALLER);
	if (l->bad)
		return -EPROTO;
	if (l->gone)
		return -EPIPE;
	r = check_request(l, head, iov, iov_n, end);
	if (r < 0)
		return r;
	if (l->free_n == 0)
		return -EAGAIN;
	i = l->free[--l->free_n];
	l->live_n++;
	l->count.calls++;
	s = &l->slot[i];
	*s = (struct mgr_lane_slot){
		.use = LANE_LIVE,
		.gen = s->gen + 1,
		.hint_at = s->hint_at,
		.total = mgr_lane_head_total(l, head),
		.least = mgr_lane_head_least(head),
		.peer_total = UINT64_MAX,	/* not told before HEAD or CLOSED */
	};
	put_relaxed(&l->line[i].in, 0);
	mgr_lane_put_head(l, i, head);
	MGR_LANE_STEP("open-fields");
	end = copy_request(l, i, iov, iov_n) && end;
	put_release(&l->line[i].out, s->out);
	MGR_LANE_STEP("open-out");
	put_ctl(l, i, end ? LANE_OPEN | LANE_END : LANE_OPEN);
	MGR_LANE_STEP("open-ctl");
	mgr_lane_push_new(l, i);
	if (l->bad) {
		free_slot(l, i);
		return -EPROTO;
	}
	if (ret_copied != NULL)
		*ret_copied = (size_t)s->out;
	return (int)i;
}

void
mgr_lane_end(struct mgr_lane *l, uint32_t slot)
{
	struct mgr_lane_slot *s = slot_of(l, slot);

	mgr_assert(l->side == MGR_LANE_CALLER && s->use == LANE_LIVE);
	if (l->bad || state_of(s->seen) == MGR_LANE_IS_CLOSED || (s->ctl & LANE_END) != 0)
		return;
	/* A declared body that ends early is a cancel; as END it would spoil the lane. */
	mgr_assert(s->out >= s->least);
	put_ctl(l, slot, s->ctl | LANE_END);
	MGR_LANE_STEP("end-ctl");
	mgr_lane_hint(l, slot);
}

void
mgr_lane_cancel(struct mgr_lane *l, uint32_t slot, uint8_t reason)
{
	struct mgr_lane_slot *s = slot_of(l, slot);

	mgr_assert(l->side == MGR_LANE_CALLER && s->use == LANE_LIVE);
	if (l->bad || l->gone || state_of(s->seen) == MGR_LANE_IS_CLOSED) {
		free_slot(l, slot);
		return;
	}
	s->use = LANE_ZOMBIE;
	s->user = NULL;
	l->live_n--;
	put_ctl(l, slot, s->ctl | LANE_CANCEL | (uint32_t)reason << 8);
	MGR_LANE_STEP("cancel-ctl");
	mgr_lane_hint(l, slot);
}

void
mgr_lane_release(struct mgr_lane *l, uint32_t slot)
{
	struct mgr_lane_slot *s = slot_of(l, slot);

	mgr_assert(l->side == MGR_LANE_CALLER && s->use == LANE_LIVE);
	mgr_assert(l->bad || l->gone || state_of(s->seen) == MGR_LANE_IS_CLOSED);
	free_slot(l, slot);
}

enum mgr_lane_state
mgr_lane_response(const struct mgr_lane *l, uint32_t slot, struct mgr_lane_head *ret_head,
	uint8_t *ret_outcome)
{
	const struct mgr_lane_slot *s = slot_of(l, slot);
	enum mgr_lane_state state = (enum mgr_lane_state)state_of(s->seen);

	if (state >= MGR_LANE_IS_HEAD && ret_head != NULL)
		*ret_head = s->head;
	if (state == MGR_LANE_IS_CLOSED && ret_outcome != NULL)
		*ret_outcome = (uint8_t)(s->seen >> 8);
	return state;
}

ssize_t
mgr_lane_own(const struct mgr_lane *l, uint32_t slot, struct iovec iov[2])
{
	const struct mgr_lane_slot *s = slot_of(l, slot);

	mgr_assert(l->side == MGR_LANE_CALLER && s->use == LANE_LIVE);
	if (s->out > l->conf.bytes)
		return -ENODATA;
	iov[0] = (struct iovec){ l->bytes + (size_t)slot * l->conf.bytes, (size_t)s->out };
	iov[1] = (struct iovec){ 0 };
	return (ssize_t)s->out;
}

/* The worker's ctl of this generation: known bits only, and never backwards. */
static bool
state_ok(const struct mgr_lane_slot *s, uint64_t ctl)
{
	uint32_t low = (uint32_t)ctl;
	uint32_t state = state_of(low);

	if (gen_of(ctl) != s->gen || low > 0xffffu)
		return false;
	if (state < MGR_LANE_IS_TAKEN || state > MGR_LANE_IS_CLOSED)
		return false;
	if (low >> 8 != 0 && state != MGR_LANE_IS_CLOSED)
		return false;
	return state >= state_of(s->seen);
}

static unsigned
state_events(uint32_t was, uint32_t state)
{
	static const unsigned event[] = {
		[MGR_LANE_IS_TAKEN] = MGR_LANE_TAKEN,
		[MGR_LANE_IS_STARTED] = MGR_LANE_STARTED,
		[MGR_LANE_IS_HEAD] = MGR_LANE_HEAD,
		[MGR_LANE_IS_CLOSED] = MGR_LANE_CLOSED,
	};
	unsigned events = was == MGR_LANE_IS_WAITING ? MGR_LANE_TAKEN : 0;

	return state != was ? events | event[state] : events;
}

/* A zombie waits for CLOSED only; whatever it answered, its user has left. */
static bool
look_zombie(struct mgr_lane *l, uint32_t slot, uint32_t low)
{
	l->slot[slot].seen = low;
	if (state_of(low) != MGR_LANE_IS_CLOSED)
		return false;
	if (low >> 8 == MGR_LANE_OK)
		l->count.late++;
	free_slot(l, slot);
	return true;
}

/* The retry hint is set at CLOSED, the rest of the head may have come before. */
static void
see_retry_hint(struct mgr_lane *l, uint32_t slot)
{
	uint64_t hint_ns = get_relaxed(&l->peer_line[slot].time_ns);
	uint64_t max_ns = (uint64_t)l->conf.deadline_max_ns;

	if (max_ns == 0)
		max_ns = INT64_MAX;
	l->slot[slot].head.deadline_ns = (int64_t)(hint_ns > max_ns ? max_ns : hint_ns);
}

static bool
look_live(struct mgr_lane *l, uint32_t slot, uint32_t low)
{
	struct mgr_lane_slot *s = &l->slot[slot];
	uint32_t was = state_of(s->seen);
	uint32_t state = state_of(low);
	unsigned events = state_events(was, state);

	if (state >= MGR_LANE_IS_HEAD && was < MGR_LANE_IS_HEAD && !mgr_lane_see_head(l, slot))
		return false;
	events |= mgr_lane_see_words(l, slot);
	if (l->bad)
		return false;
	if (state == MGR_LANE_IS_CLOSED)
		see_retry_hint(l, slot);
	if (low == (MGR_LANE_IS_CLOSED | MGR_LANE_OK << 8) && !mgr_lane_see_whole(l, slot))
		return false;
	s->seen = low;
	if (state == MGR_LANE_IS_CLOSED || (s->ctl & LANE_END) != 0)
		events &= ~(unsigned)MGR_LANE_ROOM;
	/* Bytes count only behind a head: they may be seen a look earlier than it. */
	if (state < MGR_LANE_IS_HEAD)
		events &= ~(unsigned)MGR_LANE_DATA;
	else if (was < MGR_LANE_IS_HEAD && s->peer_out > s->in)
		events |= MGR_LANE_DATA;
	if (events == 0)
		return false;
	l->ops->look(l, slot, events);
	return true;
}

bool
mgr_lane_caller_look(struct mgr_lane *l, uint32_t slot)
{
	struct mgr_lane_slot *s = &l->slot[slot];
	uint64_t ctl;

	if (s->use == LANE_FREE || state_of(s->seen) == MGR_LANE_IS_CLOSED)
		return false;
	ctl = get_acquire(&l->peer_line[slot].ctl);
	if (gen_of(ctl) == s->gen - 1 && state_of(s->seen) == MGR_LANE_IS_WAITING)
		return false;			/* not taken yet */
	if (!state_ok(s, ctl)) {
		mgr_lane_bad(l, "worker's ctl");
		return false;
	}
	if (s->use == LANE_ZOMBIE)
		return look_zombie(l, slot, (uint32_t)ctl);
	return look_live(l, slot, (uint32_t)ctl);
}
