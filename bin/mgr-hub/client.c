#include "hub.h"

#include <stdlib.h>

static void
client_free(struct client *c)
{
	LIST_REMOVE(c, link);
	asks_forget_client(c->hub, c);
	if (c->worker != NULL)
		join_lost(c->worker, "worker-left");
	free(c);
}

static void
closed(struct mgr_ctl_conn *conn)
{
	struct client *c = conn->user;
	struct hub *h = c->hub;

	client_free(c);
	hub_wake(h);
}

struct client *
client_of(struct mgr_ctl_conn *conn, uint32_t request_id)
{
	if (conn->user != NULL)
		return conn->user;
	struct client *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		mgr_ctl_fail(conn, request_id, MGR_OUT_BUSY, "out of memory");
		return NULL;
	}
	c->hub = conn->server->user;
	c->conn = conn;
	conn->user = c;
	conn->closed = closed;
	LIST_INSERT_HEAD(&c->hub->clients, c, link);
	return c;
}

void
clients_free(struct hub *h)
{
	while (!LIST_EMPTY(&h->clients)) {
		struct client *c = LIST_FIRST(&h->clients);
		c->conn->user = NULL;
		c->conn->closed = NULL;
		client_free(c);
	}
}
