#include "probe_read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "wire/json.h"
#include "wire/meta.h"

#define QUOTE_N 64

__attribute__((format(printf, 2, 3))) static int
broken(struct probe *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
	p->broken = true;
	return -EPROTO;
}

static struct probe_request *
find(struct probe *p, uint32_t id)
{
	for (size_t i = 0; i < p->request_n; i++)
		if (p->request[i].id == id)
			return &p->request[i];
	return NULL;
}

/* A whole number of READY: false when it is there and none. */
static bool
read_number(const struct mgr_json *root, const char *key, unsigned *ret_value)
{
	struct mgr_json value;
	int64_t n;

	if (!mgr_json_get(root, key, &value))
		return true;
	if (mgr_json_int(&value, 1, INT32_MAX, &n) < 0)
		return false;
	*ret_value = (unsigned)n;
	return true;
}

static bool
read_bool(const struct mgr_json *root, const char *key, bool *ret_value)
{
	struct mgr_json value;

	return !mgr_json_get(root, key, &value) || mgr_json_bool(&value, ret_value) == 0;
}

static int
on_ready(struct probe *p, const char *meta, size_t n)
{
	unsigned v = 1;
	bool cancel;

	if (p->ready)
		return broken(p, "READY came twice");
	if (p->parser.frame.id != 0 || p->parser.frame.body_n != 0 || p->parser.frame.more)
		return broken(p, "READY must have id 0 and no body");
	p->ready = true;
	if (n == 0)
		return 0;
	if (mgr_json_check(meta, n) < 0)
		return broken(p, "the META of READY is not JSON");
	struct mgr_json root = mgr_json_root(meta, n);
	if (root.type != MGR_JSON_OBJECT)
		return broken(p, "the META of READY is not a JSON object");
	if (!read_number(&root, "v", &v) || v != 1)
		return broken(p, "READY names a version that is not 1");
	if (!read_number(&root, "concurrency", &p->concurrency) || !read_number(&root, "pipeline", &p->pipeline))
		return broken(p, "READY: \"concurrency\" and \"pipeline\" are whole numbers from 1");
	if (!read_bool(&root, "stream_in", &p->stream_in) || !read_bool(&root, "ping", &p->ping) ||
	    !read_bool(&root, "cancel", &cancel))
		return broken(p, "READY: \"stream_in\", \"cancel\" and \"ping\" are true or false");
	return 0;
}

static int
on_answer(struct probe *p, const char *meta, size_t n)
{
	const struct mgr_frame *f = &p->parser.frame;
	struct probe_request *q = find(p, f->id);
	bool is_error = f->type == MGR_FRAME_ERR;
	struct mgr_meta_answer answer;
	const char *why;

	if (q == NULL)
		return broken(p, "it answers id %u, which was never asked", f->id);
	if (q->state == PROBE_DONE)
		return broken(p, "it answers id %u again", f->id);
	if (q->state == PROBE_ANSWERING && !is_error)
		return broken(p, "a second RES for id %u", f->id);
	if (is_error && (f->more || f->body_n != 0))
		return broken(p, "ERR has no body and no +");
	if (mgr_meta_read_answer(meta, n, is_error, &answer, &why) < 0)
		return broken(p, "%s of id %u: %s", f->word, f->id, why);
	q->state = PROBE_ANSWERING;
	p->current = q;
	return 0;
}

static int
on_data(struct probe *p, const char *meta, size_t n)
{
	const struct mgr_frame *f = &p->parser.frame;
	struct probe_request *q = find(p, f->id);

	(void)meta;
	(void)n;
	if (p->in_call && f->id == p->call_id)
		return 0;
	if (q == NULL || q->state != PROBE_ANSWERING)
		return broken(p, "DATA for id %u without a RES+ before", f->id);
	p->current = q;
	return 0;
}

static int
on_call(struct probe *p, const char *meta, size_t n)
{
	uint32_t id = p->parser.frame.id;
	struct probe_request *q = find(p, id);

	if (id != 0 && (q == NULL || q->state == PROBE_DONE))
		return broken(p, "a CALL for id %u, which is not open", id);
	if (mgr_json_check(meta, n) < 0)
		return broken(p, "the META of a CALL is not JSON");
	mgr_buf_clear(&p->call, 0);
	mgr_buf_add(&p->call, meta, n);
	p->call_id = id;
	p->in_call = true;
	return 0;
}

static int
on_credit(struct probe *p, const char *meta, size_t n)
{
	struct probe_request *q = find(p, p->parser.frame.id);
	struct mgr_json value;
	int64_t credit;

	if (mgr_json_check(meta, n) < 0)
		return broken(p, "the META of a CREDIT is not JSON");
	struct mgr_json root = mgr_json_root(meta, n);
	if (root.type != MGR_JSON_OBJECT || !mgr_json_get(&root, "n", &value) ||
	    mgr_json_int(&value, 0, INT32_MAX, &credit) < 0)
		return broken(p, "a CREDIT without n");
	if (q != NULL)
		q->window += (uint64_t)credit;
	return 0;
}

static int
on_pong(struct probe *p, const char *meta, size_t n)
{
	(void)meta;
	(void)n;
	p->ponged = true;
	return 0;
}

static int (*const heads[MGR_FRAME_TYPE_N])(struct probe *, const char *meta, size_t n) = {
	[MGR_FRAME_READY] = on_ready, [MGR_FRAME_RES] = on_answer, [MGR_FRAME_ERR] = on_answer,
	[MGR_FRAME_DATA] = on_data, [MGR_FRAME_CALL] = on_call, [MGR_FRAME_CREDIT] = on_credit,
	[MGR_FRAME_PONG] = on_pong,
};

static int
on_head(struct probe *p)
{
	const struct mgr_frame *f = &p->parser.frame;
	size_t n;
	const char *meta = mgr_frame_meta(&p->parser, &n);

	p->current = NULL;
	if (!p->ready && f->type != MGR_FRAME_READY)
		return broken(p, "its first frame is %s, not READY", f->word);
	if (heads[f->type] == NULL)
		return broken(p, "a handler does not send %s", f->word);
	return heads[f->type](p, meta, n);
}

/* There is no bus here: every CALL that wants an answer gets one that says so. */
static void
answer_call(struct probe *p)
{
	MGR_AUTO_BUF struct mgr_buf meta = {0};
	struct mgr_json root = mgr_json_root(mgr_buf_p(&p->call), mgr_buf_n(&p->call)), op, call;

	p->in_call = false;
	if (root.type != MGR_JSON_OBJECT)
		return;
	if (mgr_json_get(&root, "op", &op) && (mgr_json_is(&op, "dispatch") || mgr_json_is(&op, "emit")))
		return;
	mgr_buf_adds(&meta, "{\"status\":503,\"message\":\"not available\"");
	if (mgr_json_get(&root, "call", &call))
		mgr_buf_addf(&meta, ",\"call\":%.*s", (int)call.n, call.p);
	mgr_buf_adds(&meta, "}\n");
	probe_send(p, MGR_FRAME_RET, false, p->call_id, mgr_buf_str(&meta), NULL, 0);
}

static int
on_body(struct probe *p, size_t n)
{
	struct probe_request *q = p->current;
	char meta[48];

	if (q == NULL)
		return 0;
	q->body_n += n;
	if (p->concurrency <= 1)
		return 0;
	q->owed_n += n;
	if (q->owed_n > PROBE_WINDOW)
		return broken(p, "it sent more of id %u than it had CREDIT for", q->id);
	snprintf(meta, sizeof(meta), "{\"n\":%llu}\n", (unsigned long long)q->owed_n);
	q->owed_n = 0;
	probe_send(p, MGR_FRAME_CREDIT, false, q->id, meta, NULL, 0);
	return 0;
}

static void
on_end(struct probe *p)
{
	const struct mgr_frame *f = &p->parser.frame;
	struct probe_request *q = p->current;

	if (f->more)
		return;
	if (p->in_call && f->id == p->call_id && q == NULL) {
		answer_call(p);
	} else if (q != NULL) {
		q->state = PROBE_DONE;
		q->place = ++p->done_n;
	}
	p->current = NULL;
}

/* What stands where a frame should be, quoted. */
static int
on_garbage(struct probe *p, const char *in, size_t n)
{
	MGR_AUTO_BUF struct mgr_buf quote = {0};
	size_t line_n;
	const char *line = mgr_frame_line(&p->parser, &line_n);

	if (line_n == 0) {
		line = in;
		line_n = n;
	}
	const char *end = memchr(line, '\n', line_n);
	mgr_text_escape(&quote, line, end != NULL ? (size_t)(end - line) : line_n, QUOTE_N);
	return broken(p, "it wrote \"%s\" on stdout, which is reserved for frames (%s); use stderr", mgr_buf_str(&quote),
		      mgr_frame_why(&p->parser));
}

void
probe_read(struct probe *p, const char *text, size_t n)
{
	for (size_t at = 0, used; !p->broken; at += used) {
		const char *body;
		size_t body_n;

		switch (mgr_frame_feed(&p->parser, text + at, n - at, &used, &body, &body_n)) {
		case MGR_FRAME_MORE:
			return;
		case MGR_FRAME_HEAD:
			on_head(p);
			break;
		case MGR_FRAME_BODY:
			on_body(p, body_n);
			break;
		case MGR_FRAME_END:
			on_end(p);
			break;
		case MGR_FRAME_BROKEN:
			on_garbage(p, text + at, n - at);
			return;
		}
	}
}
