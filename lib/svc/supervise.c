#include "svc/pool_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/rand.h"
#include "os/log.h"

#define LOOK_NS MGR_S /* at the files of a handler that has failed */
#define FILES_MAX 8   /* arguments that are looked at */

static void on_start(struct mgr_timer *t);

static bool
may_start(const struct mgr_pool *pool)
{
	return pool->started && !pool->stopped && !pool->freeing && (pool->driver->resident || pool->driver->spare) &&
	       (!pool->draining || pool->queue.n > 0);
}

static void
schedule(struct mgr_seat *seat, int64_t delay_ns)
{
	struct mgr_pool *pool = seat->pool;
	int64_t at_ns = mgr_loop_now(pool->loop) + delay_ns;

	if (seat->index >= pool->want || seat->replica != NULL || !may_start(pool))
		return;
	if (mgr_timer_is_on(&seat->timer) && seat->timer.at_ns <= at_ns)
		return;
	if (mgr_timer_start(&seat->timer, pool->loop, at_ns, on_start) < 0)
		mgr_log(MGR_ERR, "handler-not-restarted", "handler=%s#%u error=out of memory", pool->conf.name,
			seat->index);
}

/* Tells one version of the handler's files from the next: the program and what an interpreter is told to run. */
static uint64_t
sign_files(const struct mgr_pool *pool)
{
	uint64_t sign = UINT64_C(0xcbf29ce484222325);
	struct stat st;

	for (int i = 0; i < FILES_MAX && pool->conf.argv[i] != NULL; i++) {
		if (stat(pool->conf.argv[i], &st) < 0)
			st = (struct stat){0};
		const uint64_t fact[] = {st.st_dev, st.st_ino, (uint64_t)st.st_size, st.st_mode,
					 (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec};
		for (size_t k = 0; k < MGR_N(fact); k++)
			sign = (sign ^ fact[k]) * UINT64_C(0x100000001b3);
	}
	return sign;
}

static void on_failed_over(struct mgr_timer *t);

/* A handler that has failed is tried again after a while, and at once when its files change. */
static void
look_later(struct mgr_pool *pool)
{
	int64_t at_ns = mgr_loop_now(pool->loop) + LOOK_NS;

	mgr_timer_start(&pool->failed_timer, pool->loop,
			at_ns < pool->failed_until_ns ? at_ns : pool->failed_until_ns, on_failed_over);
}

static void
on_failed_over(struct mgr_timer *t)
{
	struct mgr_pool *pool = MGR_CONTAINER(t, struct mgr_pool, failed_timer);

	if (mgr_loop_now(pool->loop) < pool->failed_until_ns && sign_files(pool) == pool->files) {
		look_later(pool);
		return;
	}
	if (!pool->driver->resident && !pool->driver->spare) {
		mgr_once_check(pool);
		mgr_pool_say(pool);
		return;
	}
	/* One goes ahead; the others follow when it is READY. */
	for (unsigned i = 0; i < pool->want && i < pool->seat_n; i++) {
		if (pool->seat[i]->replica != NULL)
			continue;
		mgr_timer_start(&pool->seat[i]->timer, pool->loop, mgr_loop_now(pool->loop), on_start);
		return;
	}
	pool->failed = false;
}

void
mgr_seats_failed(struct mgr_pool *pool)
{
	if (!pool->failed)
		mgr_log(MGR_ERR, "handler-failed", "handler=%s retry_s=%d why=%s", pool->conf.name,
			(int)(pool->conf.failed_retry_ns / MGR_S), mgr_log_str(pool->why));
	pool->failed = true;
	for (unsigned i = 0; i < pool->seat_n; i++)
		mgr_timer_stop(&pool->seat[i]->timer);
	pool->files = sign_files(pool);
	pool->failed_until_ns = mgr_loop_now(pool->loop) + pool->conf.failed_retry_ns;
	look_later(pool);
	mgr_pool_wake(pool);
}

static void
retry(struct mgr_seat *seat)
{
	const struct mgr_pool_conf *conf = &seat->pool->conf;
	int64_t delay_ns = mgr_rand_backoff(conf->backoff_min_ns, conf->backoff_max_ns, seat->tries);

	seat->tries += seat->tries < 32 ? 1 : 0;
	schedule(seat, delay_ns);
}

/* A start that came to nothing.  Enough of them in a short time, and starting again makes no sense. */
void
mgr_seats_fault(struct mgr_pool *pool, struct mgr_seat *seat)
{
	int64_t now = mgr_loop_now(pool->loop);

	pool->trouble = true;
	pool->death_ns[pool->death_at] = now;
	pool->death_at = (pool->death_at + 1) % MGR_POOL_DEATHS;
	/* Of the last five the oldest is the next to be overwritten. */
	int64_t first_ns = pool->death_ns[pool->death_at];
	if (pool->failed || (first_ns != 0 && now - first_ns <= MGR_POOL_DEATHS_NS)) {
		mgr_seats_failed(pool);
		return;
	}
	if (seat != NULL)
		retry(seat);
}

/* No fault of the program: it starts when others have given back what is missing. */
bool
mgr_seats_is_short_of(int err)
{
	return err == -EAGAIN || err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -ETXTBSY;
}

static void
clean_tally(struct mgr_pool *pool)
{
	memset(pool->death_ns, 0, sizeof(pool->death_ns));
}

static int
start(struct mgr_pool *pool, unsigned index, struct mgr_replica **place)
{
	struct mgr_replica *r;
	int err = mgr_replica_new(pool, index, &r);

	if (err < 0)
		return err;
	mgr_env_set_replica(pool, index);
	err = mgr_replica_spawn(r, pool->conf.argv, pool->envp);
	if (err < 0) {
		mgr_replica_free(r);
		return err;
	}
	*place = r;
	if (!pool->driver->handshake)
		mgr_replica_ready(r);
	return 0;
}

static void
not_started(struct mgr_pool *pool, unsigned index, int err)
{
	mgr_pool_set_why(pool, "handler %s#%u cannot be started: %s: %s", pool->conf.name, index,
			 pool->conf.argv[0], mgr_log_errno(err));
	mgr_log(MGR_ERR, "handler-not-started", "handler=%s#%u path=%s error=%s", pool->conf.name, index,
		mgr_log_str(pool->conf.argv[0]), mgr_log_errno(err));
}

static void
on_start(struct mgr_timer *t)
{
	struct mgr_seat *seat = MGR_CONTAINER(t, struct mgr_seat, timer);
	struct mgr_pool *pool = seat->pool;

	if (seat->replica != NULL || seat->index >= pool->want || !may_start(pool))
		return;
	int err = start(pool, seat->index, &seat->replica);
	if (err < 0) {
		not_started(pool, seat->index, err);
		if (mgr_seats_is_short_of(err))
			retry(seat);
		else
			mgr_seats_fault(pool, seat);
		mgr_pool_say(pool);
	}
}

/* Makes the seats up to n and starts what is vacant; what is above drains. */
int
mgr_seats_set(struct mgr_pool *pool, unsigned n)
{
	int64_t until_ns = mgr_loop_now(pool->loop) + pool->conf.drain_ns;

	if (n > pool->seat_n) {
		struct mgr_seat **seat = reallocarray(pool->seat, n, sizeof(struct mgr_seat *));
		if (seat == NULL)
			return -ENOMEM;
		pool->seat = seat;
	}
	for (; pool->seat_n < n; pool->seat_n++) {
		struct mgr_seat *seat = calloc(1, sizeof(*seat));
		if (seat == NULL)
			return -ENOMEM;
		*seat = (struct mgr_seat){.index = pool->seat_n, .pool = pool};
		pool->seat[pool->seat_n] = seat;
	}
	pool->want = n;
	for (unsigned i = n; i < pool->seat_n; i++) {
		mgr_timer_stop(&pool->seat[i]->timer);
		if (pool->seat[i]->replica != NULL)
			mgr_replica_drain(pool->seat[i]->replica, until_ns);
		if (pool->seat[i]->next != NULL)
			mgr_replica_drain(pool->seat[i]->next, until_ns);
	}
	mgr_seats_fill(pool);
	return 0;
}

void
mgr_seats_fill(struct mgr_pool *pool)
{
	for (unsigned i = 0; i < pool->want && i < pool->seat_n; i++)
		if (!pool->failed && !mgr_timer_is_on(&pool->seat[i]->timer))
			schedule(pool->seat[i], 0);
}

static struct mgr_seat *
seat_of(const struct mgr_replica *r)
{
	struct mgr_seat *seat = r->index < r->pool->seat_n ? r->pool->seat[r->index] : NULL;

	return seat != NULL && (seat->replica == r || seat->next == r) ? seat : NULL;
}

/* Replaces seat after seat: the new one first, and the old one leaves when it is READY. */
static void
roll_step(struct mgr_pool *pool)
{
	while (pool->roll && pool->rolling < pool->want) {
		struct mgr_seat *seat = pool->seat[pool->rolling];
		if (seat->next != NULL)
			return;
		if (seat->replica == NULL) {
			pool->rolling++; /* vacant: the next start takes the new program anyway */
			continue;
		}
		int err = start(pool, seat->index, &seat->next);
		if (err == 0)
			return;
		not_started(pool, seat->index, err);
		pool->roll = false;
		mgr_pool_say(pool);
	}
	pool->roll = false;
}

void
mgr_seats_roll(struct mgr_pool *pool)
{
	pool->failed = false;
	mgr_timer_stop(&pool->failed_timer);
	clean_tally(pool);
	pool->rolling = 0;
	pool->roll = pool->driver->resident;
	for (unsigned i = 0; i < pool->seat_n; i++) {
		struct mgr_seat *seat = pool->seat[i];
		seat->tries = 0;
		mgr_timer_stop(&seat->timer);
		if (seat->next != NULL) {
			seat->next->expected = true;
			mgr_replica_kill(seat->next);
			seat->next = NULL;
		}
		/* A start or a spare copy of the old program holds nothing: it is replaced on the spot. */
		if (seat->replica != NULL && (seat->replica->state == MGR_REPLICA_STARTING || !pool->roll)) {
			seat->replica->expected = true;
			mgr_replica_kill(seat->replica);
		}
	}
	if (!pool->driver->resident && !pool->driver->spare)
		mgr_once_check(pool);
	mgr_seats_fill(pool);
	roll_step(pool);
}

/* READY, or where there is none an answer, proves that the program works. */
void
mgr_seats_recovered(struct mgr_pool *pool)
{
	pool->trouble = false;
	if (!pool->failed)
		return;
	pool->failed = false;
	mgr_timer_stop(&pool->failed_timer);
	mgr_seats_fill(pool);
}

void
mgr_seats_ready(struct mgr_replica *r)
{
	struct mgr_pool *pool = r->pool;
	struct mgr_seat *seat = seat_of(r);

	if (r->driver->handshake)
		mgr_seats_recovered(pool);
	if (seat != NULL && seat->next == r) {
		struct mgr_replica *old = seat->replica;
		seat->replica = r;
		seat->next = NULL;
		if (old != NULL)
			mgr_replica_drain(old, mgr_loop_now(pool->loop) + pool->conf.drain_ns);
		pool->rolling = r->index + 1;
		roll_step(pool);
	}
	if (!r->driver->resident) {
		mgr_pool_say_news(pool);
		return;
	}
	mgr_log(MGR_POOL_NEWS(pool), "handler-ready", "handler=%s#%u pid=%d", pool->conf.name, r->index, (int)r->pid);
	mgr_pool_say(pool);
}

void
mgr_seats_leave(struct mgr_replica *r)
{
	struct mgr_seat *seat = seat_of(r);

	if (seat == NULL || seat->replica != r)
		return;
	seat->replica = NULL;
	schedule(seat, 0);
}

static void
say_end(struct mgr_replica *r, bool was_ready)
{
	struct mgr_pool *pool = r->pool;
	char text[64];

	mgr_child_status_text(r->status, text, sizeof(text));
	mgr_log(r->expected ? MGR_POOL_NEWS(pool) : MGR_WARN, "handler-ended", "handler=%s#%u pid=%d calls=%llu end=%s",
		pool->conf.name, r->index, (int)r->pid, (unsigned long long)r->calls, text);
	/* A verdict of our own (broken, too late) says more than the signal that followed it. */
	if (r->expected || r->verdict)
		return;
	mgr_pool_set_why(pool, "handler %s#%u ended %s: %s%s%s", pool->conf.name, r->index,
			 was_ready ? "by itself" : "before READY", text, r->log.last[0] != '\0' ? "; it said: " : "",
			 r->log.last);
}

static void
replace(struct mgr_replica *r, struct mgr_seat *seat)
{
	struct mgr_pool *pool = r->pool;
	int64_t lived_ns = mgr_loop_now(pool->loop) - r->started_ns;

	if (r->expected) {
		schedule(seat, 0);
		return;
	}
	pool->restarts++;
	if (r->answered) {
		clean_tally(pool);
		seat->tries = 0;
		schedule(seat, 0);
		return;
	}
	if (lived_ns >= pool->conf.stable_ns)
		seat->tries = 0;
	mgr_seats_fault(pool, seat);
}

/* The process of r is gone; its last output may still be on the way to its caller. */
void
mgr_seats_ended(struct mgr_replica *r)
{
	struct mgr_pool *pool = r->pool;
	struct mgr_seat *seat = seat_of(r);

	if (!r->driver->resident && (r->slot_n > 0 || seat == NULL))
		return; /* its status is the answer */
	say_end(r, r->was_ready);
	if (seat == NULL)
		return;
	if (seat->next == r) {
		/* The new program does not work: the old one goes on. */
		seat->next = NULL;
		pool->roll = false;
		mgr_log(MGR_ERR, "restart-stopped", "handler=%s why=%s", pool->conf.name, mgr_log_str(pool->why));
	} else {
		seat->replica = NULL;
		if (seat->next != NULL) {
			seat->replica = seat->next;
			seat->next = NULL;
			pool->rolling = seat->index + 1;
		} else {
			replace(r, seat);
		}
	}
	mgr_pool_say(pool);
}

/* How long until something may be READY again: what a client is told to wait. */
int64_t
mgr_seats_retry_ns(const struct mgr_pool *pool)
{
	int64_t now = mgr_loop_now(pool->loop), least_ns = MGR_S;

	if (!pool->failed || !mgr_timer_is_on(&pool->failed_timer))
		return least_ns;
	int64_t left_ns = pool->failed_until_ns - now;
	return left_ns > least_ns ? left_ns : least_ns;
}

void
mgr_seats_fini(struct mgr_pool *pool)
{
	mgr_timer_stop(&pool->failed_timer);
	for (unsigned i = 0; i < pool->seat_n; i++) {
		mgr_timer_stop(&pool->seat[i]->timer);
		free(pool->seat[i]);
	}
	free(pool->seat);
	pool->seat = NULL;
	pool->seat_n = 0;
}
