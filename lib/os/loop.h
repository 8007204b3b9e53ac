/*
 * One thread, one loop.  Watchers, timers, signals and hooks live inside their owner, who stops
 * them before its memory goes; stopping inside a callback is always safe, also for a watcher whose
 * event waits in the same batch.  A callback does a bounded bit of work and returns.
 *
 * A turn: sleep in epoll, dispatch descriptors, then due timers, then every hook's turn().  Before
 * a sleep every hook arms, then one full fence, then every hook checks: one that finds news keeps
 * the loop awake (the protocol of lanes, see ipc/lane.h).
 */
#ifndef MGR_OS_LOOP_H
#define MGR_OS_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/queue.h>

struct mgr_loop;

struct mgr_watch {
	int fd; /* borrowed, never closed here */
	uint32_t events;
	void (*fn)(struct mgr_watch *, uint32_t events);
	struct mgr_loop *loop; /* NULL = stopped */
};

struct mgr_timer {
	int64_t at_ns; /* monotonic */
	void (*fn)(struct mgr_timer *);
	struct mgr_loop *loop; /* NULL = stopped */
	size_t index;
};

struct mgr_signal {
	int signo;
	void (*fn)(struct mgr_signal *);
	struct mgr_loop *loop;
	LIST_ENTRY(mgr_signal) link;
};

/* Any function may be NULL. */
struct mgr_hook {
	bool (*turn)(struct mgr_hook *);  /* once per turn; true = more to do, do not sleep */
	void (*arm)(struct mgr_hook *);   /* about to sleep */
	bool (*check)(struct mgr_hook *); /* after the fence; true = nothing new, may sleep */
	void (*wake)(struct mgr_hook *);  /* after the sleep, or when some check refused it */
	TAILQ_ENTRY(mgr_hook) link;
};

int mgr_loop_new(struct mgr_loop **ret_loop);
void mgr_loop_free(struct mgr_loop *loop); /* accepts NULL; everything on it must be stopped */

/* Turns until mgr_loop_stop: 0 or -errno of epoll. */
int mgr_loop_run(struct mgr_loop *loop);
/* One turn that sleeps at most max_ns (< 0 = no limit, 0 = do not sleep): 0 or -errno. */
int mgr_loop_turn(struct mgr_loop *loop, int64_t max_ns);
void mgr_loop_stop(struct mgr_loop *loop);

/* Monotonic time at the begin of this turn; cheap, good enough for deadlines. */
int64_t mgr_loop_now(const struct mgr_loop *loop);

int mgr_watch_start(struct mgr_watch *w, struct mgr_loop *loop, int fd, uint32_t events,
		    void (*fn)(struct mgr_watch *, uint32_t events));
int mgr_watch_set(struct mgr_watch *w, uint32_t events); /* no system call when nothing changes */
void mgr_watch_stop(struct mgr_watch *w);                /* no-op when stopped */

/* (Re)starts the timer: 0 or -ENOMEM. */
int mgr_timer_start(struct mgr_timer *t, struct mgr_loop *loop, int64_t at_ns,
		    void (*fn)(struct mgr_timer *));
void mgr_timer_stop(struct mgr_timer *t);
static inline bool
mgr_timer_is_on(const struct mgr_timer *t)
{
	return t->loop != NULL;
}

/* The signal is blocked for the whole process and arrives here: 0 or -errno. */
int mgr_signal_start(struct mgr_signal *s, struct mgr_loop *loop, int signo,
		     void (*fn)(struct mgr_signal *));
void mgr_signal_stop(struct mgr_signal *s);

void mgr_hook_add(struct mgr_hook *h, struct mgr_loop *loop);
void mgr_hook_del(struct mgr_hook *h, struct mgr_loop *loop);

#endif
