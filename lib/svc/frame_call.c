#include "svc/pool_priv.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

#define OP_MAX 32

/* Without a RET: the handler does not wait for these. */
static const char *const silent[] = {"dispatch", "emit"};

static bool
wants_ret(const char *op)
{
	for (size_t i = 0; i < MGR_N(silent); i++)
		if (strcmp(op, silent[i]) == 0)
			return false;
	return true;
}

static struct mgr_call_in *
place_of(struct mgr_replica *r, struct mgr_slot *slot)
{
	return slot != NULL ? &slot->call : &r->call;
}

void
mgr_frame_call_fini(struct mgr_replica *r, struct mgr_call_in *call)
{
	r->call_n -= mgr_buf_n(&call->body);
	mgr_buf_fini(&call->meta);
	mgr_buf_fini(&call->body);
	call->on = false;
}

int
mgr_frame_call_head(struct mgr_replica *r, struct mgr_slot *slot, const char *meta, size_t meta_n)
{
	struct mgr_call_in *call = place_of(r, slot);

	if (call->on || mgr_json_check(meta, meta_n) < 0)
		return -EINVAL;
	call->on = true;
	return mgr_buf_add(&call->meta, meta, meta_n);
}

int
mgr_frame_call_add(struct mgr_replica *r, struct mgr_slot *slot, const char *p, size_t n)
{
	struct mgr_call_in *call = place_of(r, slot);

	if (!call->on)
		return 0;
	if (n > MGR_POOL_CALL_MAX - r->call_n || mgr_buf_add(&call->body, p, n) < 0)
		return -EMSGSIZE;
	r->call_n += n;
	return 0;
}

static unsigned
hops_of(const struct mgr_slot *slot)
{
	const struct mgr_task *task = slot != NULL ? slot->task : NULL;
	struct mgr_json value;
	int64_t hops = 0;

	if (task == NULL || task->meta_n < 2 || mgr_json_check(task->meta, task->meta_n) < 0)
		return 0;
	struct mgr_json root = mgr_json_root(task->meta, task->meta_n);
	if (root.type == MGR_JSON_OBJECT && mgr_json_get(&root, "hops", &value))
		mgr_json_int(&value, 0, 1000, &hops);
	return (unsigned)hops;
}

static void
hand_over(struct mgr_replica *r, struct mgr_slot *slot, struct mgr_pool_call *c)
{
	struct mgr_pool *pool = r->pool;

	if (wants_ret(c->op) && slot != NULL)
		slot->ret_n++;
	if (slot != NULL && slot->task == NULL) {
		if (wants_ret(c->op))
			mgr_pool_ret(pool, c, 504, "the request that this belongs to has ended", NULL, 0);
	} else if (pool->ops->call != NULL) {
		pool->ops->call(pool, c);
	} else if (wants_ret(c->op)) {
		mgr_pool_ret(pool, c, 503, "not available", NULL, 0);
	}
}

int
mgr_frame_call_end(struct mgr_replica *r, struct mgr_slot *slot)
{
	struct mgr_call_in *in = place_of(r, slot), own = *in;
	struct mgr_json root, op;
	char name[OP_MAX];
	int err = -EINVAL;

	if (!in->on)
		return 0;
	*in = (struct mgr_call_in){0}; /* the next CALL may come while this one is answered */
	root = mgr_json_root(mgr_buf_p(&own.meta), mgr_buf_n(&own.meta));
	if (root.type == MGR_JSON_OBJECT && mgr_json_get(&root, "op", &op) &&
	    mgr_json_copy(&op, name, sizeof(name)) == 0) {
		struct mgr_pool_call c = {
			.replica = r,
			.serial = r->serial,
			.id = slot != NULL ? slot->id : 0,
			.deadline_ns = slot != NULL ? slot->deadline_ns : 0,
			.hops = hops_of(slot),
			.meta = root,
			.op = name,
			.body = mgr_buf_n(&own.body) > 0 ? mgr_buf_p(&own.body) : "",
			.body_n = mgr_buf_n(&own.body),
		};
		if (!mgr_json_get(&root, "call", &c.call))
			c.call = (struct mgr_json){0};
		hand_over(r, slot, &c);
		err = 0;
	}
	mgr_frame_call_fini(r, &own);
	return err;
}

static struct mgr_replica *
find_replica(struct mgr_pool *pool, const struct mgr_pool_call *call)
{
	struct mgr_replica *r;

	TAILQ_FOREACH(r, &pool->replicas, link)
		if (r->serial == call->serial)
			return r->state < MGR_REPLICA_STOPPING ? r : NULL;
	return NULL;
}

static void
add_ret(struct mgr_replica *r, const struct mgr_pool_call *call, const char *meta, size_t meta_n,
	const char *body, size_t body_n)
{
	size_t part = r->caps.concurrency > 1 ? MGR_POOL_PART : body_n;
	enum mgr_frame_type type = MGR_FRAME_RET;

	/* In parts where answers must interleave; one frame for a handler that reads one frame. */
	do {
		size_t n = body_n < part ? body_n : part;
		if (mgr_frame_add(&r->out, type, n < body_n, call->id, meta, meta_n, body, n) < 0) {
			mgr_replica_kill(r);
			return;
		}
		type = MGR_FRAME_DATA;
		meta_n = 0;
		body += n;
		body_n -= n;
	} while (body_n > 0);
	mgr_replica_touch(r);
}

void
mgr_pool_ret(struct mgr_pool *pool, const struct mgr_pool_call *call, unsigned status, const char *message,
	     const void *body, size_t body_n)
{
	MGR_AUTO_BUF struct mgr_buf meta = {0};
	struct mgr_replica *r = find_replica(pool, call);
	struct mgr_slot *slot = r != NULL && call->id != 0 ? mgr_slot_find(r, call->id) : NULL;

	if (r == NULL || (call->id != 0 && slot == NULL))
		return;
	if (slot != NULL && slot->ret_n > 0)
		slot->ret_n--;
	mgr_buf_addf(&meta, "{\"status\":%u", status);
	if (call->call.n > 0) {
		mgr_buf_adds(&meta, ",\"call\":");
		mgr_buf_add(&meta, call->call.p, call->call.n);
	}
	if (message != NULL) {
		mgr_buf_adds(&meta, ",\"message\":");
		mgr_json_add_string(&meta, message, strlen(message));
	}
	if (mgr_buf_adds(&meta, "}\n") < 0) {
		mgr_replica_kill(r);
		return;
	}
	if (r->driver->ret != NULL)
		r->driver->ret(r, mgr_buf_p(&meta), mgr_buf_n(&meta), call->id, body != NULL ? body : "", body_n);
	else
		add_ret(r, call, mgr_buf_p(&meta), mgr_buf_n(&meta), body != NULL ? body : "", body_n);
}
