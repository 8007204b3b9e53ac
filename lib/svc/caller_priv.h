/*
 * The inside of the caller, shared by caller.c, target.c and call.c only.
 */
#ifndef MGR_SVC_CALLER_PRIV_H
#define MGR_SVC_CALLER_PRIV_H

#include "svc/caller.h"

/* One worker that was called, with its lane. */
struct mgr_target {
	struct mgr_link link;
	struct mgr_caller *caller;
	LIST_ENTRY(mgr_target) entry;
	TAILQ_HEAD(, mgr_call) waiting; /* for the lane or for a free slot */
	unsigned waiting_n, in_flight;
	bool up;
	bool dead; /* the worker is gone; whole answers are still being read */
	int64_t used_ns;
	char lane_path[]; /* of the worker */
};

struct mgr_target *mgr_target_find(struct mgr_caller *c, const char *lane_path);
/* Connects: NULL with -errno in *ret_r. */
struct mgr_target *mgr_target_new(struct mgr_caller *c, const char *lane_path, int *ret_r);
/* Closes the lane; no call may be left on it. */
void mgr_target_free(struct mgr_target *t);

/* Puts a call on its lane, or into the waiting room: 0, -EAGAIN when that is full, -ENOMEM.  body is taken as far as
 * *ret_taken says. */
int mgr_target_add(struct mgr_target *t, struct mgr_call *call, const char *meta, size_t meta_n,
		   const void *body, size_t body_n, size_t *ret_taken);
/* Gives waiting calls the slots that became free. */
void mgr_target_admit(struct mgr_target *t);
/* Takes a call off its target without telling anybody but the worker. */
void mgr_target_del(struct mgr_target *t, struct mgr_call *call, uint8_t reason);

/* The call is over: off its target, then done(). */
void mgr_call_finish(struct mgr_call *call, enum mgr_outcome outcome, int64_t retry_ms);
/* Its worker is gone: try another where that is safe, else finish. */
void mgr_call_lost(struct mgr_call *call);
/* Looks at what a lane says about a call. */
void mgr_call_look(struct mgr_call *call, unsigned events);

/* Ends and admissions that are due outside of a look happen in the next turn. */
void mgr_caller_tell_soon(struct mgr_caller *c);

/* Chooses the target with the fewest calls in flight among the workers of a name, leaving out avoid. */
int mgr_caller_choose(struct mgr_caller *c, const char *name, size_t name_n, const struct mgr_target *avoid,
		      struct mgr_target **ret_target);

#endif
