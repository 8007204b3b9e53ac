#include "httpd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "config.h"
#include "ipc/ctl.h"
#include "os/clock.h"

#define DRAIN_CONN_MAX 16

static struct {
	struct mgr_prog *prog;
	const struct boss_view *view;
	char since[MGR_CLOCK_TEXT_MAX];
	struct {
		struct mgr_ctl_conn *conn;
		uint32_t id;
	} drain[DRAIN_CONN_MAX];
} self;

static int
add_counters(struct mgr_buf *b)
{
	struct page_slot sum;

	page_sum(*self.view->page, &sum);
	int r = mgr_buf_addf(b, "{\"processes\":%zu", self.view->serving());
#define ADD(name, help) mgr_buf_addf(b, ",\"" #name "\":%llu", (unsigned long long)page_get(&sum.name));
	PAGE_COUNTERS(ADD)
#undef ADD
	return r < 0 ? r : mgr_buf_adds(b, "}");
}

static void
status(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	MGR_AUTO_BUF struct mgr_buf body = {0};
	char meta[512];

	snprintf(meta, sizeof(meta),
		 "{\"name\":\"mgr-httpd\",\"pid\":%d,\"state\":\"%s\",\"since\":\"%s\",\"version\":\"%s\","
		 "\"listen\":[\"%s\"]}",
		 (int)getpid(), self.view->state(), self.since, PACKAGE_VERSION, self.view->url);
	if (add_counters(&body) < 0)
		mgr_ctl_fail(c, req->id, MGR_OUT_BUSY, "out of memory");
	else
		mgr_ctl_reply(c, req->id, meta, mgr_buf_p(&body), mgr_buf_n(&body));
}

static void
stop(void)
{
	if (self.prog->stopping)
		return;
	self.prog->stopping = true;
	boss_stop(self.prog, false);
}

static void
shut_down(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	mgr_ctl_reply(c, req->id, NULL, NULL, 0);
	stop();
}

static void
asker_left(struct mgr_ctl_conn *c)
{
	for (size_t i = 0; i < DRAIN_CONN_MAX; i++)
		if (self.drain[i].conn == c)
			self.drain[i].conn = NULL;
}

/* As shutdown, but answered when the last request has ended. */
static void
drain(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	size_t i = 0;

	while (i < DRAIN_CONN_MAX && self.drain[i].conn != NULL)
		i++;
	if (i == DRAIN_CONN_MAX) {
		mgr_ctl_fail(c, req->id, MGR_OUT_BUSY, "too many wait for the drain already");
		return;
	}
	self.drain[i].conn = c;
	self.drain[i].id = req->id;
	c->closed = asker_left;
	stop();
}

void
admin_drained(void)
{
	for (size_t i = 0; i < DRAIN_CONN_MAX; i++)
		if (self.drain[i].conn != NULL)
			mgr_ctl_reply(self.drain[i].conn, self.drain[i].id, NULL, NULL, 0);
}

static void
reload(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	boss_reload(self.prog);
	mgr_ctl_reply(c, req->id, NULL, NULL, 0);
}

static void
rejoin(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	boss_rejoin();
	mgr_ctl_reply(c, req->id, NULL, NULL, 0);
}

static const struct mgr_ctl_verb verbs[] = {
	{"status", status, "who this is, where it listens, and its counters"},
	{"drain", drain, "stop as shutdown does; answered when every request has ended"},
	{"shutdown", shut_down, "stop accepting, let requests end, then end; answered at once"},
	{"rejoin", rejoin, "look for the hub now, not at the next try"},
	{"reload", reload, "replace the serving processes one by one, as SIGHUP does"},
	{0},
};

int
admin_listen(struct mgr_ctl_server *s, struct mgr_prog *prog, const struct boss_view *view)
{
	char path[MGR_PATH_MAX];
	int r = mgr_paths_join(path, prog->runtime_dir, "httpd.sock");

	self.prog = prog;
	self.view = view;
	mgr_clock_text(self.since, mgr_wall_ns());
	return r < 0 ? r : mgr_ctl_listen(s, prog->loop, path, "mgr-httpd", verbs, NULL);
}
