/*
 * The control plane: every daemon serves verbs on a Unix socket in the runtime folder.
 *
 * The server speaks first: READY with {"v":1,"program","version","pid"}.  A request is a REQ whose
 * META has "verb" and the verb's arguments; the answer is RES or ERR (META "status", "outcome",
 * "message"); a push or a long listing is RES+ and DATA+ with the records in BODY.
 */
#ifndef MGR_IPC_CTL_H
#define MGR_IPC_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "base/outcome.h"
#include "ipc/peer.h"
#include "wire/json.h"

struct mgr_ctl_server;
struct mgr_ctl_conn;

struct mgr_ctl_request {
	uint32_t id;
	struct mgr_json args; /* the META object */
	const char *body;
	size_t body_n;
};

struct mgr_ctl_verb {
	const char *name;
	void (*fn)(struct mgr_ctl_conn *, const struct mgr_ctl_request *);
	const char *help; /* one line */
};

/* One client.  A verb may keep the conn and answer later, until closed() was called for it. */
struct mgr_ctl_conn {
	struct mgr_peer peer;
	struct mgr_ctl_server *server;
	pid_t pid; /* of the client, from the kernel */
	void *user;  /* the verb's own */
	void (*closed)(struct mgr_ctl_conn *); /* set by a verb that must know; conn is freed afterwards */
	LIST_ENTRY(mgr_ctl_conn) link;
};

struct mgr_ctl_server {
	const char *prog;
	const struct mgr_ctl_verb *verbs; /* ends with name NULL; "help" is built in */
	void *user;

	/* private */
	struct mgr_watch watch;
	int fd;
	unsigned conn_n;
	char path[108];
	LIST_HEAD(, mgr_ctl_conn) conns;
};

#define MGR_CTL_CONN_MAX 1024

/* Listens on path (mode 0600).  Peers of another uid than ours or root's are refused (RES 7 "denied"). */
int mgr_ctl_listen(struct mgr_ctl_server *s, struct mgr_loop *loop, const char *path, const char *prog,
		   const struct mgr_ctl_verb *verbs, void *user);
/* Closes all and removes the socket file. */
void mgr_ctl_server_fini(struct mgr_ctl_server *s);

/* Answers: meta is a JSON object's text without LF, or NULL. */
int mgr_ctl_reply(struct mgr_ctl_conn *c, uint32_t id, const char *meta, const void *body, size_t body_n);
/* A part of an answer that goes on (RES+ first, DATA+ then; last = true ends it with DATA). */
int mgr_ctl_push(struct mgr_ctl_conn *c, uint32_t id, bool first, bool last, const void *body, size_t body_n);
/* ERR with the outcome's status and a sentence. */
int mgr_ctl_fail(struct mgr_ctl_conn *c, uint32_t id, enum mgr_outcome outcome, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* A client.  Events arrive through fn; a zeroed struct is a closed client. */
enum mgr_ctl_event {
	MGR_CTL_UP,   /* READY was seen, requests may be sent */
	MGR_CTL_PART, /* RES+ or DATA+ of an answer that goes on */
	MGR_CTL_DONE, /* RES, ERR or the last DATA */
	MGR_CTL_DOWN  /* gone; the client is closed, open requests get no more events */
};

struct mgr_ctl_answer {
	uint32_t id;
	bool failed;              /* ERR */
	enum mgr_outcome outcome; /* of a failed one */
	struct mgr_json meta;     /* object, or n 0 */
	const char *body;
	size_t body_n;
};

struct mgr_ctl_client {
	void *user;

	/* private */
	struct mgr_peer peer;
	uint32_t last_id;
	bool up;
	void (*fn)(struct mgr_ctl_client *, enum mgr_ctl_event, const struct mgr_ctl_answer *);
};

/* Connects: 0, or -errno (-ENOENT, -ECONNREFUSED: nobody there; -EACCES: not ours). */
int mgr_ctl_open(struct mgr_ctl_client *c, struct mgr_loop *loop, const char *path,
		 void (*fn)(struct mgr_ctl_client *, enum mgr_ctl_event, const struct mgr_ctl_answer *));
void mgr_ctl_close(struct mgr_ctl_client *c);

/* Sends {"verb":VERB MEMBERS}, members as ,"k":v text or NULL: the request's id in *ret_id; 0 or -errno. */
int mgr_ctl_ask(struct mgr_ctl_client *c, const char *verb, const char *members, const void *body,
		size_t body_n, uint32_t *ret_id);

/*
 * For tools: connects, asks, waits for the whole answer.  0 with the body added to *ret_body and the
 * META text to *ret_meta (either may be NULL); the negative errno of a connection failure or
 * -ETIMEDOUT; a refusal gives 1 + outcome with its sentence in *ret_meta as text.
 */
int mgr_ctl_call(struct mgr_loop *loop, const char *path, const char *verb, const char *members,
		 const void *body, size_t body_n, int64_t timeout_ns, struct mgr_buf *ret_meta,
		 struct mgr_buf *ret_body);

#endif
