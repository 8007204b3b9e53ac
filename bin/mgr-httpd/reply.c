#include "httpd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "wire/envelope.h"
#include "wire/meta.h"

int
reply_field(struct answer *a, const char *name, const char *value)
{
	int r = mgr_buf_add(&a->fields, name, strlen(name) + 1);

	if (r == 0)
		r = mgr_buf_add(&a->fields, value, strlen(value) + 1);
	return r;
}

void
reply_text(struct conn *conn, unsigned status, const char *type)
{
	struct answer *a = &conn->x.answer;

	reply_field(a, "Content-Type", type);
	if (conn->x.echo_trace)
		reply_field(a, "X-Request-Id", conn->x.trace);
	a->status = status;
	a->body_n = mgr_buf_n(&a->body);
	a->stream = false;
	a->ready = true;
}

void
reply_error(struct conn *conn, enum mgr_outcome outcome, unsigned status, const char *message, size_t n)
{
	struct exchange *x = &conn->x;

	if (x->answer.queued) {
		x->answer.broken = true;
		x->outcome = outcome;
		/* libmicrohttpd may look at it late; the client must not wait for the rest. */
		shutdown(conn->fd, SHUT_RDWR);
		return;
	}
	mgr_buf_clear(&x->answer.body, SMALL_N);
	mgr_buf_clear(&x->answer.fields, SMALL_N);
	mgr_envelope_answer(&x->answer.body, false, message == NULL ? "" : message, n);
	x->outcome = outcome;
	x->discard = true;
	reply_text(conn, status, "application/json");
}

void
reply_errors(struct conn *conn, enum mgr_outcome outcome, unsigned status, const char *message)
{
	if (message == NULL)
		message = mgr_outcome_row(outcome)->text;
	reply_error(conn, outcome, status, message, strlen(message));
}

void
reply_retry_after(struct conn *conn, int64_t ms)
{
	char text[MGR_NUM_MAX + 1];
	uint64_t s = ms <= 1000 ? 1 : ((uint64_t)ms + 999) / 1000;

	if (conn->x.answer.queued)
		return;
	text[mgr_num_format(text, s)] = '\0';
	reply_field(&conn->x.answer, "Retry-After", text);
}

void
reply_cut(struct conn *conn, enum mgr_outcome outcome)
{
	struct exchange *x = &conn->x;

	mgr_call_cancel(&x->call, outcome == MGR_OUT_TIMEOUT ? 1 : 0);
	if (x->outcome == MGR_OUT_OK)
		x->outcome = outcome;
	x->cut = true;
}

/* The answer cannot be passed on: the call ends, the client is told. */
static void
refuse(struct conn *conn, const char *why)
{
	mgr_call_cancel(&conn->x.call, 0);
	conn->x.call_done = true;
	reply_errors(conn, MGR_OUT_GONE, 502, why);
	turn_wake(conn);
}

/* Whether the body is held until its end: small ones, envelopes, and errors whose text becomes JSON. */
static bool
must_collect(const struct exchange *x)
{
	return x->is_envelope || x->answer.body_n <= SMALL_N;
}

static int
read_head(struct conn *conn, unsigned status, const char *meta, size_t n, const char **ret_why)
{
	struct exchange *x = &conn->x;
	struct mgr_meta_answer answer;

	if (n > 0 && meta[n - 1] == '\n')
		n--;
	int r = mgr_meta_read_answer(meta, n, false, &answer, ret_why);
	if (r < 0)
		return r;
	if (status == 0)
		status = answer.status;
	if (status < 200 || status > 599) {
		*ret_why = "the handler's answer has a status outside 200..599";
		return -EINVAL;
	}
	x->answer.status = status;
	x->call_status = status;
	if (answer.message.n > 0 && x->answer.body_n == 0) {
		mgr_buf_clear(&x->answer.body, SMALL_N);
		mgr_json_text(&answer.message, &x->answer.body);
		x->has_message = true;
	}
	return fields_read(&x->answer, &answer.headers, &answer.type, ret_why);
}

static void
on_head(struct mgr_call *call, unsigned status, const char *meta, size_t meta_n, uint64_t body_n)
{
	struct conn *conn = call->user;
	struct exchange *x = &conn->x;
	const char *why = "the handler's answer is broken";

	x->head_seen = true;
	if (x->discard)
		return;
	x->answer.body_n = body_n;
	if (read_head(conn, status, meta, meta_n, &why) < 0) {
		refuse(conn, why);
		return;
	}
	if (x->is_head || x->answer.status == 204 || x->answer.status == 304)
		x->discard = x->skip = true;
	x->collect = !x->discard && must_collect(x);
	if (x->discard || x->collect)
		return;
	if (x->echo_trace)
		reply_field(&x->answer, "X-Request-Id", x->trace);
	x->answer.stream = true;
	x->answer.ready = true;
	turn_wake(conn);
}

static void
take_all(struct conn *conn, bool keep)
{
	struct exchange *x = &conn->x;
	struct iovec iov[2];
	size_t n;

	while (mgr_call_is_open(&x->call) && (n = mgr_call_data(&x->call, iov)) > 0) {
		for (int i = 0; i < 2 && keep; i++)
			if (iov[i].iov_len > 0 && mgr_buf_add(&x->answer.body, iov[i].iov_base, iov[i].iov_len) < 0) {
				refuse(conn, "out of memory");
				return;
			}
		if (mgr_buf_n(&x->answer.body) > conn->httpd->opt->max_json + SMALL_N) {
			refuse(conn, "the answer is too large for an envelope");
			return;
		}
		mgr_call_consume(&x->call, n);
	}
}

/* The answer runs ahead of the request: what the lane holds goes to a file, so that the handler reads on. */
static void
run_ahead(struct conn *conn)
{
	struct exchange *x = &conn->x;
	struct iovec iov[2];
	size_t n;

	while (mgr_call_is_open(&x->call) && (n = mgr_call_data(&x->call, iov)) > 0) {
		for (int i = 0; i < 2; i++)
			if (spool_put(&x->spool, conn->httpd->prog->state_dir, iov[i].iov_base, iov[i].iov_len) < 0) {
				refuse(conn, "no room for an answer that came before the end of the request");
				return;
			}
		if (x->spool.put_n > conn->httpd->opt->max_body) {
			refuse(conn, "the answer that came before the end of the request is too large");
			return;
		}
		mgr_call_consume(&x->call, n);
	}
}

static void
on_data(struct mgr_call *call)
{
	struct conn *conn = call->user;
	struct exchange *x = &conn->x;

	if (x->discard || x->collect)
		take_all(conn, x->collect);
	else if (!x->whole)
		run_ahead(conn);
	else
		turn_wake(conn);
}

static void
finish_envelope(struct conn *conn)
{
	struct exchange *x = &conn->x;
	struct mgr_buf text = x->answer.body;
	struct mgr_buf fields = {0};

	x->answer.body = (struct mgr_buf){0};
	mgr_buf_fini(&x->answer.fields); /* the JSON is ours, the handler's own type would be a lie */
	x->answer.fields = fields;
	if (mgr_envelope_answer(&x->answer.body, x->answer.status < 400,
				mgr_buf_n(&text) > 0 ? mgr_buf_p(&text) : "", mgr_buf_n(&text)) < 0)
		refuse(conn, "out of memory");
	else
		reply_text(conn, x->answer.status, "application/json");
	mgr_buf_fini(&text);
}

static void
fail(struct conn *conn, enum mgr_outcome outcome, int64_t retry_ms)
{
	struct exchange *x = &conn->x;
	unsigned status = mgr_outcome_row(outcome)->http;
	MGR_AUTO_BUF struct mgr_buf text = {0};

	if (outcome == MGR_OUT_TIMEOUT)
		page_add(&conn->httpd->me->timeouts, 1);
	if (outcome == MGR_OUT_BUSY)
		page_add(&conn->httpd->me->rejected, 1);
	if (x->has_message) {
		status = x->call_status >= 400 ? x->call_status : status;
		mgr_buf_add(&text, mgr_buf_p(&x->answer.body), mgr_buf_n(&x->answer.body));
		reply_error(conn, outcome, status, mgr_buf_p(&text), mgr_buf_n(&text));
	} else {
		reply_errors(conn, outcome, status, NULL);
	}
	if (retry_ms > 0 || status == 503)
		reply_retry_after(conn, retry_ms);
}

/* The whole answer is here. */
static void
finish(struct conn *conn)
{
	struct exchange *x = &conn->x;
	struct answer *a = &x->answer;

	if (x->answer.status >= 400)
		x->outcome = MGR_OUT_ERROR;
	if (x->has_message) {
		fail(conn, MGR_OUT_ERROR, 0);
		return;
	}
	if (x->is_envelope && !x->skip) {
		finish_envelope(conn);
		return;
	}
	if (!x->skip)
		a->body_n = mgr_buf_n(&a->body);
	else if (!x->is_head)
		a->body_n = 0;
	if (x->echo_trace)
		reply_field(a, "X-Request-Id", x->trace);
	a->ready = true;
}

/* A call that failed is told at once: the client may have gigabytes to send yet, or be waiting for us. */
static void
say_early(struct conn *conn)
{
	struct exchange *x = &conn->x;
	bool more = x->has_body && !x->whole && (x->length == MGR_LANE_UNKNOWN || x->got_n < x->length);

	if (more && !x->answer.queued)
		linger_say(conn, x->answer.status, NULL);
}

static void
on_done(struct mgr_call *call, enum mgr_outcome outcome, int64_t retry_ms)
{
	struct conn *conn = call->user;
	struct exchange *x = &conn->x;

	x->call_done = true;
	if (x->answer.ready && !x->answer.stream) {
		turn_wake(conn);
		return;
	}
	if (outcome != MGR_OUT_OK) {
		fail(conn, outcome, retry_ms);
		say_early(conn);
	} else if (!x->answer.stream) {
		finish(conn);
	}
	turn_wake(conn);
}

static void
on_room(struct mgr_call *call)
{
	body_room(call->user);
}

const struct mgr_call_ops reply_ops = {
	.head = on_head,
	.data = on_data,
	.room = on_room,
	.done = on_done,
};

static size_t
copy_out(struct mgr_call *call, char *p, size_t max)
{
	struct iovec iov[2];
	size_t n = 0;

	if (!mgr_call_is_open(call) || mgr_call_data(call, iov) == 0)
		return 0;
	for (int i = 0; i < 2 && n < max; i++) {
		size_t part = iov[i].iov_len < max - n ? iov[i].iov_len : max - n;
		memcpy(p + n, iov[i].iov_base, part);
		n += part;
	}
	mgr_call_consume(call, n);
	return n;
}

ssize_t
reply_read(struct conn *conn, char *p, size_t max)
{
	struct exchange *x = &conn->x;
	ssize_t n = spool_get(&x->spool, p, max);

	if (n < 0 || x->answer.broken)
		return -EIO;
	if (n == 0)
		n = (ssize_t)copy_out(&x->call, p, max);
	x->sent_n += (uint64_t)n;
	if (n > 0)
		return n;
	if (!x->call_done)
		return 0;
	return x->answer.broken ? -EIO : -ENODATA;
}

void
reply_fini(struct exchange *x)
{
	mgr_call_cancel(&x->call, 0);
	route_drop(x->router);
	x->router = NULL;
	spool_fini(&x->spool);
}
