#include "httpd.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "os/log.h"

/* Before 1.0 a head's pieces stay where they came in, and the guard can see what lies between them. */
#define HEAD_IS_EXACT (MHD_VERSION < 0x01000000)
#define BLOCK_N (64u * 1024)

struct server {
	struct MHD_Daemon *daemon;
	struct mgr_watch watch;
	struct httpd *httpd;
};

static struct conn *
conn_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info == NULL ? NULL : info->socket_context;
}

static void
on_connection(void *arg, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code)
{
	struct server *s = arg;
	const union MHD_ConnectionInfo *info;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*context != NULL)
			walk_disconnect(*context);
		*context = NULL;
		return;
	}
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	int fd = info->connect_fd;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	*context = walk_connect(s->httpd, mhd, fd, info->client_addr);
}

/* The request line is complete; target is raw here and decoded in place right afterwards. */
static void *
on_target(void *arg, const char *target, struct MHD_Connection *mhd)
{
	struct conn *conn = conn_of(mhd);

	(void)arg;
	if (conn != NULL)
		walk_target(conn, target == NULL ? "" : target);
	return conn;
}

struct fields {
	struct field *field;
	size_t n, max;
};

static enum MHD_Result
add_field(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_n, const char *value,
	  size_t value_n)
{
	struct fields *fields = arg;

	(void)kind;
	if (fields->n == fields->max)
		return MHD_NO;
	fields->field[fields->n++] = (struct field){.name = name, .name_n = name_n,
						    .value = value == NULL ? "" : value, .value_n = value_n};
	return MHD_YES;
}

size_t
server_fields(struct conn *conn, struct field *field, size_t max)
{
	struct fields fields = {.field = field, .max = max};

	MHD_get_connection_values_n(conn->mhd, MHD_HEADER_KIND, add_field, &fields);
	return fields.n;
}

static bool
first_call(struct conn *conn, const char *method, const char *version)
{
	struct httpd *h = conn->httpd;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	size_t max = (size_t)h->opt->max_fields + 1;
	struct head head = {.method = method, .version = version, .target = conn->target,
			    .target_n = conn->target_n, .n = info == NULL ? 0 : info->header_size,
			    .field = h->field, .exact = HEAD_IS_EXACT};

	head.field_n = server_fields(conn, h->field, max);
	return walk_head(conn, &head);
}

/*
 * Called at least twice for each request: first with the head alone (an answer queued there closes
 * the connection, so only refusals are), then for body bytes, then without any until an answer is
 * queued.  The last call may come twice in one run and comes again in every run.
 */
static enum MHD_Result
on_access(void *arg, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
	  const char *upload, size_t *upload_n, void **context)
{
	struct server *s = arg;
	struct conn *conn = *context;
	bool go_on;

	(void)url;
	(void)mhd;
	if (conn == NULL || conn->x.cut)
		return MHD_NO;
	if (!conn->x.headed) {
		conn->x.headed = true;
		go_on = first_call(conn, method, version);
	} else if (*upload_n > 0) {
		go_on = walk_body(conn, upload, upload_n);
		if (conn->x.got_n != conn->x.length)
			s->httpd->turn.progress = true; /* there may be more in the socket */
	} else {
		go_on = walk_end(conn);
	}
	return go_on ? MHD_YES : MHD_NO;
}

static void
on_completed(void *arg, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code)
{
	struct server *s = arg;
	struct conn *conn = *context;
	const union MHD_ConnectionInfo *info;

	*context = NULL;
	if (conn == NULL)
		return;
	s->httpd->turn.progress = true;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_HTTP_STATUS);
	walk_done(conn, info == NULL ? 0 : info->http_status, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

/*
 * 0.9.75 sends the head of its own refusal twice for a Content-Length that it cannot read, and says so
 * before it does.  With exactly one head under way we know whose it is: we answer, and the connection
 * is closed for writing before MHD can.
 */
static void
forestall(struct httpd *h)
{
	struct conn *conn, *found = NULL;

	LIST_FOREACH(conn, &h->conns, link)
		if (conn->x.open && !conn->x.headed) {
			if (found != NULL)
				return;
			found = conn;
		}
	if (found != NULL && HEAD_IS_EXACT)
		linger_say(found, 400, "Content-Length is not a number that can be accepted");
}

static void
on_log(void *arg, const char *format, va_list ap)
{
	struct server *s = arg;
	char text[256];

	if (s->httpd->server != NULL && strstr(format, "Content-Length' header") != NULL)
		forestall(s->httpd);
	if (mgr_log_level() < MGR_DEBUG)
		return;
	vsnprintf(text, sizeof(text), format, ap);
	text[strcspn(text, "\n")] = '\0';
	mgr_log(MGR_DEBUG, "microhttpd", "text=%s", mgr_log_str(text));
}

/* The target reaches us raw, and nothing else here is ever decoded. */
static size_t
leave(void *arg, struct MHD_Connection *mhd, char *text)
{
	(void)arg;
	(void)mhd;
	return strlen(text);
}

static void
on_epoll(struct mgr_watch *w, uint32_t events)
{
	struct server *s = MGR_CONTAINER(w, struct server, watch);

	(void)events;
	s->httpd->turn.run = true;
}

static int
watch(struct server *s)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);

	if (info == NULL)
		return -ENOTSUP;
	return mgr_watch_start(&s->watch, s->httpd->loop, info->epoll_fd, EPOLLIN, on_epoll);
}

int
server_start(struct httpd *h)
{
	const struct options *o = h->opt;
	struct server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->httpd = h;
	/* Clients beyond our own limit must still be told; MHD's only keeps them in the backlog. */
	s->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
		on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s, MHD_OPTION_LISTEN_SOCKET, h->listen_fd,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
		MHD_OPTION_URI_LOG_CALLBACK, on_target, s, MHD_OPTION_UNESCAPE_CALLBACK, leave, NULL,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->max_connections + 64,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)o->max_per_address,
		MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
		/* The guard checks all that 1 would (and answers in our words, once). */
		MHD_OPTION_STRICT_FOR_CLIENT, HEAD_IS_EXACT ? 0 : 1,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)o->max_head, MHD_OPTION_END);
	if (s->daemon == NULL) {
		free(s);
		return -EIO;
	}
	int r = watch(s);
	if (r < 0) {
		MHD_stop_daemon(s->daemon);
		free(s);
		return r;
	}
	h->server = s;
	return 0;
}

void
server_run(struct httpd *h)
{
	MHD_run(h->server->daemon);
}

bool
server_is_due(struct httpd *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	return MHD_get_timeout(h->server->daemon, &ms) == MHD_YES && ms == 0;
}

void
server_quiesce(struct httpd *h)
{
	MHD_quiesce_daemon(h->server->daemon);
}

void
server_stop(struct httpd *h)
{
	struct server *s = h->server;

	if (s == NULL)
		return;
	mgr_watch_stop(&s->watch);
	MHD_stop_daemon(s->daemon);
	h->server = NULL;
	free(s);
}

void
server_suspend(struct conn *conn)
{
	if (conn->suspended)
		return;
	conn->suspended = true;
	MHD_suspend_connection(conn->mhd);
}

void
server_resume(struct conn *conn)
{
	if (!conn->suspended)
		return;
	conn->suspended = false;
	mgr_watch_stop(&conn->gone);
	MHD_resume_connection(conn->mhd);
}

static ssize_t
read_stream(void *arg, uint64_t pos, char *p, size_t max)
{
	struct conn *conn = arg;
	ssize_t n;

	(void)pos;
	conn->httpd->turn.progress = true;
	n = conn->x.cut ? -EIO : reply_read(conn, p, max);
	if (n > 0)
		return n;
	if (n == 0)
		server_suspend(conn);
	return n == 0 ? 0 : n == -ENODATA ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *
make(struct conn *conn)
{
	struct answer *a = &conn->x.answer;
	uint64_t n = a->body_n == MGR_LANE_UNKNOWN ? MHD_SIZE_UNKNOWN : a->body_n;

	if (a->stream || conn->x.is_head)
		return MHD_create_response_from_callback(n, BLOCK_N, read_stream, conn, NULL);
	/* The body stays with the exchange until the completed callback, which comes before the release. */
	return MHD_create_response_from_buffer(mgr_buf_n(&a->body),
					       mgr_buf_n(&a->body) == 0 ? NULL : mgr_buf_p(&a->body),
					       MHD_RESPMEM_PERSISTENT);
}

int
server_answer(struct conn *conn)
{
	struct answer *a = &conn->x.answer;
	struct MHD_Response *response = make(conn);
	bool good = response != NULL;

	if (response == NULL)
		return -EIO;
	const char *p = mgr_buf_p(&a->fields), *end = p + mgr_buf_n(&a->fields);
	while (good && mgr_buf_n(&a->fields) > 0 && p < end) {
		const char *value = p + strlen(p) + 1;
		good = MHD_add_response_header(response, p, value) == MHD_YES;
		p = value + strlen(value) + 1;
	}
	if (good && (conn->x.close || conn->httpd->draining))
		good = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
	if (good)
		good = MHD_queue_response(conn->mhd, a->status, response) == MHD_YES;
	MHD_destroy_response(response);
	return good ? 0 : -EIO;
}
