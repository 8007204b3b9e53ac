#include "os/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/loop_priv.h"

int
mgr_loop_new(struct mgr_loop **ret_loop)
{
	struct mgr_loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL)
		return -ENOMEM;
	loop->signal_fd = -1;
	loop->now_ns = mgr_now_ns();
	TAILQ_INIT(&loop->hooks);
	LIST_INIT(&loop->signals);
	sigemptyset(&loop->mask);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int r = -errno;
		free(loop);
		return r;
	}
	*ret_loop = loop;
	return 0;
}

void
mgr_loop_free(struct mgr_loop *loop)
{
	if (loop == NULL)
		return;
	mgr_watch_stop(&loop->signal_watch);
	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	close(loop->epoll_fd);
	free(loop->heap);
	free(loop);
}

int64_t
mgr_loop_now(const struct mgr_loop *loop)
{
	return loop->now_ns;
}

void
mgr_loop_stop(struct mgr_loop *loop)
{
	loop->stop = true;
}

int
mgr_watch_start(struct mgr_watch *w, struct mgr_loop *loop, int fd, uint32_t events,
		void (*fn)(struct mgr_watch *, uint32_t events))
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	mgr_assert(w->loop == NULL);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	*w = (struct mgr_watch){.fd = fd, .events = events, .fn = fn, .loop = loop};
	return 0;
}

int
mgr_watch_set(struct mgr_watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	mgr_assert(w->loop != NULL);
	if (w->events == events)
		return 0;
	if (epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		return -errno;
	w->events = events;
	return 0;
}

void
mgr_watch_stop(struct mgr_watch *w)
{
	struct mgr_loop *loop = w->loop;

	if (loop == NULL)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	/* An event of this watcher may wait in the batch that is being dispatched. */
	for (int i = loop->at; i < loop->event_n; i++)
		if (loop->event[i].data.ptr == w)
			loop->event[i].data.ptr = NULL;
	w->loop = NULL;
}

void
mgr_hook_add(struct mgr_hook *h, struct mgr_loop *loop)
{
	TAILQ_INSERT_TAIL(&loop->hooks, h, link);
}

void
mgr_hook_del(struct mgr_hook *h, struct mgr_loop *loop)
{
	if (loop->next_hook == h)
		loop->next_hook = TAILQ_NEXT(h, link);
	TAILQ_REMOVE(&loop->hooks, h, link);
}

static void
signal_read(struct mgr_watch *w, uint32_t events)
{
	struct mgr_loop *loop = MGR_CONTAINER(w, struct mgr_loop, signal_watch);
	struct signalfd_siginfo si;

	(void)events;
	if (read(loop->signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	struct mgr_signal *s;
	for (s = LIST_FIRST(&loop->signals); s != NULL; s = loop->next_signal) {
		loop->next_signal = LIST_NEXT(s, link);
		if (s->signo == (int)si.ssi_signo)
			s->fn(s);
	}
}

int
mgr_signal_start(struct mgr_signal *s, struct mgr_loop *loop, int signo, void (*fn)(struct mgr_signal *))
{
	sigaddset(&loop->mask, signo);
	if (sigprocmask(SIG_BLOCK, &loop->mask, NULL) < 0)
		return -errno;
	int fd = signalfd(loop->signal_fd, &loop->mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (loop->signal_fd < 0) {
		int r = mgr_watch_start(&loop->signal_watch, loop, fd, EPOLLIN, signal_read);
		if (r < 0) {
			close(fd);
			return r;
		}
	}
	loop->signal_fd = fd;
	s->signo = signo;
	s->fn = fn;
	s->loop = loop;
	LIST_INSERT_HEAD(&loop->signals, s, link);
	return 0;
}

void
mgr_signal_stop(struct mgr_signal *s)
{
	if (s->loop == NULL)
		return;
	if (s->loop->next_signal == s)
		s->loop->next_signal = LIST_NEXT(s, link);
	LIST_REMOVE(s, link);
	s->loop = NULL;
}

static bool
arm_and_check(struct mgr_loop *loop)
{
	struct mgr_hook *h;
	bool may_sleep = true;

	TAILQ_FOREACH(h, &loop->hooks, link)
		if (h->arm != NULL)
			h->arm(h);
	atomic_thread_fence(memory_order_seq_cst);
	TAILQ_FOREACH(h, &loop->hooks, link)
		if (h->check != NULL && !h->check(h))
			may_sleep = false;
	return may_sleep;
}

static void
wake(struct mgr_loop *loop)
{
	struct mgr_hook *h;

	TAILQ_FOREACH(h, &loop->hooks, link)
		if (h->wake != NULL)
			h->wake(h);
}

static bool
run_hooks(struct mgr_loop *loop)
{
	struct mgr_hook *h;
	bool more = false;

	for (h = TAILQ_FIRST(&loop->hooks); h != NULL; h = loop->next_hook) {
		loop->next_hook = TAILQ_NEXT(h, link);
		if (h->turn != NULL && h->turn(h))
			more = true;
	}
	return more;
}

/* How long epoll may sleep, in ns: until the first timer, at most max_ns; -1 = no limit. */
static int64_t
sleep_limit(const struct mgr_loop *loop, int64_t max_ns)
{
	if (loop->more)
		return 0;
	if (loop->heap_n > 0) {
		int64_t left_ns = loop->heap[0]->at_ns - mgr_now_ns();
		left_ns = left_ns < 0 ? 0 : left_ns;
		if (max_ns < 0 || left_ns < max_ns)
			return left_ns;
	}
	return max_ns;
}

static int
wait_events(struct mgr_loop *loop, int64_t limit_ns)
{
	struct timespec ts = {.tv_sec = limit_ns / MGR_S, .tv_nsec = limit_ns % MGR_S};
	int n = epoll_pwait2(loop->epoll_fd, loop->event, MGR_N(loop->event), limit_ns < 0 ? NULL : &ts,
			     NULL);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n;
}

static void
dispatch(struct mgr_loop *loop, int n)
{
	loop->event_n = n;
	for (loop->at = 0; loop->at < loop->event_n;) {
		struct epoll_event *ev = &loop->event[loop->at++];
		struct mgr_watch *w = ev->data.ptr;
		if (w != NULL)
			w->fn(w, ev->events);
	}
	loop->event_n = loop->at = 0;
}

int
mgr_loop_turn(struct mgr_loop *loop, int64_t max_ns)
{
	int64_t limit_ns = sleep_limit(loop, max_ns);
	bool armed = limit_ns != 0;

	if (armed && !arm_and_check(loop))
		limit_ns = 0;
	int n = wait_events(loop, limit_ns);
	if (armed)
		wake(loop);
	loop->now_ns = mgr_now_ns();
	if (n < 0)
		return n;
	dispatch(loop, n);
	mgr_loop_run_timers(loop);
	loop->more = run_hooks(loop);
	return 0;
}

int
mgr_loop_run(struct mgr_loop *loop)
{
	int r = 0;

	loop->stop = false;
	loop->more = true; /* hooks first: work may have been queued before the loop began */
	while (!loop->stop && r == 0)
		r = mgr_loop_turn(loop, -1);
	return r;
}
