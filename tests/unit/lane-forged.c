/* One forged word each: the reader drops the lane, and only for that word. */
#include "tap.h"

#include "lane-pair.h"

/* One forged word each: the reader must drop the lane, and only then. */
static void
test_forged(void)
{
	static const struct {
		const char *what;
		size_t at;		/* in the caller's line */
		uint64_t v;
		const char *why;
	} rows[] = {
		{ "old generation", 0, 0, "caller's ctl" },
		{ "next generation", 0, UINT64_C(2) << 32 | 1, "caller's ctl" },
		{ "unknown bit", 0, UINT64_C(1) << 32 | 9, "caller's ctl" },
		{ "reason without cancel", 0, UINT64_C(1) << 32 | 0x101, "caller's ctl" },
		{ "OPEN taken back", 0, UINT64_C(1) << 32, "caller's ctl" },
		{ "END too early", 0, UINT64_C(1) << 32 | 3,
			"complete, but not of the declared length" },
		{ "out went back", 8, 1, "out outside its bounds" },
		{ "out beyond the ring", 8, BYTES + 1, "out outside its bounds" },
		{ "out beyond the length", 8, 21, "out outside its bounds" },
		{ "out huge", 8, UINT64_MAX, "out outside its bounds" },
		{ "in beyond my out", 16, 1, "in outside its bounds" },
	};
	size_t i;

	for (i = 0; i < MGR_N(rows); i++) {
		int slot;

		start();
		slot = open_call(1, 10, 20, false, NULL);
		turn(&pair.worker);
		put_release((_Atomic uint64_t *)(void *)((char *)&pair.caller.line[slot] +
			rows[i].at), rows[i].v);
		mgr_lane_hint(&pair.caller, (uint32_t)slot);
		is_int(turn(&pair.worker), -EPROTO, "%s", rows[i].what);
		is_str(pair.worker.why, rows[i].why, "why");
		kit_close(&pair);
	}
}

static void
test_forged_ring(void)
{
	uint64_t i;
	int r = 0;

	start();
	put_release(&pair.caller.mine->head, 2 * SLOTS + 1);
	is_int(turn(&pair.worker), -EPROTO, "head beyond the ring");
	kit_close(&pair);
	start();
	put_relaxed32(&pair.caller.mine->ring[0], SLOTS);
	put_release(&pair.caller.mine->head, 1);
	is_int(turn(&pair.worker), -EPROTO, "no such slot");
	kit_close(&pair);
	start();
	put_relaxed32(&pair.worker.mine->ring[0], LANE_NEW);
	put_release(&pair.worker.mine->head, 1);
	is_int(turn(&pair.caller), -EPROTO, "NEW towards the caller");
	kit_close(&pair);
	start();
	put_release(&pair.caller.mine->head, 1);
	is_int(turn(&pair.worker), 1, "a stale hint does no harm");
	for (i = 2; i < 100000 && r >= 0; i++) {
		put_release(&pair.caller.mine->head, i);
		r = turn(&pair.worker);
	}
	is_int(r, -EPROTO, "very many of them do");
	kit_close(&pair);
	start();
	must_open(1, 1);
	turn(&pair.worker);
	put_release(&pair.worker.mine->tail, 5);
	mgr_lane_append(&pair.caller, 0, "", 0);
	mgr_lane_cancel(&pair.caller, 0, 1);
	pair.caller.slot[0].hint_at = UINT64_MAX;
	mgr_lane_hint(&pair.caller, 0);
	is_int(turn(&pair.caller), -EPROTO, "tail beyond head");
	kit_close(&pair);
}

int
main(void)
{
	test_forged();
	test_forged_ring();
	return done_testing();
}
