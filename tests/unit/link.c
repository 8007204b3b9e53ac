/* Links: the bell's socket is emptied without losing a wake-up; greetings that are wrong. */
#include "ipc/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "ipc/lane_mem.h"
#include "ipc/lane_priv.h"
#include "os/clock.h"
#include "os/sock.h"
#include "tap.h"

/* As link.c has it. */
struct hello {
	uint64_t magic;
	uint32_t slots, bytes, meta_max, reserved;
};

static const struct mgr_lane_conf conf = {.slots = 4, .bytes = 4096, .meta_max = 4096, .body_max = 1u << 20};

static struct mgr_loop *loop;
static struct mgr_links links;
static struct mgr_link caller;
static unsigned up_n, down_n, look_n;

static void
up(struct mgr_link *l)
{
	(void)l;
	up_n++;
}

static void
look(struct mgr_link *l, uint32_t slot, unsigned events)
{
	(void)l;
	(void)slot;
	look_n += (events & MGR_LANE_CLOSED) != 0;
}

static void
down(struct mgr_link *l)
{
	down_n++;
	mgr_link_fini(l);
}

static const struct mgr_link_ops ops = {.up = up, .look = look, .down = down};

/* The worker's side by hand, so that a test decides when it rings. */
static struct {
	struct mgr_lane lane;
	int listen_fd, fd, mem_fd;
	void *mine;
	const void *peers;
	size_t half_n;
} worker;

static int
ring(struct mgr_lane *l)
{
	(void)l;
	return send(worker.fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void
worker_look(struct mgr_lane *l, uint32_t slot, unsigned events)
{
	(void)l;
	(void)slot;
	(void)events;
}

static const struct mgr_lane_ops worker_ops = {.ring = ring, .look = worker_look};

static void
connect_pair(const char *path)
{
	struct hello h;
	int passed = -1;

	worker.listen_fd = mgr_sock_unix_listen(path, 0600, 1);
	mgr_assert(mgr_link_connect(&caller, &links, path, &ops) == 0);
	worker.fd = mgr_sock_accept(worker.listen_fd);
	mgr_assert(mgr_sock_recv_fd(worker.fd, &h, sizeof(h), &passed) == (ssize_t)sizeof(h) && passed >= 0);
	mgr_assert(mgr_lane_mem_make(&conf, &worker.mem_fd, &worker.mine, &worker.half_n) == 0);
	mgr_assert(mgr_lane_mem_take(passed, &conf, &worker.peers) == 0);
	mgr_assert(mgr_lane_init(&worker.lane, MGR_LANE_WORKER, worker.mine, worker.peers, &conf, &worker_ops) == 0);
	close(passed);
	mgr_sock_send_fd(worker.fd, &h, sizeof(h), worker.mem_fd);
	close(worker.mem_fd);
	for (int i = 0; i < 100 && up_n == 0; i++)
		mgr_loop_turn(loop, 10 * MGR_MS);
}

static void
disconnect(const char *path)
{
	mgr_link_fini(&caller);
	mgr_lane_fini(&worker.lane);
	mgr_lane_mem_drop(worker.mine, worker.half_n);
	mgr_lane_mem_drop(worker.peers, worker.half_n);
	close(worker.fd);
	close(worker.listen_fd);
	unlink(path);
	memset(&worker.lane, 0, sizeof(worker.lane));
}

static void
settle(void)
{
	for (int i = 0; i < 5; i++)
		mgr_loop_turn(loop, MGR_MS);
}

/*
 * A ring that comes late, for a push that was taken before the caller armed: its byte waits while the
 * caller arms again and empties the socket.  The worker will not ring for that epoch a second time.
 */
static void
test_late_ring(const char *path)
{
	struct mgr_lane_head head = {.deadline_ns = INT64_MAX, .body_n = 0, .meta_n = 2};
	struct iovec iov = {(void *)(uintptr_t)"{}", 2};

	connect_pair(path);
	is_int(up_n, 1, "the lane is up");
	int slot = mgr_lane_open(&caller.lane, &head, &iov, 1, true, NULL);
	ok(slot >= 0, "a call is open");
	mgr_link_touch(&caller);
	settle();
	is_int(mgr_lane_drain(&worker.lane), 1, "the worker has it");
	ok((worker.lane.peer->bell & 1) == 1, "the caller sleeps, its bell is armed");
	worker.lane.rung = worker.lane.peer->bell;
	ring(&worker.lane);
	caller.arm_n = 100; /* the next arming empties the socket */
	mgr_link_touch(&caller);
	mgr_loop_turn(loop, MGR_MS);
	settle();
	mgr_lane_consume(&worker.lane, 0, 2);
	mgr_lane_close(&worker.lane, 0, MGR_LANE_OK, 0);
	mgr_lane_flush(&worker.lane);
	for (int i = 0; i < 10 && look_n == 0; i++)
		mgr_loop_turn(loop, 20 * MGR_MS);
	is_int(look_n, 1, "the answer wakes the caller");
	disconnect(path);
}

/* A server that greets wrongly; the caller must give up with a reason. */
static void
greet(const char *path, const void *p, size_t n, int passed, const char *what)
{
	int listen_fd = mgr_sock_unix_listen(path, 0600, 1);

	down_n = up_n = 0;
	mgr_assert(mgr_link_connect(&caller, &links, path, &ops) == 0);
	int fd = mgr_sock_accept(listen_fd);
	if (n > 0)
		mgr_sock_send_fd(fd, p, n, passed);
	else
		shutdown(fd, SHUT_RDWR);
	for (int i = 0; i < 50 && down_n == 0; i++)
		mgr_loop_turn(loop, 10 * MGR_MS);
	ok(down_n == 1 && up_n == 0, "refused: %s", what);
	close(fd);
	close(listen_fd);
	unlink(path);
}

static void
test_greetings(const char *path)
{
	struct hello good = {.magic = UINT64_C(0x314e4c2d52474d00), .slots = conf.slots, .bytes = conf.bytes,
			     .meta_max = conf.meta_max};
	struct hello bad = good;
	FILE *file = tmpfile();

	greet(path, "", 0, -1, "closed at once");
	greet(path, &good, sizeof(good), -1, "no memory passed");
	greet(path, &good, sizeof(good), fileno(file), "a plain file as memory");
	greet(path, &good, 10, fileno(file), "half a greeting");
	bad.magic++;
	greet(path, &bad, sizeof(bad), fileno(file), "another protocol");
	bad = good;
	bad.slots = UINT32_MAX;
	greet(path, &bad, sizeof(bad), fileno(file), "other numbers");
	fclose(file);
}

int
main(void)
{
	char dir[] = "/tmp/mgr-link-XXXXXX", path[64];

	if (mkdtemp(dir) == NULL)
		return 1;
	setenv("MGR_NO_BELT", "1", 1);
	snprintf(path, sizeof(path), "%s/s", dir);
	mgr_loop_new(&loop);
	mgr_links_init(&links, loop, &conf, false);
	test_late_ring(path);
	test_greetings(path);
	mgr_links_fini(&links);
	mgr_loop_free(loop);
	rmdir(dir);
	return done_testing();
}
