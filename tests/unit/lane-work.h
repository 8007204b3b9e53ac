/*
 * A workload for two lanes: calls of random lengths that stream both ways, checked byte by
 * byte, with random cancels and early closes.  Each side is one struct and one loop, so that
 * threads, processes and a liar can drive the same code.
 */
#ifndef MGR_TESTS_LANE_WORK_H
#define MGR_TESTS_LANE_WORK_H

#include <poll.h>
#include <sys/socket.h>

#include "base/outcome.h"
#include "lane-kit.h"

#define WORK_SLOTS	64
#define WORK_META	16u		/* request: id, request length, answer length */
#define WORK_ANSWER	8u		/* answer: id */

struct work_call {
	uint64_t id;
	uint32_t request_n;		/* BODY of the request, without META */
	uint32_t answer_n;
	uint64_t sent;
	uint64_t got;
	bool parsed;			/* worker: META is here */
};

struct work {
	struct mgr_lane lane;
	int fd;				/* the bell, or -1 */
	uint64_t seed;
	uint32_t body_max;
	unsigned cancel_in;		/* one look in so many; 0 = never */
	unsigned early_in;
	unsigned spin;			/* empty drains before each rest */
	bool liar;			/* the peer lies: nothing that it says is checked */
	struct work_call call[WORK_SLOTS];
	uint64_t next_id;
	uint64_t last_id;
	uint64_t to_open;
	uint64_t opened;
	uint64_t good;
	uint64_t failed;
	uint64_t cancelled;
	uint64_t gone;
	uint64_t wrong;			/* must stay 0 unless the peer lies */
};

static inline struct work *
work_of(struct mgr_lane *l)
{
	return MGR_CONTAINER(l, struct work, lane);
}

static inline bool
work_chance(struct work *w, unsigned in)
{
	return in != 0 && kit_rand(&w->seed) % in == 0;
}

static inline int
work_ring(struct mgr_lane *l)
{
	struct work *w = work_of(l);

	if (w->fd < 0)
		return 0;
	return send(w->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/* Bytes [at, at + n) of a stream that starts with meta_n bytes of META. */
static inline void
work_fill(uint8_t *to, size_t n, const void *meta, size_t meta_n, uint64_t id, uint64_t at)
{
	size_t i;

	for (i = 0; i < n; i++, at++)
		to[i] = at < meta_n ? ((const uint8_t *)meta)[at] : kit_byte(id, at - meta_n);
}

/* The same for what was read: everything is compared. */
static inline void
work_check(struct work *w, const uint8_t *p, size_t n, const void *meta, size_t meta_n,
	uint64_t id, uint64_t at)
{
	uint8_t want[128];

	work_fill(want, n, meta, meta_n, id, at);
	if (memcmp(p, want, n) != 0)
		w->wrong++;
}

/* The caller */

static inline void
work_request_meta(const struct work_call *c, uint8_t meta[WORK_META])
{
	memcpy(meta, &c->id, 8);
	memcpy(meta + 8, &c->request_n, 4);
	memcpy(meta + 12, &c->answer_n, 4);
}

static inline void
work_send_request(struct work *w, uint32_t slot)
{
	struct work_call *c = &w->call[slot];
	uint64_t total = WORK_META + (uint64_t)c->request_n;
	uint8_t meta[WORK_META];
	uint8_t part[100];
	size_t n = 1;

	work_request_meta(c, meta);
	while (c->sent < total && n > 0) {
		n = sizeof(part);
		if (n > total - c->sent)
			n = (size_t)(total - c->sent);
		work_fill(part, n, meta, sizeof(meta), c->id, c->sent);
		n = mgr_lane_append(&w->lane, slot, part, n);
		c->sent += n;
		if (c->sent == total)
			mgr_lane_end(&w->lane, slot);
	}
}

static inline void
work_read_answer(struct work *w, uint32_t slot)
{
	struct work_call *c = &w->call[slot];
	uint8_t part[100];
	size_t n;

	while ((n = kit_read(&w->lane, slot, part, 1 + kit_rand(&w->seed) % 100)) > 0) {
		work_check(w, part, n, &c->id, WORK_ANSWER, ~c->id, c->got);
		c->got += n;
	}
}

static inline void
work_caller_look(struct mgr_lane *l, uint32_t slot, unsigned events)
{
	struct work *w = work_of(l);
	struct work_call *c = &w->call[slot];
	struct mgr_lane_head head;
	uint8_t outcome = 0;

	if (work_chance(w, w->cancel_in)) {
		mgr_lane_cancel(l, slot, 3);
		w->cancelled++;
		return;
	}
	work_send_request(w, slot);
	work_read_answer(w, slot);
	if ((events & MGR_LANE_CLOSED) == 0)
		return;
	mgr_lane_response(l, slot, &head, &outcome);
	if (outcome == MGR_LANE_OK) {
		w->good++;
		if (c->got != WORK_ANSWER + (uint64_t)c->answer_n || head.info != (uint32_t)c->id)
			w->wrong++;
	} else {
		w->failed++;
	}
	mgr_lane_release(l, slot);
}

static inline bool
work_open_one(struct work *w)
{
	struct work_call c = {
		.id = w->next_id + 1,
		.request_n = (uint32_t)(kit_rand(&w->seed) % (w->body_max + 1)),
		.answer_n = (uint32_t)(kit_rand(&w->seed) % (w->body_max + 1)),
	};
	struct mgr_lane_head head = {
		.deadline_ns = MGR_LANE_NO_DEADLINE,
		.body_n = c.id % 2 == 0 ? MGR_LANE_UNKNOWN : c.request_n,
		.meta_n = WORK_META,
		.info = (uint32_t)c.id,
	};
	uint8_t first[200];
	size_t n = WORK_META + (size_t)c.request_n;
	struct iovec iov[2] = { { first, 8 }, { first + 8, 0 } };
	size_t copied = 0;
	uint8_t meta[WORK_META];
	int slot;

	if (n > sizeof(first))
		n = sizeof(first);
	work_request_meta(&c, meta);
	work_fill(first, n, meta, sizeof(meta), c.id, 0);
	iov[1].iov_len = n - 8;
	slot = mgr_lane_open(&w->lane, &head, iov, c.id % 8 == 0 ? 0 : 2,
		c.id % 8 != 0 && n == WORK_META + c.request_n, &copied);
	if (slot < 0)
		return false;
	c.sent = copied;
	w->call[slot] = c;
	w->next_id = c.id;
	w->to_open--;
	w->opened++;
	/* One that is open twice would show up as a wrong byte. */
	work_send_request(w, (uint32_t)slot);
	if (work_chance(w, w->cancel_in)) {
		mgr_lane_cancel(&w->lane, (uint32_t)slot, 4);
		w->cancelled++;
	}
	return true;
}

/* False when every call has ended and every zombie is gone. */
static inline bool
work_caller_step(struct work *w)
{
	while (w->to_open > 0 && work_open_one(w))
		continue;
	return w->to_open > 0 || mgr_lane_live_n(&w->lane) > 0 || mgr_lane_zombie_n(&w->lane) > 0;
}

/* The worker */

static inline bool
work_parse(struct work *w, uint32_t slot)
{
	struct work_call *c = &w->call[slot];
	struct mgr_lane_head head;
	struct mgr_lane_head answer;
	uint8_t meta[WORK_META];

	if (kit_peek(&w->lane, slot, meta, sizeof(meta)) < sizeof(meta))
		return false;
	mgr_lane_consume(&w->lane, slot, sizeof(meta));
	memcpy(&c->id, meta, 8);
	memcpy(&c->request_n, meta + 8, 4);
	memcpy(&c->answer_n, meta + 12, 4);
	mgr_lane_request(&w->lane, slot, &head);
	if (head.info != (uint32_t)c->id || c->answer_n > w->body_max)
		w->wrong++;
	if (w->liar)
		c->answer_n %= w->body_max + 1;
	mgr_lane_started(&w->lane, slot);
	answer = (struct mgr_lane_head){
		.body_n = c->id % 4 < 2 ? MGR_LANE_UNKNOWN : c->answer_n,
		.meta_n = WORK_ANSWER,
		.info = (uint32_t)c->id,
	};
	c->parsed = mgr_lane_answer(&w->lane, slot, &answer) == 0;
	return c->parsed;
}

static inline void
work_read_request(struct work *w, uint32_t slot)
{
	struct work_call *c = &w->call[slot];
	uint8_t part[100];
	size_t n;

	while ((n = kit_read(&w->lane, slot, part, 1 + kit_rand(&w->seed) % 100)) > 0) {
		work_check(w, part, n, NULL, 0, c->id, c->got);
		c->got += n;
	}
}

static inline void
work_send_answer(struct work *w, uint32_t slot)
{
	struct work_call *c = &w->call[slot];
	uint64_t total = WORK_ANSWER + (uint64_t)c->answer_n;
	uint8_t part[100];
	size_t n = 1;

	while (c->sent < total && n > 0) {
		n = sizeof(part);
		if (n > total - c->sent)
			n = (size_t)(total - c->sent);
		work_fill(part, n, &c->id, WORK_ANSWER, ~c->id, c->sent);
		n = mgr_lane_append(&w->lane, slot, part, n);
		c->sent += n;
	}
}

static inline void
work_worker_look(struct mgr_lane *l, uint32_t slot, unsigned events)
{
	struct work *w = work_of(l);
	struct work_call *c = &w->call[slot];
	struct mgr_lane_head head;

	if ((events & MGR_LANE_NEW) != 0) {
		*c = (struct work_call){ 0 };
		w->opened++;
		mgr_lane_request(l, slot, &head);
		if (head.info <= w->last_id)	/* calls come in the order of opening */
			w->wrong++;
		w->last_id = head.info;
	}
	if ((events & MGR_LANE_CANCEL) != 0) {
		mgr_lane_close(l, slot, MGR_OUT_CANCELLED, 0);
		w->cancelled++;
		return;
	}
	if (!c->parsed && !work_parse(w, slot))
		return;
	if (work_chance(w, w->early_in)) {
		mgr_lane_close(l, slot, MGR_OUT_ERROR, 1);
		w->failed++;
		return;
	}
	work_read_request(w, slot);
	work_send_answer(w, slot);
	if (!mgr_lane_ended(l, slot) || c->sent < WORK_ANSWER + (uint64_t)c->answer_n)
		return;
	if (c->got != c->request_n)
		w->wrong++;
	mgr_lane_close(l, slot, MGR_LANE_OK, 0);
	w->good++;
}

static const struct mgr_lane_ops work_caller_ops = {
	.ring = work_ring,
	.look = work_caller_look,
};

static const struct mgr_lane_ops work_worker_ops = {
	.ring = work_ring,
	.look = work_worker_look,
};

/* Empties the bell; false at EOF. */
static inline bool
work_empty(int fd)
{
	char bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Runs one side until it is done (0) or the peer left (-EPIPE) or lied (-EPROTO).  There is
 * no time limit in poll: a lost wake-up hangs, and the test's alarm says so. */
static inline int
work_loop(struct work *w)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	unsigned spun = 0;
	int r;

	for (;;) {
		r = mgr_lane_drain(&w->lane);
		if (r < 0)
			return r;
		if (w->lane.side == MGR_LANE_CALLER && !work_caller_step(w))
			break;
		mgr_lane_flush(&w->lane);
		spun = r > 0 ? 0 : spun + 1;
		if (spun < w->spin)
			continue;
		spun = 0;
		if (w->lane.count.arms % 16 == 0 && !work_empty(w->fd))
			return -EPIPE;
		if (!mgr_lane_rest(&w->lane))
			continue;
		if (poll(&p, 1, -1) > 0 && !work_empty(w->fd))
			return -EPIPE;
	}
	mgr_lane_flush(&w->lane);
	return 0;
}

/* After EOF: whole answers are delivered, the rest has lost its worker or caller. */
static inline void
work_end(struct work *w)
{
	int slot;

	w->cancel_in = 0;
	mgr_lane_sweep(&w->lane);
	for (slot = 0; (slot = mgr_lane_next(&w->lane, (uint32_t)slot)) >= 0; slot++) {
		w->gone++;
		if (w->lane.side == MGR_LANE_CALLER)
			mgr_lane_cancel(&w->lane, (uint32_t)slot, 0);
		else
			mgr_lane_close(&w->lane, (uint32_t)slot, MGR_OUT_GONE, 0);
	}
}

#endif
