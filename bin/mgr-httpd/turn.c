#include "httpd.h"

#include "base/assert.h"
#include "os/clock.h"

#define RUNS 4            /* of libmicrohttpd in one turn */
#define PARKED_MAX 256    /* more are set aside at once */
#define PARKED_TURNS 2    /* a long turn is our own fault, not the handler's */
#define SPIN_MISSES 8     /* in a row: stop spinning */
#define SPIN_REST 200     /* turns until it is tried again */

void
turn_wake(struct conn *conn)
{
	conn->httpd->turn.run = true;
	server_resume(conn);
}

void
turn_unpark(struct conn *conn)
{
	if (!conn->x.parked)
		return;
	conn->x.parked = false;
	conn->httpd->turn.parked--;
}

void
turn_park(struct conn *conn)
{
	struct httpd *h = conn->httpd;
	struct exchange *x = &conn->x;
	int64_t now_ns = mgr_loop_now(h->loop);

	if (!x->parked) {
		x->parked = true;
		x->parked_ns = now_ns;
		x->parked_turn = h->turn.n;
		h->turn.parked++;
	}
	/* Setting aside costs three system calls: only for those that must wait long, or too many. */
	if (h->turn.parked > PARKED_MAX ||
	    (now_ns - x->parked_ns >= h->opt->park_ns && h->turn.n - x->parked_turn >= PARKED_TURNS)) {
		turn_unpark(conn);
		server_suspend(conn);
	}
}

static void
park_over(struct mgr_timer *timer)
{
	MGR_CONTAINER(timer, struct turn, timer)->run = true;
}

/* With one or two requests in flight a wake-up costs more than a short look.  True when it paid. */
static bool
spin(struct httpd *h)
{
	struct turn *t = &h->turn;

	if (h->opt->spin_us == 0 || t->parked == 0 || t->parked > 2)
		return false;
	if (t->spin_rest > 0) {
		t->spin_rest--;
		return false;
	}
	int64_t end_ns = mgr_now_ns() + (int64_t)h->opt->spin_us * MGR_US;
	do {
		if (mgr_links_drain(&h->links) > 0) {
			t->spin_misses = 0;
			return true;
		}
	} while (mgr_now_ns() < end_ns);
	if (++t->spin_misses >= SPIN_MISSES) {
		t->spin_misses = SPIN_MISSES - 1;
		t->spin_rest = SPIN_REST;
	}
	return false;
}

/* Whether libmicrohttpd must run again before a sleep. */
static bool
is_due(struct httpd *h)
{
	struct turn *t = &h->turn;

	if (t->run)
		return true;
	/* Its time-out is 0 as long as a request is parked; only without one can it be believed. */
	if (t->parked == 0) {
		mgr_timer_stop(&t->timer);
		t->run = server_is_due(h);
		return t->run;
	}
	if (!mgr_timer_is_on(&t->timer) &&
	    mgr_timer_start(&t->timer, h->loop, mgr_loop_now(h->loop) + h->opt->park_ns, park_over) < 0)
		t->run = true;
	return t->run || spin(h);
}

/*
 * One turn: answers out of the lanes, libmicrohttpd, one doorbell for all that it submitted, and
 * libmicrohttpd again while it has work: it needs one more run to write an answer that was queued
 * late, and one more after an answer before it reads on.  With a request parked it always says that it
 * has, so that we must count what leads to more ourselves; a wrong guess costs the park limit.
 */
static bool
turn_take(struct mgr_hook *hook)
{
	struct turn *t = MGR_CONTAINER(hook, struct turn, hook);
	struct httpd *h = MGR_CONTAINER(t, struct httpd, turn);

	t->n++;
	mgr_links_drain(&h->links);
	if (h->server == NULL) {
		mgr_links_flush(&h->links);
		return false;
	}
	for (int i = 0; i < RUNS && t->run; i++) {
		t->run = false;
		t->progress = false;
		server_run(h);
		mgr_links_flush(&h->links);
		if (t->parked > 0 ? t->progress : server_is_due(h))
			t->run = true;
	}
	mgr_links_flush(&h->links);
	return is_due(h);
}

void
turn_start(struct httpd *h)
{
	h->turn.hook = (struct mgr_hook){.turn = turn_take};
	h->turn.run = true;
	mgr_hook_add(&h->turn.hook, h->loop);
}

void
turn_fini(struct httpd *h)
{
	if (h->turn.hook.turn == NULL)
		return;
	mgr_timer_stop(&h->turn.timer);
	mgr_hook_del(&h->turn.hook, h->loop);
	h->turn.hook.turn = NULL;
}
