#include "svc/pool_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/io.h"
#include "os/log.h"

#define REAP_NS (200 * MGR_MS)

const char *const mgr_replica_state_name[MGR_REPLICA_STATE_N] = {
	[MGR_REPLICA_STARTING] = "starting", [MGR_REPLICA_READY] = "ready",
	[MGR_REPLICA_DRAINING] = "draining", [MGR_REPLICA_STOPPING] = "draining",
	[MGR_REPLICA_KILLED] = "killed",     [MGR_REPLICA_DEAD] = "dead",
};

enum stage { STAGE_START, STAGE_IDLE, STAGE_DRAIN, STAGE_TERM };

static void on_life(struct mgr_timer *t);

static void
set_life(struct mgr_replica *r, enum stage stage, int64_t at_ns)
{
	r->stage = (int)stage;
	/* Without memory for a timer nobody would end it later. */
	if (mgr_timer_start(&r->life, r->pool->loop, at_ns, on_life) < 0)
		mgr_replica_kill(r);
}

int
mgr_replica_new(struct mgr_pool *pool, unsigned index, struct mgr_replica **ret_replica)
{
	struct mgr_replica *r = calloc(1, sizeof(*r));
	int err;

	if (r == NULL)
		return -ENOMEM;
	r->pool = pool;
	r->driver = pool->driver;
	r->index = index;
	r->serial = ++pool->serial;
	r->caps = (struct mgr_caps){.concurrency = 1, .pipeline = 1};
	r->fd_in = r->fd_out = r->fd_err = r->fd_aux = -1;
	r->out.limit = 0;
	TAILQ_INIT(&r->slots);
	err = r->driver->handshake ? 0 : mgr_slots_init(r, 1);
	if (err == 0 && r->driver->open != NULL)
		err = r->driver->open(r);
	if (err < 0) {
		free(r->slot);
		free(r);
		return err;
	}
	TAILQ_INSERT_TAIL(&pool->replicas, r, link);
	pool->replica_n++;
	*ret_replica = r;
	return 0;
}

static void
set_state(struct mgr_replica *r, enum mgr_replica_state state)
{
	struct mgr_pool *pool = r->pool;

	if (r->state == state)
		return;
	pool->ready_n -= r->state == MGR_REPLICA_READY ? 1 : 0;
	pool->ready_n += state == MGR_REPLICA_READY ? 1 : 0;
	r->state = state;
	mgr_replica_settle(r);
}

/* Keeps the lists in step with what the replica does. */
void
mgr_replica_settle(struct mgr_replica *r)
{
	struct mgr_pool *pool = r->pool;
	bool idle = r->state == MGR_REPLICA_READY && r->slot_n == 0;
	bool working = r->slot_n > 0;

	if (idle && !r->idle)
		TAILQ_INSERT_HEAD(&pool->idle, r, idle_link); /* the last one is the warmest */
	else if (!idle && r->idle)
		TAILQ_REMOVE(&pool->idle, r, idle_link);
	pool->idle_n += (unsigned)idle - (unsigned)r->idle;
	pool->working_n += (unsigned)working - (unsigned)r->working;
	r->idle = idle;
	r->working = working;
	if (r->state == MGR_REPLICA_DRAINING && !working)
		mgr_replica_touch(r); /* the end of its input follows what it still gets */
}

void
mgr_replica_bury(struct mgr_replica *r)
{
	struct mgr_pool *pool = r->pool;
	char text[64], message[192];

	if (r->state == MGR_REPLICA_DEAD)
		return;
	snprintf(message, sizeof(message), "handler %s#%u ended before it answered: %s", pool->conf.name, r->index,
		 mgr_child_status_text(r->status, text, sizeof(text)));
	if (r->driver->ended != NULL)
		r->driver->ended(r);
	mgr_slots_lost(r, message);
	set_state(r, MGR_REPLICA_DEAD);
	mgr_timer_stop(&r->life);
	mgr_timer_stop(&r->grace);
	mgr_timer_stop(&r->moving);
	mgr_stderr_fini(r);
	mgr_watch_stop(&r->watch_in);
	mgr_watch_stop(&r->watch_out);
	mgr_watch_stop(&r->watch_err);
	mgr_watch_stop(&r->watch_aux);
	TAILQ_REMOVE(&pool->replicas, r, link);
	pool->replica_n--;
	TAILQ_INSERT_TAIL(&pool->dead, r, link);
	mgr_pool_wake(pool);
}

/* What it wrote before its end counts, as far as the owner of the answer has room for it. */
void
mgr_replica_on_end(struct mgr_child *c, int status)
{
	struct mgr_replica *r = MGR_CONTAINER(c, struct mgr_replica, child);

	r->exited = true;
	r->status = status;
	/* Its own children hold our pipes; the number of the group is not given away while they live. */
	kill(-r->pid, SIGKILL);
	mgr_stderr_read(r);
	mgr_stderr_fini(r);
	if (r->state < MGR_REPLICA_KILLED)
		set_state(r, MGR_REPLICA_KILLED);
	mgr_timer_stop(&r->life);
	mgr_seats_ended(r);
	mgr_replica_read_all(r);
	if (!r->blocked || r->slot_n == 0)
		mgr_replica_bury(r);
}

static void
unlist(struct mgr_replica *r)
{
	struct mgr_pool *pool = r->pool;

	if (r->idle)
		TAILQ_REMOVE(&pool->idle, r, idle_link);
	if (r->dirty)
		TAILQ_REMOVE(&pool->dirty, r, dirty_link);
	pool->idle_n -= r->idle ? 1 : 0;
	TAILQ_REMOVE(r->state == MGR_REPLICA_DEAD ? &pool->dead : &pool->replicas, r, link);
	pool->replica_n -= r->state == MGR_REPLICA_DEAD ? 0 : 1;
	pool->ready_n -= r->state == MGR_REPLICA_READY ? 1 : 0;
}

static void
on_reaped(struct mgr_child *c, int status)
{
	(void)c;
	(void)status;
}

/* Its memory goes before its end was seen: on a loop of our own, because a killed process is gone in no time. */
static void
reap(struct mgr_replica *r)
{
	int64_t end_ns = mgr_now_ns() + REAP_NS;
	struct mgr_child left = {0};
	struct mgr_loop *loop;
	pid_t pid = r->child.pid;

	mgr_child_kill(&r->child, SIGKILL, true);
	mgr_child_fini(&r->child);
	if (mgr_loop_new(&loop) < 0)
		return;
	if (mgr_child_adopt(&left, loop, pid, on_reaped) == 0)
		while (left.pid != 0 && mgr_now_ns() < end_ns && mgr_loop_turn(loop, REAP_NS) == 0)
			;
	mgr_child_fini(&left);
	mgr_loop_free(loop);
}

void
mgr_replica_free(struct mgr_replica *r)
{
	if (r->child.pid != 0)
		reap(r);
	mgr_timer_stop(&r->life);
	mgr_timer_stop(&r->grace);
	mgr_timer_stop(&r->moving);
	mgr_watch_stop(&r->watch_in);
	mgr_watch_stop(&r->watch_out);
	mgr_watch_stop(&r->watch_err);
	mgr_watch_stop(&r->watch_aux);
	mgr_close(&r->fd_in);
	mgr_close(&r->fd_out);
	mgr_close(&r->fd_err);
	mgr_close(&r->fd_aux);
	if (r->driver->close != NULL)
		r->driver->close(r);
	mgr_frame_call_fini(r, &r->call);
	mgr_frame_parser_fini(&r->parser);
	mgr_buf_fini(&r->out);
	mgr_buf_fini(&r->in);
	mgr_buf_fini(&r->log.line);
	if (r->slot != NULL)
		mgr_slots_fini(r);
	unlist(r);
	free(r);
}

void
mgr_replica_await_ready(struct mgr_replica *r)
{
	set_life(r, STAGE_START, r->started_ns + r->pool->conf.start_ns);
}

/* May get requests from now on. */
void
mgr_replica_ready(struct mgr_replica *r)
{
	int64_t now = mgr_loop_now(r->pool->loop);

	mgr_timer_stop(&r->life);
	r->was_ready = true;
	set_state(r, MGR_REPLICA_READY);
	if (r->caps.ping)
		set_life(r, STAGE_IDLE, now + MGR_POOL_PING_NS);
	mgr_seats_ready(r);
	mgr_pool_wake(r->pool);
}

static void
ping(struct mgr_replica *r)
{
	if (r->pinged) {
		r->verdict = true;
		mgr_pool_set_why(r->pool, "handler %s#%u did not answer a PING", r->pool->conf.name, r->index);
		mgr_log(MGR_WARN, "handler-hangs", "handler=%s#%u pid=%d", r->pool->conf.name, r->index,
			(int)r->pid);
		mgr_replica_kill(r);
		return;
	}
	if (r->slot_n == 0 && mgr_frame_add(&r->out, MGR_FRAME_PING, false, 0, NULL, 0, NULL, 0) == 0) {
		r->pinged = true;
		mgr_replica_touch(r);
	}
	set_life(r, STAGE_IDLE, mgr_loop_now(r->pool->loop) + MGR_POOL_PING_NS);
}

static void
on_life(struct mgr_timer *t)
{
	struct mgr_replica *r = MGR_CONTAINER(t, struct mgr_replica, life);
	const struct mgr_pool_conf *conf = &r->pool->conf;

	switch ((enum stage)r->stage) {
	case STAGE_START:
		r->verdict = true;
		mgr_pool_set_why(r->pool, "handler %s#%u was not READY within %d ms", conf->name, r->index,
				 (int)(conf->start_ns / MGR_MS));
		mgr_log(MGR_WARN, "handler-not-ready", "handler=%s#%u pid=%d within_ms=%d", conf->name, r->index,
			(int)r->pid, (int)(conf->start_ns / MGR_MS));
		mgr_replica_kill(r);
		break;
	case STAGE_IDLE:
		ping(r);
		break;
	case STAGE_DRAIN:
		mgr_replica_terminate(r);
		break;
	case STAGE_TERM:
		mgr_replica_kill(r);
		break;
	}
}

void
mgr_replica_drain(struct mgr_replica *r, int64_t until_ns)
{
	if (r->state > MGR_REPLICA_READY)
		return;
	r->expected = true;
	if (r->state == MGR_REPLICA_STARTING && r->slot_n == 0) {
		mgr_replica_kill(r);
		return;
	}
	set_state(r, MGR_REPLICA_DRAINING);
	set_life(r, STAGE_DRAIN, until_ns);
}

void
mgr_replica_signal(struct mgr_replica *r, int signo)
{
	mgr_child_kill(&r->child, signo, true);
}

void
mgr_replica_terminate(struct mgr_replica *r)
{
	if (r->exited || r->state >= MGR_REPLICA_KILLED ||
	    (r->stage == STAGE_TERM && mgr_timer_is_on(&r->life)))
		return;
	mgr_replica_signal(r, SIGTERM);
	set_life(r, STAGE_TERM, mgr_loop_now(r->pool->loop) + r->pool->conf.grace_ns);
}

void
mgr_replica_kill(struct mgr_replica *r)
{
	if (r->state >= MGR_REPLICA_KILLED)
		return;
	mgr_timer_stop(&r->life);
	mgr_replica_signal(r, SIGKILL);
	set_state(r, MGR_REPLICA_KILLED);
	mgr_buf_clear(&r->out, 0);
}

void
mgr_replica_broken(struct mgr_replica *r, const char *why, const char *p, size_t n)
{
	struct mgr_pool *pool = r->pool;
	struct mgr_slot *slot = TAILQ_FIRST(&r->slots);
	const char *quoted = mgr_log_text(p, n < 96 ? n : 96);

	r->verdict = true;
	mgr_pool_set_why(pool, "handler %s#%u wrote %s %s", pool->conf.name, r->index, quoted, why);
	mgr_log(MGR_WARN, "handler-broken", "pid=%d text=handler %s#%u wrote %s %s", (int)r->pid, pool->conf.name,
		r->index, quoted, why);
	mgr_replica_kill(r);
	if (slot != NULL && r->caps.concurrency <= 1)
		mgr_answer_end(slot, MGR_OUT_GONE, pool->why);
}

uint64_t
mgr_replica_rss(const struct mgr_replica *r)
{
	char path[64], text[128];
	unsigned long long pages = 0;

	if (r->exited || r->pid == 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)r->pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = mgr_read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%*u %llu", &pages) != 1)
		return 0;
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* How many requests it may hold right now. */
unsigned
mgr_replica_depth(const struct mgr_replica *r)
{
	const struct mgr_slot *last = TAILQ_LAST(&r->slots, mgr_slot_list);
	int64_t now = mgr_loop_now(r->pool->loop);

	if (r->caps.concurrency > 1)
		return r->caps.concurrency;
	if (r->caps.pipeline <= 1 || last == NULL)
		return 1;
	if (!last->fed_all || r->blocked || r->calls == 0 || r->took_ns > MGR_POOL_FAST_NS)
		return 1;
	const struct mgr_slot *head = TAILQ_FIRST(&r->slots);
	int64_t since_ns = head->started_ns > r->answer_ns ? head->started_ns : r->answer_ns;
	return now - since_ns > MGR_POOL_FAST_NS ? 1 : r->caps.pipeline;
}
