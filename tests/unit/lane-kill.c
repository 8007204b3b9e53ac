/*
 * Two processes over sealed memory; one is killed at every step of the protocol that the
 * other can see.  The survivor ends every call, and no byte that it passed on is wrong.
 */
#define MGR_FAULT 1

#include "tap.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The lane itself is built here, with its steps, whatever the library was built with. */
#include "ipc/lane.c"
#include "ipc/lane_words.c"
#include "ipc/lane_turn.c"
#include "ipc/lane_caller.c"
#include "ipc/lane_worker.c"

#include "ipc/lane_mem.h"
#include "lane-work.h"

/* row(name, who passes it: bit 0 the caller, bit 1 the worker) */
#define STEPS(row) \
	row("open-fields", 1) \
	row("open-out", 1) \
	row("open-ctl", 1) \
	row("end-ctl", 1) \
	row("cancel-ctl", 1) \
	row("wipe", 1) \
	row("take-wipe", 2) \
	row("take-words", 2) \
	row("take-ctl", 2) \
	row("started-ctl", 2) \
	row("answer-fields", 2) \
	row("head-ctl", 2) \
	row("close-fields", 2) \
	row("close-ctl", 2) \
	row("bytes-half", 3) \
	row("bytes", 3) \
	row("append-out", 3) \
	row("consume-in", 3) \
	row("push-ring", 3) \
	row("push-head", 3) \
	row("drain-tail", 3) \
	row("bell", 3) \
	row("arm", 3) \
	row("wake", 3)

#define STEP_ROW(name, who) { name, who },
static const struct {
	const char *name;
	unsigned who;
} steps[] = { STEPS(STEP_ROW) };

static const char *fuse_name;		/* NULL: any step */
static uint64_t fuse;			/* die when so many were passed */
static unsigned cancel_in = 15;
static uint64_t answered_n;		/* calls that the last survivor saw closed */
static atomic_bool *hit;		/* shared: steps at which a child died */
static pid_t main_pid;

static size_t
step_of(const char *name)
{
	size_t i;

	for (i = 0; i < MGR_N(steps) && strcmp(steps[i].name, name) != 0; i++)
		continue;
	mgr_assert(i < MGR_N(steps));		/* a step without its row */
	return i;
}

static void
die_here(const char *name)
{
	size_t i = step_of(name);

	if (getpid() == main_pid || fuse == 0)
		return;
	if (fuse_name != NULL && strcmp(fuse_name, name) != 0)
		return;
	if (--fuse > 0)
		return;
	atomic_store(&hit[i], true);
	kill(getpid(), SIGKILL);
}

struct scene {
	struct mgr_lane_conf conf;
	void *mine[2];			/* writable, by side */
	const void *peers[2];		/* read-only, by the side that wrote it */
	size_t n;
	int fd[2];
};

static void
scene_open(struct scene *s, uint32_t slots)
{
	int side;

	s->conf = (struct mgr_lane_conf){
		.slots = slots, .bytes = 64, .meta_max = 64, .body_max = 1 << 16,
	};
	for (side = 0; side < 2; side++) {
		int fd = -1;

		mgr_assert(mgr_lane_mem_make(&s->conf, &fd, &s->mine[side], &s->n) == 0);
		mgr_assert(mgr_lane_mem_take(fd, &s->conf, &s->peers[side]) == 0);
		close(fd);
	}
	mgr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->fd) == 0);
}

static void
scene_close(struct scene *s)
{
	int side;

	for (side = 0; side < 2; side++) {
		mgr_lane_mem_drop(s->mine[side], s->n);
		mgr_lane_mem_drop(s->peers[side], s->n);
	}
}

/* Plays one side over the scene; the other side's end of the socket is closed first. */
static int
play(struct scene *s, enum mgr_lane_side side, struct work *w, uint64_t seed, uint64_t calls)
{
	bool is_caller = side == MGR_LANE_CALLER;
	int r;

	close(s->fd[!side]);
	*w = (struct work){
		.fd = s->fd[side],
		.seed = seed,
		.body_max = 150,
		.cancel_in = is_caller ? cancel_in : 0,
		.early_in = is_caller ? 0 : 15,
		.to_open = is_caller ? calls : 0,
	};
	r = mgr_lane_init(&w->lane, side, s->mine[side], s->peers[!side], &s->conf,
		is_caller ? &work_caller_ops : &work_worker_ops);
	mgr_assert(r == 0);
	return work_loop(w);
}

static uint64_t runs;
static uint64_t killed_n;
static uint64_t bad_runs;
static uint64_t calls_n;
static uint64_t gone_n;

static void
judge(const struct work *w, int r, bool is_caller)
{
	uint64_t ended = w->good + w->failed + w->cancelled + w->gone;
	bool good = (r == 0 || r == -EPIPE) && w->wrong == 0 && w->lane.why == NULL;

	/* A call that the lane closed at NEW was never the worker's. */
	good = good && ended == w->opened && mgr_lane_live_n(&w->lane) == 0;
	calls_n += w->opened;
	gone_n += w->gone;
	if (good)
		return;
	bad_runs++;
	diag("survivor %s: result %d, wrong %" PRIu64 ", opened %" PRIu64 ", ended %" PRIu64
		", why %s", is_caller ? "caller" : "worker", r, w->wrong, w->opened, ended,
		w->lane.why != NULL ? w->lane.why : "-");
}

/* One run with the child as `side`; true if the fuse killed it. */
static bool
run(enum mgr_lane_side side, uint32_t slots, uint64_t seed, uint64_t calls)
{
	static struct work w;
	enum mgr_lane_side other = side == MGR_LANE_CALLER ? MGR_LANE_WORKER : MGR_LANE_CALLER;
	struct scene s;
	int status = 0;
	bool killed;
	pid_t pid;
	int r;

	scene_open(&s, slots);
	fflush(stdout);
	pid = fork();
	mgr_assert(pid >= 0);
	if (pid == 0) {
		alarm(20);
		play(&s, side, &w, seed, calls);
		_exit(0);
	}
	r = play(&s, other, &w, seed + 1, calls);
	work_end(&w);
	close(w.fd);
	waitpid(pid, &status, 0);
	killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	runs++;
	killed_n += killed;
	if (!killed && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
		diag("the child ended with status %d", status);
		bad_runs++;
	}
	answered_n = w.good + w.failed;
	judge(&w, r, side == MGR_LANE_WORKER);
	mgr_lane_fini(&w.lane);
	scene_close(&s);
	return killed;
}

static void
report(const char *what)
{
	is_int(bad_runs, 0, "%s: every call ended, no wrong byte", what);
	diag("%" PRIu64 " runs, %" PRIu64 " killed, %" PRIu64 " calls, %" PRIu64 " gone", runs,
		killed_n, calls_n, gone_n);
	runs = killed_n = bad_runs = calls_n = gone_n = 0;
}

static void
by_number(enum mgr_lane_side side)
{
	uint64_t k;

	fuse_name = NULL;
	for (k = 1; k < 400; k++) {
		fuse = k;
		if (!run(side, 2, 7, 5))
			break;
	}
	fuse = 0;
	ok(killed_n > 30, "died at many steps");
	report(side == MGR_LANE_CALLER ? "caller, step by step" : "worker, step by step");
}

/* An answer whose hint was never pushed is whole all the same. */
static void
closed_then_died(void)
{
	uint64_t nth;
	bool good = true;

	cancel_in = 0;
	fuse_name = "close-ctl";
	for (nth = 1; nth <= 10; nth++) {
		fuse = nth;
		good = run(MGR_LANE_WORKER, 4, nth, 30) && answered_n == nth && good;
	}
	cancel_in = 15;
	fuse_name = NULL;
	fuse = 0;
	ok(good, "what was closed before death is delivered");
	report("closed, then died");
}

/* The run is repeated until the step is met: whether a side sleeps is the scheduler's choice. */
static void
by_name(enum mgr_lane_side side, uint64_t nth)
{
	size_t i;
	uint64_t seed;

	for (i = 0; i < MGR_N(steps); i++) {
		if ((steps[i].who & 1u << side) == 0)
			continue;
		fuse_name = steps[i].name;
		for (seed = 1; seed < 50; seed++) {
			fuse = nth;
			if (run(side, 4, seed * 31, 30))
				break;
		}
		ok(atomic_load(&hit[i]), "%s died at %s",
			side == MGR_LANE_CALLER ? "caller" : "worker", steps[i].name);
		atomic_store(&hit[i], false);
	}
	fuse_name = NULL;
	fuse = 0;
	report("by name");
}

static void
at_random(enum mgr_lane_side side, unsigned n)
{
	uint64_t seed = 12345;
	unsigned i;

	for (i = 0; i < n; i++) {
		fuse = 1 + kit_rand(&seed) % 20000;
		run(side, 64, seed, 2000);
	}
	fuse = 0;
	report(side == MGR_LANE_CALLER ? "caller, at random" : "worker, at random");
}

int
main(void)
{
	unsigned scale = test_scale();

	alarm(60 + 10 * scale);
	main_pid = getpid();
	hit = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mgr_assert(hit != MAP_FAILED);
	mgr_lane_step = die_here;
	run(MGR_LANE_WORKER, 4, 3, 200);
	report("nobody dies");
	by_number(MGR_LANE_WORKER);
	by_number(MGR_LANE_CALLER);
	closed_then_died();
	by_name(MGR_LANE_WORKER, 1);
	by_name(MGR_LANE_WORKER, 5);
	by_name(MGR_LANE_CALLER, 1);
	by_name(MGR_LANE_CALLER, 5);
	at_random(MGR_LANE_WORKER, 20 * scale);
	at_random(MGR_LANE_CALLER, 20 * scale);
	return done_testing();
}
