/*
 * The replica pool: N copies of one handler, a bounded queue in front of them, deadlines, restarts
 * and rolling replacement.  Used by mgr-worker, and by every later program that runs handlers.
 *
 * A task lives inside its owner.  It brings META and a body that may still be arriving, and is told
 * the answer piece by piece.  Every submitted task ends exactly once: done() is called, or the owner
 * cancelled it.  done() is never called from inside submit().  The pool logs; it never exits.
 */
#ifndef MGR_SVC_POOL_H
#define MGR_SVC_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/outcome.h"
#include "os/loop.h"
#include "wire/meta.h"

struct mgr_pool;
struct mgr_replica;
struct mgr_slot;
struct mgr_task;

struct mgr_task_ops {
	/* The request bytes that are here (in place, may be none): how many.  They stay until body_take. */
	size_t (*body)(struct mgr_task *, struct iovec iov[2]);
	void (*body_take)(struct mgr_task *, size_t n);
	/* How many answer bytes (META of head not counted) the owner takes now; SIZE_MAX = any. */
	size_t (*room)(struct mgr_task *);
	/* The answer begins.  meta: the handler's line with LF, or one that the pool made; never empty, but borrowed.
	 * body_n may be MGR_POOL_UNKNOWN. */
	void (*head)(struct mgr_task *, unsigned status, const char *meta, size_t meta_n, uint64_t body_n);
	/* Answer bytes: n <= room(). */
	void (*data)(struct mgr_task *, const void *p, size_t n);
	/* The end.  OK: complete.  Otherwise an error before head, an abort after it.  message is text for
	 * people (may be NULL).  The task may be freed or used again inside. */
	void (*done)(struct mgr_task *, enum mgr_outcome outcome, const char *message, int64_t retry_ns);
	/* The task was given to a replica: from now on it may have had effects.  May be NULL. */
	void (*started)(struct mgr_task *);
};

#define MGR_POOL_UNKNOWN UINT64_MAX

enum mgr_task_flags {
	MGR_TASK_IDEMPOTENT = 1u << 0, /* may be given to a second replica when the first died */
	MGR_TASK_DISPATCH = 1u << 1,   /* the answer is discarded: head and data are not called */
	MGR_TASK_PRIORITY = 1u << 2,   /* ahead of the queue */
};

struct mgr_task {
	void *user;
	const struct mgr_task_ops *ops;
	/* Monotonic, absolute; 0 = the pool's timeout from now.  The time that is left at submit counts anew from the
	 * end of the request, and for a transfer that goes on from the last byte that moved. */
	int64_t deadline_ns;
	unsigned flags;
	uint64_t source;     /* queues of different sources take turns */
	const char *meta;    /* request META with LF, kept by the owner until the end */
	size_t meta_n;
	uint64_t body_n;     /* or MGR_POOL_UNKNOWN */
	bool body_end;       /* set by the owner (then mgr_pool_body): no bytes come after those that are here */

	/* private */
	struct mgr_pool *pool; /* NULL = not submitted */
	struct mgr_slot *slot; /* where it runs */
	uint8_t state, tries, outcome;
	bool head_sent, spooled, back;
	uint64_t gathered_n;
	int64_t time_ns;  /* from the complete request to the answer's head; a stall of a transfer */
	int64_t moved_ns; /* when body bytes last came or went */
	bool was_whole;
	int64_t queued_ns;
	struct mgr_buf gathered; /* body for handlers that do not stream */
	int spool_fd;
	char *spool_path;
	struct mgr_buf answer; /* answer bytes that the owner had no room for */
	char *message;
	struct mgr_timer timer;
	TAILQ_ENTRY(mgr_task) link;
};

enum mgr_pool_mode {
	MGR_POOL_FRAME, MGR_POOL_PACKET, MGR_POOL_LINE, MGR_POOL_FILTER, MGR_POOL_EXEC, MGR_POOL_CGI, MGR_POOL_MODE_N
};
extern const char *const mgr_pool_mode_name[MGR_POOL_MODE_N];

/* Zero means the default in brackets. */
struct mgr_pool_conf {
	const char *name;        /* of the handler; borrowed like all texts here */
	enum mgr_pool_mode mode;
	char *const *argv;       /* argv[0] absolute */
	char *const *env;        /* extra "K=V", may be NULL */
	const char *cwd;         /* NULL = as it is */
	const char *routes;      /* MGR_ROUTES, lines "METHOD PATTERN" */
	unsigned replicas;       /* [1] */
	unsigned concurrency_max;/* offered in MGR_CONCURRENCY [64] */
	unsigned pipeline_max;   /* [16] */
	uint64_t queue_n;        /* waiting tasks [1024] */
	int64_t queue_ns;        /* longest wait [10 s] */
	int64_t timeout_ns;      /* deadline of tasks that bring none [120 s] */
	int64_t start_ns;        /* READY within [10 s] */
	int64_t drain_ns;        /* [30 s] */
	int64_t grace_ns;        /* after CANCEL, EOF or TERM [2 s] */
	int64_t frame_ns;        /* a frame that began must be complete, or move, within [30 s] */
	int64_t backoff_min_ns;  /* [100 ms] */
	int64_t backoff_max_ns;  /* [30 s] */
	int64_t stable_ns;       /* a replica this old resets the backoff [60 s] */
	int64_t failed_retry_ns; /* [30 s] */
	uint64_t body_buffer;    /* larger bodies are spooled for handlers that do not stream [1 MiB] */
	uint64_t body_max;       /* of an answer [10 GiB] */
	const char *spool_dir;   /* NULL = /tmp */
	bool quiet;              /* what is expected of replicas is logged as debug, not info */
	const char *runtime_dir, *state_dir; /* handed on as MGR_RUNTIME_DIR, MGR_STATE_DIR */
};

/* A CALL frame (its META text and whole argument, at most 16 MiB).  The owner must answer each one that wants a RET
 * with mgr_pool_ret, also when the task ended meanwhile (then it is dropped). */
struct mgr_pool_call {
	struct mgr_replica *replica; /* NULL once the replica is gone */
	uint64_t serial;             /* of the replica, so that a late RET cannot reach another */
	uint32_t id;                 /* the frame's ID, 0 = outside of a request */
	struct mgr_json call;        /* META "call" as it came, raw, or n 0 */
	int64_t deadline_ns;         /* of the task; 0 when id is 0 */
	unsigned hops;               /* of the task's META "hops" */
	struct mgr_json meta;        /* the CALL's META object */
	const char *op;              /* "publish", ... NUL-terminated */
	const char *body;
	size_t body_n;
};

struct mgr_pool_ops {
	/* Replica counts or the state changed.  May be NULL. */
	void (*changed)(struct mgr_pool *);
	/* A handler calls; NULL = every op is answered 503 "not available". */
	void (*call)(struct mgr_pool *, const struct mgr_pool_call *);
	/* The first READY named routes ("METHOD PATTERN" lines, may be ""). May be NULL. */
	void (*ready)(struct mgr_pool *, const char *routes);
	/* Draining or stopping is complete: no process is left.  May be NULL. */
	void (*stopped)(struct mgr_pool *);
};

enum mgr_pool_state {
	MGR_POOL_STARTING, /* no replica was READY yet */
	MGR_POOL_READY,
	MGR_POOL_BACKOFF,  /* none is READY, the next start is due */
	MGR_POOL_FAILED,   /* 5 deaths in 10 s of replicas that never answered */
	MGR_POOL_DRAINING,
	MGR_POOL_STOPPED,
	MGR_POOL_STATE_N
};
extern const char *const mgr_pool_state_name[MGR_POOL_STATE_N];

struct mgr_pool_stats {
	enum mgr_pool_state state;
	unsigned want, ready, busy;
	uint64_t queued, in_flight;
	uint64_t calls, errors, timeouts, restarts, rejected;
	uint64_t rss; /* bytes of all replicas */
	char why[256]; /* last failure, "" = none */
};

int mgr_pool_new(struct mgr_pool **ret_pool, struct mgr_loop *loop, const struct mgr_pool_conf *conf,
		 const struct mgr_pool_ops *ops, void *user);
void *mgr_pool_user(const struct mgr_pool *pool);
/* Kills what still runs; tasks end as GONE first.  Accepts NULL. */
void mgr_pool_free(struct mgr_pool *pool);

/* Begins to start replicas: 0 or -errno. */
int mgr_pool_start(struct mgr_pool *pool);

/* 0; -EAGAIN when the queue is full (busy); -ESHUTDOWN while draining; -EHOSTDOWN when the pool has failed;
 * -EINVAL: the mode cannot carry it (line mode with a newline: 400). */
int mgr_pool_submit(struct mgr_pool *pool, struct mgr_task *task);
/* Why the last submit said -EINVAL, for people; static. */
const char *mgr_pool_refusal(const struct mgr_pool *pool);
/* More request bytes are here, or body_end was set. */
void mgr_pool_body(struct mgr_task *task);
/* room() became larger. */
void mgr_pool_room(struct mgr_task *task);
/* Gives waiting tasks to replicas and writes to them now; the pool does so by itself once per turn of the loop, which is a
 * turn late for owners whose hook runs behind the pool's. */
void mgr_pool_flush(struct mgr_pool *pool);
/* The caller left: no more callbacks, memory is the owner's again at once.  reason: "client", "deadline", "shutdown". */
void mgr_pool_cancel(struct mgr_task *task, const char *reason);

/* Answers a CALL: status as HTTP, message may be NULL.  Dropped when the replica is gone. */
void mgr_pool_ret(struct mgr_pool *pool, const struct mgr_pool_call *call, unsigned status,
		  const char *message, const void *body, size_t body_n);

/* A free replica beside the one that asks exists (else a publish to the own name would wait on itself). */
bool mgr_pool_has_spare(const struct mgr_pool *pool, const struct mgr_replica *asking);

void mgr_pool_scale(struct mgr_pool *pool, unsigned replicas);
/* Rolling: starts new replicas, waits for READY, drains old ones. */
void mgr_pool_restart(struct mgr_pool *pool);
/* Takes no new tasks, finishes what is there within drain_ns, stops all; then stopped(). */
void mgr_pool_drain(struct mgr_pool *pool);

void mgr_pool_get_stats(const struct mgr_pool *pool, struct mgr_pool_stats *ret);
/* Adds a JSON array with one object per replica: index, pid, state, since_ms, calls, rss. */
int mgr_pool_list(const struct mgr_pool *pool, struct mgr_buf *b);

#endif
