/* The bell and the turn of the loop; a bell that fails, a peer that left. */
#include "tap.h"

#include "lane-pair.h"

static void
test_bell(void)
{
	start();
	ok(mgr_lane_rest(&pair.worker), "nothing to do: sleep");
	must_open(1, 1);
	must_open(2, 1);
	is_int(rings, 0, "no bell before flush");
	mgr_lane_flush(&pair.caller);
	is_int(rings, 1, "one bell for a batch");
	must_open(3, 1);
	mgr_lane_flush(&pair.caller);
	is_int(rings, 1, "one bell per sleep");
	ok(mgr_lane_news(&pair.worker), "there is news");
	ok(!mgr_lane_rest(&pair.worker), "not to sleep over news");
	is_int(pair.worker.bell & 1, 0, "disarmed");
	is_int(mgr_lane_drain(&pair.worker), 3, "three entries");
	ok(mgr_lane_rest(&pair.worker), "sleep again");
	must_open(4, 1);
	ok(mgr_lane_rest(&pair.caller), "resting rings too");
	is_int(rings, 2, "a new epoch, a new bell");
	mgr_lane_drain(&pair.worker);
	is_int(pair.worker.bell & 1, 0, "drain disarms");
	finish(0, MGR_LANE_OK);
	is_int(rings, 3, "the caller sleeps: bell");
	mgr_lane_wake(&pair.caller);
	finish(1, MGR_LANE_OK);
	is_int(rings, 3, "the caller is awake: none");
	mgr_lane_arm(&pair.worker);
	mgr_lane_fence();
	ok(mgr_lane_arm_check(&pair.worker), "arm, fence and check apart");
	kit_close(&pair);
}

static void
test_bell_fails(void)
{
	start();
	ok(mgr_lane_rest(&pair.worker), "the worker sleeps");
	must_open(1, 1);
	ring_result = -EAGAIN;
	mgr_lane_flush(&pair.caller);
	is_int(mgr_lane_drain(&pair.caller), -EPROTO, "a full socket spoils the lane");
	is_str(pair.caller.why, "bell refused", "why");
	is_int(open_call(1, 1, 1, true, NULL), -EPROTO, "no more calls");
	is_int(mgr_lane_append(&pair.caller, 0, "x", 1), 0, "append is a no-op");
	ok(!mgr_lane_rest(&pair.caller), "no sleep on a spoiled lane");
	is_int(mgr_lane_next(&pair.caller, 0), 0, "the call is still the user's");
	mgr_lane_cancel(&pair.caller, 0, 0);
	is_int(mgr_lane_next(&pair.caller, 0), -1, "until he leaves");
	kit_close(&pair);
}

static void
test_sweep(void)
{
	uint32_t slot;

	start();
	slot = must_open(1, 1);
	must_open(2, 1);
	turn(&pair.worker);
	mgr_lane_started(&pair.worker, 1);
	/* As if the worker died after CLOSED and before its hint. */
	mgr_lane_answer(&pair.worker, slot, &(struct mgr_lane_head){ .body_n = 3 });
	mgr_lane_append(&pair.worker, slot, "abc", 3);
	pair.worker.slot[slot].owed = false;
	put_ctl(&pair.worker, slot, MGR_LANE_IS_CLOSED);
	ok(mgr_lane_rest(&pair.worker), "never rung");
	must_open(3, 1);
	ring_result = -EPIPE;
	mgr_lane_flush(&pair.caller);
	is_int(mgr_lane_drain(&pair.caller), -EPIPE, "the peer left");
	mgr_lane_sweep(&pair.caller);
	is_int(mgr_lane_response(&pair.caller, 0, NULL, NULL), MGR_LANE_IS_CLOSED, "whole answer");
	is_int(kit_read(&pair.caller, 0, (char[4]){ 0 }, 4), 3, "with its bytes");
	is_int(mgr_lane_response(&pair.caller, 1, NULL, NULL), MGR_LANE_IS_STARTED, "started");
	is_int(mgr_lane_response(&pair.caller, 2, NULL, NULL), MGR_LANE_IS_WAITING, "not taken");
	is_int(open_call(1, 1, 1, true, NULL), -EPIPE, "no more calls");
	mgr_lane_release(&pair.caller, 0);
	mgr_lane_release(&pair.caller, 1);
	mgr_lane_cancel(&pair.caller, 2, 0);
	is_int(mgr_lane_free_n(&pair.caller), SLOTS, "every call ended");
	kit_close(&pair);
}

int
main(void)
{
	test_bell();
	test_bell_fails();
	test_sweep();
	return done_testing();
}
