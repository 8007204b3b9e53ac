/*
 * Deadlines are absolute and ours: libmicrohttpd only knows idle time, which one byte resets, and
 * none at all for a connection that is set aside.  A sweep over the connections looks a few times per
 * shortest limit; a request pays one store per phase for it.
 */
#include "httpd.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/assert.h"

#define SWEEP_MIN_NS (5 * MGR_MS)
#define SWEEP_MAX_NS (250 * MGR_MS)
#define LEAVE_NS (100 * MGR_MS)
#define CLOSE_WAIT 8 /* tcpi_state; the name stands in netinet/tcp.h, which cannot be had beside linux/tcp.h */
#define GONE_NS (50 * MGR_MS) /* aside for so long: watch for the client's end */

void
clocks_set(struct conn *conn, enum phase phase)
{
	conn->phase = phase;
	conn->since_ns = mgr_loop_now(conn->httpd->loop);
	conn->window_ns = 0;
}

static void
cut(struct conn *conn, enum mgr_outcome outcome)
{
	if (outcome == MGR_OUT_TIMEOUT)
		page_add(&conn->httpd->me->timeouts, 1);
	reply_cut(conn, outcome);
	shutdown(conn->fd, SHUT_RDWR);
	conn->phase = PHASE_NONE;
	turn_wake(conn);
}

static bool
tcp_info(const struct conn *conn, struct tcp_info *ret)
{
	socklen_t n = sizeof(*ret);

	*ret = (struct tcp_info){0};
	return getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, ret, &n) == 0;
}

/* While draining, a connection without a request has only as long as one that is on its way may need. */
static int64_t
limit(const struct conn *conn, int64_t usual_ns)
{
	return conn->httpd->draining && !conn->x.open && usual_ns > LEAVE_NS ? LEAVE_NS : usual_ns;
}

static void
check_head(struct conn *conn, int64_t now_ns)
{
	if (now_ns - conn->since_ns >= limit(conn, conn->httpd->opt->head_ns))
		cut(conn, MGR_OUT_TIMEOUT);
}

/* A next head that has begun to arrive gets the time of a head, once. */
static void
check_idle(struct conn *conn, int64_t now_ns)
{
	int64_t idle_ns = now_ns - conn->since_ns;
	struct tcp_info info;

	if (idle_ns < limit(conn, conn->httpd->opt->keep_alive_ns))
		return;
	if (!conn->httpd->draining && tcp_info(conn, &info) && (int64_t)info.tcpi_last_data_recv * MGR_MS + 2 * MGR_MS < idle_ns)
		clocks_set(conn, PHASE_HEAD);
	else
		cut(conn, MGR_OUT_OK);
}

/* The client has ended and nothing of it is unread: the body will never be whole.  libmicrohttpd
 * notices an end that came together with the last bytes only when something else happens. */
static bool
has_left(struct conn *conn)
{
	struct tcp_info info;
	int unread = 0;

	if (conn->httpd->opt->half_close || !tcp_info(conn, &info) || info.tcpi_state != CLOSE_WAIT ||
	    ioctl(conn->fd, FIONREAD, &unread) < 0 || unread > 0) {
		conn->ended_n = 0;
		return false;
	}
	return ++conn->ended_n > 1;
}

/* Only time in which we were ready to read counts against the client. */
static void
check_body(struct conn *conn, int64_t now_ns)
{
	const struct exchange *x = &conn->x;

	/* Answered already: what the client still holds open is not waited for. */
	if (x->cut) {
		if (now_ns - conn->since_ns >= LINGER_NS)
			cut(conn, MGR_OUT_OK);
		return;
	}
	if (has_left(conn)) {
		mgr_call_cancel(&conn->x.call, 0);
		cut(conn, MGR_OUT_CANCELLED);
		return;
	}
	if (conn->suspended)
		return;
	conn->window_ns += conn->httpd->sweep_ns;
	if (conn->window_ns < conn->httpd->opt->body_ns ||
	    x->got_n >= (uint64_t)(conn->window_ns / MGR_MS) * MIN_RATE / 1000)
		return;
	mgr_call_cancel(&conn->x.call, 0);
	reply_errors(conn, MGR_OUT_TIMEOUT, 408, "the request body came too slowly");
	linger_say(conn, 408, NULL);
	cut(conn, MGR_OUT_TIMEOUT);
}

static void
check_wait(struct conn *conn, int64_t now_ns)
{
	struct exchange *x = &conn->x;

	if (now_ns - conn->since_ns < conn->httpd->opt->request_ns || x->answer.ready)
		return;
	if (x->waiting)
		admit_give(conn);
	page_add(&conn->httpd->me->timeouts, 1);
	mgr_call_cancel(&x->call, 1);
	x->call_done = true;
	reply_errors(conn, MGR_OUT_TIMEOUT, 504, NULL);
	turn_wake(conn);
}

/* The client must take MIN_RATE over each window; waiting for the handler is not its fault. */
static void
check_reply(struct conn *conn, int64_t now_ns)
{
	int64_t window_ns = conn->httpd->opt->write_ns;
	struct tcp_info info;

	if (conn->suspended) {
		conn->window_ns = 0;
		return;
	}
	if (conn->window_ns != 0 && now_ns - conn->window_ns < window_ns)
		return;
	if (!tcp_info(conn, &info))
		return;
	uint64_t moved = info.tcpi_bytes_acked - conn->window_n;
	if (conn->window_ns != 0 && moved < (uint64_t)(window_ns / MGR_MS) * MIN_RATE / 1000) {
		cut(conn, MGR_OUT_TIMEOUT);
		return;
	}
	conn->window_ns = now_ns;
	conn->window_n = info.tcpi_bytes_acked;
}

static void (*const check[PHASE_N])(struct conn *, int64_t now_ns) = {
	[PHASE_HEAD] = check_head, [PHASE_IDLE] = check_idle,	[PHASE_BODY] = check_body,
	[PHASE_WAIT] = check_wait, [PHASE_REPLY] = check_reply,
};

static void
on_gone(struct mgr_watch *w, uint32_t events)
{
	struct conn *conn = MGR_CONTAINER(w, struct conn, gone);

	(void)events;
	mgr_watch_stop(w);
	reply_cut(conn, MGR_OUT_CANCELLED);
	turn_wake(conn);
}

/* libmicrohttpd does not look at a connection that is set aside. */
static void
watch_gone(struct conn *conn, int64_t now_ns)
{
	if (!conn->suspended || conn->gone.loop != NULL || now_ns - conn->since_ns < GONE_NS)
		return;
	mgr_watch_start(&conn->gone, conn->httpd->loop, conn->fd,
			conn->httpd->opt->half_close ? 0 : EPOLLRDHUP, on_gone);
}

static void
sweep(struct mgr_timer *t)
{
	struct httpd *h = MGR_CONTAINER(t, struct httpd, sweep);
	int64_t now_ns = mgr_loop_now(h->loop);
	struct conn *conn;

	LIST_FOREACH(conn, &h->conns, link) {
		if (check[conn->phase] != NULL)
			check[conn->phase](conn, now_ns);
		watch_gone(conn, now_ns);
	}
	if (!LIST_EMPTY(&h->conns))
		mgr_timer_start(t, h->loop, now_ns + h->sweep_ns, sweep);
}

static int64_t
period(const struct options *o)
{
	int64_t ns = 4 * SWEEP_MAX_NS;
	const int64_t limits[] = {o->head_ns, o->body_ns, o->request_ns, o->keep_alive_ns, o->write_ns};

	for (size_t i = 0; i < MGR_N(limits); i++)
		ns = limits[i] < ns ? limits[i] : ns;
	return ns / 4 < SWEEP_MIN_NS ? SWEEP_MIN_NS : ns / 4;
}

void
clocks_look(struct httpd *h)
{
	if (mgr_timer_is_on(&h->sweep)) {
		mgr_timer_stop(&h->sweep);
		sweep(&h->sweep);
	}
}

void
clocks_start(struct httpd *h)
{
	if (h->sweep_ns == 0)
		h->sweep_ns = period(h->opt);
	if (!mgr_timer_is_on(&h->sweep))
		mgr_timer_start(&h->sweep, h->loop, mgr_loop_now(h->loop) + h->sweep_ns, sweep);
}

void
clocks_conn_fini(struct conn *conn)
{
	mgr_watch_stop(&conn->gone);
}

void
clocks_fini(struct httpd *h)
{
	mgr_timer_stop(&h->sweep);
}
