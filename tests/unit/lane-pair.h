/*
 * One caller and one worker in one thread over plain memory, driven by hand: what each look
 * reported is collected per slot, bells are counted.
 */
#ifndef MGR_TESTS_LANE_PAIR_H
#define MGR_TESTS_LANE_PAIR_H

#include "lane-kit.h"

#define SLOTS 4u
#define BYTES 64u

static unsigned caller_events[SLOTS];
static unsigned worker_events[SLOTS];
static uint32_t order[64];		/* slots in the order in which they were taken */
static uint32_t order_n;
static unsigned looks_n;
static int rings;
static int ring_result;

static inline int
count_ring(struct mgr_lane *l)
{
	(void)l;
	rings++;
	return ring_result;
}

static inline void
caller_look(struct mgr_lane *l, uint32_t slot, unsigned events)
{
	(void)l;
	looks_n++;
	caller_events[slot] |= events;
}

static inline void
worker_look(struct mgr_lane *l, uint32_t slot, unsigned events)
{
	(void)l;
	looks_n++;
	if ((events & MGR_LANE_NEW) != 0)
		order[order_n++ % MGR_N(order)] = slot;
	worker_events[slot] |= events;
}

static const struct mgr_lane_ops caller_ops = { .ring = count_ring, .look = caller_look };
static const struct mgr_lane_ops worker_ops = { .ring = count_ring, .look = worker_look };

static struct kit_pair pair;

static inline void
start(void)
{
	pair = (struct kit_pair){
		.conf = {
			.slots = SLOTS,
			.bytes = BYTES,
			.meta_max = 256,
			.body_max = 1 << 20,
			.deadline_max_ns = INT64_C(60) * 1000000000,
		},
	};
	kit_open(&pair, &caller_ops, &worker_ops);
	memset(caller_events, 0, sizeof(caller_events));
	memset(worker_events, 0, sizeof(worker_events));
	order_n = 0;
	looks_n = 0;
	rings = 0;
	ring_result = 0;
}

static inline int
turn(struct mgr_lane *l)
{
	int r = mgr_lane_drain(l);

	mgr_lane_flush(l);
	return r;
}

/* Opens a call with n body bytes of stream `id`. */
static inline int
open_call(uint64_t id, size_t n, uint64_t body_n, bool end, size_t *ret_copied)
{
	static uint8_t bytes[4096];
	struct mgr_lane_head head = {
		.deadline_ns = MGR_LANE_NO_DEADLINE,
		.body_n = body_n,
		.info = 7,
	};
	struct iovec iov[2] = { { bytes, n / 2 }, { bytes + n / 2, n - n / 2 } };

	kit_fill(bytes, n, id, 0);
	return mgr_lane_open(&pair.caller, &head, iov, 2, end, ret_copied);
}

static inline uint32_t
must_open(uint64_t id, size_t n)
{
	int slot = open_call(id, n, n, true, NULL);

	mgr_assert(slot >= 0);
	return (uint32_t)slot;
}

static inline void
finish(uint32_t slot, uint8_t outcome)
{
	mgr_lane_close(&pair.worker, slot, outcome, 0);
	mgr_lane_flush(&pair.worker);
}

#endif
