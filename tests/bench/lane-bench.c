/*
 * The lane as a daemon drives it: 64-byte calls between two processes, a socket pair as bell,
 * edge-triggered epoll, no spin, and no belt that would hide a lost wake-up.
 *
 *	lane-bench lane IN_FLIGHT SECONDS
 */
#include "lane-stat.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "ipc/lane.h"

enum { ARMS_PER_RECV = 16 };

struct side {
	struct mgr_lane lane;	/* its user points back here */
	int fd;
	int epoll;
	uint64_t emptied_at;	/* count of armings at which the socket was emptied */
	int open;
	int answers;
};

static const struct mgr_lane_conf conf = {
	.slots = MGR_LANE_SLOTS,
	.bytes = MGR_LANE_BYTES,
	.meta_max = 4096,
	.body_max = 1u << 20,
	.deadline_max_ns = 120 * INT64_C(1000000000),
};

static void
die(const char *what)
{
	fprintf(stderr, "lane-bench: %s\n", what);
	exit(EXIT_FAILURE);
}

static int
ring(struct mgr_lane *l)
{
	const struct side *s = l->user;

	return send(s->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/* Copies the message out and gives it back: what both sides do with every call. */
static void
take_message(struct mgr_lane *l, uint32_t slot, char *message)
{
	struct iovec piece[2];

	if (mgr_lane_data(l, slot, piece) != STAT_MESSAGE_N)
		die("message of another size");
	memcpy(message, piece[0].iov_base, piece[0].iov_len);
	if (piece[1].iov_len > 0)
		memcpy(message + piece[0].iov_len, piece[1].iov_base, piece[1].iov_len);
	mgr_lane_consume(l, slot, STAT_MESSAGE_N);
}

static void
worker_look(struct mgr_lane *l, uint32_t slot, unsigned events)
{
	const struct mgr_lane_head head = { .body_n = STAT_MESSAGE_N, .info = 200 };
	char message[STAT_MESSAGE_N];

	if ((events & MGR_LANE_END) == 0)
		return;
	take_message(l, slot, message);
	mgr_lane_started(l, slot);
	if (mgr_lane_answer(l, slot, &head) < 0 ||
	    mgr_lane_append(l, slot, message, sizeof message) != sizeof message)
		die("answer refused");
	mgr_lane_close(l, slot, MGR_LANE_OK, 0);
}

static void
caller_look(struct mgr_lane *l, uint32_t slot, unsigned events)
{
	struct side *s = l->user;
	char message[STAT_MESSAGE_N];

	if ((events & MGR_LANE_CLOSED) == 0)
		return;
	take_message(l, slot, message);
	mgr_lane_release(l, slot);
	s->open--;
	s->answers++;
}

static const struct mgr_lane_ops worker_ops = { .ring = ring, .look = worker_look };
static const struct mgr_lane_ops caller_ops = { .ring = ring, .look = caller_look };

static void
open_call(struct side *s, int64_t now_ns)
{
	char message[STAT_MESSAGE_N] = "ping";
	const struct iovec iov = { message, sizeof message };
	const struct mgr_lane_head head = {
		.deadline_ns = now_ns + 1000000000,
		.body_n = sizeof message,
	};

	if (mgr_lane_open(&s->lane, &head, &iov, 1, true, NULL) < 0)
		die("open refused");
	s->open++;
}

static void
drain(struct side *s)
{
	if (mgr_lane_drain(&s->lane) < 0)
		die(s->lane.why != NULL ? s->lane.why : "peer gone");
}

/* The sockets' bytes are edges only: they are thrown away before every 16th arming. */
static void
empty_bell(struct side *s)
{
	char bytes[4096];

	if (s->lane.count.arms - s->emptied_at < ARMS_PER_RECV)
		return;
	s->emptied_at = s->lane.count.arms;
	while (recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT) == sizeof bytes)
		;
}

static void
sleep_if_idle(struct side *s)
{
	struct epoll_event event;

	empty_bell(s);
	if (!mgr_lane_rest(&s->lane))
		return;
	if (epoll_wait(s->epoll, &event, 1, -1) < 0 && errno != EINTR)
		die("epoll_wait");
	mgr_lane_wake(&s->lane);
}

static void
serve(struct side *s)
{
	for (;;) {
		drain(s);
		sleep_if_idle(s);
	}
}

static void
ask(struct side *s, int in_flight, double seconds)
{
	struct stat_run run;
	int64_t now, before;

	stat_start(&run, seconds);
	for (now = run.start_ns; now < run.end_ns;) {
		before = now;
		while (s->open < in_flight)
			open_call(s, now);
		for (s->answers = 0; s->answers == 0;) {
			sleep_if_idle(s);
			drain(s);
		}
		now = stat_now_ns();
		stat_add(&run, now - before, s->answers);
	}
	stat_print(&run);
}

static void
start_side(struct side *s, enum mgr_lane_side side, void *mine, const void *peer, int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET };
	const struct mgr_lane_ops *ops = side == MGR_LANE_CALLER ? &caller_ops : &worker_ops;

	s->lane.user = s;
	s->fd = fd;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll");
	if (mgr_lane_init(&s->lane, side, mine, peer, &conf, ops) < 0)
		die("init");
}

static void *
new_half(void)
{
	void *half = mmap(NULL, mgr_lane_half_size(conf.slots, conf.bytes), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (half == MAP_FAILED)
		die("mmap");
	mgr_lane_half_init(half, &conf);
	return half;
}

int
main(int argc, char **argv)
{
	void *half[2] = { new_half(), new_half() };
	struct side side = { 0 };
	double seconds;
	int fd[2], in_flight;
	pid_t pid;

	if (argc != 4) {
		fprintf(stderr, "usage: lane-bench lane IN_FLIGHT SECONDS\n");
		return 2;
	}
	stat_arguments(argv, &in_flight, &seconds);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		die("socketpair");
	pid = stat_fork();
	if (pid == 0) {
		start_side(&side, MGR_LANE_WORKER, half[1], half[0], fd[1]);
		serve(&side);
	}
	start_side(&side, MGR_LANE_CALLER, half[0], half[1], fd[0]);
	ask(&side, in_flight, seconds);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return EXIT_SUCCESS;
}
