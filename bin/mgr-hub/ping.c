#include "hub.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/rand.h"
#include "os/clock.h"
#include "wire/meta.h"

static const struct mgr_call_ops ops;

static void on_time(struct mgr_timer *t);

static void
evict(struct worker *w)
{
	struct hub *h = w->ping.hub;
	struct client *c = w->client;
	struct unit *u = w->unit;

	event_add(h, MGR_WARN, "worker-evicted", w->name, "pid=%d misses=%u", (int)w->pid, w->ping.miss_n);
	if (w->state != WORKER_FAILED)
		snprintf(w->why, sizeof(w->why), "did not answer %u pings", w->ping.miss_n);
	join_lost(w, "worker-left");
	if (u != NULL)
		unit_evict(u);
	/* Its end may take a while when the worker does not read; we are done with it already. */
	mgr_peer_finish(&c->conn->peer);
}

static void
ask_at(struct ping *p, int64_t at_ns)
{
	mgr_timer_start(&p->timer, p->hub->loop, at_ns, on_time);
}

static void
judge(struct ping *p, bool alive)
{
	const struct hub_options *opt = p->hub->opt;

	p->miss_n = alive ? 0 : p->miss_n + 1;
	if (p->miss_n >= opt->ping_misses)
		evict(MGR_CONTAINER(p, struct worker, ping));
	else
		ask_at(p, p->asked_ns + opt->ping_interval_ns); /* counted from its start: missed ones take no longer */
}

static void
on_head(struct mgr_call *call, unsigned status, const char *meta, size_t meta_n, uint64_t body_n)
{
	(void)call;
	(void)status;
	(void)meta;
	(void)meta_n;
	(void)body_n;
}

static void
on_data(struct mgr_call *call)
{
	struct iovec iov[2];

	mgr_call_consume(call, mgr_call_data(call, iov));
}

static void
on_done(struct mgr_call *call, enum mgr_outcome outcome, int64_t retry_ms)
{
	(void)retry_ms;
	judge(MGR_CONTAINER(call, struct ping, call), outcome == MGR_OUT_OK);
}

static const struct mgr_call_ops ops = {.head = on_head, .data = on_data, .done = on_done};

static void
on_time(struct mgr_timer *t)
{
	struct ping *p = MGR_CONTAINER(t, struct ping, timer);
	const struct worker *w = MGR_CONTAINER(p, const struct worker, ping);
	int64_t limit_ns = p->hub->opt->ping_limit_ns;
	MGR_AUTO_BUF struct mgr_buf meta = {0};
	size_t taken = 0;

	p->asked_ns = mgr_now_ns();
	if (mgr_meta_begin(&meta, limit_ns) < 0 || mgr_meta_end(&meta) < 0) {
		ask_at(p, p->asked_ns + p->hub->opt->ping_interval_ns);
		return;
	}
	struct mgr_call_request req = {
		.meta = mgr_buf_p(&meta),
		.meta_n = mgr_buf_n(&meta),
		.end = true,
		.deadline_ns = p->asked_ns + limit_ns,
		.flags = MGR_CALL_PING | MGR_CALL_PRIORITY | MGR_CALL_IDEMPOTENT,
	};
	if (mgr_caller_submit_to(&p->hub->caller, &p->call, w->lane, &req, &ops, &taken) < 0)
		judge(p, false);
}

void
ping_start(struct worker *w)
{
	struct ping *p = &w->ping;
	int64_t interval_ns = w->ping.hub->opt->ping_interval_ns;

	p->miss_n = 0;
	/* Workers that came back together are not asked together. */
	ask_at(p, mgr_now_ns() + interval_ns / 2 + (int64_t)mgr_rand_below((uint64_t)interval_ns / 2 + 1));
}

void
ping_stop(struct worker *w)
{
	mgr_timer_stop(&w->ping.timer);
	mgr_call_cancel(&w->ping.call, 2);
}
