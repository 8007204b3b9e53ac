#include "os/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/num.h"
#include "os/io.h"

#define KIND (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)

static int
unix_addr(const char *path, struct sockaddr_un *ret)
{
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, path, strlen(path) + 1);
	return 0;
}

static int
fail(int fd)
{
	int r = -errno;

	close(fd);
	return r;
}

int
mgr_sock_unix_listen(const char *path, mode_t mode, int backlog)
{
	struct sockaddr_un sa;
	int r = unix_addr(path, &sa);

	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	int fd = socket(AF_UNIX, KIND, 0);
	if (fd < 0)
		return -errno;
	mode_t old = umask(0777 & ~mode);
	r = bind(fd, (const struct sockaddr *)&sa, sizeof(sa));
	umask(old);
	if (r == 0 && listen(fd, backlog) < 0) {
		r = fail(fd);
		unlink(path);
		return r;
	}
	return r < 0 ? fail(fd) : fd;
}

int
mgr_sock_unix_connect(const char *path)
{
	struct sockaddr_un sa;
	int r = unix_addr(path, &sa);

	if (r < 0)
		return r;
	int fd = socket(AF_UNIX, KIND, 0);
	if (fd < 0)
		return -errno;
	do
		r = connect(fd, (const struct sockaddr *)&sa, sizeof(sa));
	while (r < 0 && errno == EINTR);
	return r < 0 ? fail(fd) : fd;
}

int
mgr_sock_accept(int fd)
{
	int got;

	do
		got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

int
mgr_sock_peer(int fd, pid_t *ret_pid, uid_t *ret_uid)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	*ret_pid = 0;
	*ret_uid = (uid_t)-1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
		return -errno;
	*ret_pid = cred.pid;
	*ret_uid = cred.uid;
	return 0;
}

bool
mgr_sock_peer_is_ours(int fd)
{
	pid_t pid = 0;
	uid_t uid = (uid_t)-1;

	return mgr_sock_peer(fd, &pid, &uid) == 0 && (uid == 0 || uid == geteuid());
}

ssize_t
mgr_sock_send_fd(int fd, const void *p, size_t n, int passed)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (passed >= 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &passed, sizeof(int));
	}
	ssize_t put;
	do
		put = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

/* Takes the only descriptor of a message; anything else is closed and refused. */
static int
take_fd(struct msghdr *msg, int *ret_passed)
{
	size_t count = 0;
	int last = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int got;
			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			mgr_close(&last);
			last = got;
			count++;
		}
	}
	if (count > 1 || (msg->msg_flags & MSG_CTRUNC)) {
		mgr_close(&last);
		return -EPROTO;
	}
	*ret_passed = last;
	return 0;
}

ssize_t
mgr_sock_recv_fd(int fd, void *p, size_t n, int *ret_passed)
{
	struct iovec iov = {.iov_base = p, .iov_len = n};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	ssize_t got;

	do
		got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	int r = take_fd(&msg, ret_passed);
	return r < 0 ? r : got;
}

static int
parse_host(const char *host, uint16_t port, struct mgr_sock_addr *ret)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	*ret = (struct mgr_sock_addr){0};
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
		memcpy(&ret->ss, &in, sizeof(in));
		ret->n = sizeof(in);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
		memcpy(&ret->ss, &in6, sizeof(in6));
		ret->n = sizeof(in6);
		return 0;
	}
	return -EINVAL;
}

int
mgr_sock_parse(const char *text, struct mgr_sock_addr *ret_addr)
{
	const char *colon = strrchr(text, ':'), *port_text = colon == NULL ? text : colon + 1;
	char host[INET6_ADDRSTRLEN + 2] = "127.0.0.1";
	uint64_t port;

	if (mgr_num_parse(port_text, strlen(port_text), 65535, &port) < 0)
		return -EINVAL;
	if (colon != NULL) {
		size_t n = (size_t)(colon - text);
		const char *from = text;
		if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
			from++;
			n -= 2;
		} else if (memchr(text, ':', n) != NULL) {
			return -EINVAL; /* IPv6 stands in brackets */
		}
		if (n >= sizeof(host))
			return -EINVAL;
		snprintf(host, sizeof(host), "%.*s", (int)n, n == 0 ? "" : from);
		if (n == 0)
			snprintf(host, sizeof(host), "0.0.0.0");
	}
	return parse_host(host, (uint16_t)port, ret_addr);
}

void
mgr_sock_text(const struct sockaddr *sa, char text[static MGR_SOCK_TEXT_MAX], bool with_port)
{
	char host[INET6_ADDRSTRLEN] = "?";
	unsigned port = 0;
	bool six = sa->sa_family == AF_INET6;

	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, sa, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
		port = ntohs(in.sin_port);
	} else if (six) {
		struct sockaddr_in6 in6;
		memcpy(&in6, sa, sizeof(in6));
		inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
		port = ntohs(in6.sin6_port);
	}
	if (with_port)
		snprintf(text, MGR_SOCK_TEXT_MAX, six ? "[%s]:%u" : "%s:%u", host, port);
	else
		snprintf(text, MGR_SOCK_TEXT_MAX, "%s", host);
}

bool
mgr_sock_is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, sa, sizeof(in));
		return (ntohl(in.sin_addr.s_addr) >> 24) == 127;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, sa, sizeof(in6));
		return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
	}
	return sa->sa_family == AF_UNIX;
}

int
mgr_sock_tcp_listen(const struct mgr_sock_addr *addr, bool share, int backlog)
{
	int one = 1, fd = socket(addr->ss.ss_family, KIND, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return fail(fd);
	if (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0)
		return fail(fd);
	if (bind(fd, (const struct sockaddr *)&addr->ss, addr->n) < 0 || listen(fd, backlog) < 0)
		return fail(fd);
	return fd;
}

int
mgr_sock_local(int fd, struct mgr_sock_addr *ret_addr)
{
	ret_addr->n = sizeof(ret_addr->ss);
	if (getsockname(fd, (struct sockaddr *)&ret_addr->ss, &ret_addr->n) < 0)
		return -errno;
	return 0;
}
