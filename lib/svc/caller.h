/*
 * Calls: from this process straight to the worker that serves a name, over a lane.  Used by
 * mgr-httpd, mgr-worker (CALL frames), mgr-ctl and all later programs.
 *
 * A call lives inside its owner.  submit() picks the live worker of the name with the fewest calls in
 * flight, opens a lane where none is, and streams META and BODY; ops report the answer.  Every
 * submitted call ends exactly once: done() is called, or the owner cancelled it.  done() is never called
 * from inside submit().
 */
#ifndef MGR_SVC_CALLER_H
#define MGR_SVC_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "base/outcome.h"
#include "ipc/link.h"
#include "svc/hub.h"

struct mgr_call;
struct mgr_caller;

#define MGR_CALL_NAME_MAX 64
#define MGR_CALL_HELD_MAX (64u * 1024) /* body bytes kept while the lane is being made */
#define MGR_CALL_WAITING_MAX 4096      /* calls that wait for a slot of one lane */

struct mgr_call_ops {
	/* The answer's META is complete: status, META bytes with LF (borrowed), body length or MGR_LANE_UNKNOWN. */
	void (*head)(struct mgr_call *, unsigned status, const char *meta, size_t meta_n, uint64_t body_n);
	/* Answer bytes can be taken: mgr_call_data, mgr_call_consume.  Not taking them is backpressure. */
	void (*data)(struct mgr_call *);
	/* Request bytes can be written again (mgr_call_write took less than it got).  May be NULL. */
	void (*room)(struct mgr_call *);
	/*
	 * The end.  OK: the answer is complete and every byte was consumed (head came before).  Otherwise:
	 * before head an error to report; after head a broken answer, to be aborted, never completed.
	 * retry_ms: hint for Retry-After, 0 = none.  The call may be used again or freed inside.
	 */
	void (*done)(struct mgr_call *, enum mgr_outcome outcome, int64_t retry_ms);
};

enum mgr_call_flags {
	MGR_CALL_DISPATCH = 1u << 0,   /* no answer wanted: done(OK) when the worker has queued it */
	MGR_CALL_IDEMPOTENT = 1u << 1, /* may be started twice */
	MGR_CALL_PRIORITY = 1u << 2,   /* control lane, ahead of the queue */
	MGR_CALL_PING = 1u << 3,       /* the reserved ping, answered by mgr-worker itself */
};

struct mgr_call {
	void *user;
	const struct mgr_call_ops *ops;

	/* set by submit */
	int64_t deadline_ns;
	unsigned flags;
	uint64_t body_n;

	/* private */
	int64_t time_ns;  /* from the complete request to the answer's head; a stall of a transfer */
	int64_t moved_ns; /* when body bytes last came or went */
	struct mgr_caller *caller; /* NULL = not open */
	struct mgr_target *target;
	int slot; /* -1 = waits for its lane */
	unsigned tries;
	bool ended;     /* the request is complete */
	bool head_seen; /* head() was told */
	bool started;   /* a handler may have seen it */
	bool closed;    /* the worker's last word is here */
	bool want_room;
	uint8_t outcome; /* of a closed one */
	int64_t retry_ms;
	char name[MGR_CALL_NAME_MAX + 1]; /* "" = bound to one worker */
	uint32_t meta_n;
	struct mgr_buf held;   /* META and body bytes given before there was room */
	struct mgr_buf answer; /* META of an answer that is larger than the ring */
	struct mgr_timer timer;
	TAILQ_ENTRY(mgr_call) link; /* waiting room of its target, or the list of the ending */
	bool is_ending;
};

struct mgr_caller {
	struct mgr_loop *loop;
	struct mgr_hub *hub; /* table source, may be NULL with mgr_caller_submit_to only */
	struct mgr_links *links;
	uint64_t call_n, retry_n;
	unsigned in_flight;

	/* private */
	LIST_HEAD(, mgr_target) targets; /* one per worker that was called */
	TAILQ_HEAD(, mgr_call) ending;   /* complete and consumed; to be told in the next turn */
	struct mgr_call *current;        /* whose callback runs; NULL once it was cancelled inside */
	struct mgr_timer tell, sweep;
	struct mgr_buf meta; /* the answer's META of the look that runs */
};

void mgr_caller_init(struct mgr_caller *c, struct mgr_loop *loop, struct mgr_hub *hub, struct mgr_links *links);
/* Every call must have ended or been cancelled. */
void mgr_caller_fini(struct mgr_caller *c);

/* To be called when the hub's table changed: lanes to workers that left close when idle. */
void mgr_caller_table_changed(struct mgr_caller *c);

struct mgr_call_request {
	const char *name; /* of the handler */
	size_t name_n;
	const char *meta; /* mgr_meta_* text with LF */
	size_t meta_n;
	uint64_t body_n;     /* or MGR_LANE_UNKNOWN */
	const void *body;    /* first bytes */
	size_t first_n;
	bool end;            /* the first bytes are the whole body; when not all are taken, write the rest and end */
	/* Monotonic.  What is left of it at submit counts anew from mgr_call_end, and for a transfer that goes on
	 * from the last byte that moved. */
	int64_t deadline_ns;
	unsigned flags;
};

/* How many live workers serve a name right now (0 = not found). */
size_t mgr_caller_workers(const struct mgr_caller *c, const char *name, size_t name_n);

/* 0; -ENOENT when nobody serves the name; -EAGAIN when every slot and the waiting room of the chosen lane are full; -ENOMEM. */
int mgr_caller_submit(struct mgr_caller *c, struct mgr_call *call, const struct mgr_call_request *req,
		      const struct mgr_call_ops *ops, size_t *ret_taken);

/* The same to one worker by its lane socket (the hub's ping). */
int mgr_caller_submit_to(struct mgr_caller *c, struct mgr_call *call, const char *lane_path,
			 const struct mgr_call_request *req, const struct mgr_call_ops *ops,
			 size_t *ret_taken);

/* Gives request body bytes: how many were taken; room() follows when it was less than n. */
size_t mgr_call_write(struct mgr_call *call, const void *p, size_t n);
/* The request body is complete. */
void mgr_call_end(struct mgr_call *call);

/* Answer bytes that are here, in place (copy before parsing): how many. */
size_t mgr_call_data(struct mgr_call *call, struct iovec iov[2]);
void mgr_call_consume(struct mgr_call *call, size_t n);

/* The caller leaves: no more callbacks; the call's memory is free at once.  reason: MGR_LANE_* bits 8-15 (0 client, 1 deadline, 2 shutdown). */
void mgr_call_cancel(struct mgr_call *call, unsigned reason);

/* True between submit and the end. */
bool mgr_call_is_open(const struct mgr_call *call);

#endif
