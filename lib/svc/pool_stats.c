#include "svc/pool_priv.h"

#include <stdarg.h>
#include <stdio.h>

const char *const mgr_pool_mode_name[MGR_POOL_MODE_N] = {
	[MGR_POOL_FRAME] = "frame",   [MGR_POOL_PACKET] = "packet", [MGR_POOL_LINE] = "line",
	[MGR_POOL_FILTER] = "filter", [MGR_POOL_EXEC] = "exec",     [MGR_POOL_CGI] = "cgi",
};

const char *const mgr_pool_state_name[MGR_POOL_STATE_N] = {
	[MGR_POOL_STARTING] = "starting", [MGR_POOL_READY] = "ready",
	[MGR_POOL_BACKOFF] = "backoff",   [MGR_POOL_FAILED] = "failed",
	[MGR_POOL_DRAINING] = "draining", [MGR_POOL_STOPPED] = "stopped",
};

void
mgr_pool_set_why(struct mgr_pool *pool, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(pool->why, sizeof(pool->why), fmt, ap);
	va_end(ap);
}

/* Of the modes that start a process per request, every place is ready as long as the program can be started. */
static unsigned
ready_n(const struct mgr_pool *pool)
{
	unsigned n = pool->ready_n;

	if (!pool->started || pool->stopped)
		return 0;
	if (!pool->driver->resident && !pool->driver->spare)
		return pool->failed ? 0 : pool->want;
	if (pool->driver->spare && n > 0)
		n = pool->ready_n; /* those at work stay READY until they end */
	return n < pool->want ? n : pool->want;
}

enum mgr_pool_state
mgr_pool_state_now(const struct mgr_pool *pool)
{
	if (pool->stopped)
		return MGR_POOL_STOPPED;
	if (pool->draining)
		return MGR_POOL_DRAINING;
	if (ready_n(pool) > 0)
		return MGR_POOL_READY;
	if (pool->failed)
		return MGR_POOL_FAILED;
	return pool->trouble ? MGR_POOL_BACKOFF : MGR_POOL_STARTING;
}

void
mgr_pool_say(struct mgr_pool *pool)
{
	pool->said_state = mgr_pool_state_now(pool);
	pool->said_n = ready_n(pool);
	if (!pool->freeing && pool->ops->changed != NULL)
		pool->ops->changed(pool);
}

/* Single-use copies come and go with each request: only a difference is told. */
void
mgr_pool_say_news(struct mgr_pool *pool)
{
	if (pool->said_state != mgr_pool_state_now(pool) || pool->said_n != ready_n(pool))
		mgr_pool_say(pool);
}

void
mgr_pool_get_stats(const struct mgr_pool *pool, struct mgr_pool_stats *ret)
{
	const struct mgr_replica *r;

	*ret = (struct mgr_pool_stats){
		.state = mgr_pool_state_now(pool),
		.want = pool->want,
		.ready = ready_n(pool),
		.busy = pool->working_n,
		.queued = pool->queue.n + pool->gather_n,
		.in_flight = pool->run_n,
		.calls = pool->calls,
		.errors = pool->errors,
		.timeouts = pool->timeouts,
		.restarts = pool->restarts,
		.rejected = pool->rejected,
	};
	TAILQ_FOREACH(r, &pool->replicas, link)
		ret->rss += mgr_replica_rss(r);
	snprintf(ret->why, sizeof(ret->why), "%s", pool->why);
}

int
mgr_pool_list(const struct mgr_pool *pool, struct mgr_buf *b)
{
	const struct mgr_replica *r;
	int64_t now = mgr_loop_now(pool->loop);
	const char *comma = "";

	mgr_buf_addc(b, '[');
	TAILQ_FOREACH(r, &pool->replicas, link) {
		const char *state = r->state == MGR_REPLICA_READY && r->slot_n > 0 ?
					    "busy" : mgr_replica_state_name[r->state];
		mgr_buf_addf(b, "%s{\"index\":%u,\"pid\":%d,\"state\":\"%s\",\"since_ms\":%lld,\"calls\":%llu,"
			     "\"rss\":%llu}", comma, r->index, (int)r->pid, state,
			     (long long)((now - r->started_ns) / MGR_MS), (unsigned long long)r->calls,
			     (unsigned long long)mgr_replica_rss(r));
		comma = ",";
	}
	return mgr_buf_addc(b, ']');
}
