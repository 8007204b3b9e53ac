#include "ipc/lane.h"

#include <errno.h>
#include <stdlib.h>

#include "ipc/lane_priv.h"

#ifdef MGR_FAULT
void (*mgr_lane_step)(const char *name);
#endif

static size_t
round_up(size_t n, size_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static size_t
lines_at(uint32_t slots)
{
	return round_up(sizeof(struct mgr_lane_half) + 2u * slots * sizeof(uint32_t),
		sizeof(struct mgr_lane_line));
}

static size_t
bytes_at(uint32_t slots)
{
	return round_up(lines_at(slots) + slots * sizeof(struct mgr_lane_line), LANE_PAGE);
}

size_t
mgr_lane_half_size(uint32_t slots, uint32_t bytes)
{
	size_t n;

	if (slots == 0 || slots > MGR_LANE_SLOTS_MAX)
		return 0;
	if (bytes < MGR_LANE_BYTES_MIN || bytes > MGR_LANE_BYTES_MAX)
		return 0;
	if ((bytes & (bytes - 1)) != 0)
		return 0;
	if (__builtin_mul_overflow((size_t)slots, (size_t)bytes, &n))
		return 0;
	if (n > (size_t)PTRDIFF_MAX - bytes_at(slots) - LANE_PAGE)
		return 0;
	return bytes_at(slots) + round_up(n, LANE_PAGE);
}

void
mgr_lane_half_init(void *half, const struct mgr_lane_conf *conf)
{
	struct mgr_lane_half *h = half;

	put_relaxed32(&h->version, LANE_VERSION);
	put_relaxed32(&h->slots, conf->slots);
	put_relaxed32(&h->bytes, conf->bytes);
	put_release(&h->magic, LANE_MAGIC);
}

static bool
header_ok(const struct mgr_lane_half *h, const struct mgr_lane_conf *conf)
{
	return get_acquire(&h->magic) == LANE_MAGIC &&
		get_relaxed32(&h->version) == LANE_VERSION &&
		get_relaxed32(&h->slots) == conf->slots &&
		get_relaxed32(&h->bytes) == conf->bytes;
}

/* The lists: a drained batch of 2 x slots, the free slots, the slots with a head owed. */
static int
alloc_private(struct mgr_lane *l)
{
	uint32_t slots = l->conf.slots;
	uint32_t i;

	l->slot = calloc(slots, sizeof(*l->slot));
	l->batch = calloc(4u * (size_t)slots, sizeof(*l->batch));
	if (l->slot == NULL || l->batch == NULL) {
		mgr_lane_fini(l);
		return -ENOMEM;
	}
	l->free = l->batch + 2u * slots;
	l->owed = l->batch + 3u * slots;
	/* Last in, first out, from slot 0: few calls touch few pages. */
	for (i = 0; i < slots; i++)
		l->free[i] = slots - 1 - i;
	l->free_n = slots;
	return 0;
}

int
mgr_lane_init(struct mgr_lane *l, enum mgr_lane_side side, void *mine, const void *peer,
	const struct mgr_lane_conf *conf, const struct mgr_lane_ops *ops)
{
	void *user = l->user;

	if (mgr_lane_half_size(conf->slots, conf->bytes) == 0)
		return -EINVAL;
	if (conf->body_max > INT64_MAX || conf->deadline_max_ns < 0)
		return -EINVAL;
	mgr_assert((uintptr_t)mine % 64 == 0 && (uintptr_t)peer % 64 == 0);
	if (!header_ok(mine, conf))
		return -EINVAL;
	if (!header_ok(peer, conf))
		return -EPROTO;
	*l = (struct mgr_lane){
		.user = user,
		.ops = ops,
		.conf = *conf,
		.side = side,
		.mine = mine,
		.peer = peer,
		.line = (void *)((char *)mine + lines_at(conf->slots)),
		.peer_line = (const void *)((const char *)peer + lines_at(conf->slots)),
		.bytes = (uint8_t *)mine + bytes_at(conf->slots),
		.peer_bytes = (const uint8_t *)peer + bytes_at(conf->slots),
		.ring_n = 2 * conf->slots,
	};
	return alloc_private(l);
}

void
mgr_lane_fini(struct mgr_lane *l)
{
	mgr_assert(!l->draining);
	free(l->slot);
	free(l->batch);
	l->slot = NULL;
	l->batch = NULL;
	l->free = NULL;
	l->owed = NULL;
	l->free_n = 0;
	l->live_n = 0;
	l->bad = true;
}

void
mgr_lane_bad(struct mgr_lane *l, const char *why)
{
	if (l->why == NULL)
		l->why = why;
	l->bad = true;
	l->count.violations++;
}

void *
mgr_lane_user(const struct mgr_lane *l, uint32_t slot)
{
	return slot_of(l, slot)->user;
}

void
mgr_lane_set_user(struct mgr_lane *l, uint32_t slot, void *user)
{
	slot_of(l, slot)->user = user;
}

uint32_t
mgr_lane_live_n(const struct mgr_lane *l)
{
	return l->live_n;
}

int
mgr_lane_next(const struct mgr_lane *l, uint32_t from)
{
	uint32_t i;

	if (l->slot == NULL)
		return -1;
	for (i = from; i < l->conf.slots; i++)
		if (l->slot[i].use == LANE_LIVE)
			return (int)i;
	return -1;
}
