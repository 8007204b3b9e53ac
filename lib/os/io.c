#include "os/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

ssize_t
mgr_read(int fd, void *p, size_t n)
{
	ssize_t got;

	do
		got = read(fd, p, n);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

ssize_t
mgr_write(int fd, const void *p, size_t n)
{
	ssize_t put;

	do
		put = write(fd, p, n);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

ssize_t
mgr_writev(int fd, const struct iovec *iov, int iov_n)
{
	ssize_t put;

	do
		put = writev(fd, iov, iov_n);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

int
mgr_write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t put = mgr_write(fd, at, n);
		if (put == -EAGAIN) {
			struct pollfd pfd = {.fd = fd, .events = POLLOUT};
			poll(&pfd, 1, -1);
			continue;
		}
		if (put < 0)
			return (int)put;
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

static int
add_flag(int fd, int get, int set, int flag)
{
	int flags = fcntl(fd, get);

	if (flags < 0 || fcntl(fd, set, flags | flag) < 0)
		return -errno;
	return 0;
}

int
mgr_set_nonblock(int fd)
{
	return add_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK);
}

int
mgr_set_cloexec(int fd)
{
	return add_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC);
}

void
mgr_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
