/*
 * The inside of the pool.  A seat is one of the N places for a replica and outlives it; a replica is
 * one life of one process; a slot is one request inside a replica, also one that nobody waits for any
 * more.  Replicas are freed only from the pool's turn, so that callbacks may do anything but free the pool.
 */
#ifndef MGR_SVC_POOL_PRIV_H
#define MGR_SVC_POOL_PRIV_H

#include "svc/pool.h"

#include "base/assert.h"
#include "base/num.h"
#include "os/child.h"
#include "wire/frame.h"

#define MGR_POOL_SOURCES 64            /* sources are spread over so many queues that take turns */
#define MGR_POOL_CHUNK (64u * 1024)    /* one read; most answer bytes kept for an owner without room */
#define MGR_POOL_WINDOW (64u * 1024)   /* of a body before the first CREDIT */
#define MGR_POOL_PART (32u * 1024)     /* of a streamed body in one frame */
#define MGR_POOL_REPLICAS_MAX 1024u
#define MGR_POOL_CALL_MAX (16u * 1024 * 1024) /* arguments of one replica's CALLs that are incomplete */
#define MGR_POOL_FAST_NS (5 * MGR_MS)  /* a handler slower than that gets one request at a time */
#define MGR_POOL_DEATHS 5              /* of replicas that never answered ... */
#define MGR_POOL_DEATHS_NS (10 * MGR_S) /* ... in so short a time = failed */
#define MGR_POOL_PING_NS (15 * MGR_S)

TAILQ_HEAD(mgr_task_list, mgr_task);
TAILQ_HEAD(mgr_replica_list, mgr_replica);
TAILQ_HEAD(mgr_slot_list, mgr_slot);

enum mgr_task_state {
	MGR_TASK_OUT,     /* not ours */
	MGR_TASK_GATHER,  /* its body is collected */
	MGR_TASK_QUEUED,
	MGR_TASK_RUNNING,
	MGR_TASK_LINGER,  /* the replica is done with it, the owner had no room for all bytes */
	MGR_TASK_ENDING,  /* done() is due */
};

/* Held while a callback runs whose owner may leave inside: task is then NULL. */
struct mgr_guard {
	struct mgr_task *task;
	struct mgr_guard *up;
};

struct mgr_source {
	struct mgr_task_list tasks;
	bool active;
	TAILQ_ENTRY(mgr_source) link;
};

struct mgr_queue {
	struct mgr_task_list first; /* priority, and what comes back from a replica */
	struct mgr_source source[MGR_POOL_SOURCES];
	TAILQ_HEAD(, mgr_source) active;
	uint64_t n;
};

struct mgr_call_in {
	bool on;
	struct mgr_buf meta, body;
};

struct mgr_slot {
	uint32_t id; /* 0 = free */
	struct mgr_replica *replica;
	struct mgr_task *task; /* NULL = nobody waits: what comes is dropped */
	bool fed_all;          /* the whole request was written to the out buffer */
	bool held;             /* the owner still has the body bytes that were copied */
	bool head_seen, ended;
	unsigned ret_n;        /* CALLs that wait for their RET */
	uint64_t begin_n;      /* bytes written to the replica before this request */
	uint64_t end_n;        /* ... and behind it, once fed_all */
	uint64_t len, got_n;   /* of the answer: announced and received */
	uint64_t sent_n;       /* of a body that is streamed */
	uint64_t window_in, window_out;
	uint64_t owed_n;       /* answer bytes taken but not yet granted again */
	int64_t started_ns, deadline_ns;
	int64_t kill_ns;       /* abandoned: answered until then, or the replica is killed */
	struct mgr_call_in call;
	TAILQ_ENTRY(mgr_slot) link;
};

enum mgr_replica_state {
	MGR_REPLICA_STARTING,
	MGR_REPLICA_READY,
	MGR_REPLICA_DRAINING, /* finishes what it has, gets nothing new */
	MGR_REPLICA_STOPPING, /* end of input was sent */
	MGR_REPLICA_KILLED,
	MGR_REPLICA_DEAD,
	MGR_REPLICA_STATE_N
};

struct mgr_caps {
	unsigned concurrency, pipeline;
	bool stream_in, cancel, ping;
};

struct mgr_stderr {
	struct mgr_buf line;
	bool cut;
	int64_t window_ns;
	unsigned window_n;
	uint64_t dropped;
	char last[160];
};

struct mgr_seat {
	unsigned index;
	struct mgr_replica *replica; /* NULL = vacant */
	struct mgr_replica *next;    /* rolling: what will take its place */
	unsigned tries;              /* of the backoff */
	struct mgr_pool *pool;
	struct mgr_timer timer;      /* next start */
};

struct mgr_replica {
	struct mgr_pool *pool;
	const struct mgr_driver *driver;
	unsigned index;
	uint64_t serial;
	enum mgr_replica_state state;
	struct mgr_child child;
	pid_t pid; /* also of its group; kept after the end */
	int status;
	int fd_in, fd_out, fd_err, fd_aux; /* our ends */
	struct mgr_watch watch_in, watch_out, watch_err, watch_aux;
	struct mgr_buf out;  /* to its stdin */
	struct mgr_buf in;   /* from its stdout, when the owner had no room */
	uint64_t written_n;  /* bytes that entered the pipe */
	struct mgr_frame_parser parser;
	struct mgr_caps caps;

	struct mgr_slot *slot;
	uint32_t slot_n, slot_cap, next_id;
	struct mgr_slot_list slots; /* in the order of their start */

	bool idle, dirty, blocked, exited, eof_due, eof_sent, out_closed, answered, expected, pinged;
	bool verdict;   /* why was said when we killed it */
	bool was_ready;
	bool working, in_input;
	int64_t started_ns, answer_ns, took_ns, moved_ns;
	uint64_t calls;
	struct mgr_timer life;   /* start, drain, TERM, KILL */
	struct mgr_timer grace;  /* a request past its deadline */
	struct mgr_timer moving; /* a frame that began */
	int stage;               /* of life */
	struct mgr_stderr log;
	struct mgr_call_in call; /* outside of a request */
	uint64_t call_n;         /* bytes of all incomplete CALLs */
	void *state_of_driver;

	TAILQ_ENTRY(mgr_replica) link, idle_link, dirty_link;
};

/* One row per mode.  Functions may be NULL where the mode has no use for them. */
struct mgr_driver {
	bool resident;  /* lives for many requests; else one process per request */
	bool spare;     /* of those: started before its request comes */
	bool handshake; /* must say READY */
	bool streams;   /* takes a body piece by piece */
	bool aux;       /* gets descriptor 3 */
	/* Can the mode carry it, as far as it is here: 0 or -EINVAL with a sentence. */
	int (*check)(const struct mgr_task *, const char **ret_why);
	int (*open)(struct mgr_replica *);
	void (*close)(struct mgr_replica *);
	/* Writes the request's begin (all of it, when it is complete and small): 0, or -errno = this request cannot be sent. */
	int (*begin)(struct mgr_replica *, struct mgr_slot *);
	/* More body may be written. */
	void (*feed)(struct mgr_replica *, struct mgr_slot *);
	/* Takes bytes of stdout: how many (less = the owner has no room), or -EPROTO after mgr_replica_broken. */
	ssize_t (*input)(struct mgr_replica *, const char *p, size_t n);
	/* Descriptor 3 is readable. */
	void (*aux_input)(struct mgr_replica *);
	/* The process ended and all output was read: may answer the request. */
	void (*ended)(struct mgr_replica *);
	/* Nobody waits for the slot any more. */
	void (*cancel)(struct mgr_replica *, struct mgr_slot *, const char *reason);
	/* Sends a RET another way than on stdin. */
	void (*ret)(struct mgr_replica *, const char *meta, size_t meta_n, uint32_t id, const char *body, size_t body_n);
	bool (*at_border)(const struct mgr_replica *);
};

extern const struct mgr_driver mgr_driver_frame, mgr_driver_packet, mgr_driver_line, mgr_driver_filter,
	mgr_driver_exec, mgr_driver_cgi;

/* The level of what is expected in the life of a replica. */
#define MGR_POOL_NEWS(pool) ((pool)->conf.quiet ? MGR_DEBUG : MGR_INFO)

struct mgr_pool {
	struct mgr_loop *loop;
	struct mgr_pool_conf conf;
	const struct mgr_pool_ops *ops;
	void *user;
	const struct mgr_driver *driver;
	struct mgr_hook hook;
	char **envp; /* of every handler; MGR_REPLICA is written into its last place */
	char env_replica[32];
	char *scratch; /* MGR_POOL_CHUNK */

	struct mgr_queue queue;
	struct mgr_task_list gathering, running, lingering, ending;
	uint64_t gather_n, run_n;
	unsigned inside; /* in a function that the owner called: done() waits for the turn */
	bool pending;    /* the turn has something to do */
	bool in_turn, freeing, trouble;
	struct mgr_guard *guard;

	struct mgr_replica_list replicas, idle, dirty, dead;
	unsigned replica_n, ready_n, working_n, idle_n;
	uint64_t serial;
	struct mgr_caps caps; /* of the latest READY */
	bool caps_known, was_ready, said_ready;

	struct mgr_seat **seat;
	unsigned seat_n;  /* allocated; those at or above want are on their way out */
	unsigned want;
	bool started, failed, draining, stopped, drain_over;
	unsigned rolling; /* seats before this one are new; seat_n = not rolling */
	bool roll;
	int64_t death_ns[MGR_POOL_DEATHS];
	unsigned death_at;
	int64_t pause_ns; /* exec: no start before */
	struct mgr_timer failed_timer, drain_timer, pause_timer;
	int64_t failed_until_ns; /* when it is tried again, unless its files change before */
	uint64_t files;          /* what they were when it failed */

	const char *refusal; /* of the last submit that said -EINVAL */
	enum mgr_pool_state said_state;
	unsigned said_n;
	uint64_t calls, errors, timeouts, restarts, rejected;
	char why[256];
};

/* pool.c, pool_turn.c, pool_stats.c */
void mgr_pool_wake(struct mgr_pool *pool); /* there is something for the turn */
bool mgr_pool_on_turn(struct mgr_hook *h);
bool mgr_pool_on_check(struct mgr_hook *h);
void mgr_pool_say(struct mgr_pool *pool); /* changed(), when something did */
void mgr_pool_say_news(struct mgr_pool *pool);
enum mgr_pool_state mgr_pool_state_now(const struct mgr_pool *pool);
void mgr_pool_set_why(struct mgr_pool *pool, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void mgr_guard_push(struct mgr_pool *pool, struct mgr_guard *g, struct mgr_task *task);
bool mgr_guard_pop(struct mgr_pool *pool, struct mgr_guard *g); /* true = still there */

/* pool_queue.c */
void mgr_queue_init(struct mgr_queue *q);
void mgr_queue_push(struct mgr_queue *q, struct mgr_task *task);
void mgr_queue_push_first(struct mgr_queue *q, struct mgr_task *task);
struct mgr_task *mgr_queue_first(struct mgr_queue *q);
void mgr_queue_remove(struct mgr_queue *q, struct mgr_task *task);

/* pool_task.c */
void mgr_task_queue(struct mgr_task *task, bool first);
void mgr_task_give(struct mgr_task *task, struct mgr_replica *r);
void mgr_task_back(struct mgr_task *task); /* from its slot to the head of the queue */
void mgr_task_drop_slot(struct mgr_task *task);
/* The end: at once, or in the turn when the owner is inside one of our functions. */
void mgr_task_finish(struct mgr_task *task, enum mgr_outcome outcome, const char *message);
void mgr_task_tell(struct mgr_task *task);
/* Ours no more, without a callback. */
void mgr_task_release(struct mgr_task *task);
void mgr_task_unlink(struct mgr_task *task);

/* pool_body.c */
bool mgr_task_is_whole(struct mgr_task *task); /* every byte of the body is in one place */
size_t mgr_task_body(struct mgr_task *task, struct iovec iov[2]);
int mgr_task_gather(struct mgr_task *task); /* 0, or -errno of the spool file */
void mgr_task_body_fini(struct mgr_task *task);
/* Adds all body bytes that are in one place; the owner keeps them until the answer begins. */
int mgr_task_add_body(struct mgr_task *task, struct mgr_slot *slot, struct mgr_buf *b);
void mgr_slot_let_go(struct mgr_slot *slot); /* gives held bytes up */

/* pool_answer.c: what drivers tell about a slot */
void mgr_answer_head(struct mgr_slot *slot, unsigned status, const char *meta, size_t meta_n, uint64_t body_n);
size_t mgr_answer_room(struct mgr_slot *slot);
size_t mgr_answer_data(struct mgr_slot *slot, const char *p, size_t n); /* how much was taken */
/* The slot is free afterwards. */
void mgr_answer_end(struct mgr_slot *slot, enum mgr_outcome outcome, const char *message);
/* Head from status and message, then the end as ERROR. */
void mgr_answer_error(struct mgr_slot *slot, unsigned status, const char *more, const char *message, size_t n);
/* Pushes kept bytes: true when none is left; *ret_left when the owner left meanwhile: task is not ours then. */
bool mgr_answer_push(struct mgr_task *task, bool *ret_left);

/* replica.c */
extern const char *const mgr_replica_state_name[MGR_REPLICA_STATE_N];
int mgr_replica_new(struct mgr_pool *pool, unsigned index, struct mgr_replica **ret_replica);
void mgr_replica_on_end(struct mgr_child *c, int status);
void mgr_replica_await_ready(struct mgr_replica *r);
/* replica_spawn.c */
int mgr_replica_spawn(struct mgr_replica *r, char *const *argv, char *const *envp);
void mgr_replica_free(struct mgr_replica *r);
void mgr_replica_bury(struct mgr_replica *r); /* ended, and everything it wrote was read */
void mgr_replica_ready(struct mgr_replica *r);
void mgr_replica_drain(struct mgr_replica *r, int64_t until_ns);
void mgr_replica_signal(struct mgr_replica *r, int signo);
void mgr_replica_kill(struct mgr_replica *r);
/* TERM now, KILL after the grace time. */
void mgr_replica_terminate(struct mgr_replica *r);
/* It broke the rules: logs why, quotes p, kills it. */
void mgr_replica_broken(struct mgr_replica *r, const char *why, const char *p, size_t n);
uint64_t mgr_replica_rss(const struct mgr_replica *r);
unsigned mgr_replica_depth(const struct mgr_replica *r);
void mgr_replica_settle(struct mgr_replica *r); /* idle list, end of a drain */

/* replica_io.c */
void mgr_replica_touch(struct mgr_replica *r); /* something was added to out */
void mgr_replica_flush(struct mgr_replica *r);
void mgr_replica_resume(struct mgr_replica *r);  /* the owner of an answer may have room */
void mgr_replica_unblock(struct mgr_replica *r); /* from the turn */
void mgr_replica_read_all(struct mgr_replica *r);
void mgr_replica_on_out(struct mgr_watch *w, uint32_t events);
void mgr_replica_on_in(struct mgr_watch *w, uint32_t events);
void mgr_replica_close_in(struct mgr_replica *r);

/* slot.c */
int mgr_slots_init(struct mgr_replica *r, unsigned n);
struct mgr_slot *mgr_slot_new(struct mgr_replica *r);
struct mgr_slot *mgr_slot_find(struct mgr_replica *r, uint32_t id);
void mgr_slot_free(struct mgr_slot *slot);
void mgr_slots_fini(struct mgr_replica *r);
/* The process is gone: every request gets its end or goes back to the queue. */
void mgr_slots_lost(struct mgr_replica *r, const char *message);
/* Its task leaves; the replica has until kill_ns to answer. */
void mgr_slot_abandon(struct mgr_slot *slot, const char *reason, bool over_due);

/* supervise.c */
int mgr_seats_set(struct mgr_pool *pool, unsigned n);
void mgr_seats_fill(struct mgr_pool *pool);
void mgr_seats_ready(struct mgr_replica *r);
void mgr_seats_ended(struct mgr_replica *r);
/* A spare copy goes to work: its seat gets another. */
void mgr_seats_leave(struct mgr_replica *r);
void mgr_seats_roll(struct mgr_pool *pool);
void mgr_seats_failed(struct mgr_pool *pool);
void mgr_seats_recovered(struct mgr_pool *pool);
bool mgr_seats_is_short_of(int err); /* of something that comes back by itself */
void mgr_seats_fini(struct mgr_pool *pool);
void mgr_seats_fault(struct mgr_pool *pool, struct mgr_seat *seat);
int64_t mgr_seats_retry_ns(const struct mgr_pool *pool);

/* pool_drain.c */
void mgr_drain_step(struct mgr_pool *pool);

/* stderr_log.c */
void mgr_stderr_watch(struct mgr_watch *w, uint32_t events);
void mgr_stderr_read(struct mgr_replica *r);
void mgr_stderr_fini(struct mgr_replica *r);

/* pool_env.c */
int mgr_env_make(struct mgr_pool *pool);
void mgr_env_set_replica(struct mgr_pool *pool, unsigned index);
void mgr_env_fini(struct mgr_pool *pool);

/* frame_ready.c, frame_request.c, frame_call.c: parts of driver_frame.c */
int mgr_frame_ready_read(struct mgr_replica *r, const char *meta, size_t meta_n, const char **ret_why);
int mgr_frame_begin(struct mgr_replica *r, struct mgr_slot *slot);
void mgr_frame_feed_more(struct mgr_replica *r, struct mgr_slot *slot);
void mgr_frame_cancel(struct mgr_replica *r, struct mgr_slot *slot, const char *reason);
void mgr_frame_end_request(struct mgr_replica *r, struct mgr_slot *slot);
/* Grants what the owner took of an answer. */
void mgr_frame_credit(struct mgr_slot *slot);
int mgr_frame_call_head(struct mgr_replica *r, struct mgr_slot *slot, const char *meta, size_t meta_n);
int mgr_frame_call_add(struct mgr_replica *r, struct mgr_slot *slot, const char *p, size_t n);
int mgr_frame_call_end(struct mgr_replica *r, struct mgr_slot *slot);
void mgr_frame_call_fini(struct mgr_replica *r, struct mgr_call_in *call);

#define MGR_CGI_HEAD_MAX (64u * 1024)

/* The state of a process that serves one request. */
struct mgr_once {
	struct mgr_buf head; /* cgi: header lines as far as they are here */
	struct mgr_frame_parser aux;
	struct mgr_buf answer; /* META from descriptor 3 */
	struct mgr_buf ret;
	unsigned status;
	bool has_answer;
};

/* once_aux.c: descriptor 3 */
void mgr_once_aux_input(struct mgr_replica *r);
void mgr_once_aux_ret(struct mgr_replica *r, const char *meta, size_t meta_n, uint32_t id, const char *body,
		      size_t body_n);

/* driver_once.c: starts the process of one request; a task that gets none is finished. */
int mgr_once_spawn(struct mgr_pool *pool, struct mgr_task *task, struct mgr_replica **ret_replica);
bool mgr_once_check(struct mgr_pool *pool); /* can the program be started */

/* cgi_env.c, cgi_head.c: parts of driver_once.c */
struct mgr_cgi_start {
	char **argv, **envp; /* both NULL-terminated */
	struct mgr_buf args, vars; /* what they point into */
};
/* -EINVAL: the request cannot be handed to a program, why in *ret_why. */
int mgr_cgi_start_make(struct mgr_pool *pool, const struct mgr_task *task, struct mgr_cgi_start *s,
		       const char **ret_why);
void mgr_cgi_start_fini(struct mgr_cgi_start *s);
/* Reads the header lines of a CGI answer into META: bytes used, 0 = not complete, -EPROTO. */
ssize_t mgr_cgi_head(const char *p, size_t n, unsigned *ret_status, struct mgr_buf *meta);

#endif
