#include "svc/pool_priv.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "os/io.h"
#include "os/log.h"

#define READS_PER_EVENT 4
#define READS_AT_END 64

void
mgr_replica_touch(struct mgr_replica *r)
{
	if (r->dirty || r->state == MGR_REPLICA_DEAD)
		return;
	r->dirty = true;
	TAILQ_INSERT_TAIL(&r->pool->dirty, r, dirty_link);
	mgr_pool_wake(r->pool);
}

void
mgr_replica_close_in(struct mgr_replica *r)
{
	mgr_watch_stop(&r->watch_in);
	mgr_buf_clear(&r->out, 0);
	mgr_close(&r->fd_in);
}

/* It closed its stdin: nothing more can be said to it, but its answer may still come. */
static void
refused(struct mgr_replica *r, int err)
{
	mgr_watch_stop(&r->watch_in);
	mgr_buf_clear(&r->out, 0);
	r->eof_due = true;
	if (!r->driver->resident || r->state >= MGR_REPLICA_STOPPING)
		return;
	if (!r->exited)
		mgr_log(MGR_DEBUG, "handler-closed-stdin", "handler=%s#%u pid=%d error=%s", r->pool->conf.name,
			r->index, (int)r->pid, mgr_log_errno(err));
	/* A process that is ending looks the same: its end or the grace time decides. */
	bool expected = r->expected;
	mgr_replica_drain(r, mgr_loop_now(r->pool->loop) + r->pool->conf.grace_ns);
	r->expected = expected;
}

static void
feed(struct mgr_replica *r)
{
	struct mgr_slot *slot, *next;

	for (slot = TAILQ_FIRST(&r->slots); slot != NULL; slot = next) {
		next = TAILQ_NEXT(slot, link);
		if (!slot->fed_all && r->driver->feed != NULL)
			r->driver->feed(r, slot);
	}
}

static void
end_input(struct mgr_replica *r)
{
	if (mgr_buf_n(&r->out) > 0)
		return;
	if (r->eof_due && (!r->driver->resident || r->slot_n == 0)) {
		/* Else what it left unread must be known when it ends, see mgr_slots_lost. */
		mgr_replica_close_in(r);
	} else if (r->state == MGR_REPLICA_DRAINING && r->slot_n == 0) {
		r->state = MGR_REPLICA_STOPPING;
		mgr_replica_close_in(r);
	}
}

/* Everything that gathered since the last turn leaves in one write, as far as the pipe takes it. */
void
mgr_replica_flush(struct mgr_replica *r)
{
	struct mgr_pool *pool = r->pool;

	if (r->fd_in < 0 || r->state >= MGR_REPLICA_KILLED)
		return;
	for (int i = 0; i < READS_PER_EVENT; i++) {
		if (mgr_buf_n(&r->out) < MGR_POOL_CHUNK)
			feed(r);
		size_t n = mgr_buf_n(&r->out);
		if (n == 0)
			break;
		ssize_t done = mgr_write(r->fd_in, mgr_buf_p(&r->out), n);
		if (done < 0 && done != -EAGAIN) {
			refused(r, (int)done);
			break;
		}
		if (done > 0) {
			mgr_buf_take(&r->out, (size_t)done);
			r->written_n += (uint64_t)done;
		}
		if (done < 0 || (size_t)done < n)
			break;
	}
	if (mgr_buf_n(&r->out) == 0) {
		mgr_buf_clear(&r->out, 4 * MGR_POOL_CHUNK);
		mgr_watch_stop(&r->watch_in);
		end_input(r);
	} else if (r->watch_in.loop == NULL &&
		   mgr_watch_start(&r->watch_in, pool->loop, r->fd_in, EPOLLOUT, mgr_replica_on_in) < 0) {
		mgr_replica_kill(r);
	}
}

void
mgr_replica_on_in(struct mgr_watch *w, uint32_t events)
{
	(void)events;
	mgr_replica_flush(MGR_CONTAINER(w, struct mgr_replica, watch_in));
}

static void
on_moving(struct mgr_timer *t)
{
	struct mgr_replica *r = MGR_CONTAINER(t, struct mgr_replica, moving);
	int64_t end_ns = r->moved_ns + r->pool->conf.frame_ns;

	if (r->blocked || r->state >= MGR_REPLICA_KILLED || r->driver->at_border(r))
		return;
	if (end_ns > mgr_loop_now(r->pool->loop)) {
		if (mgr_timer_start(t, r->pool->loop, end_ns, on_moving) == 0)
			return;
	}
	mgr_replica_broken(r, "and never ended that frame", "", 0);
}

/* Remembers what the owner has no room for and stops reading: the pipe then stops the handler. */
static void
block(struct mgr_replica *r, const char *p, size_t n)
{
	r->blocked = true;
	mgr_watch_stop(&r->watch_out);
	if (n > 0 && mgr_buf_add(&r->in, p, n) < 0)
		mgr_replica_kill(r);
}

/* Hands bytes to the driver: false when reading must stop. */
static bool
take(struct mgr_replica *r, const char *p, size_t n)
{
	r->in_input = true;
	r->moved_ns = mgr_loop_now(r->pool->loop);
	ssize_t used = r->driver->input(r, p, n);
	r->in_input = false;
	if (used < 0) {
		mgr_watch_stop(&r->watch_out);
		r->out_closed = true;
		return false;
	}
	if ((size_t)used < n) {
		block(r, p + used, n - (size_t)used);
		return false;
	}
	if (r->driver->at_border != NULL && !r->driver->at_border(r) && !mgr_timer_is_on(&r->moving) &&
	    mgr_timer_start(&r->moving, r->pool->loop, r->moved_ns + r->pool->conf.frame_ns, on_moving) < 0)
		mgr_replica_kill(r);
	return true;
}

static void
ended(struct mgr_replica *r)
{
	r->out_closed = true;
	mgr_watch_stop(&r->watch_out);
	if (!r->driver->resident || r->exited || r->state >= MGR_REPLICA_STOPPING)
		return;
	/* Most often its exit, which tells more, is already on its way. */
	bool expected = r->expected;
	mgr_replica_drain(r, mgr_loop_now(r->pool->loop) + r->pool->conf.grace_ns);
	r->expected = expected;
	r->eof_due = true;
	mgr_replica_touch(r);
}

static void
read_some(struct mgr_replica *r, int times)
{
	char *scratch = r->pool->scratch;

	while (times-- > 0 && !r->out_closed && !r->blocked) {
		ssize_t n = mgr_read(r->fd_out, scratch, MGR_POOL_CHUNK);
		if (n == -EAGAIN)
			return;
		if (n <= 0)
			ended(r);
		else if (!take(r, scratch, (size_t)n) || n < (ssize_t)MGR_POOL_CHUNK / 2)
			return;
	}
}

void
mgr_replica_on_out(struct mgr_watch *w, uint32_t events)
{
	struct mgr_replica *r = MGR_CONTAINER(w, struct mgr_replica, watch_out);

	(void)events;
	if (!r->in_input)
		read_some(r, READS_PER_EVENT);
}

void
mgr_replica_read_all(struct mgr_replica *r)
{
	for (int i = 0; i < READS_AT_END && !r->out_closed && !r->blocked; i++) {
		ssize_t n = mgr_read(r->fd_out, r->pool->scratch, MGR_POOL_CHUNK);
		if (n <= 0)
			return;
		take(r, r->pool->scratch, (size_t)n);
	}
}

void
mgr_replica_resume(struct mgr_replica *r)
{
	if (r->blocked)
		mgr_replica_touch(r);
}

void
mgr_replica_unblock(struct mgr_replica *r)
{
	if (!r->blocked || r->in_input || r->state == MGR_REPLICA_DEAD)
		return;
	r->in_input = true;
	r->moved_ns = mgr_loop_now(r->pool->loop);
	size_t n = mgr_buf_n(&r->in);
	ssize_t used = r->driver->input(r, mgr_buf_p(&r->in), n);
	r->in_input = false;
	if (used >= 0 && (size_t)used < n) {
		mgr_buf_take(&r->in, (size_t)used);
		return;
	}
	mgr_buf_clear(&r->in, MGR_POOL_CHUNK);
	r->blocked = false;
	r->out_closed = r->out_closed || used < 0;
	if (r->exited) {
		mgr_replica_read_all(r);
		if (!r->blocked)
			mgr_replica_bury(r);
	} else if (!r->out_closed && mgr_watch_start(&r->watch_out, r->pool->loop, r->fd_out, EPOLLIN,
						     mgr_replica_on_out) < 0) {
		mgr_replica_kill(r);
	}
}
