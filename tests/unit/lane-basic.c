/* Every call of the lane: sizes, edges, refusals, streams, order, deadlines. */
#include "tap.h"

#include <time.h>

#include "lane-pair.h"

static void
test_sizes(void)
{
	struct mgr_lane_conf conf = { .slots = 256, .bytes = 65536 };
	struct mgr_lane_conf other = { .slots = 2, .bytes = 64 };
	struct mgr_lane l = { 0 };
	size_t n;
	void *a = kit_half(&conf, &n);
	void *b = kit_half(&other, &n);

	is_int(mgr_lane_half_size(256, 65536), 0x5000 + 256 * 65536, "default half");
	is_int(mgr_lane_half_size(0, 64), 0, "no slots");
	is_int(mgr_lane_half_size(MGR_LANE_SLOTS_MAX + 1, 64), 0, "too many slots");
	ok(mgr_lane_half_size(MGR_LANE_SLOTS_MAX, MGR_LANE_BYTES_MAX) > 0, "largest half");
	is_int(mgr_lane_half_size(1, 32), 0, "ring too small");
	is_int(mgr_lane_half_size(1, MGR_LANE_BYTES_MAX * 2), 0, "ring too large");
	is_int(mgr_lane_half_size(1, 96), 0, "ring not a power of two");
	is_int(mgr_lane_init(&l, MGR_LANE_CALLER, a, b, &conf, &caller_ops), -EPROTO,
		"peer's header has other numbers");
	is_int(mgr_lane_init(&l, MGR_LANE_CALLER, b, a, &conf, &caller_ops), -EINVAL,
		"own header has other numbers");
	other.slots = 0;
	is_int(mgr_lane_init(&l, MGR_LANE_CALLER, a, a, &other, &caller_ops), -EINVAL,
		"conf out of range");
	mgr_lane_fini(&l);
	ok(true, "fini of a lane that never was");
	free(a);
	free(b);
}

static void
test_round_trip(void)
{
	struct mgr_lane_head head;
	struct mgr_lane_head answer = { .body_n = 5, .meta_n = 3, .info = 200 };
	uint8_t got[64];
	uint8_t outcome = 99;
	uint32_t slot;

	start();
	slot = must_open(1, 10);
	is_int(mgr_lane_live_n(&pair.caller), 1, "one call lives");
	is_int(mgr_lane_free_n(&pair.caller), SLOTS - 1, "one slot less");
	is_int(mgr_lane_drain(&pair.caller), 0, "nothing for the caller yet");
	is_int(turn(&pair.worker), 1, "one entry for the worker");
	is_int(worker_events[slot], MGR_LANE_NEW | MGR_LANE_DATA | MGR_LANE_END, "all at once");
	mgr_lane_request(&pair.worker, slot, &head);
	is_int(head.body_n, 10, "body_n");
	is_int(head.info, 7, "info");
	ok(mgr_lane_ended(&pair.worker, slot), "ended");
	is_int(kit_read(&pair.worker, slot, got, 64), 10, "ten bytes");
	ok(kit_same(got, 10, 1, 0), "the right ones");
	is_int(mgr_lane_room(&pair.worker, slot), 0, "no room before the head");
	is_int(mgr_lane_answer(&pair.worker, slot, &answer), 0, "answer");
	is_int(mgr_lane_room(&pair.worker, slot), 8, "room is what was declared");
	kit_fill(got, 64, 2, 0);
	is_int(mgr_lane_append(&pair.worker, slot, got, 64), 8, "no more than declared");
	mgr_lane_close(&pair.worker, slot, MGR_LANE_OK, 17);
	mgr_lane_flush(&pair.worker);
	is_int(pair.worker.count.hints, 1, "one hint for a small answer");
	is_int(turn(&pair.caller), 1, "one entry for the caller");
	is_int(caller_events[slot], MGR_LANE_TAKEN | MGR_LANE_DATA | MGR_LANE_CLOSED, "closed");
	is_int(mgr_lane_response(&pair.caller, slot, &head, &outcome), MGR_LANE_IS_CLOSED,
		"state");
	is_int(outcome, MGR_LANE_OK, "outcome");
	is_int(head.info, 200, "status");
	is_int(head.deadline_ns, 17, "retry hint");
	is_int(kit_read(&pair.caller, slot, got, 64), 8, "answer's bytes");
	ok(kit_same(got, 8, 2, 0), "the right ones");
	mgr_lane_release(&pair.caller, slot);
	is_int(mgr_lane_free_n(&pair.caller), SLOTS, "free again");
	is_int(rings, 0, "no bell while both are awake");
	kit_close(&pair);
}

static void
test_edges(void)
{
	static const size_t sizes[] = { 0, 1, BYTES - 1, BYTES, BYTES + 1, 2 * BYTES };
	uint8_t got[4 * BYTES];
	struct iovec iov[2];
	size_t copied;
	size_t i;
	int slot;

	for (i = 0; i < MGR_N(sizes); i++) {
		size_t n = sizes[i];
		size_t fits = n < BYTES ? n : BYTES;

		start();
		slot = open_call(i, n, n, true, &copied);
		is_int(copied, fits, "%zu bytes: %zu fit", n, fits);
		turn(&pair.worker);
		is_int((worker_events[slot] & MGR_LANE_END) != 0, n <= BYTES, "END if it fits");
		is_int(mgr_lane_data(&pair.worker, (uint32_t)slot, iov), fits, "readable");
		is_int(iov[0].iov_len + iov[1].iov_len, fits, "in two pieces");
		is_int(mgr_lane_own(&pair.caller, (uint32_t)slot, iov), fits, "own bytes");
		ok(kit_same(iov[0].iov_base, fits, i, 0), "own bytes are right");
		if (n > BYTES) {
			is_int(mgr_lane_room(&pair.caller, (uint32_t)slot), 0, "ring is full");
			kit_read(&pair.worker, (uint32_t)slot, got, 32);
			mgr_lane_flush(&pair.worker);
			turn(&pair.caller);
			ok((caller_events[slot] & MGR_LANE_ROOM) != 0, "half a ring is a hint");
			kit_fill(got, n - BYTES, i, BYTES);
			is_int(mgr_lane_append(&pair.caller, (uint32_t)slot, got, n - BYTES),
				n - BYTES < 32 ? n - BYTES : 32, "append");
			is_int(mgr_lane_own(&pair.caller, (uint32_t)slot, iov), -ENODATA,
				"the beginning is gone");
		}
		kit_close(&pair);
	}
}

static void
test_refusals(void)
{
	uint8_t byte = 0;
	struct iovec iov = { &byte, 1 };
	struct mgr_lane_head head = { .meta_n = 257 };
	uint32_t i;

	start();
	is_int(mgr_lane_open(&pair.caller, &head, &iov, 1, true, NULL), -EMSGSIZE, "meta_n");
	head = (struct mgr_lane_head){ .body_n = (1 << 20) + 1 };
	is_int(mgr_lane_open(&pair.caller, &head, &iov, 1, true, NULL), -EMSGSIZE, "body_n");
	head.body_n = 0;
	is_int(mgr_lane_open(&pair.caller, &head, &iov, 1, false, NULL), -EINVAL, "too many");
	head.body_n = 2;
	is_int(mgr_lane_open(&pair.caller, &head, &iov, 1, true, NULL), -EINVAL, "too few");
	head = (struct mgr_lane_head){ .body_n = MGR_LANE_UNKNOWN, .meta_n = 2 };
	is_int(mgr_lane_open(&pair.caller, &head, &iov, 1, true, NULL), -EINVAL, "less than META");
	is_int(mgr_lane_free_n(&pair.caller), SLOTS, "no slot was used");
	for (i = 0; i < SLOTS; i++)
		must_open(i, 1);
	is_int(open_call(9, 1, 1, true, NULL), -EAGAIN, "no slot left");
	turn(&pair.worker);
	head = (struct mgr_lane_head){ .meta_n = 257 };
	is_int(mgr_lane_answer(&pair.worker, 0, &head), -EMSGSIZE, "answer over a limit");
	kit_close(&pair);
}

/* An emptied ring is a hint however little was in it, else both sides might wait. */
static void
test_room_hints(void)
{
	uint64_t hints;
	uint8_t got[40];
	int slot;

	start();
	slot = open_call(1, 40, 1000, false, NULL);
	turn(&pair.worker);
	hints = pair.worker.count.hints;
	kit_read(&pair.worker, (uint32_t)slot, got, 10);
	is_int(pair.worker.count.hints, hints, "a little consumed is no hint");
	kit_read(&pair.worker, (uint32_t)slot, got, 22);
	is_int(pair.worker.count.hints, hints + 1, "half a ring is one");
	turn(&pair.worker);
	turn(&pair.caller);
	is_int(mgr_lane_room(&pair.caller, (uint32_t)slot), 56, "room");
	kit_read(&pair.worker, (uint32_t)slot, got, 7);
	is_int(pair.worker.count.hints, hints + 1, "no hint");
	kit_read(&pair.worker, (uint32_t)slot, got, 1);
	is_int(pair.worker.count.hints, hints + 2, "emptied: a hint");
	kit_close(&pair);
}

/* Streams n bytes each way at once through rings of 64; unknown lengths. */
static void
test_stream(void)
{
	struct mgr_lane_head head = { .body_n = MGR_LANE_UNKNOWN, .deadline_ns = 5 };
	struct mgr_lane_head answer = { .body_n = MGR_LANE_UNKNOWN };
	const uint64_t n = 100000;
	uint64_t sent[2] = { 0, 0 };
	uint64_t read[2] = { 0, 0 };
	uint8_t got[100];
	bool good = true;
	bool ended = false;
	unsigned rounds;
	size_t k;
	int slot;

	start();
	slot = mgr_lane_open(&pair.caller, &head, NULL, 0, false, NULL);
	turn(&pair.worker);
	is_int(worker_events[slot], MGR_LANE_NEW, "a call without bytes");
	mgr_lane_answer(&pair.worker, (uint32_t)slot, &answer);
	for (rounds = 0; rounds < 100000 && (read[0] < n || read[1] < n); rounds++) {
		struct mgr_lane *l = (rounds & 1) != 0 ? &pair.worker : &pair.caller;
		unsigned me = rounds & 1;

		turn(l);
		k = 1 + rounds % 99;
		if (k > n - sent[me])
			k = (size_t)(n - sent[me]);
		kit_fill(got, k, me, sent[me]);
		sent[me] += mgr_lane_append(l, (uint32_t)slot, got, k);
		if (me == 0 && sent[0] == n && !ended) {
			mgr_lane_end(l, (uint32_t)slot);
			ended = true;
		}
		k = kit_read(l, (uint32_t)slot, got, 1 + rounds % 37);
		good = good && kit_same(got, k, !me, read[!me]);
		read[!me] += k;
		mgr_lane_flush(l);
	}
	ok(good, "every byte at its place");
	is_int(read[0], n, "the whole request");
	is_int(read[1], n, "the whole answer");
	ok((worker_events[slot] & MGR_LANE_END) != 0, "END");
	ok((caller_events[slot] & MGR_LANE_HEAD) != 0, "HEAD before CLOSED");
	finish((uint32_t)slot, MGR_LANE_OK);
	turn(&pair.caller);
	ok((caller_events[slot] & MGR_LANE_CLOSED) != 0, "CLOSED");
	ok(pair.caller.count.merged > 0, "hints were merged");
	is_int(pair.caller.count.violations + pair.worker.count.violations, 0, "no violation");
	kit_close(&pair);
}

static void
test_order_and_slots(void)
{
	uint32_t slots[SLOTS];
	uint32_t i;

	start();
	for (i = 0; i < SLOTS; i++)
		slots[i] = must_open(i, 1);
	mgr_lane_set_user(&pair.caller, slots[1], &pair);
	ok(mgr_lane_user(&pair.caller, slots[1]) == &pair, "a user pointer per slot");
	turn(&pair.worker);
	is_int(order_n, SLOTS, "all taken");
	ok(memcmp(order, slots, sizeof(slots)) == 0, "in the order of opening");
	is_int(mgr_lane_next(&pair.worker, 0), 0, "next");
	finish(0, MGR_LANE_OK);
	is_int(mgr_lane_next(&pair.worker, 0), 1, "next live one");
	is_int(mgr_lane_next(&pair.worker, SLOTS), -1, "no more");
	finish(2, 3);
	turn(&pair.caller);
	mgr_lane_release(&pair.caller, 2);
	ok(mgr_lane_user(&pair.caller, 2) == NULL, "a free slot has no user");
	is_int(must_open(7, 1), 2, "last in, first out");
	kit_close(&pair);
}

static void
test_deadline(void)
{
	struct mgr_lane_head head = { .deadline_ns = MGR_LANE_NO_DEADLINE };
	struct mgr_lane_head got;
	struct timespec t;
	int64_t now_ns;

	start();
	mgr_lane_open(&pair.caller, &head, NULL, 0, true, NULL);
	head.deadline_ns = 12345;
	mgr_lane_open(&pair.caller, &head, NULL, 0, true, NULL);
	turn(&pair.worker);
	clock_gettime(CLOCK_MONOTONIC, &t);
	now_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	mgr_lane_request(&pair.worker, 0, &got);
	ok(got.deadline_ns <= now_ns + pair.conf.deadline_max_ns, "clamped");
	ok(got.deadline_ns > now_ns, "but not gone");
	mgr_lane_request(&pair.worker, 1, &got);
	is_int(got.deadline_ns, 12345, "an early one stays");
	mgr_lane_close(&pair.worker, 0, 4, INT64_MAX);
	turn(&pair.caller);
	mgr_lane_response(&pair.caller, 0, &got, NULL);
	is_int(got.deadline_ns, pair.conf.deadline_max_ns, "so is a retry hint");
	kit_close(&pair);
}

int
main(void)
{
	test_sizes();
	test_round_trip();
	test_edges();
	test_refusals();
	test_room_hints();
	test_stream();
	test_order_and_slots();
	test_deadline();
	return done_testing();
}
