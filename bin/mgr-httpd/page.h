/*
 * The page of counters that the parent and its children share.  Each slot is written by one child
 * only, so that a child that dies leaves nothing to repair: the parent clears its slot.
 */
#ifndef MGR_HTTPD_PAGE_H
#define MGR_HTTPD_PAGE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

#define PAGE_SLOTS (2 * OPTIONS_PROCESSES_MAX) /* a reload runs two children per listener for a while */

/*        member        what it counts */
#define PAGE_COUNTERS(row) \
	row(in_flight, "requests that run") \
	row(waiting, "requests that wait for their turn") \
	row(connections, "open connections") \
	row(accepted, "connections so far") \
	row(requests, "requests so far") \
	row(errors, "requests answered with 500 or more") \
	row(refused, "requests answered with 400 to 499") \
	row(rejected, "requests answered with 503 because too many ran or waited") \
	row(timeouts, "requests and connections that ran out of time") \
	row(cancelled, "requests whose client left") \
	row(bytes_in, "bytes of request bodies") \
	row(bytes_out, "bytes of answer bodies")

struct page_slot {
#define PAGE_MEMBER(name, help) _Atomic uint64_t name;
	PAGE_COUNTERS(PAGE_MEMBER)
#undef PAGE_MEMBER
} __attribute__((aligned(64)));

struct page {
	struct page_slot slot[PAGE_SLOTS];
};

/* Makes the page: a descriptor to hand on, or -errno. */
int page_new(struct page **ret_page);
int page_map(int fd, struct page **ret_page);

/* Only the slot's own process may call these. */
static inline void
page_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline uint64_t
page_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void page_clear(struct page_slot *slot);

/* Sums of the slots that may be in use, in the order of PAGE_COUNTERS. */
void page_sum(const struct page *page, struct page_slot *ret_sum);

#endif
