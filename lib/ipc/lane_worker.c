#include "ipc/lane.h"

#include <errno.h>
#include <time.h>

#include "ipc/lane_priv.h"

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Time only grows: a deadline that was near enough at an older now still is, so the clock is
 * read only for those that are not. */
static void
clamp_deadline(struct mgr_lane *l, struct mgr_lane_slot *s)
{
	int64_t max_ns = l->conf.deadline_max_ns;

	if (max_ns == 0)
		return;
	if (s->head.deadline_ns - l->clock_ns <= max_ns)
		return;
	l->clock_ns = now_ns();
	if (s->head.deadline_ns - l->clock_ns > max_ns) {
		if (max_ns > INT64_MAX - l->clock_ns)
			max_ns = INT64_MAX - l->clock_ns;
		s->head.deadline_ns = l->clock_ns + max_ns;
	}
}

void
mgr_lane_request(const struct mgr_lane *l, uint32_t slot, struct mgr_lane_head *ret)
{
	const struct mgr_lane_slot *s = slot_of(l, slot);

	mgr_assert(l->side == MGR_LANE_WORKER && s->use == LANE_LIVE);
	*ret = s->head;
}

bool
mgr_lane_ended(const struct mgr_lane *l, uint32_t slot)
{
	return (slot_of(l, slot)->seen & LANE_END) != 0;
}

uint8_t
mgr_lane_reason(const struct mgr_lane *l, uint32_t slot)
{
	return (uint8_t)(slot_of(l, slot)->seen >> 8);
}

void
mgr_lane_started(struct mgr_lane *l, uint32_t slot)
{
	struct mgr_lane_slot *s = slot_of(l, slot);

	mgr_assert(l->side == MGR_LANE_WORKER && s->use == LANE_LIVE);
	if (l->bad || s->ctl >= MGR_LANE_IS_STARTED)
		return;
	put_ctl(l, slot, MGR_LANE_IS_STARTED);
	MGR_LANE_STEP("started-ctl");
}

int
mgr_lane_answer(struct mgr_lane *l, uint32_t slot, const struct mgr_lane_head *head)
{
	struct mgr_lane_slot *s = slot_of(l, slot);
	struct mgr_lane_head mine = *head;

	mgr_assert(l->side == MGR_LANE_WORKER && s->use == LANE_LIVE && !s->answered);
	if (l->bad)
		return -EPROTO;
	if (!mgr_lane_head_ok(l, head))
		return -EMSGSIZE;
	mine.deadline_ns = 0;
	mgr_lane_put_head(l, slot, &mine);
	MGR_LANE_STEP("answer-fields");
	s->total = mgr_lane_head_total(l, head);
	s->least = mgr_lane_head_least(head);
	s->answered = true;
	s->owed = true;
	if (!s->listed) {
		s->listed = true;
		l->owed[l->owed_n++] = slot;
	}
	return 0;
}

void
mgr_lane_settle(struct mgr_lane *l)
{
	struct mgr_lane_slot *s;
	uint32_t i;

	for (i = 0; i < l->owed_n; i++) {
		s = &l->slot[l->owed[i]];
		s->listed = false;
		if (!s->owed)
			continue;		/* went out with CLOSED */
		s->owed = false;
		if (l->bad)
			continue;
		put_ctl(l, l->owed[i], MGR_LANE_IS_HEAD);
		MGR_LANE_STEP("head-ctl");
		mgr_lane_hint(l, l->owed[i]);
	}
	l->owed_n = 0;
}

/* After the store of CLOSED the slot is the caller's: no byte of it is touched again. */
void
mgr_lane_close(struct mgr_lane *l, uint32_t slot, uint8_t outcome, int64_t retry_hint_ns)
{
	struct mgr_lane_slot *s = slot_of(l, slot);

	mgr_assert(l->side == MGR_LANE_WORKER && s->use == LANE_LIVE);
	mgr_assert(l->bad || outcome != MGR_LANE_OK || s->out >= s->least);
	s->use = LANE_FREE;
	s->user = NULL;
	s->owed = false;
	l->live_n--;
	if (l->bad)
		return;
	if (!s->answered)
		mgr_lane_put_head(l, slot, &(struct mgr_lane_head){ 0 });
	put_relaxed(&l->line[slot].time_ns, (uint64_t)(retry_hint_ns > 0 ? retry_hint_ns : 0));
	MGR_LANE_STEP("close-fields");
	put_ctl(l, slot, MGR_LANE_IS_CLOSED | (uint32_t)outcome << 8);
	MGR_LANE_STEP("close-ctl");
	mgr_lane_hint(l, slot);
}

/* Known bits only, a reason only with CANCEL, and no bit ever taken back. */
static bool
ctl_ok(uint32_t seen, uint32_t low)
{
	if (low > 0xffffu || (low & 0xffu & ~(LANE_OPEN | LANE_END | LANE_CANCEL)) != 0)
		return false;
	if ((low & LANE_OPEN) == 0 || (low & seen) != seen)
		return false;
	if ((low & LANE_CANCEL) == 0)
		return low >> 8 == 0;
	return (seen & LANE_CANCEL) == 0 || low == seen;
}

static unsigned
ctl_events(uint32_t seen, uint32_t low)
{
	unsigned events = 0;

	if ((low & ~seen & LANE_END) != 0)
		events |= MGR_LANE_END;
	if ((low & ~seen & LANE_CANCEL) != 0)
		events |= MGR_LANE_CANCEL;
	return events;
}

/* Words are reset before TAKEN, for the caller reads them after it. */
static void
take(struct mgr_lane *l, uint32_t slot, uint64_t ctl)
{
	struct mgr_lane_slot *s = &l->slot[slot];

	mgr_lane_wipe(l, slot);
	MGR_LANE_STEP("take-wipe");
	*s = (struct mgr_lane_slot){
		.use = LANE_LIVE,
		.gen = gen_of(ctl),
		.hint_at = s->hint_at,
		.listed = s->listed,
	};
	l->live_n++;
	l->count.calls++;
	put_relaxed(&l->line[slot].out, 0);
	put_relaxed(&l->line[slot].in, 0);
	MGR_LANE_STEP("take-words");
	put_ctl(l, slot, MGR_LANE_IS_TAKEN);
	MGR_LANE_STEP("take-ctl");
}

/* The words behind a ctl that was found good: events, or the lane is spoiled. */
static unsigned
see_request(struct mgr_lane *l, uint32_t slot, uint32_t low)
{
	struct mgr_lane_slot *s = &l->slot[slot];
	uint64_t was_out = s->peer_out;
	unsigned events = ctl_events(s->seen, low) | mgr_lane_see_words(l, slot);

	if (l->bad)
		return 0;
	if ((s->seen & LANE_END) != 0 && s->peer_out != was_out) {
		mgr_lane_bad(l, "bytes after END");
		return 0;
	}
	if ((events & MGR_LANE_END) != 0 && !mgr_lane_see_whole(l, slot))
		return 0;
	s->seen = low;
	return events;
}

static bool
look_new(struct mgr_lane *l, uint32_t slot, uint64_t ctl)
{
	struct mgr_lane_slot *s = &l->slot[slot];
	uint32_t low = (uint32_t)ctl;
	unsigned events;

	if (s->use != LANE_FREE || gen_of(ctl) != s->gen + 1 || !ctl_ok(0, low)) {
		mgr_lane_bad(l, "NEW on a slot that is not");
		return false;
	}
	take(l, slot, ctl);
	if ((low & LANE_CANCEL) != 0) {
		mgr_lane_close(l, slot, MGR_OUT_CANCELLED, 0);
		return true;
	}
	if (!mgr_lane_see_head(l, slot))
		return false;
	clamp_deadline(l, s);
	events = see_request(l, slot, low);
	if (l->bad)
		return false;
	l->ops->look(l, slot, events | MGR_LANE_NEW);
	return true;
}

bool
mgr_lane_worker_look(struct mgr_lane *l, uint32_t slot, bool is_new)
{
	struct mgr_lane_slot *s = &l->slot[slot];
	uint64_t ctl;
	unsigned events;

	/* A new generation may be visible already: it waits for its NEW, to keep the order. */
	if (!is_new && s->use == LANE_FREE)
		return false;
	ctl = get_acquire(&l->peer_line[slot].ctl);
	if (is_new)
		return look_new(l, slot, ctl);
	if (gen_of(ctl) != s->gen || !ctl_ok(s->seen, (uint32_t)ctl)) {
		mgr_lane_bad(l, "caller's ctl");
		return false;
	}
	events = see_request(l, slot, (uint32_t)ctl);
	if (events == 0)
		return false;
	l->ops->look(l, slot, events);
	return true;
}
