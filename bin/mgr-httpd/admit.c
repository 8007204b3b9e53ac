#include "httpd.h"

#include <errno.h>

#include "base/assert.h"

#define LOOK_NS (20 * MGR_MS) /* room that another process made is seen so late at most */

/* In all processes; sequentially consistent, so that of two that add at once one at least sees both. */
static uint64_t
total(const struct page *page, bool waiting)
{
	uint64_t n = 0;

	for (size_t i = 0; i < PAGE_SLOTS; i++)
		n += atomic_load(waiting ? &page->slot[i].waiting : &page->slot[i].in_flight);
	return n;
}

static bool
enter(struct conn *conn)
{
	struct httpd *h = conn->httpd;

	atomic_store(&h->me->in_flight, page_get(&h->me->in_flight) + 1);
	if (total(h->page, false) > h->opt->max_requests) {
		atomic_store(&h->me->in_flight, page_get(&h->me->in_flight) - 1);
		return false;
	}
	conn->x.admitted = true;
	return true;
}

static void
leave_queue(struct conn *conn)
{
	struct httpd *h = conn->httpd;

	TAILQ_REMOVE(&h->waiters, &conn->x, waiter);
	conn->x.waiting = false;
	atomic_store(&h->me->waiting, page_get(&h->me->waiting) - 1);
}

static void
let_in(struct httpd *h)
{
	struct exchange *x;

	while ((x = TAILQ_FIRST(&h->waiters)) != NULL) {
		struct conn *conn = MGR_CONTAINER(x, struct conn, x);
		if (!enter(conn))
			break;
		leave_queue(conn);
		walk_admitted(conn);
	}
}

static void
look(struct mgr_timer *t)
{
	struct httpd *h = MGR_CONTAINER(t, struct httpd, admit);

	let_in(h);
	if (!TAILQ_EMPTY(&h->waiters))
		mgr_timer_start(t, h->loop, mgr_loop_now(h->loop) + LOOK_NS, look);
}

static int
queue(struct conn *conn)
{
	struct httpd *h = conn->httpd;

	atomic_store(&h->me->waiting, page_get(&h->me->waiting) + 1);
	if (total(h->page, true) > h->opt->max_waiting ||
	    (!mgr_timer_is_on(&h->admit) &&
	     mgr_timer_start(&h->admit, h->loop, mgr_loop_now(h->loop) + LOOK_NS, look) < 0)) {
		atomic_store(&h->me->waiting, page_get(&h->me->waiting) - 1);
		page_add(&h->me->rejected, 1);
		reply_errors(conn, MGR_OUT_BUSY, 503, NULL);
		reply_retry_after(conn, 1000);
		return -EBUSY;
	}
	TAILQ_INSERT_TAIL(&h->waiters, &conn->x, waiter);
	conn->x.waiting = true;
	return -EAGAIN;
}

int
admit_take(struct conn *conn)
{
	/* Those who wait come first. */
	if (TAILQ_EMPTY(&conn->httpd->waiters) && enter(conn))
		return 0;
	return queue(conn);
}

void
admit_give(struct conn *conn)
{
	struct httpd *h = conn->httpd;

	if (conn->x.waiting)
		leave_queue(conn);
	if (!conn->x.admitted)
		return;
	conn->x.admitted = false;
	atomic_store(&h->me->in_flight, page_get(&h->me->in_flight) - 1);
	let_in(h);
}

void
admit_start(struct httpd *h)
{
	TAILQ_INIT(&h->waiters);
}

void
admit_fini(struct httpd *h)
{
	mgr_timer_stop(&h->admit);
}
