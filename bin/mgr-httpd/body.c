#include "httpd.h"

#include <errno.h>
#include <string.h>

#include "wire/envelope.h"

/* The first byte of a body that may be an envelope; blanks decide nothing. */
static bool
looks_like_object(const char *p, size_t n, bool *ret_blank)
{
	size_t i = 0;

	while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\r' || p[i] == '\n'))
		i++;
	*ret_blank = i == n;
	return i < n && p[i] == '{';
}

/* How the body is to be carried: small and envelope candidates whole, everything else as it comes. */
void
body_plan(struct conn *conn)
{
	struct exchange *x = &conn->x;

	x->gather = x->may_envelope || (x->length != MGR_LANE_UNKNOWN && x->length <= SMALL_N / 2);
}

static bool
too_large(struct conn *conn)
{
	mgr_call_cancel(&conn->x.call, 0);
	reply_errors(conn, MGR_OUT_BAD_REQUEST, 413, "the body is too large");
	linger_say(conn, 413, NULL);
	return false;
}

static void
out_of_memory(struct conn *conn)
{
	mgr_buf_clear(&conn->body, 0);
	reply_errors(conn, MGR_OUT_BUSY, 503, "out of memory");
	reply_retry_after(conn, 1000);
}

/* Gives the call what it has room for; libmicrohttpd offers the rest again after a pause. */
static void
stream(struct conn *conn, const char *p, size_t *n)
{
	struct exchange *x = &conn->x;
	size_t taken = 0;

	if (mgr_buf_n(&conn->body) == 0)
		taken = mgr_call_write(&x->call, p, *n);
	x->got_n += taken;
	*n -= taken;
	if (*n > 0) {
		x->body_held = true;
		server_suspend(conn);
	}
}

static void
push_gathered(struct conn *conn)
{
	struct exchange *x = &conn->x;
	size_t n = mgr_buf_n(&conn->body);

	if (n > 0)
		mgr_buf_take(&conn->body, mgr_call_write(&x->call, mgr_buf_p(&conn->body), n));
	if (mgr_buf_n(&conn->body) == 0 && x->whole && !x->body_ended) {
		x->body_ended = true;
		mgr_call_end(&x->call);
	}
}

/* Begins to stream with what was gathered so far. */
static void
begin_stream(struct conn *conn)
{
	struct exchange *x = &conn->x;

	x->gather = false;
	if (submit_call(conn, mgr_buf_n(&conn->body) > 0 ? mgr_buf_p(&conn->body) : "",
			mgr_buf_n(&conn->body), x->whole) < 0)
		return;
	x->streaming = true;
	mgr_buf_take(&conn->body, (size_t)x->passed_n);
}

static bool
still_gathers(struct conn *conn)
{
	struct exchange *x = &conn->x;
	bool blank, object;

	if (x->gather && !x->may_envelope)
		return true;
	if (x->may_envelope) {
		object = looks_like_object(mgr_buf_p(&conn->body), mgr_buf_n(&conn->body), &blank);
		if (object || blank)
			return true;
		x->may_envelope = false; /* an array, a string ...: raw */
	}
	return mgr_buf_n(&conn->body) <= SMALL_N / 2;
}

bool
body_take(struct conn *conn, const char *p, size_t *n)
{
	struct exchange *x = &conn->x;

	if (*n > x->max_n - x->got_n)
		return too_large(conn);
	if (x->streaming) {
		stream(conn, p, n);
		return true;
	}
	/* The usual small body: here at once, in one piece, and nobody must look into it. */
	if (x->gather && !x->may_envelope && x->got_n == 0 && *n == x->length) {
		x->got_n = *n;
		if (submit_call(conn, p, *n, true) == 0 && x->passed_n < *n &&
		    mgr_buf_add(&conn->body, p + x->passed_n, *n - (size_t)x->passed_n) < 0)
			out_of_memory(conn);
		x->streaming = true;
		*n = 0;
		return true;
	}
	if (mgr_buf_add(&conn->body, p, *n) < 0) {
		out_of_memory(conn);
	} else if (!still_gathers(conn)) {
		begin_stream(conn);
	}
	x->got_n += *n;
	*n = 0;
	return true;
}

static void
submit_envelope(struct conn *conn)
{
	MGR_AUTO_BUF struct mgr_buf data = {0};
	struct mgr_envelope env;
	struct exchange *x = &conn->x;

	x->is_envelope = mgr_envelope_read(mgr_buf_p(&conn->body), mgr_buf_n(&conn->body), &env);
	if (!x->is_envelope) {
		begin_stream(conn);
		return;
	}
	if (mgr_envelope_body(&env, &data) < 0) {
		out_of_memory(conn);
		return;
	}
	x->length = mgr_buf_n(&data);
	x->envelope_src = env.src;
	if (submit_call(conn, mgr_buf_n(&data) > 0 ? mgr_buf_p(&data) : "", mgr_buf_n(&data), true) < 0)
		return;
	x->streaming = true;
	mgr_buf_take(&data, (size_t)x->passed_n);
	mgr_buf_clear(&conn->body, 0);
	conn->body = data;
	data = (struct mgr_buf){0};
}

/* The request is complete. */
void
body_end(struct conn *conn)
{
	struct exchange *x = &conn->x;

	page_add(&conn->httpd->me->bytes_in, x->got_n);
	if (!x->streaming) {
		x->length = x->got_n;
		if (x->may_envelope && x->got_n > 0)
			submit_envelope(conn);
		else
			begin_stream(conn);
	}
	if (mgr_call_is_open(&x->call))
		push_gathered(conn);
}

/* The call can take more. */
void
body_room(struct conn *conn)
{
	struct exchange *x = &conn->x;

	push_gathered(conn);
	if (x->body_held && mgr_buf_n(&conn->body) == 0) {
		x->body_held = false;
		turn_wake(conn);
	}
}
