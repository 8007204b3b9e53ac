/*
 * Lanes over their sockets: greeting, exchange of sealed memory, bell, death.  A set belongs to one
 * loop and drives all its lanes with O(hot lanes) work per turn (LANE.md of the project's design).
 */
#ifndef MGR_IPC_LINK_H
#define MGR_IPC_LINK_H

#include <stdbool.h>
#include <sys/queue.h>

#include "ipc/lane.h"
#include "os/loop.h"

/* What every program of the toolkit uses: both ends of a lane must have the same numbers. */
extern const struct mgr_lane_conf mgr_links_standard;

struct mgr_link;
struct mgr_links;

struct mgr_link_ops {
	/* The lane is ready for calls. */
	void (*up)(struct mgr_link *);
	/* Something changed in a slot: events of mgr_lane_look. */
	void (*look)(struct mgr_link *, uint32_t slot, unsigned events);
	/*
	 * The peer died, broke the protocol or never greeted (link->why).  All open slots were looked at
	 * once before.  The link is closed but its own memory can still be read (mgr_lane_own) until
	 * mgr_link_fini; called once, never from inside another call on the link.
	 */
	void (*down)(struct mgr_link *);
};

struct mgr_link {
	struct mgr_lane lane; /* usable between up and down */
	void *user;
	const char *why;
	pid_t peer_pid;

	/* private */
	const struct mgr_link_ops *ops;
	struct mgr_links *set;
	enum mgr_lane_side side;
	enum { MGR_LINK_CLOSED, MGR_LINK_GREETING, MGR_LINK_UP, MGR_LINK_DOWN } state;
	int fd;
	int mem_fd;
	struct mgr_watch watch;
	struct mgr_timer timer; /* greeting deadline */
	void *mine;
	const void *peers;
	size_t half_n;
	unsigned arm_n; /* armings since the socket was emptied */
	bool hot, broken, bell_seen;
	TAILQ_ENTRY(mgr_link) hot_link;
	LIST_ENTRY(mgr_link) link;
};

struct mgr_links {
	struct mgr_loop *loop;
	struct mgr_hook hook;
	struct mgr_lane_conf conf;
	TAILQ_HEAD(, mgr_link) hot;
	LIST_HEAD(, mgr_link) all;
	struct mgr_timer belt; /* 1 s look round, off when MGR_NO_BELT is set in the environment */
	uint64_t belt_wakes;   /* sleeps that only the belt ended: a lost wake-up, must stay 0 */
	bool manual;           /* the owner's hook drains and flushes; ours only sleeps and wakes */
	bool draining;
};

void mgr_links_init(struct mgr_links *set, struct mgr_loop *loop, const struct mgr_lane_conf *conf,
		    bool manual);
void mgr_links_fini(struct mgr_links *set); /* every link must be finished before */

/* Handles what peers published: how many entries.  At most one ring per lane and call. */
unsigned mgr_links_drain(struct mgr_links *set);
/* Rings for what we published. */
void mgr_links_flush(struct mgr_links *set);

/* Connects to a worker's lane socket as caller: 0 (up or down follows) or -errno at once. */
int mgr_link_connect(struct mgr_link *l, struct mgr_links *set, const char *path,
		     const struct mgr_link_ops *ops);
/* Takes an accepted socket as worker: 0 (up or down follows) or -errno with fd closed. */
int mgr_link_accept(struct mgr_link *l, struct mgr_links *set, int fd, const struct mgr_link_ops *ops);

/* Closes without a callback and gives all memory back; a no-op for a zeroed link. */
void mgr_link_fini(struct mgr_link *l);

/* Must be called after publishing on a lane outside of a look callback, so that flush sees it. */
void mgr_link_touch(struct mgr_link *l);

#endif
