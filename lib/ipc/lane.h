/*
 * The lane: calls between one caller process and one worker process through two halves of
 * shared memory.  Each side writes its own half and only reads the other's; nothing here
 * locks, waits or does I/O, the bell is a function of the owner.  The halves belong to the
 * owner (lane_mem.h), the lane owns only private memory, and every word that the peer wrote
 * is loaded once and checked: a failed check spoils the lane for good, never the process.
 */
#ifndef MGR_IPC_LANE_H
#define MGR_IPC_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define MGR_LANE_SLOTS		256u
#define MGR_LANE_SLOTS_MAX	4096u
#define MGR_LANE_BYTES		65536u
#define MGR_LANE_BYTES_MIN	64u
#define MGR_LANE_BYTES_MAX	(1u << 24)

#define MGR_LANE_UNKNOWN	UINT64_MAX	/* body_n: the end is told by END or CLOSED */
#define MGR_LANE_NO_DEADLINE	INT64_MAX
#define MGR_LANE_OK		0u	/* MGR_OUT_OK, the outcome that promises all bytes */

enum mgr_lane_side {
	MGR_LANE_CALLER,
	MGR_LANE_WORKER,
};

/* How far the worker came with a call, as the caller last saw it. */
enum mgr_lane_state {
	MGR_LANE_IS_WAITING = 0,
	MGR_LANE_IS_TAKEN = 1,
	MGR_LANE_IS_STARTED = 2,
	MGR_LANE_IS_HEAD = 3,
	MGR_LANE_IS_CLOSED = 4,
};

/* What a look found new; several at once are usual. */
enum mgr_lane_event {
	MGR_LANE_NEW = 1u << 0,		/* worker: a call was taken */
	MGR_LANE_DATA = 1u << 1,	/* mgr_lane_data grew */
	MGR_LANE_ROOM = 1u << 2,	/* mgr_lane_room grew */
	MGR_LANE_END = 1u << 3,		/* worker: the request is complete */
	MGR_LANE_CANCEL = 1u << 4,	/* worker: nobody waits any more, close the call */
	MGR_LANE_TAKEN = 1u << 5,	/* caller: the worker has the call */
	MGR_LANE_STARTED = 1u << 6,	/* caller: a handler may have seen it */
	MGR_LANE_HEAD = 1u << 7,	/* caller: the answer's head is there, its end not yet */
	MGR_LANE_CLOSED = 1u << 8,	/* caller: head, outcome and all bytes are there */
};

/* Agreed in the greeting: both sides use the same numbers, in both directions. */
struct mgr_lane_conf {
	uint32_t slots;			/* 1 .. MGR_LANE_SLOTS_MAX */
	uint32_t bytes;			/* ring per slot and direction, a power of two */
	uint32_t meta_max;
	uint64_t body_max;		/* also bounds a body of unknown length */
	int64_t deadline_max_ns;	/* a deadline is at most so far away; 0 = no limit */
};

struct mgr_lane_head {
	int64_t deadline_ns;		/* CLOCK_MONOTONIC; in a response the retry hint */
	uint64_t body_n;		/* or MGR_LANE_UNKNOWN */
	uint32_t meta_n;		/* the stream is META, then BODY */
	uint32_t info;			/* request: kind, flags, priority; response: status */
};

struct mgr_lane;
struct mgr_lane_half;
struct mgr_lane_line;
struct mgr_lane_slot;

struct mgr_lane_ops {
	/* Sends one bell byte without blocking: 0 or -errno.  EPIPE and ECONNRESET mean that
	 * the peer left; any other error (EAGAIN: a peer that never reads) spoils the lane. */
	int (*ring)(struct mgr_lane *l);
	/* Something is new on a slot.  May use every call on this lane but drain, sweep, init
	 * and fini.  CLOSED comes once and last; on a zombie nothing comes at all. */
	void (*look)(struct mgr_lane *l, uint32_t slot, unsigned events);
};

struct mgr_lane_counts {
	uint64_t calls;			/* opened or taken */
	uint64_t hints;			/* plain entries pushed */
	uint64_t merged;		/* hints spared because one was still unread */
	uint64_t bells;			/* bell bytes sent */
	uint64_t arms;			/* times the bell was armed: empty the socket every 16th */
	uint64_t looks;			/* entries that brought something */
	uint64_t stale;			/* entries that brought nothing */
	uint64_t late;			/* caller: good answers to cancelled calls, dropped */
	uint64_t violations;
};

/* Public only to be embedded: everything below `count` is the lane's own business. */
struct mgr_lane {
	void *user;
	const char *why;		/* static text: the violation that spoiled the lane */
	struct mgr_lane_counts count;

	const struct mgr_lane_ops *ops;
	struct mgr_lane_conf conf;
	enum mgr_lane_side side;
	bool bad;
	bool gone;
	bool pushed;
	bool draining;
	struct mgr_lane_half *mine;
	const struct mgr_lane_half *peer;
	struct mgr_lane_line *line;
	const struct mgr_lane_line *peer_line;
	uint8_t *bytes;
	const uint8_t *peer_bytes;
	uint64_t head;
	uint64_t tail;
	uint64_t peer_tail;
	uint64_t bell;
	uint64_t rung;
	uint32_t ring_n;
	uint32_t head_at;		/* head mod ring_n */
	uint32_t tail_at;
	uint32_t free_n;
	uint32_t live_n;
	uint32_t owed_n;
	int64_t clock_ns;
	struct mgr_lane_slot *slot;
	uint32_t *batch;
	uint32_t *free;
	uint32_t *owed;
};

/* Making one */

/* Bytes of one half; 0 if slots or bytes are out of range. */
size_t mgr_lane_half_size(uint32_t slots, uint32_t bytes);

/* Writes the header of a zeroed half of mgr_lane_half_size bytes, page-aligned. */
void mgr_lane_half_init(void *half, const struct mgr_lane_conf *conf);

/* Makes a lane over two halves of that size (l zeroed but for user); checks both headers
 * against conf once.  -EINVAL: conf or own half, -EPROTO: the peer's header, -ENOMEM. */
int mgr_lane_init(struct mgr_lane *l, enum mgr_lane_side side, void *mine, const void *peer,
	const struct mgr_lane_conf *conf, const struct mgr_lane_ops *ops);

/* Frees the private memory; the halves stay with the owner.  A zeroed lane is fine. */
void mgr_lane_fini(struct mgr_lane *l);

/*
 * The caller's calls.  A slot is the user's from mgr_lane_open until mgr_lane_cancel (any
 * time) or mgr_lane_release (after CLOSED); one of the two must be called exactly once.
 * After CLOSED bytes may remain to be consumed: release when they are, or drop them by
 * releasing at once.  A cancelled slot is a zombie: it is used again only after the worker
 * closed it, which the lane does by itself.
 */

/* Opens a call with as much of iov as fits.  end: iov is the whole request, which is then
 * complete if all of it fitted; else append the rest and call mgr_lane_end.  Gives the slot;
 * -EAGAIN: none is free, -EMSGSIZE: over a limit, -EINVAL: iov against head,
 * -EPROTO or -EPIPE: the lane is to be dropped.  ret_copied may be NULL. */
int mgr_lane_open(struct mgr_lane *l, const struct mgr_lane_head *head,
	const struct iovec *iov, int iov_n, bool end, size_t *ret_copied);

/* The request is complete; where its length was declared, all of it must be there. */
void mgr_lane_end(struct mgr_lane *l, uint32_t slot);

/* Leaves the call; the worker is told why.  Same as release where CLOSED was seen. */
void mgr_lane_cancel(struct mgr_lane *l, uint32_t slot, uint8_t reason);

/* Frees the slot after CLOSED (or of a lane that is spoiled or swept); wipes the request. */
void mgr_lane_release(struct mgr_lane *l, uint32_t slot);

/* The worker's state as last seen.  With HEAD or CLOSED *ret_head is the answer's head, with
 * CLOSED *ret_outcome its outcome (any byte: mgr_outcome_row knows all of them); either may
 * be NULL. */
enum mgr_lane_state mgr_lane_response(const struct mgr_lane *l, uint32_t slot,
	struct mgr_lane_head *ret_head, uint8_t *ret_outcome);

/* My own request from its first byte, for a retry elsewhere; also on a spoiled lane.
 * -ENODATA: more than one ring was written, so its beginning is gone. */
ssize_t mgr_lane_own(const struct mgr_lane *l, uint32_t slot, struct iovec iov[2]);

/* Slots that mgr_lane_open could give now. */
uint32_t mgr_lane_free_n(const struct mgr_lane *l);

/* Cancelled calls that the worker did not close yet: long so, and the worker hangs. */
uint32_t mgr_lane_zombie_n(const struct mgr_lane *l);

/* The worker's calls: a slot is the user's from NEW until mgr_lane_close. */

/* The head of a taken call, its deadline clamped. */
void mgr_lane_request(const struct mgr_lane *l, uint32_t slot, struct mgr_lane_head *ret);

/* Whether END was seen, so that mgr_lane_data is all that will ever come. */
bool mgr_lane_ended(const struct mgr_lane *l, uint32_t slot);

/* The reason of a CANCEL. */
uint8_t mgr_lane_reason(const struct mgr_lane *l, uint32_t slot);

/* Says that a handler is about to see the call; from here on it may not be retried freely. */
void mgr_lane_started(struct mgr_lane *l, uint32_t slot);

/* Sets the head of the answer (deadline_ns is ignored), once, before the first byte.  It goes
 * out with the next flush or rest, or together with CLOSED.  -EMSGSIZE: over a limit. */
int mgr_lane_answer(struct mgr_lane *l, uint32_t slot, const struct mgr_lane_head *head);

/* Ends the call.  MGR_LANE_OK promises that the declared length was written; without
 * mgr_lane_answer the answer is empty.  The slot may be taken again from now on. */
void mgr_lane_close(struct mgr_lane *l, uint32_t slot, uint8_t outcome,
	int64_t retry_hint_ns);

/* Both */

/* The user's pointer of a slot: NULL at open and at NEW. */
void *mgr_lane_user(const struct mgr_lane *l, uint32_t slot);
void mgr_lane_set_user(struct mgr_lane *l, uint32_t slot, void *user);

/* Calls that are the user's (no zombies), and the first of them at or after from, or -1. */
uint32_t mgr_lane_live_n(const struct mgr_lane *l);
int mgr_lane_next(const struct mgr_lane *l, uint32_t from);

/* Bytes that append would take; never more than the declared length leaves.  0 before
 * mgr_lane_answer, after mgr_lane_end and after CLOSED. */
size_t mgr_lane_room(const struct mgr_lane *l, uint32_t slot);

/* Copies up to n bytes into my ring and gives how many. */
size_t mgr_lane_append(struct mgr_lane *l, uint32_t slot, const void *p, size_t n);

/* The readable bytes, in place and read-only, in up to two pieces; unused ones are empty.
 * The peer can change them at any time: copy what is parsed.  Valid until consume, release,
 * cancel or close. */
size_t mgr_lane_data(const struct mgr_lane *l, uint32_t slot, struct iovec iov[2]);

/* Gives the first n readable bytes back to the writer. */
void mgr_lane_consume(struct mgr_lane *l, uint32_t slot, size_t n);

/*
 * A turn of the loop: drain, work, flush, and when nothing is left to do rest, then sleep.
 * After -EPROTO (see why) everything is a no-op or an error; after -EPIPE or EOF sweep once.
 * Then end the calls that are left (mgr_lane_next, response, own, cancel or close) and fini.
 */

/* Disarms, takes what the peer announced and looks at it: entries handled, -EPROTO: the peer
 * broke the protocol, -EPIPE: it left. */
int mgr_lane_drain(struct mgr_lane *l);

/* Makes what was written known, and rings if the peer sleeps.  Call it before long work. */
void mgr_lane_flush(struct mgr_lane *l);

/* Whether the peer announced something: a cheap peek for a short spin before rest. */
bool mgr_lane_news(const struct mgr_lane *l);

/* Flushes and arms the bell: true = sleep now, false = drain again, nothing is armed. */
bool mgr_lane_rest(struct mgr_lane *l);

/* Disarms the bell: I shall look by myself. */
void mgr_lane_wake(struct mgr_lane *l);

/* rest for many lanes: arm each, one fence, then check each. */
void mgr_lane_arm(struct mgr_lane *l);
bool mgr_lane_arm_check(struct mgr_lane *l);

static inline void
mgr_lane_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

/* After EOF: looks once at every open slot, for the last hints may never have been pushed.
 * Answers found whole stay readable; nothing can be opened any more. */
void mgr_lane_sweep(struct mgr_lane *l);

#ifdef MGR_FAULT
/* Called between any two stores that a peer can see; a test dies in it. */
extern void (*mgr_lane_step)(const char *name);
#define MGR_LANE_STEP(name)				\
	do {						\
		if (mgr_lane_step != NULL)		\
			mgr_lane_step(name);		\
	} while (0)
#else
#define MGR_LANE_STEP(name) ((void)0)
#endif

#endif
