/*
 * The inside of the lane: the layout of a half, the private state of a slot, and what the
 * files of the lane call in each other.  For lane*.c and for tests that forge words.
 */
#ifndef MGR_IPC_LANE_PRIV_H
#define MGR_IPC_LANE_PRIV_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/outcome.h"
#include "ipc/lane.h"

#define LANE_MAGIC	0x31656e616c72676dull	/* "mgrlane1" in memory */
#define LANE_VERSION	1u
#define LANE_PAGE	4096u
#define LANE_NEW	0x80000000u		/* ring entry: a call in order, not a hint */

/* The caller's ctl below its generation; the worker's is enum mgr_lane_state. */
#define LANE_OPEN	1u
#define LANE_END	2u
#define LANE_CANCEL	4u

/* One line per slot and half: written by its owner, only loaded by the other side. */
struct mgr_lane_line {
	_Atomic uint64_t ctl;
	_Atomic uint64_t out;
	_Atomic uint64_t in;
	_Atomic uint64_t time_ns;
	_Atomic uint64_t body_n;
	_Atomic uint32_t meta_n;
	_Atomic uint32_t info;
	uint8_t pad[16];
};

struct mgr_lane_half {
	_Atomic uint64_t magic;
	_Atomic uint32_t version;
	_Atomic uint32_t slots;
	_Atomic uint32_t bytes;
	uint8_t pad[44];
	/* One declaration each: _Alignas(64) a, b would align both alike but hide the gap. */
	_Alignas(64) _Atomic uint64_t head;
	_Alignas(64) _Atomic uint64_t tail;
	_Alignas(64) _Atomic uint64_t bell;
	_Alignas(64) _Atomic uint32_t ring[];
};

static_assert(MGR_LANE_OK == (unsigned)MGR_OUT_OK, "one meaning of ok");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be lock-free");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layout is little-endian");
static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "plain words");
static_assert(offsetof(struct mgr_lane_half, magic) == 0x000, "magic");
static_assert(offsetof(struct mgr_lane_half, version) == 0x008, "version");
static_assert(offsetof(struct mgr_lane_half, slots) == 0x00c, "slots");
static_assert(offsetof(struct mgr_lane_half, bytes) == 0x010, "bytes");
static_assert(offsetof(struct mgr_lane_half, head) == 0x040, "head");
static_assert(offsetof(struct mgr_lane_half, tail) == 0x080, "tail");
static_assert(offsetof(struct mgr_lane_half, bell) == 0x0c0, "bell");
static_assert(offsetof(struct mgr_lane_half, ring) == 0x100, "ring");
static_assert(sizeof(struct mgr_lane_half) == 0x100, "half");
static_assert(offsetof(struct mgr_lane_line, ctl) == 0, "ctl");
static_assert(offsetof(struct mgr_lane_line, out) == 8, "out");
static_assert(offsetof(struct mgr_lane_line, in) == 16, "in");
static_assert(offsetof(struct mgr_lane_line, time_ns) == 24, "time_ns");
static_assert(offsetof(struct mgr_lane_line, body_n) == 32, "body_n");
static_assert(offsetof(struct mgr_lane_line, meta_n) == 40, "meta_n");
static_assert(offsetof(struct mgr_lane_line, info) == 44, "info");
static_assert(sizeof(struct mgr_lane_line) == 64, "line");

enum lane_use {
	LANE_FREE,
	LANE_LIVE,
	LANE_ZOMBIE,			/* caller: cancelled, not closed yet */
};

struct mgr_lane_slot {
	uint64_t out;			/* bytes that I wrote in this generation */
	uint64_t in;			/* bytes that I consumed */
	uint64_t peer_out;		/* checked copies of the peer's words */
	uint64_t peer_in;
	uint64_t total;			/* the most that I may write */
	uint64_t least;			/* what I must have written when I say complete */
	uint64_t peer_total;		/* the most that the peer may write */
	uint64_t hint_at;		/* head just after my last hint */
	uint64_t hint_in;		/* in at my last hint about room */
	struct mgr_lane_head head;	/* the peer's, checked */
	void *user;
	uint32_t gen;
	uint32_t ctl;			/* mine, below the generation */
	uint32_t seen;			/* the peer's, below the generation */
	uint8_t use;
	bool answered;			/* worker: the fields of the answer are set */
	bool owed;			/* worker: HEAD waits for the end of the turn */
	bool listed;			/* worker: is in l->owed */
};

static inline uint64_t
get_acquire(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_acquire);
}

static inline uint64_t
get_relaxed(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static inline uint32_t
get_relaxed32(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static inline void
put_release(_Atomic uint64_t *p, uint64_t v)
{
	atomic_store_explicit(p, v, memory_order_release);
}

static inline void
put_relaxed(_Atomic uint64_t *p, uint64_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

static inline void
put_relaxed32(_Atomic uint32_t *p, uint32_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

static inline uint32_t
gen_of(uint64_t ctl)
{
	return (uint32_t)(ctl >> 32);
}

static inline uint32_t
state_of(uint32_t seen)
{
	return seen & 0xffu;
}

static inline struct mgr_lane_slot *
slot_of(const struct mgr_lane *l, uint32_t i)
{
	mgr_assert(i < l->conf.slots);
	return &l->slot[i];
}

/* Stores my ctl of the slot's generation: everything stored before it is visible with it. */
static inline void
put_ctl(struct mgr_lane *l, uint32_t i, uint32_t low)
{
	struct mgr_lane_slot *s = &l->slot[i];

	s->ctl = low;
	put_release(&l->line[i].ctl, (uint64_t)s->gen << 32 | low);
}

/* lane_words.c: one slot, both sides */
bool mgr_lane_head_ok(const struct mgr_lane *l, const struct mgr_lane_head *head);
uint64_t mgr_lane_head_total(const struct mgr_lane *l, const struct mgr_lane_head *head);
uint64_t mgr_lane_head_least(const struct mgr_lane_head *head);
void mgr_lane_copy_in(struct mgr_lane *l, uint32_t slot, const void *p, size_t n);
void mgr_lane_put_head(struct mgr_lane *l, uint32_t slot, const struct mgr_lane_head *head);
bool mgr_lane_see_head(struct mgr_lane *l, uint32_t slot);
unsigned mgr_lane_see_words(struct mgr_lane *l, uint32_t slot);
bool mgr_lane_see_whole(struct mgr_lane *l, uint32_t slot);
void mgr_lane_wipe(struct mgr_lane *l, uint32_t slot);

/* lane.c: spoils the lane; why is static text, the first one stays */
void mgr_lane_bad(struct mgr_lane *l, const char *why);

/* lane_turn.c: rings and bell */
void mgr_lane_push_new(struct mgr_lane *l, uint32_t slot);
void mgr_lane_hint(struct mgr_lane *l, uint32_t slot);

/* Each side's look at one slot: whether it brought anything. */
bool mgr_lane_caller_look(struct mgr_lane *l, uint32_t slot);
bool mgr_lane_worker_look(struct mgr_lane *l, uint32_t slot, bool is_new);

/* lane_worker.c: publishes the heads that were kept back */
void mgr_lane_settle(struct mgr_lane *l);

#endif
