/* One slot's words and bytes, the same for both sides. */
#include "ipc/lane.h"

#include <string.h>

#include "ipc/lane_priv.h"

/* Limits are the same whoever writes, so own heads are checked by the same rule. */
bool
mgr_lane_head_ok(const struct mgr_lane *l, const struct mgr_lane_head *head)
{
	if (head->meta_n > l->conf.meta_max)
		return false;
	return head->body_n == MGR_LANE_UNKNOWN || head->body_n <= l->conf.body_max;
}

uint64_t
mgr_lane_head_total(const struct mgr_lane *l, const struct mgr_lane_head *head)
{
	return head->meta_n +
		(head->body_n == MGR_LANE_UNKNOWN ? l->conf.body_max : head->body_n);
}

/* What a stream that is complete holds at least. */
uint64_t
mgr_lane_head_least(const struct mgr_lane_head *head)
{
	return head->meta_n + (head->body_n == MGR_LANE_UNKNOWN ? 0 : head->body_n);
}

void
mgr_lane_put_head(struct mgr_lane *l, uint32_t slot, const struct mgr_lane_head *head)
{
	struct mgr_lane_line *line = &l->line[slot];

	put_relaxed(&line->time_ns, (uint64_t)head->deadline_ns);
	put_relaxed(&line->body_n, head->body_n);
	put_relaxed32(&line->meta_n, head->meta_n);
	put_relaxed32(&line->info, head->info);
}

/* Only after a ctl of this generation that promises the fields. */
bool
mgr_lane_see_head(struct mgr_lane *l, uint32_t slot)
{
	const struct mgr_lane_line *line = &l->peer_line[slot];
	struct mgr_lane_slot *s = &l->slot[slot];
	uint64_t time_ns = get_relaxed(&line->time_ns);
	struct mgr_lane_head head = {
		.deadline_ns = time_ns > INT64_MAX ? INT64_MAX : (int64_t)time_ns,
		.body_n = get_relaxed(&line->body_n),
		.meta_n = get_relaxed32(&line->meta_n),
		.info = get_relaxed32(&line->info),
	};

	if (!mgr_lane_head_ok(l, &head)) {
		mgr_lane_bad(l, "meta_n or body_n over its limit");
		return false;
	}
	s->head = head;
	s->peer_total = mgr_lane_head_total(l, &head);
	return true;
}

/* The peer's counters, after its ctl: words reset by the peer are never read as old ones. */
unsigned
mgr_lane_see_words(struct mgr_lane *l, uint32_t slot)
{
	const struct mgr_lane_line *line = &l->peer_line[slot];
	struct mgr_lane_slot *s = &l->slot[slot];
	uint64_t out = get_acquire(&line->out);
	uint64_t in = get_acquire(&line->in);
	unsigned events = 0;

	if (out < s->peer_out || out - s->in > l->conf.bytes || out > s->peer_total) {
		mgr_lane_bad(l, "out outside its bounds");
		return 0;
	}
	if (in < s->peer_in || in > s->out) {
		mgr_lane_bad(l, "in outside its bounds");
		return 0;
	}
	if (out > s->peer_out)
		events |= MGR_LANE_DATA;
	if (in > s->peer_in)
		events |= MGR_LANE_ROOM;
	s->peer_out = out;
	s->peer_in = in;
	return events;
}

/* With END or CLOSED(ok) in hand out is final: it must reach what was declared (that it is
 * no more was checked when it was seen). */
bool
mgr_lane_see_whole(struct mgr_lane *l, uint32_t slot)
{
	const struct mgr_lane_slot *s = &l->slot[slot];

	if (s->peer_out >= mgr_lane_head_least(&s->head))
		return true;
	mgr_lane_bad(l, "complete, but not of the declared length");
	return false;
}

static uint8_t *
ring_of(const struct mgr_lane *l, uint32_t slot)
{
	return l->bytes + (size_t)slot * l->conf.bytes;
}

void
mgr_lane_wipe(struct mgr_lane *l, uint32_t slot)
{
	uint64_t n = l->slot[slot].out;

	if (n > l->conf.bytes)
		n = l->conf.bytes;
	if (n > 0)
		memset(ring_of(l, slot), 0, n);
}

/* Copies n <= room bytes; the caller of this publishes out. */
void
mgr_lane_copy_in(struct mgr_lane *l, uint32_t slot, const void *p, size_t n)
{
	struct mgr_lane_slot *s = &l->slot[slot];
	size_t at = (size_t)s->out & (l->conf.bytes - 1);
	size_t first = l->conf.bytes - at;

	if (n == 0)
		return;
	if (first > n)
		first = n;
	memcpy(ring_of(l, slot) + at, p, first);
	MGR_LANE_STEP("bytes-half");
	if (n > first)
		memcpy(ring_of(l, slot), (const uint8_t *)p + first, n - first);
	s->out += n;
	MGR_LANE_STEP("bytes");
}

size_t
mgr_lane_room(const struct mgr_lane *l, uint32_t slot)
{
	const struct mgr_lane_slot *s = slot_of(l, slot);
	uint64_t room;

	if (l->bad || s->use != LANE_LIVE)
		return 0;
	if (l->side == MGR_LANE_CALLER &&
	    ((s->ctl & LANE_END) != 0 || state_of(s->seen) == MGR_LANE_IS_CLOSED))
		return 0;
	mgr_assert(s->out - s->peer_in <= l->conf.bytes);
	room = l->conf.bytes - (s->out - s->peer_in);
	if (room > s->total - s->out)
		room = s->total - s->out;
	return (size_t)room;
}

size_t
mgr_lane_append(struct mgr_lane *l, uint32_t slot, const void *p, size_t n)
{
	size_t room = mgr_lane_room(l, slot);
	struct mgr_lane_slot *s = &l->slot[slot];

	if (n > room)
		n = room;
	if (n == 0)
		return 0;
	mgr_lane_copy_in(l, slot, p, n);
	put_release(&l->line[slot].out, s->out);
	MGR_LANE_STEP("append-out");
	if (!s->owed)
		mgr_lane_hint(l, slot);
	return n;
}

size_t
mgr_lane_data(const struct mgr_lane *l, uint32_t slot, struct iovec iov[2])
{
	const struct mgr_lane_slot *s = slot_of(l, slot);
	const uint8_t *ring = l->peer_bytes + (size_t)slot * l->conf.bytes;
	size_t at = (size_t)s->in & (l->conf.bytes - 1);
	size_t n = (size_t)(s->peer_out - s->in);
	size_t first = l->conf.bytes - at;

	mgr_assert(n <= l->conf.bytes);
	if (l->bad || s->use != LANE_LIVE)
		n = 0;
	if (l->side == MGR_LANE_CALLER && state_of(s->seen) < MGR_LANE_IS_HEAD)
		n = 0;
	if (first > n)
		first = n;
	/* iovec has no const; the mapping is read-only, so a stray store faults. */
	iov[0] = (struct iovec){ (void *)(uintptr_t)(ring + at), first };
	iov[1] = (struct iovec){ (void *)(uintptr_t)ring, n - first };
	return n;
}

/* Whether the peer may still write, and so may be waiting for room. */
static bool
more_to_come(const struct mgr_lane *l, const struct mgr_lane_slot *s)
{
	if (s->peer_out == s->peer_total)
		return false;
	if (l->side == MGR_LANE_CALLER)
		return state_of(s->seen) != MGR_LANE_IS_CLOSED;
	return (s->seen & LANE_END) == 0;
}

void
mgr_lane_consume(struct mgr_lane *l, uint32_t slot, size_t n)
{
	struct mgr_lane_slot *s = slot_of(l, slot);

	if (l->bad || s->use != LANE_LIVE || n == 0)
		return;
	mgr_assert(n <= s->peer_out - s->in);
	s->in += n;
	put_release(&l->line[slot].in, s->in);
	MGR_LANE_STEP("consume-in");
	if (!more_to_come(l, s))
		return;
	/* Without the rule for emptied rings both sides would wait. */
	if (s->in != s->peer_out && s->in - s->hint_in < l->conf.bytes / 2)
		return;
	s->hint_in = s->in;
	mgr_lane_hint(l, slot);
}
