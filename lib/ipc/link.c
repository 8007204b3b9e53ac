#include "ipc/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "ipc/lane_mem.h"
#include "os/clock.h"
#include "os/io.h"
#include "os/sock.h"
#include "wire/frame.h"

#define GREETING_NS (2 * MGR_S)
#define BELT_NS MGR_S
#define MAGIC UINT64_C(0x314e4c2d52474d00) /* "\0MGR-LN1" */

/* The first and only message of each side, with the descriptor of its half. */
struct hello {
	uint64_t magic;
	uint32_t slots, bytes;
	uint32_t meta_max, reserved;
};
_Static_assert(sizeof(struct hello) == 24, "greeting layout");

const struct mgr_lane_conf mgr_links_standard = {
	.slots = MGR_LANE_SLOTS,
	.bytes = MGR_LANE_BYTES,
	.meta_max = MGR_FRAME_META_MAX,
	.body_max = MGR_FRAME_BODY_MAX,
	.deadline_max_ns = 86400 * MGR_S,
};

static const struct mgr_lane_ops lane_ops;

static struct mgr_link *
of_lane(struct mgr_lane *lane)
{
	return MGR_CONTAINER(lane, struct mgr_link, lane);
}

static void
make_hot(struct mgr_link *l)
{
	if (l->hot)
		return;
	l->hot = true;
	TAILQ_INSERT_TAIL(&l->set->hot, l, hot_link);
}

static void
make_cold(struct mgr_link *l)
{
	if (!l->hot)
		return;
	l->hot = false;
	TAILQ_REMOVE(&l->set->hot, l, hot_link);
}

void
mgr_link_touch(struct mgr_link *l)
{
	if (l->state == MGR_LINK_UP)
		make_hot(l);
}

/* Marks the link for its end; down() comes from the next drain, never from inside a call. */
static void
spoil(struct mgr_link *l, const char *why)
{
	if (l->broken)
		return;
	l->broken = true;
	l->why = why;
	make_hot(l);
}

static int
ring(struct mgr_lane *lane)
{
	ssize_t put = send(of_lane(lane)->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);

	return put < 0 ? -errno : 0;
}

static void
look(struct mgr_lane *lane, uint32_t slot, unsigned events)
{
	struct mgr_link *l = of_lane(lane);

	l->ops->look(l, slot, events);
}

static const struct mgr_lane_ops lane_ops = {.ring = ring, .look = look};

/* Every bell that was sent arrives as a byte; they must not fill the socket.  Every 16th arming is
 * often enough, and rare enough to cost nothing. */
static void
empty_socket(struct mgr_link *l)
{
	char waste[4096];
	ssize_t got = recv(l->fd, waste, sizeof(waste), MSG_DONTWAIT);

	l->arm_n = 0;
	if (got == 0)
		spoil(l, "peer closed");
	else if (got < 0 && errno != EAGAIN && errno != EINTR)
		spoil(l, "socket failed");
}

static void
bell(struct mgr_watch *w, uint32_t events)
{
	struct mgr_link *l = MGR_CONTAINER(w, struct mgr_link, watch);

	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		spoil(l, "peer closed");
	make_hot(l);
}

static void
close_socket(struct mgr_link *l)
{
	mgr_timer_stop(&l->timer);
	mgr_watch_stop(&l->watch);
	mgr_close(&l->fd);
	mgr_close(&l->mem_fd);
}

static void
end(struct mgr_link *l)
{
	if (l->state == MGR_LINK_UP)
		mgr_lane_sweep(&l->lane);
	if (l->lane.why != NULL)
		l->why = l->lane.why;
	make_cold(l);
	close_socket(l);
	l->state = MGR_LINK_DOWN;
	l->ops->down(l);
}

static int
map_peer(struct mgr_link *l, int fd)
{
	int r = mgr_lane_mem_take(fd, &l->set->conf, &l->peers);

	if (r == 0)
		r = mgr_lane_init(&l->lane, l->side, l->mine, l->peers, &l->set->conf, &lane_ops);
	return r;
}

static int
send_hello(struct mgr_link *l)
{
	const struct mgr_lane_conf *conf = &l->set->conf;
	struct hello h = {.magic = MAGIC, .slots = conf->slots, .bytes = conf->bytes,
			  .meta_max = conf->meta_max};
	ssize_t put = mgr_sock_send_fd(l->fd, &h, sizeof(h), l->mem_fd);

	mgr_close(&l->mem_fd);
	return put == (ssize_t)sizeof(h) ? 0 : -EPIPE;
}

static void
greeting(struct mgr_watch *w, uint32_t events)
{
	struct mgr_link *l = MGR_CONTAINER(w, struct mgr_link, watch);
	const struct mgr_lane_conf *conf = &l->set->conf;
	struct hello h;
	int passed = -1;

	(void)events;
	ssize_t got = mgr_sock_recv_fd(l->fd, &h, sizeof(h), &passed);
	if (got == -EAGAIN)
		return;
	if (got != (ssize_t)sizeof(h) || passed < 0 || h.magic != MAGIC || h.slots != conf->slots ||
	    h.bytes != conf->bytes || h.meta_max != conf->meta_max) {
		mgr_close(&passed);
		spoil(l, got <= 0 ? "peer closed before its greeting" : "greeting of another version");
		mgr_watch_stop(w);
		return;
	}
	int r = map_peer(l, passed);
	mgr_close(&passed);
	if (r == 0 && l->side == MGR_LANE_WORKER)
		r = send_hello(l);
	mgr_watch_stop(w);
	if (r == 0)
		r = mgr_watch_start(w, l->set->loop, l->fd, EPOLLIN | EPOLLRDHUP | EPOLLET, bell);
	if (r < 0) {
		spoil(l, "peer's memory was refused");
		return;
	}
	mgr_timer_stop(&l->timer);
	l->state = MGR_LINK_UP;
	make_hot(l);
	l->ops->up(l);
}

static void
late(struct mgr_timer *t)
{
	struct mgr_link *l = MGR_CONTAINER(t, struct mgr_link, timer);

	spoil(l, "no greeting in time");
}

static int
begin(struct mgr_link *l, struct mgr_links *set, int fd, enum mgr_lane_side side,
      const struct mgr_link_ops *ops)
{
	void *user = l->user;
	int r;

	*l = (struct mgr_link){.user = user, .ops = ops, .set = set, .side = side,
			       .state = MGR_LINK_GREETING, .fd = fd, .mem_fd = -1};
	LIST_INSERT_HEAD(&set->all, l, link);
	uid_t uid;
	if (!mgr_sock_peer_is_ours(fd) || mgr_sock_peer(fd, &l->peer_pid, &uid) < 0)
		r = -EACCES;
	else
		r = mgr_lane_mem_make(&set->conf, &l->mem_fd, &l->mine, &l->half_n);
	if (r == 0)
		r = mgr_watch_start(&l->watch, set->loop, fd, EPOLLIN | EPOLLRDHUP, greeting);
	if (r == 0)
		r = mgr_timer_start(&l->timer, set->loop, mgr_now_ns() + GREETING_NS, late);
	if (r == 0 && side == MGR_LANE_CALLER)
		r = send_hello(l);
	if (r < 0)
		mgr_link_fini(l);
	return r;
}

int
mgr_link_connect(struct mgr_link *l, struct mgr_links *set, const char *path,
		 const struct mgr_link_ops *ops)
{
	int fd = mgr_sock_unix_connect(path);

	return fd < 0 ? fd : begin(l, set, fd, MGR_LANE_CALLER, ops);
}

int
mgr_link_accept(struct mgr_link *l, struct mgr_links *set, int fd, const struct mgr_link_ops *ops)
{
	return begin(l, set, fd, MGR_LANE_WORKER, ops);
}

void
mgr_link_fini(struct mgr_link *l)
{
	if (l->state == MGR_LINK_CLOSED)
		return;
	make_cold(l);
	close_socket(l);
	LIST_REMOVE(l, link);
	mgr_lane_fini(&l->lane);
	mgr_lane_mem_drop(l->mine, l->half_n);
	mgr_lane_mem_drop(l->peers, l->half_n);
	l->mine = NULL;
	l->peers = NULL;
	l->state = MGR_LINK_CLOSED;
}

unsigned
mgr_links_drain(struct mgr_links *set)
{
	struct mgr_link *l, *next;
	unsigned total = 0;

	if (set->draining)
		return 0;
	set->draining = true;
	for (l = TAILQ_FIRST(&set->hot); l != NULL; l = next) {
		int n = l->state == MGR_LINK_UP ? mgr_lane_drain(&l->lane) : 0;
		if (n == -EPROTO)
			spoil(l, l->lane.why);
		else if (n < 0)
			spoil(l, "peer closed");
		else
			total += (unsigned)n;
		next = TAILQ_NEXT(l, hot_link);
		if (l->broken)
			end(l); /* may free l */
	}
	set->draining = false;
	return total;
}

void
mgr_links_flush(struct mgr_links *set)
{
	struct mgr_link *l;

	TAILQ_FOREACH(l, &set->hot, hot_link)
		if (l->state == MGR_LINK_UP)
			mgr_lane_flush(&l->lane);
}

static bool
turn(struct mgr_hook *h)
{
	struct mgr_links *set = MGR_CONTAINER(h, struct mgr_links, hook);

	if (set->manual)
		return false;
	unsigned n = mgr_links_drain(set);
	mgr_links_flush(set);
	/* More news is noticed by check(); this only spares the arming under load. */
	return n > 0 && !TAILQ_EMPTY(&set->hot) && mgr_lane_news(&TAILQ_FIRST(&set->hot)->lane);
}

static void
arm(struct mgr_hook *h)
{
	struct mgr_links *set = MGR_CONTAINER(h, struct mgr_links, hook);
	struct mgr_link *l;

	TAILQ_FOREACH(l, &set->hot, hot_link) {
		if (l->state != MGR_LINK_UP || l->broken)
			continue;
		if (++l->arm_n >= 16) {
			/* Never while armed: a byte of the present epoch may be among those that are
			 * thrown away, and its sender would not ring for that epoch again. */
			mgr_lane_wake(&l->lane);
			empty_socket(l);
		}
		mgr_lane_arm(&l->lane);
	}
}

static bool
check(struct mgr_hook *h)
{
	struct mgr_links *set = MGR_CONTAINER(h, struct mgr_links, hook);
	struct mgr_link *l, *next;
	bool may_sleep = true;

	for (l = TAILQ_FIRST(&set->hot); l != NULL; l = next) {
		next = TAILQ_NEXT(l, hot_link);
		if (l->broken || (l->state == MGR_LINK_UP && !mgr_lane_arm_check(&l->lane)))
			may_sleep = false;
		else
			make_cold(l); /* stays armed; the bell makes it hot again */
	}
	return may_sleep;
}

static void
belt(struct mgr_timer *t)
{
	struct mgr_links *set = MGR_CONTAINER(t, struct mgr_links, belt);
	struct mgr_link *l;

	LIST_FOREACH(l, &set->all, link) {
		if (l->state != MGR_LINK_UP)
			continue;
		if (!l->hot && mgr_lane_news(&l->lane))
			set->belt_wakes++;
		if (mgr_lane_live_n(&l->lane) > 0)
			make_hot(l);
	}
	mgr_timer_start(&set->belt, set->loop, mgr_now_ns() + BELT_NS, belt);
}

void
mgr_links_init(struct mgr_links *set, struct mgr_loop *loop, const struct mgr_lane_conf *conf, bool manual)
{
	*set = (struct mgr_links){.loop = loop, .conf = *conf, .manual = manual};
	TAILQ_INIT(&set->hot);
	LIST_INIT(&set->all);
	set->hook = (struct mgr_hook){.turn = turn, .arm = arm, .check = check};
	mgr_hook_add(&set->hook, loop);
	if (secure_getenv("MGR_NO_BELT") == NULL)
		mgr_timer_start(&set->belt, loop, mgr_now_ns() + BELT_NS, belt);
}

void
mgr_links_fini(struct mgr_links *set)
{
	if (set->loop == NULL)
		return;
	mgr_assert(LIST_EMPTY(&set->all));
	mgr_timer_stop(&set->belt);
	mgr_hook_del(&set->hook, set->loop);
	set->loop = NULL;
}
