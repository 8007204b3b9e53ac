/* The life of a slot: cancel in each state, reuse, wrap of the generation, wipe. */
#include "tap.h"

#include "lane-pair.h"

/* Cancels after the worker did `steps` of: take, start, head, close. */
static void
cancel_at(int steps, bool seen)
{
	struct mgr_lane_head answer = { .body_n = 0 };
	uint32_t slot;

	start();
	slot = must_open(1, 4);
	if (steps >= 1)
		turn(&pair.worker);
	if (steps >= 2)
		mgr_lane_started(&pair.worker, slot);
	if (steps >= 3) {
		mgr_lane_answer(&pair.worker, slot, &answer);
		mgr_lane_flush(&pair.worker);
	}
	if (steps >= 4)
		finish(slot, MGR_LANE_OK);
	if (seen)
		turn(&pair.caller);
	looks_n = 0;
	mgr_lane_cancel(&pair.caller, slot, 9);
	mgr_lane_flush(&pair.caller);
	is_int(mgr_lane_live_n(&pair.caller), 0, "cancel at %d: the user has left", steps);
	turn(&pair.worker);
	if (steps == 0)
		is_int(worker_events[slot], 0, "no handler is bothered");
	if (steps >= 1 && steps <= 3) {
		ok((worker_events[slot] & MGR_LANE_CANCEL) != 0, "the handler is told");
		is_int(mgr_lane_reason(&pair.worker, slot), 9, "why");
		is_int(mgr_lane_zombie_n(&pair.caller), 1, "a zombie until CLOSED");
		is_int(mgr_lane_zombie_n(&pair.worker), 0, "which only the caller has");
		finish(slot, 5);
	}
	looks_n = 0;
	is_int(turn(&pair.caller) < 0, 0, "no violation");
	is_int(looks_n, 0, "the late answer reaches nobody");
	is_int(mgr_lane_free_n(&pair.caller), SLOTS, "the slot is free again");
	is_int(pair.caller.count.late, steps == 4 && !seen, "good late answers are counted");
	is_int(must_open(2, 4), slot, "and is used again");
	turn(&pair.worker);
	is_int(mgr_lane_live_n(&pair.worker), 1, "by another generation");
	kit_close(&pair);
}

/* Sets both sides of slot 0 as if `gen` generations had passed. */
static void
age(uint32_t gen)
{
	struct mgr_lane_line *line = &pair.worker.line[0];

	pair.caller.slot[0].gen = gen;
	pair.worker.slot[0].gen = gen;
	put_release(&line->ctl, (uint64_t)gen << 32 | MGR_LANE_IS_CLOSED);
}

static void
test_generation_wrap(void)
{
	uint8_t got[8];
	bool good = true;
	uint32_t slot;
	int i;

	start();
	age(UINT32_MAX - 3);
	for (i = 0; i < 8; i++) {
		slot = must_open((uint64_t)i, 8);
		good = good && slot == 0;
		good = good && turn(&pair.caller) == 0;
		good = good && turn(&pair.worker) == 1;
		good = good && kit_read(&pair.worker, slot, got, 8) == 8;
		good = good && kit_same(got, 8, (uint64_t)i, 0);
		finish(slot, MGR_LANE_OK);
		good = good && turn(&pair.caller) == 1;
		mgr_lane_release(&pair.caller, slot);
	}
	ok(good, "calls over the wrap of the generation");
	is_int(pair.caller.slot[0].gen, 4, "wrapped");
	kit_close(&pair);
}

static bool
all_zero(const void *p, size_t n)
{
	const uint8_t *from = p;
	size_t i;

	for (i = 0; i < n; i++)
		if (from[i] != 0)
			return false;
	return true;
}

static void
test_wipe(void)
{
	static const char canary[] = "secret-of-the-first-call";
	struct mgr_lane_head head = { .body_n = sizeof(canary) };
	struct iovec iov = { (void *)(uintptr_t)canary, sizeof(canary) };
	uint32_t slot;

	start();
	slot = (uint32_t)mgr_lane_open(&pair.caller, &head, &iov, 1, true, NULL);
	turn(&pair.worker);
	mgr_lane_answer(&pair.worker, slot, &head);
	mgr_lane_append(&pair.worker, slot, canary, sizeof(canary));
	finish(slot, MGR_LANE_OK);
	turn(&pair.caller);
	ok(!all_zero(pair.caller.bytes, BYTES), "the request is there until release");
	mgr_lane_release(&pair.caller, slot);
	ok(all_zero(pair.caller.bytes, BYTES), "the request is wiped at release");
	is_int(must_open(1, 0), slot, "the same slot");
	turn(&pair.worker);
	ok(all_zero(pair.worker.bytes, BYTES), "the old answer is wiped at the next take");
	mgr_lane_cancel(&pair.caller, slot, 0);
	kit_close(&pair);
}

int
main(void)
{
	int steps;

	for (steps = 0; steps <= 4; steps++) {
		cancel_at(steps, false);
		cancel_at(steps, true);
	}
	test_generation_wrap();
	test_wipe();
	return done_testing();
}
