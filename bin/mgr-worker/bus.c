#include "worker.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/log.h"
#include "wire/json.h"

#define HOPS_MAX 16
#define ANSWER_MAX (16u * 1024 * 1024)
#define BUS_CALLS_MAX 4096

/* One CALL publish of a handler on its way to another. */
struct bus_call {
	struct mgr_call call;
	struct mgr_pool_call origin; /* call.p points into label */
	struct mgr_buf label, answer;
	struct worker *worker;
	unsigned status;
	struct mgr_buf message;
	struct mgr_buf request; /* argument bytes that found no room yet */
	bool dispatch;
	LIST_ENTRY(bus_call) entry;
};

static void
bus_free(struct bus_call *b)
{
	LIST_REMOVE(b, entry);
	b->worker->bus_call_n--;
	mgr_buf_fini(&b->label);
	mgr_buf_fini(&b->answer);
	mgr_buf_fini(&b->message);
	mgr_buf_fini(&b->request);
	free(b);
}

static void
head(struct mgr_call *call, unsigned status, const char *meta, size_t meta_n, uint64_t body_n)
{
	struct bus_call *b = MGR_CONTAINER(call, struct bus_call, call);
	struct mgr_json message, root;

	(void)body_n;
	b->status = status;
	if (mgr_json_check(meta, meta_n) < 0)
		return;
	root = mgr_json_root(meta, meta_n);
	if (root.type == MGR_JSON_OBJECT && mgr_json_get(&root, "message", &message))
		mgr_json_text(&message, &b->message);
}

static void
data(struct mgr_call *call)
{
	struct bus_call *b = MGR_CONTAINER(call, struct bus_call, call);
	struct iovec iov[2];
	size_t n = mgr_call_data(call, iov);

	b->answer.limit = ANSWER_MAX;
	for (int i = 0; i < 2; i++) {
		if (mgr_buf_add(&b->answer, iov[i].iov_base, iov[i].iov_len) < 0) {
			mgr_call_cancel(call, 0);
			mgr_pool_ret(b->worker->pool, &b->origin, 502, "the answer is larger than 16 MiB", NULL, 0);
			bus_free(b);
			return;
		}
	}
	mgr_call_consume(call, n);
}

static void
room(struct mgr_call *call)
{
	struct bus_call *b = MGR_CONTAINER(call, struct bus_call, call);
	size_t n = mgr_call_write(call, mgr_buf_p(&b->request), mgr_buf_n(&b->request));

	mgr_buf_take(&b->request, n);
	if (mgr_buf_n(&b->request) == 0)
		mgr_call_end(call);
}

static void
done(struct mgr_call *call, enum mgr_outcome outcome, int64_t retry_ms)
{
	struct bus_call *b = MGR_CONTAINER(call, struct bus_call, call);
	const struct mgr_outcome_row *row = mgr_outcome_row(outcome);

	(void)retry_ms;
	if (b->dispatch) {
		if (outcome != MGR_OUT_OK)
			mgr_log(MGR_WARN, "dispatch-failed", "handler=%s outcome=\"%s\"",
				b->worker->options->name, row->name);
	} else if (outcome == MGR_OUT_OK) {
		mgr_pool_ret(b->worker->pool, &b->origin, b->status,
			     mgr_buf_n(&b->message) > 0 ? mgr_buf_str(&b->message) : NULL,
			     mgr_buf_p(&b->answer), mgr_buf_n(&b->answer));
	} else {
		mgr_pool_ret(b->worker->pool, &b->origin, row->http, row->text, NULL, 0);
	}
	bus_free(b);
}

static const struct mgr_call_ops ops = {.head = head, .data = data, .room = room, .done = done};

static void
fail(struct worker *w, const struct mgr_pool_call *origin, bool dispatch, enum mgr_outcome outcome,
     const char *message)
{
	const struct mgr_outcome_row *row = mgr_outcome_row(outcome);

	if (dispatch)
		mgr_log(MGR_WARN, "dispatch-failed", "handler=%s outcome=\"%s\" why=%s", w->options->name,
			row->name, mgr_log_str(message));
	else
		mgr_pool_ret(w->pool, origin, row->http, message, NULL, 0);
}

/* The deadline of a CALL: its own time-out, but never past that of the request it belongs to. */
static int64_t
deadline(struct worker *w, const struct mgr_pool_call *origin)
{
	int64_t now_ns = mgr_now_ns(), own_ms, end_ns = now_ns + w->options->reg.timeout_ns;
	struct mgr_json value;

	if (origin->deadline_ns != 0)
		end_ns = origin->deadline_ns;
	if (mgr_json_get(&origin->meta, "timeout_ms", &value) &&
	    mgr_json_int(&value, 1, 86400000, &own_ms) == 0 && now_ns + own_ms * MGR_MS < end_ns)
		end_ns = now_ns + own_ms * MGR_MS;
	return end_ns;
}

static void
make_meta(struct worker *w, const struct mgr_pool_call *origin, const char *to, int64_t left_ns,
	  bool dispatch, struct mgr_buf *meta)
{
	struct mgr_json type;

	mgr_meta_begin(meta, left_ns);
	mgr_meta_adds(meta, "kind", dispatch ? "dispatch" : "publish");
	mgr_meta_adds(meta, "src", w->options->name);
	mgr_meta_adds(meta, "to", to);
	if (mgr_json_get(&origin->meta, "type", &type) && type.type == MGR_JSON_STRING)
		mgr_meta_add_raw(meta, "type", type.p, type.n);
	mgr_meta_addu(meta, "hops", origin->hops + 1);
	mgr_meta_addu(meta, "len", origin->body_n);
	mgr_meta_end(meta);
}

static struct bus_call *
bus_new(struct worker *w, const struct mgr_pool_call *origin, bool dispatch)
{
	struct bus_call *b = w->bus_call_n < BUS_CALLS_MAX ? calloc(1, sizeof(*b)) : NULL;

	if (b == NULL)
		return NULL;
	b->worker = w;
	b->dispatch = dispatch;
	b->origin = *origin;
	/* The borrowed texts end with this callback; only the label is needed later. */
	mgr_buf_add(&b->label, origin->call.p, origin->call.n);
	b->origin.call.p = mgr_buf_p(&b->label);
	b->origin.call.n = mgr_buf_n(&b->label);
	b->origin.body = NULL;
	b->origin.op = NULL;
	LIST_INSERT_HEAD(&w->bus_calls, b, entry);
	w->bus_call_n++;
	return b;
}

static int
submit(struct bus_call *b, const char *to, const struct mgr_buf *meta, int64_t deadline_ns, const char *body,
       size_t body_n)
{
	struct mgr_call_request req = {.name = to, .name_n = strlen(to), .meta = mgr_buf_p(meta),
				       .meta_n = mgr_buf_n(meta), .body_n = body_n, .body = body,
				       .first_n = body_n, .end = true, .deadline_ns = deadline_ns,
				       .flags = b->dispatch ? MGR_CALL_DISPATCH : 0};
	size_t taken = 0;
	int r = mgr_caller_submit(&b->worker->caller, &b->call, &req, &ops, &taken);

	if (r == 0 && taken < body_n && mgr_buf_add(&b->request, body + taken, body_n - taken) < 0) {
		mgr_call_cancel(&b->call, 0);
		return -1;
	}
	return r;
}

static void
send_call(struct worker *w, const struct mgr_pool_call *origin, bool dispatch, const char *to)
{
	MGR_AUTO_BUF struct mgr_buf meta = {0};
	int64_t deadline_ns = deadline(w, origin);
	struct bus_call *b;

	if (mgr_caller_workers(&w->caller, to, strlen(to)) == 0) {
		fail(w, origin, dispatch, MGR_OUT_NOT_FOUND, "no such handler");
		return;
	}
	b = bus_new(w, origin, dispatch);
	if (b == NULL) {
		fail(w, origin, dispatch, MGR_OUT_BUSY, "too many calls are under way");
		return;
	}
	make_meta(w, origin, to, deadline_ns - mgr_now_ns(), dispatch, &meta);
	if (submit(b, to, &meta, deadline_ns, origin->body, origin->body_n) < 0) {
		fail(w, origin, dispatch, MGR_OUT_UNAVAILABLE, "no live worker");
		bus_free(b);
	}
}

void
bus_call(struct mgr_pool *pool, const struct mgr_pool_call *origin)
{
	struct worker *w = mgr_pool_user(pool);
	bool dispatch = strcmp(origin->op, "dispatch") == 0;
	struct mgr_json value;
	char to[MGR_CALL_NAME_MAX + 1];

	if (!dispatch && strcmp(origin->op, "publish") != 0) {
		/* emit wants no answer either (mgr-frame(7), CALL). */
		if (strcmp(origin->op, "emit") != 0)
			mgr_pool_ret(pool, origin, 503, "not available", NULL, 0);
		return;
	}
	if (!mgr_json_get(&origin->meta, "to", &value) || mgr_json_copy(&value, to, sizeof(to)) < 0) {
		fail(w, origin, dispatch, MGR_OUT_BAD_REQUEST, "\"to\" names no handler");
		return;
	}
	if (origin->hops >= HOPS_MAX) {
		fail(w, origin, dispatch, MGR_OUT_LOOP, "more than 16 hops");
		return;
	}
	if (!dispatch && strcmp(to, w->options->name) == 0 &&
	    mgr_caller_workers(&w->caller, to, strlen(to)) < 2 && !mgr_pool_has_spare(pool, origin->replica)) {
		fail(w, origin, dispatch, MGR_OUT_LOOP, "the call would wait on its own last free replica");
		return;
	}
	send_call(w, origin, dispatch, to);
}

void
bus_fini(struct worker *w)
{
	struct bus_call *b;

	while ((b = LIST_FIRST(&w->bus_calls)) != NULL) {
		mgr_call_cancel(&b->call, 2);
		bus_free(b);
	}
}
