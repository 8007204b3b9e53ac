#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/num.h"
#include "os/clock.h"
#include "os/io.h"
#include "os/spawn.h"
#include "probe_read.h"

#define READ_N 65536
#define SLOW_N 4096

static void
close_all(struct probe *p)
{
	mgr_close(&p->in);
	mgr_close(&p->out);
	mgr_close(&p->pidfd);
}

static int
make_pipes(int to[2], int from[2])
{
	if (pipe2(to, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(from, O_CLOEXEC) < 0) {
		int r = -errno;
		close(to[0]);
		close(to[1]);
		return r;
	}
	return 0;
}

int
probe_start(struct probe *p)
{
	int to[2], from[2], r = make_pipes(to, from);

	if (r < 0)
		return r;
	*p = (struct probe){.path = p->path, .argv = p->argv, .envp = p->envp, .pidfd = -1, .in = to[1],
			    .out = from[0], .concurrency = 1, .pipeline = 1};
	const struct mgr_spawn s = {
		.path = p->path, .argv = p->argv, .envp = p->envp, .fd = {to[0], from[1], STDERR_FILENO}, .fd_n = 3,
		.new_group = true, .death_signal = SIGKILL};
	r = mgr_spawn(&s, &p->pid, &p->pidfd);
	close(to[0]);
	close(from[1]);
	if (r == 0)
		r = mgr_set_nonblock(p->in);
	if (r == 0)
		r = mgr_set_nonblock(p->out);
	if (r < 0)
		probe_stop(p);
	return r;
}

static void
reap(struct probe *p)
{
	/* Before the reap, while the number is still that of its group. */
	kill(-p->pid, SIGKILL);
	while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
		continue;
	p->pid = 0;
}

void
probe_stop(struct probe *p)
{
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		reap(p);
	}
	close_all(p);
	mgr_buf_fini(&p->to);
	mgr_buf_fini(&p->call);
	mgr_frame_parser_fini(&p->parser);
}

void
probe_send(struct probe *p, enum mgr_frame_type type, bool more, uint32_t id, const char *meta, const void *body,
	   size_t body_n)
{
	if (p->in >= 0)
		mgr_frame_add(&p->to, type, more, id, meta, strlen(meta), body, body_n);
}

struct probe_request *
probe_ask(struct probe *p, uint32_t id, const char *members, bool more, const void *body, size_t body_n)
{
	char meta[1024];

	if (p->request_n == PROBE_REQUESTS)
		return NULL;
	struct probe_request *q = &p->request[p->request_n++];
	*q = (struct probe_request){.id = id, .window = PROBE_WINDOW - body_n};
	/* A member that nobody knows is in every one: handlers ignore it. */
	snprintf(meta, sizeof(meta),
		 "{\"deadline_ms\":60000     ,\"kind\":\"http\",\"src\":\"http\",\"method\":\"POST\",\"path\":\"/lint\","
		 "\"route\":\"/lint\",\"params\":{},\"query\":{},\"qs\":\"\",\"headers\":{},\"x_lint\":[true]%s}\n", members);
	probe_send(p, MGR_FRAME_REQ, more, id, meta, body, body_n);
	return q;
}

void
probe_close_in(struct probe *p)
{
	int64_t end_ns = mgr_now_ns() + 5 * MGR_S;

	while (mgr_buf_n(&p->to) > 0 && p->in >= 0 && probe_turn(p, end_ns))
		continue;
	mgr_close(&p->in);
}

static void
write_some(struct probe *p)
{
	ssize_t n = mgr_write(p->in, mgr_buf_p(&p->to), mgr_buf_n(&p->to));

	if (n > 0)
		mgr_buf_take(&p->to, (size_t)n);
	else if (n < 0 && n != -EAGAIN)
		mgr_close(&p->in); /* it closed its stdin; its end tells more */
}

static void
read_some(struct probe *p)
{
	char text[READ_N];
	ssize_t n = mgr_read(p->out, text, p->slow ? SLOW_N : READ_N);

	if (n > 0)
		probe_read(p, text, (size_t)n);
	if (n == -EAGAIN || n > 0)
		return;
	p->closed = true;
	mgr_close(&p->out);
}

/* The process ended; what it wrote before is still in the pipe. */
static void
take_end(struct probe *p)
{
	reap(p);
	p->exited = true;
	mgr_close(&p->pidfd);
	mgr_close(&p->in);
}

static int
left_ms(int64_t end_ns)
{
	int64_t left = end_ns - mgr_now_ns();

	return left <= 0 ? 0 : (int)((left + MGR_MS - 1) / MGR_MS);
}

bool
probe_turn(struct probe *p, int64_t end_ns)
{
	bool wants_write = p->in >= 0 && mgr_buf_n(&p->to) > 0;
	struct pollfd pfd[3] = {
		{.fd = p->out, .events = POLLIN},
		{.fd = wants_write ? p->in : -1, .events = POLLOUT},
		{.fd = p->pidfd, .events = POLLIN},
	};

	if (p->broken || (p->exited && p->closed) || left_ms(end_ns) == 0)
		return false;
	if (p->slow)
		poll(NULL, 0, 1); /* that is what slow means */
	int n = poll(pfd, 3, left_ms(end_ns));
	if (n < 0)
		return errno == EINTR;
	if (n == 0)
		return false;
	if (pfd[0].revents != 0)
		read_some(p);
	if (pfd[1].revents != 0)
		write_some(p);
	if (pfd[2].revents != 0)
		take_end(p);
	return !p->broken;
}
