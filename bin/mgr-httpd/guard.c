/*
 * The strict reading of a request's head.  libmicrohttpd is lenient (it takes the first of two
 * Content-Lengths, bare line feeds, folded fields, names that are no tokens ...), and whatever two
 * programs read differently can smuggle a second request past one of them: such heads are refused.
 */
#include "httpd.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/text.h"

#define LENGTH_MAX ((UINT64_C(1) << 53) - 1)

struct reading {
	struct conn *conn;
	const struct options *opt;
	const struct head *head;
};

static bool
is_named(const struct field *f, const char *name)
{
	return f->name_n == strlen(name) && strncasecmp(f->name, name, f->name_n) == 0;
}

/* The only field of that name; *ret_n says how many there are. */
static const struct field *
find(const struct head *head, const char *name, size_t *ret_n)
{
	const struct field *found = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < head->field_n; i++)
		if (is_named(&head->field[i], name)) {
			found = &head->field[i];
			(*ret_n)++;
		}
	return found;
}

static bool
is_value(const struct field *f, const char *text)
{
	return f->value_n == strlen(text) && strncasecmp(f->value, text, f->value_n) == 0;
}

static bool
is_http10(const struct head *head)
{
	return strcmp(head->version, "HTTP/1.0") == 0;
}

static bool
bad_version(const struct reading *r)
{
	return !is_http10(r->head) && strcmp(r->head->version, "HTTP/1.1") != 0;
}

static bool
bad_method(const struct reading *r)
{
	size_t n = strlen(r->head->method);

	return n >= MGR_ROUTE_METHOD_MAX || !mgr_text_is_token(r->head->method, n);
}

static bool
long_target(const struct reading *r)
{
	return r->head->target_n > r->opt->max_target;
}

static bool
many_fields(const struct reading *r)
{
	return r->head->field_n > r->opt->max_fields;
}

static bool
lost_target(const struct reading *r)
{
	return mgr_buf_n(&r->conn->line) != r->head->target_n || r->head->target_n == 0;
}

static bool
is_host(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:[]%!$&'()*+,;=",
			   p[i]) == NULL || p[i] == '\0')
			return false;
	return n > 0 && p[0] != ':';
}

/* Takes scheme and authority off an absolute target (RFC 9112 3.2.2). */
static bool
strip_authority(const char **p, size_t *n)
{
	if (*n > 7 && strncasecmp(*p, "http://", 7) == 0) {
		const char *host = *p + 7, *slash = memchr(host, '/', *n - 7);
		size_t host_n = slash == NULL ? *n - 7 : (size_t)(slash - host);
		if (slash == NULL || !is_host(host, host_n))
			return false;
		*n -= 7 + host_n;
		*p = slash;
	}
	return *n > 0 && **p == '/';
}

static bool
bad_target(const struct reading *r)
{
	struct exchange *x = &r->conn->x;
	const char *p = mgr_buf_p(&r->conn->line);
	size_t n = mgr_buf_n(&r->conn->line);

	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)p[i] <= 0x20 || (unsigned char)p[i] >= 0x7f || p[i] == '#')
			return true;
		if (p[i] == '%' && n - i > 2 && p[i + 1] == '0' && p[i + 2] == '0')
			return true;
	}
	if (!strip_authority(&p, &n))
		return true;
	const char *mark = memchr(p, '?', n);
	x->target = p;
	x->target_n = n;
	x->path_n = mark == NULL ? n : (size_t)(mark - p);
	return false;
}

/*
 * The pieces must lie one behind the other with exactly one space, or CR and LF, between them.  A bare
 * LF, a NUL, a folded or a dropped field, a second space: each leaves another gap.
 */
static bool
bad_layout(const struct reading *r)
{
	const struct head *head = r->head;
	const char *at;

	if (!head->exact)
		return false;
	if (head->target != head->method + strlen(head->method) + 1 ||
	    head->version != head->target + head->target_n + 1)
		return true;
	at = head->version + strlen(head->version) + 2;
	for (size_t i = 0; i < head->field_n; i++) {
		const struct field *f = &head->field[i];
		if (f->name != at || f->value <= f->name + f->name_n)
			return true;
		at = f->value + f->value_n + 2;
	}
	return (size_t)(at - head->method) + 2 != head->n;
}

static bool
bad_name(const struct reading *r)
{
	for (size_t i = 0; i < r->head->field_n; i++)
		if (!mgr_text_is_token(r->head->field[i].name, r->head->field[i].name_n))
			return true;
	return false;
}

static bool
bad_value(const struct reading *r)
{
	for (size_t i = 0; i < r->head->field_n; i++)
		for (size_t k = 0; k < r->head->field[i].value_n; k++) {
			unsigned char c = (unsigned char)r->head->field[i].value[k];
			if ((c < 0x20 && c != '\t') || c == 0x7f)
				return true;
		}
	return false;
}

static bool
bad_host(const struct reading *r)
{
	size_t n;
	const struct field *f = find(r->head, "host", &n);

	if (n == 0)
		return !is_http10(r->head);
	return n > 1 || !is_host(f->value, f->value_n);
}

static bool
old_chunked(const struct reading *r)
{
	size_t n;

	find(r->head, "transfer-encoding", &n);
	return n > 0 && is_http10(r->head);
}

static bool
both_lengths(const struct reading *r)
{
	size_t te_n, cl_n;

	find(r->head, "transfer-encoding", &te_n);
	find(r->head, "content-length", &cl_n);
	return (te_n > 0 && cl_n > 0) || te_n > 1 || cl_n > 1;
}

static bool
bad_coding(const struct reading *r)
{
	size_t n;
	const struct field *f = find(r->head, "transfer-encoding", &n);

	if (n == 0)
		return false;
	r->conn->x.length = MGR_LANE_UNKNOWN;
	return !is_value(f, "chunked");
}

static bool
bad_length(const struct reading *r)
{
	struct exchange *x = &r->conn->x;
	size_t n;
	const struct field *f = find(r->head, "content-length", &n);

	if (n == 0)
		return false;
	for (size_t i = 0; i < f->value_n; i++)
		if (f->value[i] < '0' || f->value[i] > '9')
			return true;
	size_t zeros = 0; /* 007 is legal here, if odd */
	while (zeros + 1 < f->value_n && f->value[zeros] == '0')
		zeros++;
	int e = mgr_num_parse(f->value + zeros, f->value_n - zeros, LENGTH_MAX, &x->length);
	if (e == -ERANGE)
		x->length = LENGTH_MAX; /* refused by its size */
	return e == -EINVAL;
}

static bool
bad_expect(const struct reading *r)
{
	size_t n;
	const struct field *f = find(r->head, "expect", &n);

	r->conn->x.expects = n > 0 && !is_http10(r->head);
	return n > 1 || (n == 1 && !is_value(f, "100-continue"));
}

static bool
long_body(const struct reading *r)
{
	struct exchange *x = &r->conn->x;
	size_t n;
	const struct field *f = find(r->head, "content-type", &n);
	static const char json[] = "application/json";

	if (f != NULL && f->value_n >= sizeof(json) - 1 && strncasecmp(f->value, json, sizeof(json) - 1) == 0)
		x->is_json = f->value_n == sizeof(json) - 1 ||
			     strchr("; \t", f->value[sizeof(json) - 1]) != NULL;
	x->has_body = x->length != 0;
	x->max_n = r->opt->max_body;
	if (x->is_json && r->opt->max_json < x->max_n)
		x->max_n = r->opt->max_json;
	return x->length != MGR_LANE_UNKNOWN && x->length > x->max_n;
}

/* In this order: a rule may rely on those before it. */
static const struct rule {
	bool (*is_broken)(const struct reading *);
	unsigned status;
	const char *message;
} rules[] = {
	{bad_version, 505, "only versions 1.1 and 1.0 of HTTP are spoken here"},
	{long_target, 414, "the request target is too long"},
	{many_fields, 431, "too many header fields"},
	{lost_target, 400, "the request target is missing"},
	{bad_method, 400, "the method is not a token"},
	{bad_target, 400, "the request target is not a path of printable ASCII"},
	{bad_name, 400, "a header field's name is not a token"},
	{bad_value, 400, "a header field's value holds a control byte"},
	{bad_layout, 400, "the head is not made of lines that end in CR LF"},
	{bad_host, 400, "exactly one valid Host is needed"},
	{old_chunked, 400, "Transfer-Encoding does not exist in HTTP/1.0"},
	{both_lengths, 400, "the length of the body is given twice"},
	{bad_coding, 501, "chunked is the only transfer coding"},
	{bad_length, 400, "Content-Length is not a number"},
	{bad_expect, 417, "100-continue is the only expectation that can be met"},
	{long_body, 413, "the body is too large"},
};

int
guard_check(struct conn *conn, const struct head *head)
{
	struct reading r = {.conn = conn, .opt = conn->httpd->opt, .head = head};
	struct exchange *x = &conn->x;

	for (size_t i = 0; i < MGR_N(rules); i++)
		if (rules[i].is_broken(&r)) {
			reply_errors(conn, MGR_OUT_BAD_REQUEST, rules[i].status, rules[i].message);
			return -EINVAL;
		}
	memcpy(x->method, head->method, strlen(head->method) + 1);
	x->is_head = strcmp(x->method, "HEAD") == 0;
	return 0;
}
