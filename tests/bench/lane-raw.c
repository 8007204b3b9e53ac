/*
 * The floor under the lane: 64-byte echo between two processes over
 *
 *	block	two raw rings in shared memory, an eventfd for each side, blocking read
 *	epoll	the same, woken by an edge-triggered epoll loop, as a daemon must
 *	unix	a Unix stream socket pair
 *
 *	lane-raw KIND IN_FLIGHT SECONDS
 *
 * The rings have no checks, no generations and no way to fail: this is what nobody can beat.
 */
#include "lane-stat.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RING = 256 };

/* One direction.  It cannot overflow, as at most STAT_IN_FLIGHT_MAX messages exist.  asleep is set
 * by the reader and taken by the writer, who then rings: a late ring wakes a later sleep for
 * nothing, but it never leaves one asleep. */
struct ring {
	_Alignas(64) _Atomic uint64_t head;
	_Alignas(64) _Atomic uint32_t asleep;
	_Alignas(64) char slot[RING][STAT_MESSAGE_N];
};

struct side {
	struct ring *rx, *tx;
	int rx_bell, tx_bell;
	int epoll;		/* -1: block in read */
	uint64_t sent, taken;
};

struct link {
	struct ring ring[2];
};

static void
put(struct side *s, const char *message)
{
	memcpy(s->tx->slot[s->sent++ % RING], message, STAT_MESSAGE_N);
}

/* Shows a batch at once: the line with head moves between the cores once, not per message. */
static void
flush(struct side *s)
{
	uint64_t one = 1;

	atomic_store_explicit(&s->tx->head, s->sent, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&s->tx->asleep, memory_order_relaxed) == 0)
		return;
	if (atomic_exchange(&s->tx->asleep, 0) == 1 && write(s->tx_bell, &one, sizeof one) < 0)
		exit(EXIT_FAILURE);
}

static int
ready(const struct side *s)
{
	return (int)(atomic_load_explicit(&s->rx->head, memory_order_acquire) - s->taken);
}

static void
take(struct side *s, char *message)
{
	memcpy(message, s->rx->slot[s->taken++ % RING], STAT_MESSAGE_N);
}

static void
rest(struct side *s)
{
	struct epoll_event event;
	uint64_t count;

	atomic_store_explicit(&s->rx->asleep, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&s->rx->head, memory_order_acquire) == s->taken) {
		if (s->epoll >= 0)
			(void)epoll_wait(s->epoll, &event, 1, -1);
		if (read(s->rx_bell, &count, sizeof count) < 0 && errno != EAGAIN)
			exit(EXIT_FAILURE);
	}
	atomic_store_explicit(&s->rx->asleep, 0, memory_order_relaxed);
}

static void
use_epoll(struct side *s)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->rx_bell, &event) < 0)
		exit(EXIT_FAILURE);
}

static void
ring_echo(struct side *s)
{
	char message[STAT_MESSAGE_N];
	int n;

	for (;;) {
		for (n = ready(s); n > 0; n--) {
			take(s, message);
			put(s, message);
		}
		flush(s);
		if (ready(s) == 0)
			rest(s);
	}
}

static void
ring_ask(struct side *s, int in_flight, double seconds)
{
	char message[STAT_MESSAGE_N] = "ping";
	struct stat_run run;
	int64_t now, before;
	int open = 0, n;

	stat_start(&run, seconds);
	for (now = run.start_ns; now < run.end_ns;) {
		before = now;
		for (; open < in_flight; open++)
			put(s, message);
		flush(s);
		while ((n = ready(s)) == 0)
			rest(s);
		open -= n;
		for (; n > 0; n--)
			take(s, message);
		now = stat_now_ns();
		stat_add(&run, now - before, in_flight - open);
	}
	stat_print(&run);
}

static pid_t
run_ring(bool epoll, int in_flight, double seconds)
{
	int flags = EFD_CLOEXEC | (epoll ? EFD_NONBLOCK : 0);
	int bell[2] = { eventfd(0, flags), eventfd(0, flags) };
	struct link *link = mmap(NULL, sizeof *link, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct side side;
	pid_t pid;

	if (link == MAP_FAILED || bell[0] < 0 || bell[1] < 0)
		exit(EXIT_FAILURE);
	pid = stat_fork();
	side = (struct side){ .rx = &link->ring[pid == 0], .tx = &link->ring[pid != 0],
		.rx_bell = bell[pid == 0], .tx_bell = bell[pid != 0], .epoll = -1 };
	if (epoll)
		use_epoll(&side);
	if (pid == 0)
		ring_echo(&side);
	ring_ask(&side, in_flight, seconds);
	return pid;
}

static void
write_all(int fd, const char *p, size_t n)
{
	ssize_t r;

	for (; n > 0; p += r, n -= (size_t)r) {
		r = write(fd, p, n);
		if (r <= 0)
			exit(EXIT_FAILURE);
	}
}

static void
unix_echo(int fd)
{
	char buffer[STAT_MESSAGE_N * STAT_IN_FLIGHT_MAX];
	ssize_t n;

	while ((n = read(fd, buffer, sizeof buffer)) > 0)
		write_all(fd, buffer, (size_t)n);
	_exit(0);
}

static void
unix_ask(int fd, int in_flight, double seconds)
{
	char buffer[STAT_MESSAGE_N * STAT_IN_FLIGHT_MAX] = { 0 };
	size_t open = 0, want = (size_t)in_flight * STAT_MESSAGE_N, got = 0;
	struct stat_run run;
	int64_t now, before;
	ssize_t n;

	stat_start(&run, seconds);
	for (now = run.start_ns; now < run.end_ns;) {
		before = now;
		write_all(fd, buffer, want - open);
		open = want;
		n = read(fd, buffer, sizeof buffer);
		if (n <= 0)
			exit(EXIT_FAILURE);
		/* whole messages only are free again; the rest of one counts with the next read */
		got += (size_t)n;
		open -= got / STAT_MESSAGE_N * STAT_MESSAGE_N;
		now = stat_now_ns();
		stat_add(&run, now - before, (int)(got / STAT_MESSAGE_N));
		got %= STAT_MESSAGE_N;
	}
	stat_print(&run);
}

static pid_t
run_unix(int in_flight, double seconds)
{
	int fd[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		exit(EXIT_FAILURE);
	pid = stat_fork();
	close(fd[pid != 0]);
	if (pid == 0)
		unix_echo(fd[1]);
	unix_ask(fd[0], in_flight, seconds);
	return pid;
}

int
main(int argc, char **argv)
{
	double seconds;
	int in_flight;
	pid_t pid;

	if (argc != 4) {
		fprintf(stderr, "usage: lane-raw block|epoll|unix IN_FLIGHT SECONDS\n");
		return 2;
	}
	stat_arguments(argv, &in_flight, &seconds);
	if (strcmp(argv[1], "unix") == 0)
		pid = run_unix(in_flight, seconds);
	else
		pid = run_ring(strcmp(argv[1], "epoll") == 0, in_flight, seconds);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return EXIT_SUCCESS;
}
