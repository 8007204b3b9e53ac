/*
 * Children that are watched by pidfd: their end is an event, not a signal.
 */
#ifndef MGR_OS_CHILD_H
#define MGR_OS_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "os/loop.h"
#include "os/spawn.h"

struct mgr_child {
	pid_t pid; /* 0 = none */
	int pidfd;
	bool kill_group; /* what is left of its process group is killed when it ends */
	bool adopted; /* not our child: the status is unknown (-1) */
	struct mgr_watch watch;
	void (*fn)(struct mgr_child *, int status);
};

/* Spawns and watches.  fn gets the wait status once; the child is then reaped and pid is 0. */
int mgr_child_start(struct mgr_child *c, struct mgr_loop *loop, const struct mgr_spawn *s,
		    void (*fn)(struct mgr_child *, int status));

/* Watches a process that somebody else started: -ESRCH when it is gone. */
int mgr_child_adopt(struct mgr_child *c, struct mgr_loop *loop, pid_t pid,
		    void (*fn)(struct mgr_child *, int status));

/* Signals the child; with group its whole process group too.  A no-op for a child that ended. */
void mgr_child_kill(struct mgr_child *c, int signo, bool group);

/* Stops watching; a child that still runs is left alone. */
void mgr_child_fini(struct mgr_child *c);

/* Makes this process the reaper of orphaned descendants and reaps them as they end. */
int mgr_child_reap_orphans(struct mgr_loop *loop);
void mgr_child_reap_fini(void);

/* Kills every process of a session (a dead worker's handlers and their children): how many. */
int mgr_child_kill_session(pid_t sid, int signo);

/* "exit status 3" or "signal 9 (Killed)". */
const char *mgr_child_status_text(int status, char *text, size_t n);

#endif
