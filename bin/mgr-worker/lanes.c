#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/io.h"
#include "os/log.h"
#include "os/sock.h"

#define LANES_MAX 1024

static void
lane_free(struct lane *lane)
{
	LIST_REMOVE(lane, entry);
	lane->worker->lane_n--;
	mgr_link_fini(&lane->link);
	free(lane);
}

static void
up(struct mgr_link *link)
{
	mgr_log(MGR_DEBUG, "lane-up", "caller=%d", (int)link->peer_pid);
}

static void
look(struct mgr_link *link, uint32_t slot, unsigned events)
{
	job_look(MGR_CONTAINER(link, struct lane, link), slot, events);
}

static void
down(struct mgr_link *link)
{
	struct lane *lane = MGR_CONTAINER(link, struct lane, link);

	mgr_log(link->lane.why != NULL ? MGR_WARN : MGR_DEBUG, "lane-down", "caller=%d why=%s",
		(int)link->peer_pid, mgr_log_str(link->why));
	job_lane_down(lane);
	lane_free(lane);
}

static const struct mgr_link_ops ops = {.up = up, .look = look, .down = down};

static void
accept_one(struct worker *w, int fd)
{
	static uint64_t number;
	struct lane *lane = calloc(1, sizeof(*lane));

	if (lane == NULL || w->lane_n >= LANES_MAX) {
		free(lane);
		close(fd);
		return;
	}
	lane->worker = w;
	lane->number = ++number;
	if (mgr_link_accept(&lane->link, &w->links, fd, &ops) < 0) {
		mgr_log(MGR_WARN, "lane-refused", "why=\"peer or memory\"");
		free(lane);
		return;
	}
	LIST_INSERT_HEAD(&w->lanes, lane, entry);
	w->lane_n++;
}

static void
ready(struct mgr_watch *watch, uint32_t events)
{
	struct worker *w = MGR_CONTAINER(watch, struct worker, lane_watch);

	(void)events;
	for (int i = 0; i < 16; i++) {
		int fd = mgr_sock_accept(watch->fd);
		if (fd < 0)
			return;
		accept_one(w, fd);
	}
}

/* What the callers sent goes to the handlers in the same turn, and then one bell for what came back. */
static bool
turn(struct mgr_hook *hook)
{
	struct worker *w = MGR_CONTAINER(hook, struct worker, turn);

	mgr_links_drain(&w->links);
	mgr_pool_flush(w->pool);
	mgr_links_flush(&w->links);
	return false;
}

int
lanes_open(struct worker *w)
{
	w->turn = (struct mgr_hook){.turn = turn};
	mgr_hook_add(&w->turn, w->prog->loop);
	w->lane_fd = mgr_sock_unix_listen(w->lane_path, 0600, 256);
	if (w->lane_fd < 0)
		return w->lane_fd;
	return mgr_watch_start(&w->lane_watch, w->prog->loop, w->lane_fd, EPOLLIN, ready);
}

void
lanes_close(struct worker *w)
{
	struct lane *lane;

	if (w->turn.turn != NULL)
		mgr_hook_del(&w->turn, w->prog->loop);
	w->turn.turn = NULL;
	if (w->lane_fd >= 0) {
		mgr_watch_stop(&w->lane_watch);
		mgr_close(&w->lane_fd);
		unlink(w->lane_path);
	}
	while ((lane = LIST_FIRST(&w->lanes)) != NULL) {
		job_lane_down(lane);
		lane_free(lane);
	}
}
