#include "svc/pool_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/io.h"

#define PIPE_N (1024 * 1024)

struct ends {
	int in, out, err, aux; /* the child's */
};

static int
make_pipe(int *ret_read, int *ret_write, bool large)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	if (large)
		fcntl(fd[0], F_SETPIPE_SZ, PIPE_N);
	*ret_read = fd[0];
	*ret_write = fd[1];
	return 0;
}

static int
make_ends(struct mgr_replica *r, struct ends *e)
{
	bool large = r->driver->resident;
	int fd[2], err = make_pipe(&e->in, &r->fd_in, large);

	if (err == 0)
		err = make_pipe(&r->fd_out, &e->out, large);
	if (err == 0)
		err = make_pipe(&r->fd_err, &e->err, false);
	if (err == 0 && r->driver->aux) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
			return -errno;
		r->fd_aux = fd[0];
		e->aux = fd[1];
	}
	if (err == 0)
		err = mgr_set_nonblock(r->fd_in);
	if (err == 0)
		err = mgr_set_nonblock(r->fd_out);
	if (err == 0)
		err = mgr_set_nonblock(r->fd_err);
	if (err == 0 && r->fd_aux >= 0)
		err = mgr_set_nonblock(r->fd_aux);
	return err;
}

static void
on_aux(struct mgr_watch *w, uint32_t events)
{
	struct mgr_replica *r = MGR_CONTAINER(w, struct mgr_replica, watch_aux);

	(void)events;
	r->driver->aux_input(r);
}

static int
watch_ends(struct mgr_replica *r)
{
	struct mgr_loop *loop = r->pool->loop;
	int err = mgr_watch_start(&r->watch_out, loop, r->fd_out, EPOLLIN, mgr_replica_on_out);

	if (err == 0)
		err = mgr_watch_start(&r->watch_err, loop, r->fd_err, EPOLLIN, mgr_stderr_watch);
	if (err == 0 && r->fd_aux >= 0)
		err = mgr_watch_start(&r->watch_aux, loop, r->fd_aux, EPOLLIN, on_aux);
	return err;
}

int
mgr_replica_spawn(struct mgr_replica *r, char *const *argv, char *const *envp)
{
	struct ends e = {-1, -1, -1, -1};
	int err = make_ends(r, &e);

	if (err == 0)
		err = watch_ends(r);
	if (err == 0) {
		const struct mgr_spawn s = {
			.argv = argv,
			.envp = envp,
			.cwd = r->pool->conf.cwd,
			.fd = {e.in, e.out, e.err, e.aux},
			.fd_n = r->driver->aux ? 4 : 3,
			.new_group = true,
			.death_signal = SIGKILL,
			.no_new_privs = true,
			.no_core = true,
		};
		err = mgr_child_start(&r->child, r->pool->loop, &s, mgr_replica_on_end);
	}
	mgr_close(&e.in);
	mgr_close(&e.out);
	mgr_close(&e.err);
	mgr_close(&e.aux);
	if (err < 0)
		return err;
	r->pid = r->child.pid;
	r->started_ns = mgr_loop_now(r->pool->loop);
	if (r->driver->handshake)
		mgr_replica_await_ready(r);
	return 0;
}
