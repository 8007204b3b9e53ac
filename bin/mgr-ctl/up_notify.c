#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/io.h"
#include "os/log.h"
#include "up.h"

#define TEXT_MAX 1024
#define LISTEN "X_LISTEN="

/* The line of a message that begins with key: its rest in value, or false. */
static bool
get_line(const char *text, const char *key, char *value, size_t value_n)
{
	for (const char *p = text; p != NULL && *p != '\0';) {
		size_t n = strcspn(p, "\n"), key_n = strlen(key);
		if (n >= key_n && memcmp(p, key, key_n) == 0 && n - key_n < value_n) {
			memcpy(value, p + key_n, n - key_n);
			value[n - key_n] = '\0';
			return true;
		}
		p = p[n] == '\n' ? p + n + 1 : NULL;
	}
	return false;
}

/* A message and who sent it, as the kernel says: bytes or -errno. */
static ssize_t
receive(int fd, char text[static TEXT_MAX], pid_t *ret_pid)
{
	struct iovec iov = {.iov_base = text, .iov_len = TEXT_MAX - 1};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	*ret_pid = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
			continue;
		struct ucred cred;
		memcpy(&cred, CMSG_DATA(c), sizeof(cred));
		*ret_pid = cred.pid;
	}
	return n;
}

static void
on_message(struct mgr_watch *w, uint32_t events)
{
	struct up *up = MGR_CONTAINER(w, struct up, notify);
	char text[TEXT_MAX], value[128];
	pid_t pid = 0;

	(void)events;
	for (int i = 0; i < 16 && receive(w->fd, text, &pid) >= 0; i++) {
		if (!get_line(text, "READY=", value, sizeof(value)) || strcmp(value, "1") != 0 || pid <= 0)
			continue;
		bool has_listen = get_line(text, LISTEN, value, sizeof(value));
		if (pid == up->hub.process.pid)
			up_child_is_ready(&up->hub, NULL);
		else if (pid == up->httpd.process.pid)
			up_child_is_ready(&up->httpd, has_listen ? value : NULL);
	}
}

int
up_notify_open(struct up *up)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const int on = 1;

	if (strlen(up->notify_path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, up->notify_path, strlen(up->notify_path) + 1);
	unlink(up->notify_path); /* we hold the lock */
	up->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (up->notify_fd < 0)
		return -errno;
	mode_t old = umask(0177);
	int r = bind(up->notify_fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(old);
	if (r == 0 && setsockopt(up->notify_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		r = -errno;
	return r < 0 ? r : mgr_watch_start(&up->notify, up->loop, up->notify_fd, EPOLLIN, on_message);
}

void
up_notify_close(struct up *up)
{
	mgr_watch_stop(&up->notify);
	if (up->notify_fd < 0)
		return;
	mgr_close(&up->notify_fd);
	unlink(up->notify_path);
}
