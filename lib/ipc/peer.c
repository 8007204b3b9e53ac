#include "ipc/peer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/io.h"

#define READ_N (64u * 1024)
#define OUT_HIGH (1024u * 1024) /* reading stops above this */

const char *
mgr_peer_why(const struct mgr_peer *p)
{
	return p->why != NULL ? p->why : "closed";
}

bool
mgr_peer_is_open(const struct mgr_peer *p)
{
	return p->watch.loop != NULL;
}

void
mgr_peer_fini(struct mgr_peer *p)
{
	if (mgr_peer_is_open(p)) {
		mgr_watch_stop(&p->watch);
		mgr_close(&p->fd);
	}
	/* Inside the callback the message still points into these; the caller of the callback frees them. */
	if (p->in_call)
		return;
	mgr_frame_parser_fini(&p->parser);
	mgr_buf_fini(&p->in);
	mgr_buf_fini(&p->body);
	mgr_buf_fini(&p->out);
}

static void
gone(struct mgr_peer *p, const char *why)
{
	if (!mgr_peer_is_open(p))
		return;
	if (p->why == NULL)
		p->why = why;
	mgr_watch_stop(&p->watch);
	mgr_close(&p->fd);
	p->fn(p, NULL); /* may free p */
}

static uint32_t
wanted(const struct mgr_peer *p)
{
	size_t waits = mgr_buf_n(&p->out);

	return (waits < OUT_HIGH && !p->closing ? (uint32_t)EPOLLIN : 0) |
	       (waits > 0 ? (uint32_t)EPOLLOUT : 0) | EPOLLRDHUP;
}

static int
flush(struct mgr_peer *p)
{
	while (mgr_buf_n(&p->out) > 0) {
		ssize_t put = send(p->fd, mgr_buf_p(&p->out), mgr_buf_n(&p->out), MSG_NOSIGNAL);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && errno == EAGAIN)
			break;
		if (put < 0)
			return -errno;
		mgr_buf_take(&p->out, (size_t)put);
	}
	return mgr_watch_set(&p->watch, wanted(p));
}

int
mgr_peer_send(struct mgr_peer *p, enum mgr_frame_type type, bool more, uint32_t id, const char *meta,
	      size_t meta_n, const void *body, size_t body_n)
{
	char line[MGR_FRAME_LINE_MAX];
	uint32_t line_meta_n = meta_n == 0 ? 0 : (uint32_t)meta_n + 1;
	int r;

	if (!mgr_peer_is_open(p) || p->closing)
		return -EPIPE;
	if (meta_n >= MGR_FRAME_META_MAX || body_n > MGR_PEER_OUT_MAX ||
	    mgr_buf_n(&p->out) > MGR_PEER_OUT_MAX - body_n) {
		p->why = "too much output waits";
		shutdown(p->fd, SHUT_RDWR); /* the loop tells the owner */
		return -EMSGSIZE;
	}
	size_t n = mgr_frame_head(line, type, more, id, line_meta_n, body_n);
	r = mgr_buf_reserve(&p->out, n + line_meta_n + body_n);
	if (r < 0)
		return r;
	mgr_buf_add(&p->out, line, n);
	if (meta_n > 0) {
		mgr_buf_add(&p->out, meta, meta_n);
		mgr_buf_addc(&p->out, '\n');
	}
	mgr_buf_add(&p->out, body, body_n);
	r = flush(p);
	if (r < 0)
		shutdown(p->fd, SHUT_RDWR);
	return r < 0 ? -EPIPE : 0;
}

void
mgr_peer_finish(struct mgr_peer *p)
{
	if (!mgr_peer_is_open(p))
		return;
	p->closing = true;
	if (mgr_buf_n(&p->out) == 0)
		shutdown(p->fd, SHUT_RDWR);
	mgr_watch_set(&p->watch, wanted(p));
}

/* One whole frame is there.  False when the peer was finished inside the callback. */
static bool
deliver(struct mgr_peer *p)
{
	struct mgr_peer_msg msg = {
		.type = p->parser.frame.type,
		.more = p->parser.frame.more,
		.id = p->parser.frame.id,
		.body = mgr_buf_p(&p->body),
		.body_n = mgr_buf_n(&p->body),
	};

	msg.meta = mgr_frame_meta(&p->parser, &msg.meta_n);
	p->in_call = true;
	p->fn(p, &msg);
	p->in_call = false;
	mgr_buf_clear(&p->body, READ_N);
	return mgr_peer_is_open(p);
}

enum parsed { ALIVE, FINISHED, BROKEN };

static enum parsed
parse(struct mgr_peer *p)
{
	for (;;) {
		const char *body;
		size_t used, body_n;
		enum mgr_frame_step step = mgr_frame_feed(&p->parser, mgr_buf_p(&p->in), mgr_buf_n(&p->in),
							  &used, &body, &body_n);

		if (step == MGR_FRAME_BODY && mgr_buf_add(&p->body, body, body_n) < 0)
			step = MGR_FRAME_BROKEN;
		if (step == MGR_FRAME_BROKEN)
			return BROKEN;
		mgr_buf_take(&p->in, used);
		if (step == MGR_FRAME_MORE)
			return ALIVE;
		if (step == MGR_FRAME_END && !deliver(p))
			return FINISHED;
	}
}

static void
ready(struct mgr_watch *w, uint32_t events)
{
	struct mgr_peer *p = MGR_CONTAINER(w, struct mgr_peer, watch);

	if (flush(p) < 0) {
		gone(p, "write failed");
		return;
	}
	if (p->closing && mgr_buf_n(&p->out) == 0) {
		gone(p, "closed");
		return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
		return;
	if (mgr_buf_reserve(&p->in, READ_N) < 0) {
		gone(p, "out of memory");
		return;
	}
	ssize_t got = mgr_read(p->fd, mgr_buf_tail(&p->in), READ_N);
	if (got == -EAGAIN)
		return;
	if (got <= 0) {
		gone(p, got == 0 ? "closed" : "read failed");
		return;
	}
	mgr_buf_commit(&p->in, (size_t)got);
	switch (parse(p)) {
	case ALIVE:
		mgr_buf_clear(&p->in, mgr_buf_n(&p->in) == 0 ? READ_N : SIZE_MAX);
		break;
	case FINISHED:
		mgr_peer_fini(p);
		break;
	case BROKEN:
		gone(p, mgr_frame_why(&p->parser));
		break;
	}
}

int
mgr_peer_init(struct mgr_peer *p, struct mgr_loop *loop, int fd,
	      void (*fn)(struct mgr_peer *, const struct mgr_peer_msg *msg))
{
	void *user = p->user;

	*p = (struct mgr_peer){.user = user, .fd = fd, .fn = fn};
	p->parser.body_max = MGR_PEER_BODY_MAX;
	int r = mgr_watch_start(&p->watch, loop, fd, EPOLLIN | EPOLLRDHUP, ready);
	if (r < 0)
		mgr_close(&p->fd);
	return r;
}
