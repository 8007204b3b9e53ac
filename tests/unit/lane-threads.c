/*
 * Two threads over plain memory, with a real bell and no belt; for ThreadSanitizer too.  In
 * half of the runs each side stumbles at the steps of the protocol, so that the other looks
 * in between even where both share one core.
 */
#define MGR_FAULT 1

#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

/* The lane itself is built here, with its steps, whatever the library was built with. */
#include "ipc/lane.c"
#include "ipc/lane_words.c"
#include "ipc/lane_turn.c"
#include "ipc/lane_caller.c"
#include "ipc/lane_worker.c"

#include "lane-work.h"

static _Thread_local uint64_t stumble_seed = 1;

static void
stumble(const char *name)
{
	(void)name;
	if (kit_rand(&stumble_seed) % 4 == 0)
		sched_yield();
}

static void *
serve(void *arg)
{
	struct work *w = arg;

	stumble_seed = w->seed;
	return (void *)(intptr_t)work_loop(w);
}

static unsigned spin;

static void
run(const char *what, uint32_t slots, uint32_t body_max, unsigned cancel_in, unsigned early_in,
	uint64_t calls)
{
	static struct work caller;
	static struct work worker;
	struct mgr_lane_conf conf = {
		.slots = slots, .bytes = 64, .meta_max = 64, .body_max = 1 << 20,
	};
	pthread_t thread;
	void *result = NULL;
	size_t n;
	void *a = kit_half(&conf, &n);
	void *b = kit_half(&conf, &n);
	int fd[2];
	int r;

	mgr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
	caller = (struct work){ .fd = fd[0], .seed = 42, .body_max = body_max,
		.cancel_in = cancel_in, .to_open = calls, .spin = spin };
	worker = (struct work){ .fd = fd[1], .seed = 43, .body_max = body_max,
		.early_in = early_in, .spin = spin };
	r = mgr_lane_init(&caller.lane, MGR_LANE_CALLER, a, b, &conf, &work_caller_ops);
	mgr_assert(r == 0);
	r = mgr_lane_init(&worker.lane, MGR_LANE_WORKER, b, a, &conf, &work_worker_ops);
	mgr_assert(r == 0);
	pthread_create(&thread, NULL, serve, &worker);
	is_int(work_loop(&caller), 0, "%s: the caller came to its end", what);
	close(fd[0]);
	pthread_join(thread, &result);
	close(fd[1]);
	is_int((intptr_t)result, -EPIPE, "the worker saw it leave");
	is_int(caller.opened, calls, "all opened");
	is_int(caller.good + caller.failed + caller.cancelled, calls, "all ended");
	is_int(caller.wrong, 0, "no wrong byte in an answer");
	is_int(worker.wrong, 0, "no wrong byte in a request");
	is_int(mgr_lane_free_n(&caller.lane), slots, "all slots are free");
	ok(caller.lane.why == NULL && worker.lane.why == NULL, "no violation");
	diag("%" PRIu64 " good, %" PRIu64 " failed, %" PRIu64 " cancelled, %" PRIu64
		" late; bells %" PRIu64 " and %" PRIu64 ", stale %" PRIu64 " and %" PRIu64,
		caller.good, caller.failed, caller.cancelled, caller.lane.count.late,
		caller.lane.count.bells, worker.lane.count.bells, caller.lane.count.stale,
		worker.lane.count.stale);
	mgr_lane_fini(&caller.lane);
	mgr_lane_fini(&worker.lane);
	free(a);
	free(b);
}

int
main(void)
{
	unsigned scale = test_scale();

	/* The watchdog: a lost wake-up ends the test by SIGALRM, before its plan. */
	alarm(60 + 10 * scale);
	run("streams", 8, 300, 0, 0, 3000 * scale);
	run("cancels and early closes", 8, 300, 60, 60, 3000 * scale);
	run("one slot", 1, 200, 20, 20, 1500 * scale);
	run("two slots, small calls", 2, 24, 0, 0, 20000 * scale);
	run("two slots, small calls, cancels", 2, 24, 10, 10, 20000 * scale);
	/* Both awake at once, bells that come late, looks between any two stores. */
	spin = 30;
	mgr_lane_step = stumble;
	run("stumbling, streams", 8, 300, 0, 0, 3000 * scale);
	run("stumbling, cancels and early closes", 8, 300, 60, 60, 3000 * scale);
	run("stumbling, two slots", 2, 24, 10, 10, 20000 * scale);
	return done_testing();
}
