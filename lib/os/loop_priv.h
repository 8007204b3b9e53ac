/*
 * The inside of the loop, shared by loop.c and timer.c only.
 */
#ifndef MGR_OS_LOOP_PRIV_H
#define MGR_OS_LOOP_PRIV_H

#include <signal.h>

#include "os/loop.h"

struct mgr_loop {
	int epoll_fd;
	int signal_fd;
	sigset_t mask;
	struct mgr_watch signal_watch;
	LIST_HEAD(, mgr_signal) signals;
	TAILQ_HEAD(, mgr_hook) hooks;
	struct mgr_timer **heap; /* binary heap by at_ns */
	size_t heap_n, heap_cap;
	int64_t now_ns;
	/* Where a walk goes on: moved when a callback stops just that one. */
	struct mgr_signal *next_signal;
	struct mgr_hook *next_hook;
	bool in_timers;
	bool stop;
	bool more; /* a hook has work left */
	struct epoll_event event[64];
	int event_n, at;
};

/* Runs the timers that are due at loop->now_ns. */
void mgr_loop_run_timers(struct mgr_loop *loop);

#endif
