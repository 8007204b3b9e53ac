#include "ipc/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/io.h"
#include "os/sock.h"

#define VERB_MAX 64

static void
conn_free(struct mgr_ctl_conn *c)
{
	if (c->closed != NULL)
		c->closed(c);
	LIST_REMOVE(c, link);
	c->server->conn_n--;
	mgr_peer_fini(&c->peer);
	free(c);
}

static void
help(struct mgr_ctl_conn *c, uint32_t id)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};

	for (const struct mgr_ctl_verb *v = c->server->verbs; v->name != NULL; v++)
		mgr_buf_addf(&text, "%-12s %s\n", v->name, v->help);
	mgr_ctl_reply(c, id, NULL, mgr_buf_p(&text), mgr_buf_n(&text));
}

static void
serve(struct mgr_ctl_conn *c, const struct mgr_peer_msg *msg)
{
	struct mgr_ctl_request req = {.id = msg->id, .body = msg->body, .body_n = msg->body_n};
	struct mgr_json verb;
	char name[VERB_MAX];

	if (mgr_json_check(msg->meta, msg->meta_n) < 0) {
		mgr_ctl_fail(c, msg->id, MGR_OUT_BAD_REQUEST, "metadata is not JSON");
		return;
	}
	req.args = mgr_json_root(msg->meta, msg->meta_n);
	if (!mgr_json_get(&req.args, "verb", &verb) || mgr_json_copy(&verb, name, sizeof(name)) < 0) {
		mgr_ctl_fail(c, msg->id, MGR_OUT_BAD_REQUEST, "no verb");
		return;
	}
	if (strcmp(name, "help") == 0) {
		help(c, msg->id);
		return;
	}
	for (const struct mgr_ctl_verb *v = c->server->verbs; v->name != NULL; v++) {
		if (strcmp(v->name, name) == 0) {
			v->fn(c, &req);
			return;
		}
	}
	mgr_ctl_fail(c, msg->id, MGR_OUT_NOT_FOUND, "unknown verb %.40s", name);
}

static void
conn_message(struct mgr_peer *p, const struct mgr_peer_msg *msg)
{
	struct mgr_ctl_conn *c = MGR_CONTAINER(p, struct mgr_ctl_conn, peer);

	if (msg == NULL) {
		conn_free(c);
		return;
	}
	/* Frame types that are not known are ignored, so that a newer client can talk to us. */
	if (msg->type == MGR_FRAME_REQ && !msg->more)
		serve(c, msg);
}

static void
greet(struct mgr_ctl_conn *c)
{
	char meta[160];
	int n = snprintf(meta, sizeof(meta), "{\"v\":1,\"program\":\"%s\",\"pid\":%d}", c->server->prog,
			 (int)getpid());

	mgr_peer_send(&c->peer, MGR_FRAME_READY, false, 0, meta, (size_t)n, NULL, 0);
}

static void
accept_one(struct mgr_ctl_server *s, int fd)
{
	struct mgr_ctl_conn *c = calloc(1, sizeof(*c));
	uid_t uid;

	if (c == NULL || s->conn_n >= MGR_CTL_CONN_MAX) {
		free(c);
		close(fd);
		return;
	}
	c->server = s;
	if (mgr_sock_peer(fd, &c->pid, &uid) < 0 || mgr_peer_init(&c->peer, s->watch.loop, fd, conn_message) < 0) {
		free(c);
		return;
	}
	LIST_INSERT_HEAD(&s->conns, c, link);
	s->conn_n++;
	if (uid != 0 && uid != geteuid()) {
		mgr_ctl_fail(c, 0, MGR_OUT_DENIED, "uid %u may not use this socket", (unsigned)uid);
		mgr_peer_finish(&c->peer);
		return;
	}
	greet(c);
}

static void
ready(struct mgr_watch *w, uint32_t events)
{
	struct mgr_ctl_server *s = MGR_CONTAINER(w, struct mgr_ctl_server, watch);

	(void)events;
	for (int i = 0; i < 16; i++) {
		int fd = mgr_sock_accept(w->fd);
		if (fd < 0)
			return;
		accept_one(s, fd);
	}
}

int
mgr_ctl_listen(struct mgr_ctl_server *s, struct mgr_loop *loop, const char *path, const char *prog,
	       const struct mgr_ctl_verb *verbs, void *user)
{
	*s = (struct mgr_ctl_server){.prog = prog, .verbs = verbs, .user = user, .fd = -1};
	LIST_INIT(&s->conns);
	if (strlen(path) >= sizeof(s->path))
		return -ENAMETOOLONG;
	s->fd = mgr_sock_unix_listen(path, 0600, 256);
	if (s->fd < 0)
		return s->fd;
	memcpy(s->path, path, strlen(path) + 1);
	int r = mgr_watch_start(&s->watch, loop, s->fd, EPOLLIN, ready);
	if (r < 0)
		mgr_ctl_server_fini(s);
	return r;
}

void
mgr_ctl_server_fini(struct mgr_ctl_server *s)
{
	if (s->path[0] == '\0')
		return;
	mgr_watch_stop(&s->watch);
	mgr_close(&s->fd);
	unlink(s->path);
	s->path[0] = '\0';
	while (!LIST_EMPTY(&s->conns))
		conn_free(LIST_FIRST(&s->conns));
}

int
mgr_ctl_reply(struct mgr_ctl_conn *c, uint32_t id, const char *meta, const void *body, size_t body_n)
{
	return mgr_peer_send(&c->peer, MGR_FRAME_RES, false, id, meta, meta == NULL ? 0 : strlen(meta),
			     body, body_n);
}

int
mgr_ctl_push(struct mgr_ctl_conn *c, uint32_t id, bool first, bool last, const void *body, size_t body_n)
{
	return mgr_peer_send(&c->peer, first ? MGR_FRAME_RES : MGR_FRAME_DATA, !last, id, NULL, 0, body,
			     body_n);
}

int
mgr_ctl_fail(struct mgr_ctl_conn *c, uint32_t id, enum mgr_outcome outcome, const char *fmt, ...)
{
	const struct mgr_outcome_row *row = mgr_outcome_row(outcome);
	MGR_AUTO_BUF struct mgr_buf text = {0}, meta = {0};
	va_list ap;

	va_start(ap, fmt);
	int r = mgr_buf_vaddf(&text, fmt, ap);
	va_end(ap);
	if (r == 0)
		r = mgr_buf_addf(&meta, "{\"status\":%u,\"outcome\":\"%s\",\"message\":", row->http, row->name);
	if (r == 0)
		r = mgr_json_add_string(&meta, mgr_buf_p(&text), mgr_buf_n(&text));
	if (r == 0)
		r = mgr_buf_addc(&meta, '}');
	if (r < 0)
		return r;
	return mgr_peer_send(&c->peer, MGR_FRAME_ERR, false, id, mgr_buf_p(&meta), mgr_buf_n(&meta), NULL, 0);
}
