#include "httpd.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/text.h"

#define FIELDS_N (12u * 1024) /* libmicrohttpd builds the head in what the request left of its buffer */

/* Of the connection, not of the answer: ours to say. */
static const char *const dropped[] = {
	"connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer",
	"transfer-encoding", "upgrade",
};

static bool
is_one_of(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(name, list[i]) == 0)
			return true;
	return false;
}

static bool
is_clean(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f)
			return false;
	return true;
}

/* The length is told by libmicrohttpd; one that contradicts the body is a broken answer. */
static int
check_length(const struct answer *a, const char *value, unsigned *seen)
{
	uint64_t n;

	if (++*seen > 1 || mgr_num_parse(value, strlen(value), UINT64_MAX - 1, &n) < 0)
		return -EINVAL;
	return a->body_n == MGR_LANE_UNKNOWN || a->body_n == n || a->body_n == 0 ? 0 : -EINVAL;
}

struct reader {
	struct answer *a;
	struct mgr_buf name, value;
	unsigned length_n;
	bool has_type;
	const char *why;
};

static int
add_one(struct reader *r, const struct mgr_json *value)
{
	const char *name = mgr_buf_str(&r->name);

	mgr_buf_clear(&r->value, 4096);
	if (mgr_json_text(value, &r->value) < 0)
		return -EINVAL;
	r->why = "the handler's answer has a header value with a control byte";
	if (mgr_buf_n(&r->value) > 0 && !is_clean(mgr_buf_p(&r->value), mgr_buf_n(&r->value)))
		return -EINVAL;
	r->why = "the handler's answer has a wrong Content-Length";
	if (strcasecmp(name, "content-length") == 0)
		return check_length(r->a, mgr_buf_str(&r->value), &r->length_n);
	if (is_one_of(name, dropped, MGR_N(dropped)))
		return 0;
	r->has_type = r->has_type || strcasecmp(name, "content-type") == 0;
	r->why = "the handler's answer has too many headers";
	if (mgr_buf_n(&r->a->fields) + mgr_buf_n(&r->name) + mgr_buf_n(&r->value) > FIELDS_N)
		return -EINVAL;
	return reply_field(r->a, name, mgr_buf_str(&r->value));
}

static int
add_member(struct reader *r, const struct mgr_json *key, const struct mgr_json *value)
{
	struct mgr_json_iter it;
	struct mgr_json none, item;
	int e = 0;

	r->why = "the handler's answer has a header name that is not a token";
	mgr_buf_clear(&r->name, 256);
	if (mgr_json_text(key, &r->name) < 0 || mgr_buf_n(&r->name) == 0 ||
	    !mgr_text_is_token(mgr_buf_p(&r->name), mgr_buf_n(&r->name)))
		return -EINVAL;
	if (value->type == MGR_JSON_STRING)
		return add_one(r, value);
	if (value->type != MGR_JSON_ARRAY)
		return -EINVAL;
	mgr_json_iter_init(&it, value);
	while (e == 0 && mgr_json_next(&it, &none, &item))
		e = add_one(r, &item);
	return e;
}

static int
read_all(struct reader *r, const struct mgr_json *headers, const struct mgr_json *type)
{
	struct mgr_json_iter it;
	struct mgr_json key, value;
	int e = 0;

	if (headers->n > 0) {
		mgr_json_iter_init(&it, headers);
		while (e == 0 && mgr_json_next(&it, &key, &value))
			e = add_member(r, &key, &value);
	}
	if (e == 0 && type->n > 0 && !r->has_type) {
		mgr_buf_clear(&r->name, 256);
		mgr_buf_adds(&r->name, "Content-Type");
		e = add_one(r, type);
	}
	return e;
}

int
fields_read(struct answer *a, const struct mgr_json *headers, const struct mgr_json *type,
	    const char **ret_why)
{
	struct reader r = {.a = a, .why = "the handler's answer has bad headers"};
	int e = 0;

	if (headers->n > 0 || type->n > 0)
		e = read_all(&r, headers, type);
	mgr_buf_fini(&r.name);
	mgr_buf_fini(&r.value);
	if (e < 0)
		*ret_why = r.why;
	return e;
}
