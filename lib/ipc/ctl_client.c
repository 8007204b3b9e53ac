#include "ipc/ctl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/io.h"
#include "os/sock.h"

static void
tell(struct mgr_ctl_client *c, enum mgr_ctl_event event, const struct mgr_peer_msg *msg)
{
	struct mgr_ctl_answer a = {.id = msg->id, .body = msg->body, .body_n = msg->body_n};
	struct mgr_json outcome;
	char name[32];

	if (msg->meta_n > 0 && mgr_json_check(msg->meta, msg->meta_n) == 0)
		a.meta = mgr_json_root(msg->meta, msg->meta_n);
	if (msg->type == MGR_FRAME_ERR) {
		a.failed = true;
		a.outcome = MGR_OUT_ERROR;
		if (a.meta.n > 0 && mgr_json_get(&a.meta, "outcome", &outcome) &&
		    mgr_json_copy(&outcome, name, sizeof(name)) == 0 && mgr_outcome_by_name(name) >= 0)
			a.outcome = (enum mgr_outcome)mgr_outcome_by_name(name);
	}
	c->fn(c, event, &a);
}

static void
message(struct mgr_peer *p, const struct mgr_peer_msg *msg)
{
	struct mgr_ctl_client *c = MGR_CONTAINER(p, struct mgr_ctl_client, peer);

	if (msg == NULL) {
		c->up = false;
		c->fn(c, MGR_CTL_DOWN, NULL);
		return;
	}
	switch (msg->type) {
	case MGR_FRAME_READY:
		if (c->up)
			return;
		c->up = true;
		tell(c, MGR_CTL_UP, msg);
		return;
	case MGR_FRAME_RES:
	case MGR_FRAME_DATA:
		tell(c, msg->more ? MGR_CTL_PART : MGR_CTL_DONE, msg);
		return;
	case MGR_FRAME_ERR:
		tell(c, MGR_CTL_DONE, msg);
		return;
	default:
		return;
	}
}

int
mgr_ctl_open(struct mgr_ctl_client *c, struct mgr_loop *loop, const char *path,
	     void (*fn)(struct mgr_ctl_client *, enum mgr_ctl_event, const struct mgr_ctl_answer *))
{
	int fd = mgr_sock_unix_connect(path);

	if (fd < 0)
		return fd;
	if (!mgr_sock_peer_is_ours(fd)) {
		close(fd);
		return -EACCES;
	}
	mgr_ctl_close(c); /* what is left of an earlier connection */
	c->fn = fn;
	return mgr_peer_init(&c->peer, loop, fd, message);
}

void
mgr_ctl_close(struct mgr_ctl_client *c)
{
	c->up = false;
	mgr_peer_fini(&c->peer);
}

int
mgr_ctl_ask(struct mgr_ctl_client *c, const char *verb, const char *members, const void *body,
	    size_t body_n, uint32_t *ret_id)
{
	MGR_AUTO_BUF struct mgr_buf meta = {0};
	uint32_t id = c->last_id == UINT32_MAX ? 1 : c->last_id + 1;
	int r = mgr_buf_addf(&meta, "{\"verb\":\"%s\"%s}", verb, members == NULL ? "" : members);

	if (r < 0)
		return r;
	if (!c->up)
		return -EPIPE;
	c->last_id = id;
	if (ret_id != NULL)
		*ret_id = id;
	return mgr_peer_send(&c->peer, MGR_FRAME_REQ, false, id, mgr_buf_p(&meta), mgr_buf_n(&meta), body,
			     body_n);
}

/* One blocking question. */
struct question {
	struct mgr_ctl_client client;
	const char *verb, *members;
	const void *body;
	size_t body_n;
	struct mgr_buf *ret_meta, *ret_body;
	bool done;
	int result;
};

static void
keep_meta(struct question *q, const struct mgr_ctl_answer *a)
{
	struct mgr_json message;

	if (q->ret_meta == NULL || a->meta.n == 0)
		return;
	if (!a->failed)
		mgr_buf_add(q->ret_meta, a->meta.p, a->meta.n);
	else if (mgr_json_get(&a->meta, "message", &message))
		mgr_json_text(&message, q->ret_meta);
}

static void
answered(struct mgr_ctl_client *c, enum mgr_ctl_event event, const struct mgr_ctl_answer *a)
{
	struct question *q = MGR_CONTAINER(c, struct question, client);

	if (event == MGR_CTL_DOWN) {
		q->result = q->done ? q->result : -ECONNRESET;
		q->done = true;
		return;
	}
	if (event == MGR_CTL_UP) {
		int r = mgr_ctl_ask(c, q->verb, q->members, q->body, q->body_n, NULL);
		if (r < 0) {
			q->result = r;
			q->done = true;
		}
		return;
	}
	keep_meta(q, a);
	if (q->ret_body != NULL && mgr_buf_add(q->ret_body, a->body, a->body_n) < 0)
		q->result = -ENOMEM;
	if (event == MGR_CTL_DONE) {
		q->done = true;
		if (a->failed)
			q->result = 1 + (int)a->outcome;
	}
}

int
mgr_ctl_call(struct mgr_loop *loop, const char *path, const char *verb, const char *members,
	     const void *body, size_t body_n, int64_t timeout_ns, struct mgr_buf *ret_meta,
	     struct mgr_buf *ret_body)
{
	struct question q = {.verb = verb, .members = members, .body = body, .body_n = body_n,
			     .ret_meta = ret_meta, .ret_body = ret_body};
	int64_t end_ns = mgr_now_ns() + timeout_ns;
	int r = mgr_ctl_open(&q.client, loop, path, answered);

	if (r < 0)
		return r;
	while (!q.done) {
		int64_t left_ns = end_ns - mgr_now_ns();
		if (left_ns <= 0) {
			q.result = -ETIMEDOUT;
			break;
		}
		r = mgr_loop_turn(loop, left_ns);
		if (r < 0) {
			q.result = r;
			break;
		}
	}
	mgr_ctl_close(&q.client);
	return q.result;
}
