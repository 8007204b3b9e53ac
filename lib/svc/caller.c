#include "svc/caller_priv.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "os/clock.h"

/* The worker ends a call at its deadline with its own word; ours comes when it cannot. */
#define LATE_NS (250 * MGR_MS)

void
mgr_caller_init(struct mgr_caller *c, struct mgr_loop *loop, struct mgr_hub *hub, struct mgr_links *links)
{
	*c = (struct mgr_caller){.loop = loop, .hub = hub, .links = links};
	LIST_INIT(&c->targets);
	TAILQ_INIT(&c->ending);
}

void
mgr_caller_fini(struct mgr_caller *c)
{
	if (c->loop == NULL)
		return;
	mgr_assert(c->in_flight == 0);
	mgr_timer_stop(&c->tell);
	mgr_timer_stop(&c->sweep);
	while (!LIST_EMPTY(&c->targets))
		mgr_target_free(LIST_FIRST(&c->targets));
	mgr_buf_fini(&c->meta);
	c->loop = NULL;
}

static bool
is_listed(const struct mgr_hub_table *table, const char *lane_path)
{
	for (size_t i = 0; i < table->worker_n; i++)
		if (strcmp(table->worker[i].lane, lane_path) == 0)
			return true;
	return false;
}

void
mgr_caller_table_changed(struct mgr_caller *c)
{
	struct mgr_target *t, *next;

	for (t = LIST_FIRST(&c->targets); t != NULL; t = next) {
		next = LIST_NEXT(t, entry);
		if (t->up && t->in_flight == 0 && t->waiting_n == 0 && !is_listed(c->hub->table, t->lane_path))
			mgr_target_free(t);
	}
}

size_t
mgr_caller_workers(const struct mgr_caller *c, const char *name, size_t name_n)
{
	size_t first;

	return c->hub == NULL ? 0 : mgr_hub_table_find(c->hub->table, name, name_n, &first);
}

/* One candidate: its target, connected on first use.  NULL when it cannot be reached. */
static struct mgr_target *
reach(struct mgr_caller *c, const char *lane_path, int *ret_r)
{
	struct mgr_target *t = mgr_target_find(c, lane_path);

	return t != NULL ? t : mgr_target_new(c, lane_path, ret_r);
}

int
mgr_caller_choose(struct mgr_caller *c, const char *name, size_t name_n, const struct mgr_target *avoid,
		  struct mgr_target **ret_target)
{
	const struct mgr_hub_table *table = c->hub->table;
	struct mgr_target *best = NULL;
	size_t first, n = mgr_hub_table_find(table, name, name_n, &first);
	int r = n == 0 ? -ENOENT : -ECONNREFUSED;

	for (size_t i = 0; i < n; i++) {
		const char *lane_path = table->worker[first + i].lane;
		int why = 0;
		/* One that is dying may still let us connect: its second death would be the end of the call. */
		if (lane_path[0] == '\0' || (avoid != NULL && strcmp(lane_path, avoid->lane_path) == 0))
			continue; /* no lane: registered, but its worker is away */
		struct mgr_target *t = reach(c, lane_path, &why);
		if (t == NULL || t->link.broken)
			continue;
		if (best == NULL || t->in_flight + t->waiting_n < best->in_flight + best->waiting_n)
			best = t;
	}
	if (best == NULL)
		return r;
	*ret_target = best;
	return 0;
}

static void
late(struct mgr_timer *t)
{
	struct mgr_call *call = MGR_CONTAINER(t, struct mgr_call, timer);
	int64_t now_ns = mgr_now_ns();

	/* A transfer is judged by its stalls: gigabytes may take longer than an answer. */
	if ((!call->ended || call->head_seen) && call->moved_ns + call->time_ns > call->deadline_ns)
		call->deadline_ns = call->moved_ns + call->time_ns;
	if (now_ns < call->deadline_ns + LATE_NS &&
	    mgr_timer_start(t, call->caller->loop, call->deadline_ns + LATE_NS, late) == 0)
		return;
	mgr_call_finish(call, MGR_OUT_TIMEOUT, 0);
}

static int
begin(struct mgr_caller *c, struct mgr_target *t, struct mgr_call *call, const struct mgr_call_request *req,
      const struct mgr_call_ops *ops, size_t *ret_taken)
{
	void *user = call->user;

	mgr_assert(call->caller == NULL);
	if (req->meta_n > UINT32_MAX)
		return -EMSGSIZE;
	*call = (struct mgr_call){.user = user, .ops = ops, .caller = c, .slot = -1, .ended = req->end,
				  .flags = req->flags, .body_n = req->body_n, .meta_n = (uint32_t)req->meta_n,
				  .deadline_ns = req->deadline_ns, .moved_ns = mgr_loop_now(c->loop)};
	call->time_ns = req->deadline_ns - call->moved_ns;
	if (req->name != NULL)
		memcpy(call->name, req->name, req->name_n);
	int r = mgr_target_add(t, call, req->meta, req->meta_n, req->body, req->first_n, ret_taken);
	if (r == 0)
		r = mgr_timer_start(&call->timer, c->loop, req->deadline_ns + LATE_NS, late);
	if (r < 0) {
		if (call->target != NULL)
			mgr_target_del(t, call, 0);
		call->caller = NULL;
		return r;
	}
	if (*ret_taken < req->first_n)
		call->ended = false; /* the owner writes the rest and ends it */
	c->in_flight++;
	c->call_n++;
	return 0;
}

int
mgr_caller_submit(struct mgr_caller *c, struct mgr_call *call, const struct mgr_call_request *req,
		  const struct mgr_call_ops *ops, size_t *ret_taken)
{
	struct mgr_target *t;

	if (req->name_n > MGR_CALL_NAME_MAX)
		return -ENOENT;
	int r = mgr_caller_choose(c, req->name, req->name_n, NULL, &t);
	return r < 0 ? r : begin(c, t, call, req, ops, ret_taken);
}

int
mgr_caller_submit_to(struct mgr_caller *c, struct mgr_call *call, const char *lane_path,
		     const struct mgr_call_request *req, const struct mgr_call_ops *ops, size_t *ret_taken)
{
	struct mgr_call_request bound = *req;
	int r = 0;
	struct mgr_target *t = reach(c, lane_path, &r);

	bound.name = NULL;
	bound.name_n = 0;
	return t == NULL ? r : begin(c, t, call, &bound, ops, ret_taken);
}
