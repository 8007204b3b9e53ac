#include "httpd.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/rand.h"
#include "os/log.h"
#include "wire/frame.h"

#define TABLE_NS (500 * MGR_MS) /* how long the first routing table is waited for */
#define LAST_NS (500 * MGR_MS)  /* after the drain: until what was cut is gone */

static struct httpd self;

static void
say(enum child_word word)
{
	char c = (char)word;

	if (send(self.boss_fd, &c, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		mgr_log(MGR_WARN, "parent-lost", "why=\"%s\"", mgr_log_errno(-errno));
}

/* Serving begins: what waits in the backlog is accepted from now on. */
static void
serve(void)
{
	mgr_signal_stop(&self.rejoin);
	mgr_timer_stop(&self.begin);
	if (self.serving || self.draining)
		return;
	int r = server_start(&self);
	if (r < 0) {
		mgr_log(MGR_ERR, "server", "why=\"%s\"", mgr_log_errno(r));
		mgr_prog_quit(self.prog, MGR_EXIT_FAILED);
		return;
	}
	self.serving = true;
	self.turn.run = true;
	say(CHILD_READY);
}

static void
begin_late(struct mgr_timer *t)
{
	(void)t;
	mgr_log(MGR_INFO, "no-table-yet", "why=\"the hub has not answered\"");
	serve();
}

static void
table_changed(struct mgr_hub *hub)
{
	(void)hub;
	int r = route_rebuild(&self);
	if (r < 0)
		mgr_log(MGR_ERR, "routes", "why=\"%s\"", mgr_log_errno(r));
	mgr_caller_table_changed(&self.caller);
	serve();
}

static void
finish(void)
{
	mgr_timer_stop(&self.drain);
	mgr_prog_quit(self.prog, MGR_EXIT_OK);
}

static void
last_end(struct mgr_timer *t)
{
	(void)t;
	finish();
}

/* What still runs is cut: calls end, connections close. */
static void
cut_all(void)
{
	struct conn *conn;

	LIST_FOREACH(conn, &self.conns, link) {
		reply_cut(conn, MGR_OUT_UNAVAILABLE);
		shutdown(conn->fd, SHUT_RDWR);
		turn_wake(conn);
	}
	if (self.conn_n == 0 ||
	    mgr_timer_start(&self.drain, self.loop, mgr_loop_now(self.loop) + LAST_NS, last_end) < 0)
		finish();
}

static void
drain_over(struct mgr_timer *t)
{
	(void)t;
	mgr_log(MGR_WARN, "drain-over", "connections=%zu", self.conn_n);
	cut_all();
}

void
child_conn_gone(struct httpd *h)
{
	if (h->draining && h->conn_n == 0)
		finish();
}

void
child_stop(bool urgent)
{
	if (self.draining) {
		if (urgent && !self.urgent) {
			self.urgent = true;
			cut_all();
		}
		return;
	}
	self.draining = true;
	mgr_timer_stop(&self.begin);
	if (self.server == NULL || urgent) {
		finish();
		return;
	}
	/* Those who are in the backlog already were promised an answer. */
	server_run(&self);
	server_quiesce(&self);
	if (self.listen_fd >= 0)
		close(self.listen_fd);
	self.listen_fd = -1;
	clocks_look(&self); /* connections that have long been idle close now, the others soon */
	self.turn.run = true;
	if (self.conn_n == 0 || mgr_timer_start(&self.drain, self.loop,
						mgr_loop_now(self.loop) + self.opt->drain_ns, drain_over) < 0)
		finish();
}

/* The parent speaks, or is gone: then nobody restarts us, and we end in order. */
static void
on_boss(struct mgr_watch *w, uint32_t events)
{
	char c = 0;
	ssize_t n = recv(w->fd, &c, 1, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		mgr_watch_stop(w);
	child_stop(n > 0 && c == CHILD_URGENT);
}

static void
raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int
init(struct mgr_prog *prog, struct options *opt, uint64_t slot)
{
	int r = page_map(CHILD_FD_PAGE, &self.page);

	if (r < 0)
		return r;
	close(CHILD_FD_PAGE);
	self.me = &self.page->slot[slot];
	self.opt = opt;
	self.prog = prog;
	self.loop = prog->loop;
	self.listen_fd = CHILD_FD_LISTEN;
	self.boss_fd = CHILD_FD_BOSS;
	self.seed = mgr_rand();
	self.field = calloc((size_t)opt->max_fields + 1, sizeof(*self.field));
	if (self.field == NULL)
		return -ENOMEM;
	LIST_INIT(&self.conns);
	admit_start(&self);
	log_start(&self);
	mgr_links_init(&self.links, self.loop, &mgr_links_standard, true);
	mgr_caller_init(&self.caller, self.loop, &self.hub, &self.links);
	turn_start(&self);
	r = mgr_watch_start(&self.boss, self.loop, self.boss_fd, EPOLLIN | EPOLLRDHUP, on_boss);
	if (r < 0)
		return r;
	r = mgr_timer_start(&self.begin, self.loop, mgr_loop_now(self.loop) + TABLE_NS, begin_late);
	return r < 0 ? r : mgr_hub_init(&self.hub, self.loop, table_changed);
}

/* The boss heard of a hub that is there now. */
static void
rejoin(struct mgr_signal *s)
{
	(void)s;
	mgr_hub_retry(&self.hub);
}

int
child_start(struct mgr_prog *prog, struct options *opt, const char *slot_text)
{
	uint64_t slot;

	if (mgr_num_parse(slot_text, strlen(slot_text), PAGE_SLOTS - 1, &slot) < 0) {
		mgr_log(MGR_ERR, "bad-environment", "variable=" CHILD_ENV);
		return MGR_EXIT_USAGE;
	}
	/* libmicrohttpd would read /etc/localtime at its first answer. */
	tzset();
	raise_limits();
	int r = init(prog, opt, slot);
	if (r == 0)
		r = mgr_signal_start(&self.rejoin, prog->loop, SIGURG, rejoin);
	if (r < 0) {
		mgr_log(MGR_ERR, "start", "why=\"%s\"", mgr_log_errno(r));
		return MGR_EXIT_FAILED;
	}
	return 0;
}

/* libmicrohttpd aborts when it is stopped with a connection set aside. */
static void
stop_server(void)
{
	struct conn *conn;

	if (self.server == NULL)
		return;
	LIST_FOREACH(conn, &self.conns, link) {
		reply_cut(conn, MGR_OUT_UNAVAILABLE);
		shutdown(conn->fd, SHUT_RDWR);
		server_resume(conn);
	}
	for (int i = 0; i < 4; i++)
		server_run(&self);
	server_stop(&self);
}

void
child_fini(void)
{
	if (self.loop == NULL)
		return;
	stop_server();
	mgr_links_flush(&self.links);
	linger_fini();
	turn_fini(&self);
	clocks_fini(&self);
	admit_fini(&self);
	mgr_timer_stop(&self.begin);
	mgr_timer_stop(&self.drain);
	mgr_watch_stop(&self.boss);
	mgr_caller_fini(&self.caller);
	mgr_links_fini(&self.links);
	route_drop(self.router);
	mgr_hub_fini(&self.hub);
	log_flush();
	free(self.field);
}
