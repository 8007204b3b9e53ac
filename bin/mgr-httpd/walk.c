#include "httpd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"

#define KEEP_N (16u * 1024) /* memory that a connection keeps between requests */
#define DISCARD_N (64u * 1024) /* of a refused body are read so that the connection can go on */

const char *const step_word[STEP_N] = {
#define STEP_WORD(id, word) [STEP_##id] = word,
	STEPS(STEP_WORD)
#undef STEP_WORD
};

void
walk_step(struct exchange *x, enum step step)
{
	mgr_assert(step > x->step);
	x->step = step;
}

struct conn *
walk_connect(struct httpd *h, struct MHD_Connection *mhd, int fd, const struct sockaddr *addr)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (conn == NULL)
		return NULL;
	conn->httpd = h;
	conn->mhd = mhd;
	conn->fd = fd;
	conn->line.limit = (size_t)h->opt->max_head;
	if (addr != NULL)
		mgr_sock_text(addr, conn->remote, false);
	LIST_INSERT_HEAD(&h->conns, conn, link);
	h->conn_n++;
	page_add(&h->me->connections, 1);
	page_add(&h->me->accepted, 1);
	clocks_set(conn, PHASE_HEAD);
	clocks_start(h);
	return conn;
}

void
walk_disconnect(struct conn *conn)
{
	struct httpd *h = conn->httpd;

	clocks_conn_fini(conn);
	LIST_REMOVE(conn, link);
	h->conn_n--;
	page_add(&h->me->connections, UINT64_MAX);
	mgr_buf_fini(&conn->line);
	mgr_buf_fini(&conn->body);
	mgr_buf_fini(&conn->x.answer.fields);
	mgr_buf_fini(&conn->x.answer.body);
	free(conn);
	child_conn_gone(h);
}

static void
add_hex(char *to, uint64_t value, int digits)
{
	while (digits-- > 0) {
		to[digits] = "0123456789abcdef"[value & 15];
		value >>= 4;
	}
}

static void
begin(struct conn *conn)
{
	struct exchange *x = &conn->x;
	struct mgr_buf fields = x->answer.fields, body = x->answer.body;

	mgr_assert(!x->open);
	mgr_buf_clear(&fields, KEEP_N);
	mgr_buf_clear(&body, KEEP_N);
	mgr_buf_clear(&conn->body, KEEP_N);
	*x = (struct exchange){.open = true, .outcome = MGR_OUT_OK};
	x->answer.fields = fields;
	x->answer.body = body;
	x->call.user = conn;
	x->begin_ns = mgr_loop_now(conn->httpd->loop);
	add_hex(x->id, conn->httpd->seed, 8);
	add_hex(x->id + 8, ++conn->httpd->serial, 12);
}

void
walk_target(struct conn *conn, const char *target)
{
	begin(conn);
	conn->target = target;
	conn->target_n = strlen(target);
	mgr_buf_clear(&conn->line, KEEP_N);
	if (mgr_buf_add(&conn->line, target, conn->target_n) < 0)
		conn->target_n = 0; /* refused by the guard */
	if (conn->phase == PHASE_IDLE)
		clocks_set(conn, PHASE_HEAD);
}

/* Out with the answer, in the place where libmicrohttpd takes it. */
static bool
answer(struct conn *conn)
{
	struct exchange *x = &conn->x;

	turn_unpark(conn);
	if (x->answer.queued)
		return true;
	if (server_answer(conn) < 0)
		return false;
	x->reached = x->step;
	walk_step(x, STEP_REPLY);
	x->answer.queued = true;
	conn->httpd->turn.progress = true;
	clocks_set(conn, PHASE_REPLY);
	return true;
}

/* A refusal before the body was read: at once and closing when the body is long, unknown or not to
 * be believed, else after the body, so that the connection can go on. */
static bool
refuse(struct conn *conn)
{
	struct exchange *x = &conn->x;
	bool small = !x->has_body || (x->length <= DISCARD_N && !x->expects);

	if (small && !x->close) {
		clocks_set(conn, x->has_body ? PHASE_BODY : PHASE_WAIT);
		return true; /* walk_body discards, walk_end answers */
	}
	x->close = true;
	return answer(conn);
}

static void
go(struct conn *conn)
{
	walk_step(&conn->x, STEP_ROUTE);
	if (route_find(conn) < 0)
		return;
	walk_step(&conn->x, STEP_BODY);
	body_plan(conn);
}

bool
walk_head(struct conn *conn, struct head *head)
{
	struct exchange *x = &conn->x;
	int r;

	page_add(&conn->httpd->me->requests, 1);
	if (guard_check(conn, head) < 0) {
		x->close = true;
		return refuse(conn);
	}
	if (conn->httpd->conn_n > conn->httpd->opt->max_connections) {
		reply_errors(conn, MGR_OUT_BUSY, 503, "too many connections");
		reply_retry_after(conn, 1000);
		x->close = true;
		return refuse(conn);
	}
	if (endpoint_answer(conn))
		return refuse(conn);
	walk_step(x, STEP_ADMIT);
	r = admit_take(conn);
	if (r == -EBUSY)
		return refuse(conn);
	if (r == 0)
		go(conn);
	if (x->answer.ready)
		return refuse(conn);
	clocks_set(conn, x->waiting ? PHASE_WAIT : PHASE_BODY);
	return true;
}

void
walk_admitted(struct conn *conn)
{
	go(conn);
	clocks_set(conn, PHASE_BODY);
	turn_wake(conn);
}

/* Whether somebody still reads the body: a handler may answer before it has all of it. */
static bool
is_wanted(const struct exchange *x)
{
	return mgr_call_is_open(&x->call) || !(x->answer.ready || x->call_done);
}

/* The rest of a body that nobody wants any more. */
static bool
discard(struct conn *conn, size_t *n)
{
	struct exchange *x = &conn->x;

	x->got_n += *n;
	*n = 0;
	/* After a call the body is read on at the client's pace; before one there is no reason to. */
	bool wanted = x->head_seen || x->call_done;
	if (x->answer.ready && (x->got_n > x->max_n || (!wanted && x->got_n > DISCARD_N))) {
		linger_say(conn, x->answer.status, NULL);
		return false;
	}
	return true;
}

bool
walk_body(struct conn *conn, const char *p, size_t *n)
{
	struct exchange *x = &conn->x;

	if (x->waiting) {
		server_suspend(conn);
		return true;
	}
	if (!is_wanted(x))
		return discard(conn, n);
	return body_take(conn, p, n);
}

bool
walk_end(struct conn *conn)
{
	struct exchange *x = &conn->x;

	if (x->answer.queued)
		return true;
	if (x->waiting) {
		server_suspend(conn);
		return true;
	}
	if (!x->whole) {
		x->whole = true;
		x->wait_ns = mgr_loop_now(conn->httpd->loop);
		clocks_set(conn, PHASE_WAIT);
		if (is_wanted(x))
			body_end(conn);
	}
	if (x->answer.ready)
		return answer(conn);
	turn_park(conn);
	return true;
}

/* Also when the client left in any step: the call ends here, whoever still works on it. */
void
walk_done(struct conn *conn, unsigned status, bool complete)
{
	struct exchange *x = &conn->x;

	if (!x->open)
		return;
	turn_unpark(conn);
	mgr_watch_stop(&conn->gone);
	if (!complete && x->outcome == MGR_OUT_OK)
		x->outcome = x->headed ? MGR_OUT_CANCELLED : MGR_OUT_BAD_REQUEST;
	mgr_call_cancel(&x->call, 0);
	admit_give(conn);
	if (!x->answer.queued)
		x->reached = x->step;
	walk_step(x, STEP_DONE);
	log_request(conn, x->answer.status != 0 ? x->answer.status : status);
	if ((x->close || x->cut) && !x->whole)
		linger_take(conn);
	else if (!complete)
		shutdown(conn->fd, SHUT_RDWR); /* libmicrohttpd may close it much later */
	reply_fini(x);
	x->open = false;
	clocks_set(conn, PHASE_IDLE);
}
