/*
 * A peer that writes anything anywhere: random and half-valid values over either half while
 * both sides work.  The lane may fail, the process may not; guard pages stand around the
 * halves, and the test is meant for the address and undefined sanitizers.
 */
#include "tap.h"

#include <pthread.h>
#include <sys/mman.h>

#include "lane-work.h"

#define SLOTS 8u

static const struct mgr_lane_conf conf = {
	.slots = SLOTS, .bytes = 64, .meta_max = 64, .body_max = 4096,
	.deadline_max_ns = 1000000000,
};

struct scribbler {
	struct mgr_lane_half *half[2];
	struct mgr_lane_line *line[2];
	uint8_t *bytes[2];
	uint64_t seed;
	unsigned which;			/* bit 0: the caller's half, bit 1: the worker's */
	atomic_bool stop;
};

static struct work caller;
static struct work worker;
static uint64_t dropped;
static uint64_t events;
static uint64_t reasons_n;
static const char *reasons[32];

static void *
guarded(size_t n)
{
	char *p = mmap(NULL, n + 2 * LANE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mgr_assert(p != MAP_FAILED);
	mgr_assert(mprotect(p + LANE_PAGE, n, PROT_READ | PROT_WRITE) == 0);
	return p + LANE_PAGE;
}

/* A value near what stands there, or near a limit, or anything. */
static uint64_t
forge(struct scribbler *s, uint64_t was)
{
	uint64_t r = kit_rand(&s->seed);

	switch (r % 9) {
	case 0:
		return was + 1;
	case 1:
		return was - 1;
	case 2:
		return was ^ UINT64_C(1) << (r >> 8) % 64;
	case 3:
		return (r >> 8) % 130;
	case 4:
		return UINT64_MAX - (r >> 8) % 3;
	case 5:
		return (was & UINT64_C(0xffffffff00000000)) | (r >> 8) % 8;
	case 6:
		return was + (UINT64_C(1) << 32);
	case 7:
		return was + (r >> 8) % 65;
	default:
		return kit_rand(&s->seed);
	}
}

static void
scribble_word(struct scribbler *s, _Atomic uint64_t *p)
{
	put_relaxed(p, forge(s, get_relaxed(p)));
}

static void
scribble(struct scribbler *s)
{
	unsigned side = s->which == 3 ? (unsigned)kit_rand(&s->seed) % 2 : s->which >> 1;
	struct mgr_lane_half *h = s->half[side];
	uint32_t slot = (uint32_t)kit_rand(&s->seed) % SLOTS;
	struct mgr_lane_line *line = &s->line[side][slot];
	uint32_t entry = (uint32_t)kit_rand(&s->seed) % (2 * SLOTS);

	switch (kit_rand(&s->seed) % 12) {
	case 0:
		scribble_word(s, &h->head);
		break;
	case 1:
		scribble_word(s, &h->tail);
		break;
	case 2:
		scribble_word(s, &h->bell);
		break;
	case 3:
		put_relaxed32(&h->ring[entry],
			(uint32_t)forge(s, get_relaxed32(&h->ring[entry])));
		break;
	case 4:
		put_relaxed32(&h->ring[entry], slot | (entry & 1) << 31);
		put_release(&h->head, get_relaxed(&h->head) + 1);
		break;
	case 5:
		scribble_word(s, &line->ctl);
		break;
	case 6:
		scribble_word(s, &line->out);
		break;
	case 7:
		scribble_word(s, &line->in);
		break;
	case 8:
		scribble_word(s, &line->time_ns);
		break;
	case 9:
		scribble_word(s, &line->body_n);
		break;
	case 10:
		put_relaxed32(&line->meta_n, (uint32_t)forge(s, get_relaxed32(&line->meta_n)));
		break;
	default:
		memset(s->bytes[side] + kit_rand(&s->seed) % (SLOTS * 64), (int)entry, 1);
		break;
	}
}

static void *
scribble_on(void *arg)
{
	struct scribbler *s = arg;

	while (!atomic_load(&s->stop)) {
		scribble(s);
		sched_yield();
	}
	return NULL;
}

static void
open_lanes(void *a, void *b, size_t n, uint64_t seed, struct scribbler *s)
{
	int r;

	memset(a, 0, n);
	memset(b, 0, n);
	mgr_lane_half_init(a, &conf);
	mgr_lane_half_init(b, &conf);
	caller = (struct work){ .fd = -1, .seed = seed, .body_max = 200, .cancel_in = 30,
		.liar = true, .to_open = UINT64_MAX };
	worker = (struct work){ .fd = -1, .seed = seed + 1, .body_max = 200, .early_in = 30,
		.liar = true };
	r = mgr_lane_init(&caller.lane, MGR_LANE_CALLER, a, b, &conf, &work_caller_ops);
	mgr_assert(r == 0);
	r = mgr_lane_init(&worker.lane, MGR_LANE_WORKER, b, a, &conf, &work_worker_ops);
	mgr_assert(r == 0);
	s->half[0] = a;
	s->half[1] = b;
	s->line[0] = caller.lane.line;
	s->line[1] = worker.lane.line;
	s->bytes[0] = caller.lane.bytes;
	s->bytes[1] = worker.lane.bytes;
}

static void
note(const struct mgr_lane *l)
{
	uint64_t i;

	if (l->why == NULL)
		return;
	for (i = 0; i < reasons_n; i++)
		if (strcmp(reasons[i], l->why) == 0)
			return;
	if (reasons_n < MGR_N(reasons))
		reasons[reasons_n++] = l->why;
}

/* One turn of one side; false when its lane is spoiled. */
static bool
turn(struct work *w)
{
	int r = mgr_lane_drain(&w->lane);
	int slot = (int)(kit_rand(&w->seed) % SLOTS);

	if (r < 0)
		return false;
	if (w == &caller) {
		while (mgr_lane_free_n(&w->lane) > 2 && work_open_one(w))
			continue;
	}
	slot = mgr_lane_next(&w->lane, (uint32_t)slot);
	if (slot >= 0 && w == &worker && work_chance(w, 10))
		mgr_lane_close(&w->lane, (uint32_t)slot, MGR_OUT_TIMEOUT, -1);
	mgr_lane_flush(&w->lane);
	if (work_chance(w, 3))
		mgr_lane_rest(&w->lane);
	return true;
}

/* Ends the calls of a spoiled lane as an owner would. */
static void
drop(void)
{
	events += caller.lane.count.looks + worker.lane.count.looks;
	dropped += caller.lane.bad || worker.lane.bad;
	note(&caller.lane);
	note(&worker.lane);
	work_end(&caller);
	work_end(&worker);
	mgr_assert(mgr_lane_live_n(&caller.lane) == 0);
	mgr_assert(mgr_lane_live_n(&worker.lane) == 0);
	mgr_lane_fini(&caller.lane);
	mgr_lane_fini(&worker.lane);
}

static void
fuzz(void *a, void *b, size_t n, unsigned lanes)
{
	struct scribbler s = { .seed = 77 };
	unsigned i;
	unsigned k;

	for (i = 0; i < lanes; i++) {
		open_lanes(a, b, n, 1000 + i, &s);
		s.which = 1 + i % 3;
		for (k = 0; k < 300; k++) {
			if (!turn((kit_rand(&s.seed) & 1) != 0 ? &caller : &worker))
				break;
			if (kit_rand(&s.seed) % (1 + i % 7) == 0)
				scribble(&s);
		}
		drop();
	}
}

static void
race(void *a, void *b, size_t n, unsigned lanes)
{
	struct scribbler s = { .seed = 99 };
	pthread_t thread;
	unsigned i;
	unsigned k;

	for (i = 0; i < lanes; i++) {
		open_lanes(a, b, n, 5000 + i, &s);
		s.which = 1 + i % 3;
		atomic_store(&s.stop, false);
		mgr_assert(pthread_create(&thread, NULL, scribble_on, &s) == 0);
		for (k = 0; k < 3000; k++) {
			bool caller_lives = turn(&caller);
			bool worker_lives = turn(&worker);

			if (!caller_lives && !worker_lives)
				break;
		}
		drop();
		atomic_store(&s.stop, true);
		pthread_join(thread, NULL);
	}
}

int
main(void)
{
	size_t n = mgr_lane_half_size(conf.slots, conf.bytes);
	void *a = guarded(n);
	void *b = guarded(n);
	uint64_t i;

	fuzz(a, b, n, 5000 * test_scale());
	ok(dropped > 1000, "spoiled lanes were dropped");
	ok(events > 5000, "but lanes worked before");
	diag("one thread: %" PRIu64 " lanes dropped, %" PRIu64 " looks", dropped, events);
	dropped = 0;
	events = 0;
	race(a, b, n, 200 * test_scale());
	ok(dropped > 20, "lanes dropped under a racing scribbler");
	diag("two threads: %" PRIu64 " lanes dropped, %" PRIu64 " looks", dropped, events);
	ok(reasons_n >= 8, "for many reasons");
	for (i = 0; i < reasons_n; i++)
		diag("%s", reasons[i]);
	return done_testing();
}
