/*
 * What the tests of the lane share: a pair of lanes over plain memory, bytes that can be
 * recognised, and small random numbers.
 */
#ifndef MGR_TESTS_LANE_KIT_H
#define MGR_TESTS_LANE_KIT_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "ipc/lane.h"
#include "ipc/lane_priv.h"

static inline uint64_t
kit_rand(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Byte `at` of stream `id`. */
static inline uint8_t
kit_byte(uint64_t id, uint64_t at)
{
	return (uint8_t)((id * 0x9e3779b97f4a7c15ull + at * 0xff51afd7ed558ccdull) >> 37);
}

static inline void
kit_fill(void *p, size_t n, uint64_t id, uint64_t at)
{
	uint8_t *to = p;
	size_t i;

	for (i = 0; i < n; i++)
		to[i] = kit_byte(id, at + i);
}

static inline bool
kit_same(const void *p, size_t n, uint64_t id, uint64_t at)
{
	const uint8_t *from = p;
	size_t i;

	for (i = 0; i < n; i++)
		if (from[i] != kit_byte(id, at + i))
			return false;
	return true;
}

/* Copies readable bytes out, as a parser of META must; does not consume them. */
static inline size_t
kit_peek(const struct mgr_lane *l, uint32_t slot, void *p, size_t n)
{
	struct iovec iov[2];
	size_t have = mgr_lane_data(l, slot, iov);
	size_t first;

	if (n > have)
		n = have;
	first = n < iov[0].iov_len ? n : iov[0].iov_len;
	if (first > 0)
		memcpy(p, iov[0].iov_base, first);
	if (n > first)
		memcpy((char *)p + first, iov[1].iov_base, n - first);
	return n;
}

static inline size_t
kit_read(struct mgr_lane *l, uint32_t slot, void *p, size_t n)
{
	n = kit_peek(l, slot, p, n);
	mgr_lane_consume(l, slot, n);
	return n;
}

/* A caller and a worker in one process; look and ring may be NULL. */
struct kit_pair {
	struct mgr_lane_conf conf;
	struct mgr_lane caller;
	struct mgr_lane worker;
	void *a;
	void *b;
	size_t n;
};

static inline void *
kit_half(const struct mgr_lane_conf *conf, size_t *ret_n)
{
	size_t n = mgr_lane_half_size(conf->slots, conf->bytes);
	void *half = aligned_alloc(4096, n);

	mgr_assert(n > 0 && half != NULL);
	memset(half, 0, n);
	mgr_lane_half_init(half, conf);
	*ret_n = n;
	return half;
}

static inline void
kit_open(struct kit_pair *p, const struct mgr_lane_ops *caller_ops,
	const struct mgr_lane_ops *worker_ops)
{
	int r;

	p->a = kit_half(&p->conf, &p->n);
	p->b = kit_half(&p->conf, &p->n);
	r = mgr_lane_init(&p->caller, MGR_LANE_CALLER, p->a, p->b, &p->conf, caller_ops);
	mgr_assert(r == 0);
	r = mgr_lane_init(&p->worker, MGR_LANE_WORKER, p->b, p->a, &p->conf, worker_ops);
	mgr_assert(r == 0);
}

static inline void
kit_close(struct kit_pair *p)
{
	mgr_lane_fini(&p->caller);
	mgr_lane_fini(&p->worker);
	free(p->a);
	free(p->b);
}

#endif
