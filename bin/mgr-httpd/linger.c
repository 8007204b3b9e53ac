/*
 * A socket that is closed with unread bytes resets the connection, and the client may lose the answer
 * that it was just sent.  After a refusal with a body under way a copy of the descriptor stays for a
 * moment, closed for writing, and what still comes is read and dropped.
 */
#include "httpd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"

#define LINGER_MAX 128
#define LINGER_N (UINT64_C(8) * 1024 * 1024)

struct remnant {
	struct mgr_watch watch;
	struct mgr_timer timer;
	uint64_t left_n;
	LIST_ENTRY(remnant) link;
};

static LIST_HEAD(, remnant) all = LIST_HEAD_INITIALIZER(all);
static unsigned all_n;

static void
end(struct remnant *l)
{
	int fd = l->watch.fd;

	mgr_watch_stop(&l->watch);
	mgr_timer_stop(&l->timer);
	LIST_REMOVE(l, link);
	all_n--;
	shutdown(fd, SHUT_RDWR); /* libmicrohttpd may hold its own descriptor yet */
	close(fd);
	free(l);
}

static void
on_bytes(struct mgr_watch *w, uint32_t events)
{
	struct remnant *l = MGR_CONTAINER(w, struct remnant, watch);
	char drop[16384];
	ssize_t n = recv(w->fd, drop, sizeof(drop), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || (uint64_t)n >= l->left_n)
		end(l);
	else
		l->left_n -= (uint64_t)n;
}

static void
on_time(struct mgr_timer *t)
{
	end(MGR_CONTAINER(t, struct remnant, timer));
}

void
linger_take(struct conn *conn)
{
	struct mgr_loop *loop = conn->httpd->loop;
	struct remnant *l = all_n < LINGER_MAX ? calloc(1, sizeof(*l)) : NULL;

	if (l == NULL)
		return;
	int fd = fcntl(conn->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || mgr_watch_start(&l->watch, loop, fd, EPOLLIN | EPOLLRDHUP, on_bytes) < 0) {
		if (fd >= 0)
			close(fd);
		free(l);
		return;
	}
	l->left_n = LINGER_N;
	LIST_INSERT_HEAD(&all, l, link);
	all_n++;
	shutdown(fd, SHUT_WR);
	if (mgr_timer_start(&l->timer, loop, mgr_loop_now(loop) + LINGER_NS, on_time) < 0)
		end(l);
}

void
linger_fini(void)
{
	while (!LIST_EMPTY(&all))
		end(LIST_FIRST(&all));
}

static const struct {
	unsigned status;
	const char *reason;
} reasons[] = {
	{400, "Bad Request"},	     {404, "Not Found"},       {405, "Method Not Allowed"},
	{408, "Request Timeout"},    {413, "Content Too Large"}, {502, "Bad Gateway"},
	{503, "Service Unavailable"}, {504, "Gateway Timeout"},
};

static const char *
reason(unsigned status)
{
	for (size_t i = 0; i < MGR_N(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Refused";
}

/*
 * libmicrohttpd takes an answer only before the body or after it.  In between we write it ourselves:
 * nothing else of this connection can be on its way, and it ends with this.
 */
void
linger_say(struct conn *conn, unsigned status, const char *message)
{
	struct exchange *x = &conn->x;
	MGR_AUTO_BUF struct mgr_buf b = {0};

	if (message != NULL)
		reply_errors(conn, MGR_OUT_BAD_REQUEST, status, message);
	mgr_buf_addf(&b, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: %zu\r\n", status,
		     reason(status), mgr_buf_n(&x->answer.body));
	const char *p = mgr_buf_p(&x->answer.fields), *stop = p + mgr_buf_n(&x->answer.fields);
	while (mgr_buf_n(&x->answer.fields) > 0 && p < stop) {
		const char *value = p + strlen(p) + 1;
		mgr_buf_addf(&b, "%s: %s\r\n", p, value);
		p = value + strlen(value) + 1;
	}
	mgr_buf_adds(&b, "\r\n");
	if (mgr_buf_n(&x->answer.body) > 0)
		mgr_buf_add(&b, mgr_buf_p(&x->answer.body), mgr_buf_n(&x->answer.body));
	if (send(conn->fd, mgr_buf_p(&b), mgr_buf_n(&b), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		x->answer.status = status; /* the client is not there any more */
	shutdown(conn->fd, SHUT_WR);
	x->answer.status = status;
	x->cut = true;
	clocks_set(conn, PHASE_BODY);
}
