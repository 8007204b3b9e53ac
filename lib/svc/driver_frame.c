#include "svc/pool_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Where the body of the frame that is being read goes. */
enum dest { TO_NOBODY, TO_ANSWER, TO_CALL, TO_ERROR };

struct frame_in {
	enum dest dest;
	uint32_t id; /* of the slot; 0 = none */
	uint16_t status; /* of an ERR */
	struct mgr_buf message;
};

#define RESERVED "on stdout, which is reserved for frames; use stderr"

static int
broken(struct mgr_replica *r, const char *why)
{
	const struct mgr_frame *f = &r->parser.frame;
	char line[MGR_FRAME_LINE_MAX + 8];

	int n = snprintf(line, sizeof(line), "%s%s %u %u %llu", f->word, f->more ? "+" : "", f->id, f->meta_n,
			 (unsigned long long)f->body_n);
	mgr_replica_broken(r, why, line, n > 0 ? (size_t)n : 0);
	return -EPROTO;
}

static int
frame_open(struct mgr_replica *r)
{
	struct frame_in *in = calloc(1, sizeof(*in));

	if (in == NULL)
		return -ENOMEM;
	r->state_of_driver = in;
	return 0;
}

static void
frame_close(struct mgr_replica *r)
{
	struct frame_in *in = r->state_of_driver;

	mgr_buf_fini(&in->message);
	free(in);
}

static struct mgr_slot *
current(struct mgr_replica *r)
{
	const struct frame_in *in = r->state_of_driver;

	return mgr_slot_find(r, in->id);
}

static struct mgr_slot *
slot_of(struct mgr_replica *r)
{
	struct mgr_slot *slot = mgr_slot_find(r, r->parser.frame.id);

	if (slot == NULL)
		return NULL;
	return r->caps.concurrency > 1 || TAILQ_FIRST(&r->slots) == slot ? slot : NULL;
}

static int
count_body(struct mgr_replica *r, struct mgr_slot *slot)
{
	uint64_t n = r->parser.frame.body_n;

	if (n > slot->len - slot->got_n)
		return broken(r, "and that is more than the length it announced");
	if (n > r->pool->conf.body_max - slot->got_n)
		return broken(r, "and the answer is too large");
	if (r->caps.concurrency > 1) {
		if (n > slot->window_in)
			return broken(r, "and overran its CREDIT");
		slot->window_in -= n;
	}
	slot->got_n += n;
	return 0;
}

static int
on_res(struct mgr_replica *r, struct frame_in *in)
{
	const struct mgr_frame *f = &r->parser.frame;
	struct mgr_meta_answer a = {.status = 200};
	struct mgr_slot *slot = slot_of(r);
	const char *why = "", *meta;
	size_t meta_n;

	if (slot == NULL)
		return broken(r, "for a request that it does not have");
	if (slot->head_seen || slot->call.on)
		return broken(r, "inside an answer or a CALL");
	meta = mgr_frame_meta(&r->parser, &meta_n);
	if (meta_n == 0) {
		meta = "{}\n";
		meta_n = 2;
	} else if (mgr_meta_read_answer(meta, meta_n, false, &a, &why) < 0) {
		return broken(r, why);
	}
	if (!f->more && a.has_len && f->body_n != 0 && f->body_n != a.len)
		return broken(r, "and \"len\" is not the length of its body");
	slot->len = !f->more ? f->body_n : a.has_len ? a.len : MGR_POOL_UNKNOWN;
	int err = count_body(r, slot);
	if (err < 0)
		return err;
	in->dest = TO_ANSWER;
	in->id = f->id;
	mgr_answer_head(slot, a.status, meta, meta_n + 1, slot->len);
	return 0;
}

static int
on_data(struct mgr_replica *r, struct frame_in *in)
{
	const struct mgr_frame *f = &r->parser.frame;
	struct mgr_slot *slot = slot_of(r);

	in->id = f->id;
	if (f->id == 0 ? r->call.on : slot != NULL && slot->call.on) {
		in->dest = TO_CALL;
		return 0;
	}
	if (slot == NULL)
		return broken(r, "for a request that it does not have");
	if (!slot->head_seen)
		return broken(r, "before its RES");
	in->dest = TO_ANSWER;
	return count_body(r, slot);
}

static int
on_err(struct mgr_replica *r, struct frame_in *in)
{
	struct mgr_meta_answer a = {.status = 500};
	struct mgr_slot *slot = slot_of(r);
	const char *why = "", *meta;
	size_t meta_n;

	if (slot == NULL)
		return broken(r, "for a request that it does not have");
	if (r->parser.frame.more)
		return broken(r, "and an ERR has no more frames");
	meta = mgr_frame_meta(&r->parser, &meta_n);
	if (meta_n > 0 && mgr_meta_read_answer(meta, meta_n, true, &a, &why) < 0)
		return broken(r, why);
	in->dest = TO_ERROR;
	in->id = slot->id;
	in->status = (uint16_t)(a.status < 400 ? 500 : a.status);
	mgr_buf_clear(&in->message, 4096);
	if (a.message.n > 0)
		mgr_json_text(&a.message, &in->message);
	return 0;
}

static int
on_call(struct mgr_replica *r, struct frame_in *in)
{
	const struct mgr_frame *f = &r->parser.frame;
	struct mgr_slot *slot = f->id == 0 ? NULL : slot_of(r);
	const char *meta;
	size_t meta_n;

	if (f->id != 0 && (slot == NULL || slot->head_seen))
		return broken(r, "outside of a request");
	meta = mgr_frame_meta(&r->parser, &meta_n);
	in->dest = TO_CALL;
	in->id = f->id;
	if (mgr_frame_call_head(r, slot, meta, meta_n) < 0)
		return broken(r, "and its META is not an object with \"op\"");
	return 0;
}

static int
on_credit(struct mgr_replica *r, struct frame_in *in)
{
	struct mgr_slot *slot = slot_of(r);
	const char *meta;
	size_t meta_n;
	struct mgr_json n;
	int64_t value;

	(void)in;
	if (r->caps.concurrency <= 1)
		return broken(r, "without concurrency");
	if (slot == NULL)
		return 0; /* it granted before it knew of the end */
	meta = mgr_frame_meta(&r->parser, &meta_n);
	if (mgr_json_check(meta, meta_n) < 0)
		return broken(r, "and its META is not JSON");
	struct mgr_json root = mgr_json_root(meta, meta_n);
	if (root.type != MGR_JSON_OBJECT || !mgr_json_get(&root, "n", &n) ||
	    mgr_json_int(&n, 0, INT64_C(1) << 53, &value) < 0)
		return broken(r, "without a number of bytes");
	slot->window_out += (uint64_t)value;
	slot->window_out = slot->window_out > MGR_FRAME_BODY_MAX ? MGR_FRAME_BODY_MAX : slot->window_out;
	mgr_replica_touch(r);
	return 0;
}

static int
on_pong(struct mgr_replica *r, struct frame_in *in)
{
	(void)in;
	if (!r->pinged)
		return broken(r, "that nobody asked for");
	r->pinged = false;
	return 0;
}

static int
on_ready(struct mgr_replica *r)
{
	const struct mgr_frame *f = &r->parser.frame;
	const char *why = "", *meta;
	size_t meta_n;

	if (f->type != MGR_FRAME_READY)
		return broken(r, "before READY");
	if (f->more || f->id != 0 || f->body_n != 0)
		return broken(r, "and READY has id 0 and no body");
	meta = mgr_frame_meta(&r->parser, &meta_n);
	int err = mgr_frame_ready_read(r, meta, meta_n, &why);
	if (err < 0)
		return broken(r, why);
	mgr_replica_ready(r);
	return 0;
}

static int (*const on_type[MGR_FRAME_TYPE_N])(struct mgr_replica *, struct frame_in *) = {
	[MGR_FRAME_RES] = on_res,   [MGR_FRAME_DATA] = on_data,     [MGR_FRAME_ERR] = on_err,
	[MGR_FRAME_CALL] = on_call, [MGR_FRAME_CREDIT] = on_credit, [MGR_FRAME_PONG] = on_pong,
};

static int
on_head(struct mgr_replica *r, struct frame_in *in)
{
	const struct mgr_frame *f = &r->parser.frame;

	in->dest = TO_NOBODY;
	in->id = 0;
	if (r->state == MGR_REPLICA_STARTING)
		return on_ready(r);
	if (f->type == MGR_FRAME_READY)
		return broken(r, "a second time");
	if (on_type[f->type] == NULL)
		return broken(r, RESERVED);
	return on_type[f->type](r, in);
}

static int
on_body(struct mgr_replica *r, struct frame_in *in, const char *p, size_t n)
{
	struct mgr_slot *slot = current(r);

	switch (in->dest) {
	case TO_ANSWER:
		if (slot != NULL && mgr_answer_data(slot, p, n) < n)
			return broken(r, "and there is no memory for it");
		return 0;
	case TO_CALL:
		return mgr_frame_call_add(r, slot, p, n) < 0 ? broken(r, "and the argument is too large") : 0;
	case TO_ERROR:
	case TO_NOBODY:
		break;
	}
	return 0;
}

static int
end_answer(struct mgr_replica *r, struct mgr_slot *slot)
{
	if (slot->len != MGR_POOL_UNKNOWN && slot->got_n != slot->len)
		return broken(r, "but announced more bytes");
	if (!slot->fed_all)
		mgr_frame_end_request(r, slot);
	mgr_answer_end(slot, MGR_OUT_OK, NULL);
	return 0;
}

static int
on_frame_end(struct mgr_replica *r, struct frame_in *in)
{
	struct mgr_slot *slot = current(r);
	bool more = r->parser.frame.more;

	if (in->dest == TO_CALL && !more)
		return mgr_frame_call_end(r, slot) < 0 ? broken(r, "and its META is not usable") : 0;
	if (in->dest == TO_ERROR && slot != NULL) {
		if (!slot->fed_all)
			mgr_frame_end_request(r, slot);
		mgr_answer_error(slot, in->status, "", mgr_buf_n(&in->message) > 0 ? mgr_buf_p(&in->message) : "handler error",
				 mgr_buf_n(&in->message) > 0 ? mgr_buf_n(&in->message) : 13);
	}
	if (in->dest == TO_ANSWER && slot != NULL && !more)
		return end_answer(r, slot);
	return 0;
}

static int
on_garbage(struct mgr_replica *r, const char *p, size_t n)
{
	size_t line_n;
	const char *line = mgr_frame_line(&r->parser, &line_n);

	/* A header line that is broken is quoted up to its end; of another fault only the header is known. */
	if (line_n == 0)
		return broken(r, mgr_frame_why(&r->parser));
	const char *lf = memchr(line, '\n', line_n);
	line_n = lf != NULL ? (size_t)(lf - line) : line_n;
	(void)p;
	(void)n;
	mgr_replica_broken(r, RESERVED, line, line_n);
	return -EPROTO;
}

/* How much of the input may be looked at: an answer's bytes only as far as somebody takes them. */
static size_t
allowed(struct mgr_replica *r, const struct frame_in *in, size_t n)
{
	if (in->dest != TO_ANSWER || r->parser.body_left == 0)
		return n;
	struct mgr_slot *slot = current(r);
	size_t room = slot == NULL ? n : mgr_answer_room(slot);
	return n < room ? n : room;
}

static ssize_t
frame_input(struct mgr_replica *r, const char *p, size_t n)
{
	struct frame_in *in = r->state_of_driver;
	size_t at = 0;

	for (;;) {
		const char *body;
		size_t used, body_n, m = allowed(r, in, n - at);
		int err = 0;

		enum mgr_frame_step step = mgr_frame_feed(&r->parser, p + at, m, &used, &body, &body_n);
		at += used;
		switch (step) {
		case MGR_FRAME_MORE:
			return (ssize_t)at;
		case MGR_FRAME_HEAD:
			err = on_head(r, in);
			break;
		case MGR_FRAME_BODY:
			err = on_body(r, in, body, body_n);
			break;
		case MGR_FRAME_END:
			err = on_frame_end(r, in);
			in->dest = TO_NOBODY;
			break;
		case MGR_FRAME_BROKEN:
			err = on_garbage(r, p + at, n - at);
			break;
		}
		if (err < 0)
			return err;
	}
}

static bool
frame_at_border(const struct mgr_replica *r)
{
	return mgr_frame_at_border(&r->parser);
}

const struct mgr_driver mgr_driver_frame = {
	.resident = true,
	.handshake = true,
	.open = frame_open,
	.close = frame_close,
	.begin = mgr_frame_begin,
	.feed = mgr_frame_feed_more,
	.input = frame_input,
	.cancel = mgr_frame_cancel,
	.at_border = frame_at_border,
};
