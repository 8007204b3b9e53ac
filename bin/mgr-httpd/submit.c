#include "httpd.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/text.h"
#include "os/clock.h"
#include "wire/meta.h"

/* Fields that belong to the connection and not to the request. */
static const char *const hop_by_hop[] = {
	"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "expect",
};

static bool
is_hop_by_hop(const struct field *f)
{
	for (size_t i = 0; i < MGR_N(hop_by_hop); i++)
		if (f->name_n == strlen(hop_by_hop[i]) && strncasecmp(f->name, hop_by_hop[i], f->name_n) == 0)
			return true;
	return false;
}

static bool
same_name(const struct field *a, const struct field *b)
{
	return a->name_n == b->name_n && strncasecmp(a->name, b->name, a->name_n) == 0;
}

/* A buffer for one joined or decoded value, kept between requests. */
static struct mgr_buf scratch;

static void
add_name(struct mgr_buf *meta, const struct field *f)
{
	char lower[128];
	size_t n = f->name_n < sizeof(lower) ? f->name_n : sizeof(lower);

	for (size_t i = 0; i < n; i++)
		lower[i] = f->name[i] >= 'A' && f->name[i] <= 'Z' ? (char)(f->name[i] + 32) : f->name[i];
	mgr_json_add_string(meta, lower, n);
	mgr_buf_addc(meta, ':');
}

static void
add_field(struct mgr_buf *meta, const struct field *field, size_t n, size_t at)
{
	const struct field *f = &field[at];
	bool several = false;

	for (size_t i = at + 1; i < n && !several; i++)
		several = same_name(f, &field[i]);
	add_name(meta, f);
	if (!several) {
		mgr_json_add_bytes(meta, f->value, f->value_n, false);
		return;
	}
	const char *glue = f->name_n == 6 && strncasecmp(f->name, "cookie", 6) == 0 ? "; " : ", ";
	mgr_buf_clear(&scratch, 4096);
	for (size_t i = at; i < n; i++) {
		if (!same_name(f, &field[i]))
			continue;
		if (i > at)
			mgr_buf_adds(&scratch, glue);
		mgr_buf_add(&scratch, field[i].value, field[i].value_n);
	}
	mgr_json_add_bytes(meta, mgr_buf_p(&scratch), mgr_buf_n(&scratch), false);
}

static void
note_trace(struct exchange *x, const struct field *f)
{
	if (f->name_n == 12 && strncasecmp(f->name, "x-request-id", 12) == 0 && f->value_n <= TRACE_MAX &&
	    mgr_text_is_token(f->value, f->value_n)) {
		memcpy(x->trace, f->value, f->value_n);
		x->trace[f->value_n] = '\0';
		x->echo_trace = true;
	}
}

static void
add_headers(struct conn *conn, struct mgr_buf *meta)
{
	struct field *field = conn->httpd->field;
	size_t n = server_fields(conn, field, (size_t)conn->httpd->opt->max_fields);
	bool first = true;

	mgr_buf_adds(meta, ",\"headers\":{");
	for (size_t i = 0; i < n; i++) {
		bool seen = is_hop_by_hop(&field[i]);
		for (size_t k = 0; k < i && !seen; k++)
			seen = same_name(&field[k], &field[i]);
		if (seen)
			continue;
		note_trace(&conn->x, &field[i]);
		if (!first)
			mgr_buf_addc(meta, ',');
		first = false;
		add_field(meta, field, n, i);
	}
	mgr_buf_addc(meta, '}');
}

/* A raw piece of the target, decoded where that is possible. */
static void
add_decoded(struct mgr_buf *meta, const char *p, size_t n, bool plus)
{
	mgr_buf_clear(&scratch, 4096);
	if (mgr_route_decode(p, n, plus, &scratch) < 0) {
		mgr_buf_clear(&scratch, 4096);
		mgr_buf_add(&scratch, p, n);
	}
	mgr_json_add_bytes(meta, mgr_buf_n(&scratch) > 0 ? mgr_buf_p(&scratch) : "", mgr_buf_n(&scratch), true);
}

static void
add_params(const struct exchange *x, struct mgr_buf *meta)
{
	mgr_buf_adds(meta, ",\"params\":{");
	for (size_t i = 0; i < x->match.param_n; i++) {
		const struct mgr_route_param *param = &x->match.param[i];
		if (i > 0)
			mgr_buf_addc(meta, ',');
		mgr_json_add_string(meta, param->name, param->name_n);
		mgr_buf_addc(meta, ':');
		add_decoded(meta, param->value, param->value_n, false);
	}
	mgr_buf_addc(meta, '}');
}

struct pair {
	const char *name, *value;
	size_t name_n, value_n;
};

static const char *
next_pair(const char *p, const char *end, struct pair *ret)
{
	const char *amp = memchr(p, '&', (size_t)(end - p)), *stop = amp == NULL ? end : amp;
	const char *equal = memchr(p, '=', (size_t)(stop - p));

	ret->name = p;
	ret->name_n = (size_t)((equal == NULL ? stop : equal) - p);
	ret->value = equal == NULL ? stop : equal + 1;
	ret->value_n = (size_t)(stop - ret->value);
	return amp == NULL ? end : amp + 1;
}

#define PAIRS_MAX 256 /* more are found in qs only; comparing them would take the square of the time */

/* The first value of each name; names are compared as they came. */
static void
add_query(const char *qs, size_t n, struct mgr_buf *meta)
{
	static struct pair pair[PAIRS_MAX];
	const char *p = qs, *end = qs + n;
	size_t count = 0;

	mgr_buf_adds(meta, ",\"query\":{");
	while (p < end && count < PAIRS_MAX) {
		struct pair *this = &pair[count];
		p = next_pair(p, end, this);
		bool seen = this->name_n == 0;
		for (size_t i = 0; i < count && !seen; i++)
			seen = pair[i].name_n == this->name_n &&
			       memcmp(pair[i].name, this->name, this->name_n) == 0;
		if (seen)
			continue;
		if (count++ > 0)
			mgr_buf_addc(meta, ',');
		add_decoded(meta, this->name, this->name_n, true);
		mgr_buf_addc(meta, ':');
		add_decoded(meta, this->value, this->value_n, true);
	}
	mgr_buf_addc(meta, '}');
}

static int
write_meta(struct conn *conn, struct mgr_buf *meta, int64_t left_ns)
{
	struct exchange *x = &conn->x;
	const char *qs = x->path_n < x->target_n ? x->target + x->path_n + 1 : "";
	size_t qs_n = x->path_n < x->target_n ? x->target_n - x->path_n - 1 : 0;

	mgr_meta_begin(meta, left_ns);
	mgr_meta_adds(meta, "kind", "http");
	if (x->is_envelope && x->envelope_src.n > 0)
		mgr_meta_add_raw(meta, "src", x->envelope_src.p, x->envelope_src.n);
	else
		mgr_meta_adds(meta, "src", "http");
	mgr_meta_adds(meta, "method", x->method);
	mgr_buf_adds(meta, ",\"path\":");
	mgr_json_add_bytes(meta, x->target, x->path_n, false);
	mgr_meta_adds(meta, "route", x->match.pattern);
	add_params(x, meta);
	add_query(qs, qs_n, meta);
	mgr_buf_adds(meta, ",\"qs\":");
	mgr_json_add_bytes(meta, qs, qs_n, false);
	add_headers(conn, meta);
	mgr_meta_adds(meta, "remote", conn->remote);
	if (x->length != MGR_LANE_UNKNOWN)
		mgr_meta_addu(meta, "len", x->length);
	if (x->trace[0] == '\0')
		memcpy(x->trace, x->id, sizeof(x->id));
	mgr_meta_adds(meta, "trace", x->trace);
	return mgr_meta_end(meta);
}

/* A body that is still arriving is judged by its rate: the call may last as long as the slowest one. */
static int64_t
deadline(const struct conn *conn)
{
	const struct options *o = conn->httpd->opt;
	const struct exchange *x = &conn->x;
	int64_t from_ns = x->whole ? x->wait_ns : mgr_loop_now(conn->httpd->loop);

	if (x->whole || x->length <= SMALL_N)
		return from_ns + o->request_ns;
	uint64_t n = x->length == MGR_LANE_UNKNOWN ? x->max_n : x->length;
	return from_ns + o->request_ns + o->body_ns + (int64_t)(n / MIN_RATE) * MGR_S;
}

static bool
is_idempotent(const char *method)
{
	static const char *const safe[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};

	for (size_t i = 0; i < MGR_N(safe); i++)
		if (strcmp(method, safe[i]) == 0)
			return true;
	return false;
}

/* The call could not be made. */
static void
refuse(struct conn *conn, int r)
{
	switch (r) {
	case -ENOENT: /* its last worker went between route and submit */
	case -ECONNREFUSED:
		reply_errors(conn, MGR_OUT_UNAVAILABLE, 503, NULL);
		break;
	case -EMSGSIZE:
		reply_errors(conn, MGR_OUT_BAD_REQUEST, 431, "the head is too large");
		return;
	default:
		page_add(&conn->httpd->me->rejected, 1);
		reply_errors(conn, MGR_OUT_BUSY, 503, NULL);
	}
	reply_retry_after(conn, 1000);
}

int
submit_call(struct conn *conn, const void *body, size_t n, bool end)
{
	static struct mgr_buf meta; /* kept between requests */
	struct httpd *h = conn->httpd;
	struct exchange *x = &conn->x;
	struct mgr_call_request req = {.name = x->name, .name_n = strlen(x->name), .body_n = x->length,
				       .body = body, .first_n = n, .end = end, .deadline_ns = deadline(conn),
				       .flags = is_idempotent(x->method) ? MGR_CALL_IDEMPOTENT : 0};
	size_t taken = 0;

	walk_step(x, STEP_SUBMIT);
	mgr_buf_clear(&meta, 64 * 1024);
	int r = write_meta(conn, &meta, req.deadline_ns - mgr_now_ns());
	if (r == 0) {
		req.meta = mgr_buf_p(&meta);
		req.meta_n = mgr_buf_n(&meta);
		r = mgr_caller_submit(&h->caller, &x->call, &req, &reply_ops, &taken);
	}
	if (r < 0) {
		refuse(conn, r);
		return r;
	}
	x->passed_n = taken;
	x->body_ended = end && taken == n;
	walk_step(x, STEP_WAIT);
	/* Where others are under way too, one more look before the sleep makes the next batch larger. */
	if (h->turn.parked > 0)
		h->turn.progress = true;
	return 0;
}
