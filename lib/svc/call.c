#include "svc/caller_priv.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "os/clock.h"

bool
mgr_call_is_open(const struct mgr_call *call)
{
	return call->caller != NULL;
}

static void
close_call(struct mgr_call *call, uint8_t reason)
{
	struct mgr_caller *c = call->caller;

	if (call->is_ending)
		TAILQ_REMOVE(&c->ending, call, link);
	call->is_ending = false;
	if (call->target != NULL)
		mgr_target_del(call->target, call, reason);
	mgr_timer_stop(&call->timer);
	mgr_buf_fini(&call->held);
	mgr_buf_fini(&call->answer);
	if (c->current == call)
		c->current = NULL;
	c->in_flight--;
	call->caller = NULL;
}

void
mgr_call_finish(struct mgr_call *call, enum mgr_outcome outcome, int64_t retry_ms)
{
	close_call(call, 0);
	call->ops->done(call, outcome, retry_ms);
}

void
mgr_call_cancel(struct mgr_call *call, unsigned reason)
{
	if (mgr_call_is_open(call))
		close_call(call, (uint8_t)reason);
}

/* Copies the request back out of our own half: nobody else can have changed it. */
static int
take_back(struct mgr_call *call, struct mgr_buf *b)
{
	struct iovec iov[2];

	if (call->slot < 0)
		return mgr_buf_add(b, mgr_buf_p(&call->held), mgr_buf_n(&call->held));
	ssize_t n = mgr_lane_own(&call->target->link.lane, (uint32_t)call->slot, iov);
	if (n < 0)
		return (int)n;
	for (int i = 0; i < 2; i++)
		if (mgr_buf_add(b, iov[i].iov_base, iov[i].iov_len) < 0)
			return -ENOMEM;
	return mgr_buf_add(b, mgr_buf_p(&call->held), mgr_buf_n(&call->held));
}

static int
try_elsewhere(struct mgr_call *call, struct mgr_buf *request)
{
	struct mgr_caller *c = call->caller;
	struct mgr_target *other;
	size_t taken;
	int r = mgr_caller_choose(c, call->name, strlen(call->name), call->target, &other);

	if (r < 0)
		return r;
	mgr_target_del(call->target, call, 0);
	call->started = false;
	call->closed = false;
	size_t body_n = mgr_buf_n(request) - call->meta_n;
	r = mgr_target_add(other, call, mgr_buf_p(request), call->meta_n, mgr_buf_p(request) + call->meta_n,
			   body_n, &taken);
	if (r == 0 && taken < body_n)
		r = mgr_buf_add(&call->held, mgr_buf_p(request) + call->meta_n + taken, body_n - taken);
	return r;
}

/* One more try on another worker, once per call: true when one took it. */
static bool
move(struct mgr_call *call)
{
	MGR_AUTO_BUF struct mgr_buf request = {0};

	if (call->head_seen || call->tries > 0 || call->name[0] == '\0' || take_back(call, &request) < 0)
		return false;
	call->tries++;
	if (try_elsewhere(call, &request) < 0)
		return false;
	call->caller->retry_n++;
	return true;
}

void
mgr_call_lost(struct mgr_call *call)
{
	bool never_started = call->slot < 0 || !call->started;

	if (call->slot >= 0 && !call->closed)
		never_started = mgr_lane_response(&call->target->link.lane, (uint32_t)call->slot, NULL, NULL) <
				MGR_LANE_IS_STARTED;
	if ((never_started || (call->flags & MGR_CALL_IDEMPOTENT)) && move(call))
		return;
	mgr_call_finish(call, call->slot < 0 && !call->started ? MGR_OUT_UNAVAILABLE : MGR_OUT_GONE, 0);
}

/* Passes on what was held back while the ring was full or the lane was not there. */
static bool
push_held(struct mgr_call *call)
{
	struct mgr_lane *lane = &call->target->link.lane;
	size_t n = mgr_lane_append(lane, (uint32_t)call->slot, mgr_buf_p(&call->held), mgr_buf_n(&call->held));

	mgr_buf_take(&call->held, n);
	if (n > 0)
		mgr_link_touch(&call->target->link);
	return mgr_buf_n(&call->held) == 0;
}

static void
maybe_end(struct mgr_call *call)
{
	if (call->ended && !call->closed && call->slot >= 0 && mgr_buf_n(&call->held) == 0) {
		mgr_lane_end(&call->target->link.lane, (uint32_t)call->slot);
		mgr_link_touch(&call->target->link);
	}
}

static void
see_room(struct mgr_call *call)
{
	if (!call->want_room || call->closed || !push_held(call))
		return;
	call->want_room = false;
	if (call->ended)
		maybe_end(call);
	else if (call->ops->room != NULL)
		call->ops->room(call);
}

/* Takes the answer's META out of the ring as it comes; true when head() was told. */
static bool
see_head(struct mgr_call *call)
{
	struct mgr_caller *c = call->caller;
	struct mgr_lane *lane = &call->target->link.lane;
	uint32_t slot = (uint32_t)call->slot;
	struct mgr_lane_head head;
	struct iovec iov[2];

	if (call->head_seen)
		return true;
	mgr_lane_response(lane, slot, &head, NULL);
	if (head.info < 200 || head.info > 599 || head.meta_n == 0) {
		mgr_call_finish(call, MGR_OUT_GONE, 0); /* no answer that a worker of ours would give */
		return false;
	}
	if (mgr_lane_data(lane, slot, iov) + mgr_buf_n(&call->answer) < head.meta_n) {
		if (head.meta_n <= lane->conf.bytes)
			return false;
		for (int i = 0; i < 2; i++)
			if (mgr_buf_add(&call->answer, iov[i].iov_base, iov[i].iov_len) < 0)
				return false;
		mgr_lane_consume(lane, slot, iov[0].iov_len + iov[1].iov_len);
		return false;
	}
	size_t left = head.meta_n - mgr_buf_n(&call->answer);
	mgr_buf_clear(&c->meta, 1u << 16);
	if (mgr_buf_add(&c->meta, mgr_buf_p(&call->answer), mgr_buf_n(&call->answer)) < 0)
		return false;
	mgr_buf_fini(&call->answer);
	for (int i = 0; i < 2 && left > 0; i++) {
		size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;
		if (mgr_buf_add(&c->meta, iov[i].iov_base, n) < 0)
			return false;
		left -= n;
		mgr_lane_consume(lane, slot, n);
	}
	call->head_seen = true;
	call->ops->head(call, head.info, mgr_buf_p(&c->meta), head.meta_n, head.body_n);
	return true;
}

/* After CLOSED: the end, as soon as every byte was consumed. */
static void
maybe_finish(struct mgr_call *call)
{
	struct iovec iov[2];

	if (!call->closed)
		return;
	if (call->outcome == MGR_OUT_OK && call->head_seen &&
	    mgr_lane_data(&call->target->link.lane, (uint32_t)call->slot, iov) > 0)
		return;
	enum mgr_outcome outcome = call->outcome < MGR_OUT_N ? call->outcome : MGR_OUT_GONE;
	if (outcome == MGR_OUT_OK && !call->head_seen && !(call->flags & MGR_CALL_DISPATCH))
		outcome = MGR_OUT_GONE; /* a worker that promises an answer and gives none */
	/* A worker that is leaving refuses before it has done anything. */
	if (outcome == MGR_OUT_UNAVAILABLE && move(call))
		return;
	mgr_call_finish(call, outcome, call->retry_ms);
}

static void
see_closed(struct mgr_call *call)
{
	struct mgr_lane_head head;

	mgr_lane_response(&call->target->link.lane, (uint32_t)call->slot, &head, &call->outcome);
	call->retry_ms = head.deadline_ns > 0 && head.deadline_ns < 3600 * MGR_S ? head.deadline_ns / MGR_MS : 0;
	call->closed = true;
	call->want_room = false;
}

void
mgr_call_look(struct mgr_call *call, unsigned events)
{
	struct mgr_caller *c = call->caller;
	struct mgr_call *outer = c->current;
	struct iovec iov[2];

	/* Callbacks may cancel and free the call: c->current tells. */
	c->current = call;
	if (events & MGR_LANE_STARTED)
		call->started = true;
	if (events & MGR_LANE_CLOSED)
		see_closed(call);
	if ((events & MGR_LANE_ROOM) && c->current == call)
		see_room(call);
	if (c->current == call && (events & (MGR_LANE_HEAD | MGR_LANE_CLOSED | MGR_LANE_DATA)) &&
	    mgr_lane_response(&call->target->link.lane, (uint32_t)call->slot, NULL, NULL) >=
		    MGR_LANE_IS_HEAD &&
	    !(call->flags & MGR_CALL_DISPATCH) && (!call->closed || call->outcome == MGR_OUT_OK) &&
	    see_head(call) && c->current == call &&
	    mgr_lane_data(&call->target->link.lane, (uint32_t)call->slot, iov) > 0)
		call->ops->data(call);
	if (c->current == call)
		maybe_finish(call);
	c->current = outer;
}

size_t
mgr_call_write(struct mgr_call *call, const void *p, size_t n)
{
	size_t taken = 0;

	if (!mgr_call_is_open(call) || call->closed || call->ended)
		return n; /* nobody reads it any more */
	if (call->slot >= 0 && (mgr_buf_n(&call->held) == 0 || push_held(call))) {
		taken = mgr_lane_append(&call->target->link.lane, (uint32_t)call->slot, p, n);
		mgr_link_touch(&call->target->link);
	} else if (call->slot < 0 && mgr_buf_n(&call->held) < call->meta_n + MGR_CALL_HELD_MAX) {
		size_t room = call->meta_n + MGR_CALL_HELD_MAX - mgr_buf_n(&call->held);
		taken = n < room ? n : room;
		if (mgr_buf_add(&call->held, p, taken) < 0)
			taken = 0;
	}
	if (taken > 0)
		call->moved_ns = mgr_loop_now(call->caller->loop);
	call->want_room = taken < n;
	return taken;
}

void
mgr_call_end(struct mgr_call *call)
{
	if (!mgr_call_is_open(call) || call->ended)
		return;
	call->ended = true;
	call->moved_ns = mgr_loop_now(call->caller->loop);
	call->deadline_ns = call->moved_ns + call->time_ns; /* the timer sees it when it goes off */
	if (call->slot >= 0 && mgr_buf_n(&call->held) > 0)
		call->want_room = true; /* see_room ends it */
	else
		maybe_end(call);
}

size_t
mgr_call_data(struct mgr_call *call, struct iovec iov[2])
{
	iov[0] = iov[1] = (struct iovec){0};
	if (!mgr_call_is_open(call) || call->slot < 0 || !call->head_seen)
		return 0;
	return mgr_lane_data(&call->target->link.lane, (uint32_t)call->slot, iov);
}

static void
tell(struct mgr_timer *t)
{
	struct mgr_caller *c = MGR_CONTAINER(t, struct mgr_caller, tell);
	struct mgr_call *call;

	while ((call = TAILQ_FIRST(&c->ending)) != NULL) {
		TAILQ_REMOVE(&c->ending, call, link);
		call->is_ending = false;
		maybe_finish(call);
	}
	struct mgr_target *on, *next;
	for (on = LIST_FIRST(&c->targets); on != NULL; on = next) {
		next = LIST_NEXT(on, entry);
		mgr_target_admit(on);
	}
}

void
mgr_caller_tell_soon(struct mgr_caller *c)
{
	if (!mgr_timer_is_on(&c->tell))
		mgr_timer_start(&c->tell, c->loop, 0, tell);
}

void
mgr_call_consume(struct mgr_call *call, size_t n)
{
	struct mgr_caller *c = call->caller;
	struct iovec iov[2];

	if (c == NULL || call->slot < 0)
		return;
	struct mgr_lane *lane = &call->target->link.lane;
	mgr_lane_consume(lane, (uint32_t)call->slot, n);
	mgr_link_touch(&call->target->link);
	call->moved_ns = mgr_loop_now(c->loop);
	/* Inside its own callback the look goes on and finishes it; elsewhere the next turn does. */
	if (!call->closed || c->current == call || call->is_ending ||
	    mgr_lane_data(lane, (uint32_t)call->slot, iov) > 0)
		return;
	call->is_ending = true;
	TAILQ_INSERT_TAIL(&c->ending, call, link);
	mgr_caller_tell_soon(c);
}
