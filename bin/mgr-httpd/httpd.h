/*
 * The floor plan of mgr-httpd.  A parent (boss.c) owns the listeners and N children; each child is one
 * thread with one loop that walks its requests through the rooms below, in this order, one way:
 *
 *   accept > admit > route > body > submit > wait > reply > done
 *
 * Nothing here is shared between children but the counter page (page.h).
 */
#ifndef MGR_HTTPD_HTTPD_H
#define MGR_HTTPD_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/num.h"
#include "base/outcome.h"
#include "ipc/link.h"
#include "os/loop.h"
#include "os/sock.h"
#include "svc/caller.h"
#include "svc/hub.h"
#include "wire/json.h"
#include "wire/route.h"

#include "options.h"
#include "page.h"
#include "spool.h"

#define SMALL_N (64u * 1024)    /* bodies up to here are copied whole, larger ones stream */
#define MIN_RATE 1024           /* bytes per second that a transfer must reach */
#define TRACE_MAX 64
#define LINGER_NS (2 * MGR_S)   /* for a client to notice an answer in the middle of its body */
#define ID_MAX 33

/*        enum    word in logs and metrics */
#define STEPS(row) \
	row(ACCEPT, "accept") row(ADMIT, "admit") row(ROUTE, "route") row(BODY, "body") \
	row(SUBMIT, "submit") row(WAIT, "wait") row(REPLY, "reply") row(DONE, "done")

enum step {
#define STEP_ENUM(id, word) STEP_##id,
	STEPS(STEP_ENUM)
#undef STEP_ENUM
	STEP_N
};

/* What a connection's clock watches (clocks.c has the table). */
enum phase { PHASE_NONE, PHASE_HEAD, PHASE_IDLE, PHASE_BODY, PHASE_WAIT, PHASE_REPLY, PHASE_N };

struct httpd;
struct server;
struct router;

struct field {
	const char *name, *value;
	size_t name_n, value_n;
};

/* The head of a request as it came; everything points into the connection's buffer. */
struct head {
	const char *method, *version, *target;
	size_t target_n; /* up to its first NUL */
	size_t n;        /* bytes of the whole head */
	const struct field *field;
	size_t field_n;
	bool exact; /* the pointers above are where the bytes came in, so that gaps between them mean something */
};

/* The answer that is being made. */
struct answer {
	unsigned status;
	struct mgr_buf fields; /* name NUL value NUL ... */
	struct mgr_buf body;   /* whole, or the begin of it */
	uint64_t body_n;       /* MGR_LANE_UNKNOWN: until the end */
	bool ready;            /* may be queued */
	bool stream;           /* the body comes through reply_read */
	bool queued;           /* libmicrohttpd has it */
	bool broken;           /* a stream that must not be completed */
};

/* One request, from its request line to its end. */
struct exchange {
	enum step step;
	enum step reached;   /* where it was when an error decided the answer */
	bool open;           /* has begun and not ended */
	bool headed;         /* the head was looked at */
	bool whole;          /* every byte of the request is here */
	int64_t begin_ns, wait_ns;
	char id[ID_MAX];     /* for the log, from us */
	char trace[TRACE_MAX + 1]; /* X-Request-Id of the client, or the id */
	bool echo_trace;

	/* accept: the guard's reading of the head */
	const char *target; /* raw, without scheme and authority; a copy in conn->line */
	size_t target_n, path_n;
	char method[MGR_ROUTE_METHOD_MAX];
	uint64_t length; /* Content-Length, or MGR_LANE_UNKNOWN for chunked */
	bool has_body, expects, is_json, is_head, close;

	/* admit */
	bool admitted, waiting;
	TAILQ_ENTRY(exchange) waiter;

	/* route */
	struct router *router; /* held until submit */
	struct mgr_route_match match;
	char name[MGR_CALL_NAME_MAX + 1]; /* of the handler */
	bool may_envelope, is_envelope;

	/* body */
	uint64_t got_n;   /* bytes taken from the client */
	uint64_t max_n;
	uint64_t passed_n; /* bytes of conn->body that the call has taken */
	bool gather, streaming, body_ended, body_held;
	struct mgr_json envelope_src; /* inside conn->body, until submit */

	/* wait */
	bool parked, cut;
	int64_t parked_ns;
	uint64_t parked_turn;
	struct mgr_call call;
	bool head_seen, collect, call_done;
	bool discard;     /* answer bytes are dropped */
	bool skip;        /* because the answer has none: HEAD, 204, 304 */
	bool has_message; /* answer.body is the sentence of an error */
	unsigned call_status;
	struct spool spool;

	/* reply */
	enum mgr_outcome outcome;
	uint64_t sent_n;
	struct answer answer;
};

/* One connection with the one request that it may carry at a time. */
struct conn {
	struct httpd *httpd;
	struct MHD_Connection *mhd;
	int fd;
	unsigned ended_n; /* sweeps that saw the client's end with nothing unread */
	LIST_ENTRY(conn) link;
	char remote[MGR_SOCK_TEXT_MAX];
	bool suspended;

	enum phase phase;
	int64_t since_ns;  /* begin of the phase */
	int64_t window_ns; /* begin of the measured window; 0 = not begun */
	uint64_t window_n;
	struct mgr_watch gone; /* the client's end, while set aside */

	struct mgr_buf line; /* the raw target */
	const char *target;  /* where it stood in the buffer */
	size_t target_n;
	struct mgr_buf body; /* gathered request body */
	struct exchange x;
};

struct turn {
	struct mgr_hook hook;
	struct mgr_timer timer; /* the park limit */
	bool run;      /* libmicrohttpd has something to do */
	bool progress; /* its last run did something */
	unsigned parked;
	uint64_t n; /* turns so far */
	unsigned spin_misses, spin_rest;
};

/* A child. */
struct httpd {
	const struct options *opt;
	struct mgr_prog *prog;
	struct mgr_loop *loop;
	struct page *page;
	struct page_slot *me;
	struct mgr_signal rejoin;
	int listen_fd, boss_fd;
	struct mgr_watch boss;
	struct mgr_timer begin, drain;
	bool draining, urgent, serving;

	struct mgr_hub hub;
	struct mgr_links links;
	struct mgr_caller caller;
	struct router *router;
	struct server *server;
	struct turn turn;

	LIST_HEAD(, conn) conns;
	size_t conn_n;
	struct mgr_timer sweep;
	int64_t sweep_ns;
	TAILQ_HEAD(waiters, exchange) waiters;
	struct mgr_timer admit;
	struct field *field; /* scratch for one head */
	uint64_t serial, seed;
};

/* boss.c: the parent */
int boss_start(struct mgr_prog *prog, struct options *opt);
void boss_stop(struct mgr_prog *prog, bool urgent);
void boss_reload(struct mgr_prog *prog);
void boss_rejoin(void);
void boss_fini(struct mgr_prog *prog);

/* listen.c: n listeners on one address; 0 with their descriptors, or -errno */
#define LISTEN_URL_MAX (MGR_SOCK_TEXT_MAX + 16)
int listen_open(const char *address, size_t n, int *ret_fd, char url[static LISTEN_URL_MAX]);

/* child.c: a serving process */
#define CHILD_ENV "MGR_HTTPD_CHILD"
enum child_fd { CHILD_FD_LISTEN = 3, CHILD_FD_PAGE, CHILD_FD_BOSS };
/* What goes over the socket between the parent and a child, one byte each. */
enum child_word { CHILD_READY = 'r', CHILD_STOP = 's', CHILD_URGENT = 'u' };
int child_start(struct mgr_prog *prog, struct options *opt, const char *slot);
void child_stop(bool urgent);
void child_fini(void);
/* A connection went; the last one ends a drain. */
void child_conn_gone(struct httpd *h);

/* server.c: libmicrohttpd; the only file that knows it */
int server_start(struct httpd *h);
void server_run(struct httpd *h);
bool server_is_due(struct httpd *h); /* wants another run at once */
void server_quiesce(struct httpd *h);
void server_stop(struct httpd *h); /* no connection may be suspended */
size_t server_fields(struct conn *conn, struct field *field, size_t max);
void server_suspend(struct conn *conn);
void server_resume(struct conn *conn);
/* Queues the answer; -EIO when it cannot be. */
int server_answer(struct conn *conn);

/* turn.c: when libmicrohttpd runs, and when the process sleeps */
void turn_start(struct httpd *h);
void turn_fini(struct httpd *h);
/* The connection's request can go on. */
void turn_wake(struct conn *conn);
/* The request waits for its call: in place for a while, then set aside. */
void turn_park(struct conn *conn);
void turn_unpark(struct conn *conn);

/* walk.c: the steps, in the order in which libmicrohttpd calls us */
extern const char *const step_word[STEP_N];
void walk_step(struct exchange *x, enum step step);
struct conn *walk_connect(struct httpd *h, struct MHD_Connection *mhd, int fd, const struct sockaddr *addr);
void walk_disconnect(struct conn *conn);
void walk_target(struct conn *conn, const char *target);
/* All three: false = close the connection. */
bool walk_head(struct conn *conn, struct head *head);
bool walk_body(struct conn *conn, const char *p, size_t *n);
bool walk_end(struct conn *conn);
/* Admitted after having waited. */
void walk_admitted(struct conn *conn);
void walk_done(struct conn *conn, unsigned status, bool complete);

/* guard.c: accept; 0, or -EINVAL with the refusal set as answer */
int guard_check(struct conn *conn, const struct head *head);

/* endpoint.c: what mgr-httpd answers itself; true when it did */
bool endpoint_answer(struct conn *conn);

/* admit.c: how many at once; 0, -EAGAIN (waits; walk_admitted follows), -EBUSY */
int admit_take(struct conn *conn);
void admit_give(struct conn *conn);
void admit_start(struct httpd *h);
void admit_fini(struct httpd *h);

/* route.c: which handler */
int route_rebuild(struct httpd *h);
void route_drop(struct router *router);
/* 0, or -ENOENT, -EPERM, -EINVAL with the refusal set as answer. */
int route_find(struct conn *conn);

/* body.c: the request's bytes; false = close */
void body_plan(struct conn *conn);
bool body_take(struct conn *conn, const char *p, size_t *n);
void body_end(struct conn *conn);
void body_room(struct conn *conn);

/* submit.c: META and the call */
int submit_call(struct conn *conn, const void *body, size_t n, bool end);

/* reply.c: the answer */
extern const struct mgr_call_ops reply_ops;
/* An error of our own, as JSON.  message NULL = the outcome's sentence. */
void reply_error(struct conn *conn, enum mgr_outcome outcome, unsigned status, const char *message, size_t n);
void reply_errors(struct conn *conn, enum mgr_outcome outcome, unsigned status, const char *message);
void reply_text(struct conn *conn, unsigned status, const char *type); /* body was put into answer.body */
int reply_field(struct answer *a, const char *name, const char *value);
void reply_retry_after(struct conn *conn, int64_t ms);
/* For a stream: bytes, 0 = none now, -ENODATA at the end, -EIO for a broken one. */
ssize_t reply_read(struct conn *conn, char *p, size_t max);
/* The client left or time is up: the call ends, the connection will. */
void reply_cut(struct conn *conn, enum mgr_outcome outcome);
void reply_fini(struct exchange *x);

/* fields.c: an answer's header fields out of its META; 0 or -EINVAL with a sentence */
int fields_read(struct answer *a, const struct mgr_json *headers, const struct mgr_json *type,
		const char **ret_why);

/* clocks.c: deadlines and the leaving client */
void clocks_start(struct httpd *h);
void clocks_fini(struct httpd *h);
/* A limit changed: looks now. */
void clocks_look(struct httpd *h);
void clocks_set(struct conn *conn, enum phase phase);
void clocks_conn_fini(struct conn *conn);

/* linger.c: an answer given out of turn, and a close that the client can read it through */
void linger_say(struct conn *conn, unsigned status, const char *message);
void linger_take(struct conn *conn);
void linger_fini(void);

/* log.c: the access log */
void log_start(struct httpd *h);
void log_request(const struct conn *conn, unsigned status);
void log_flush(void);

/* admin.c: httpd.sock */
struct mgr_ctl_server;
struct boss_view {
	struct page *const *page;
	const char *url;
	const char *(*state)(void);
	size_t (*serving)(void);
};
int admin_listen(struct mgr_ctl_server *s, struct mgr_prog *prog, const struct boss_view *view);
/* Answers those who asked for a drain. */
void admin_drained(void);

#endif
