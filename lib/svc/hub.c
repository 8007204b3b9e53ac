#include "svc/hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/rand.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/paths.h"

#define RETRY_MIN_NS MGR_S
#define RETRY_MAX_NS (30 * MGR_S)
#define STABLE_NS (10 * MGR_S)
/* Right after a loss the hub is most often being restarted: look often, but only for a moment. */
#define QUICK_NS (50 * MGR_MS)
#define QUICK_TRIES 40

static void event(struct mgr_ctl_client *client, enum mgr_ctl_event what, const struct mgr_ctl_answer *a);
static void connect_now(struct mgr_timer *t);

static void
retry_later(struct mgr_hub *h)
{
	int64_t delay_ns;

	if (h->tries < QUICK_TRIES)
		delay_ns = QUICK_NS / 2 + (int64_t)mgr_rand_below((uint64_t)QUICK_NS);
	else
		delay_ns = mgr_rand_backoff(RETRY_MIN_NS, RETRY_MAX_NS, h->tries - QUICK_TRIES);
	h->tries++;
	mgr_timer_start(&h->retry, h->loop, mgr_now_ns() + delay_ns, connect_now);
}

static void
connect_now(struct mgr_timer *t)
{
	struct mgr_hub *h = MGR_CONTAINER(t, struct mgr_hub, retry);
	char dir[MGR_PATH_MAX], path[MGR_PATH_MAX];
	int r = mgr_paths_runtime(dir);

	if (r == 0)
		r = mgr_paths_join(path, dir, "hub.sock");
	if (r == 0)
		r = mgr_ctl_open(&h->client, h->loop, path, event);
	if (r < 0)
		retry_later(h);
}

static void
stable(struct mgr_timer *t)
{
	MGR_CONTAINER(t, struct mgr_hub, stable)->tries = 0;
}

static void
up(struct mgr_hub *h)
{
	h->connected = true;
	mgr_timer_start(&h->stable, h->loop, mgr_now_ns() + STABLE_NS, stable);
	if (mgr_buf_n(&h->join) > 0)
		mgr_ctl_ask(&h->client, "join", mgr_buf_str(&h->join), NULL, 0, &h->join_id);
	if (h->want_table) {
		char members[64];
		snprintf(members, sizeof(members), ",\"program\":\"%s\"", program_invocation_short_name);
		mgr_ctl_ask(&h->client, "subscribe", members, NULL, 0, &h->subscribe_id);
	}
}

static void
down(struct mgr_hub *h)
{
	if (h->connected)
		mgr_log(MGR_WARN, "hub-lost", "retry=soon");
	h->connected = false;
	h->join_id = h->subscribe_id = 0;
	mgr_timer_stop(&h->stable);
	if (h->tries > QUICK_TRIES)
		h->tries = QUICK_TRIES; /* it was up: begin with the short delays again */
	retry_later(h);
}

static void
take_table(struct mgr_hub *h, const struct mgr_ctl_answer *a)
{
	struct mgr_hub_table *t;
	char members[64];
	int r = mgr_hub_table_parse(a->body, a->body_n, &t);

	if (r < 0) {
		mgr_log(MGR_ERR, "table-bad", "why=\"%s\"", mgr_log_errno(r));
		return;
	}
	mgr_hub_table_drop(h->table);
	h->table = t;
	if (h->changed != NULL)
		h->changed(h);
	snprintf(members, sizeof(members), ",\"version\":%llu", (unsigned long long)h->table->version);
	mgr_ctl_ask(&h->client, "ack", members, NULL, 0, NULL);
}

static void
take_join(struct mgr_hub *h, const struct mgr_ctl_answer *a)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};
	struct mgr_json value;
	const char *key = a->failed ? "message" : "worker_id";

	if (a->meta.n > 0 && mgr_json_get(&a->meta, key, &value))
		mgr_json_text(&value, &text);
	if (h->joined == NULL)
		return;
	if (a->failed)
		h->joined(h, NULL, mgr_buf_str(&text));
	else
		h->joined(h, mgr_buf_str(&text), NULL);
}

static void
event(struct mgr_ctl_client *client, enum mgr_ctl_event what, const struct mgr_ctl_answer *a)
{
	struct mgr_hub *h = MGR_CONTAINER(client, struct mgr_hub, client);

	if (what == MGR_CTL_UP)
		up(h);
	else if (what == MGR_CTL_DOWN)
		down(h);
	else if (a->id == h->subscribe_id && h->subscribe_id != 0 && !a->failed)
		take_table(h, a);
	else if (a->id == h->join_id && h->join_id != 0)
		take_join(h, a);
}

void
mgr_hub_retry(struct mgr_hub *h)
{
	if (h->connected)
		return;
	h->tries = 0;
	if (mgr_timer_is_on(&h->retry))
		mgr_timer_start(&h->retry, h->loop, 0, connect_now);
}

static int
begin(struct mgr_hub *h, struct mgr_loop *loop)
{
	if (h->loop != NULL)
		return 0;
	h->loop = loop;
	h->table = calloc(1, sizeof(*h->table));
	if (h->table == NULL)
		return -ENOMEM;
	h->table->refs = 1;
	return mgr_timer_start(&h->retry, loop, 0, connect_now);
}

int
mgr_hub_init(struct mgr_hub *h, struct mgr_loop *loop, void (*changed)(struct mgr_hub *))
{
	void *user = h->user;

	*h = (struct mgr_hub){.user = user, .changed = changed, .want_table = changed != NULL};
	return begin(h, loop);
}

void
mgr_hub_fini(struct mgr_hub *h)
{
	mgr_timer_stop(&h->retry);
	mgr_timer_stop(&h->stable);
	mgr_ctl_close(&h->client);
	mgr_buf_fini(&h->join);
	mgr_hub_table_drop(h->table);
	h->table = NULL;
	h->loop = NULL;
}

int
mgr_hub_join(struct mgr_hub *h, const char *members,
	     void (*joined)(struct mgr_hub *, const char *worker_id, const char *error))
{
	h->joined = joined;
	mgr_buf_clear(&h->join, SIZE_MAX);
	int r = mgr_buf_adds(&h->join, members);
	if (r == 0 && h->connected)
		r = mgr_ctl_ask(&h->client, "join", members, NULL, 0, &h->join_id);
	return r;
}

int
mgr_hub_update(struct mgr_hub *h, const char *members)
{
	mgr_buf_clear(&h->join, SIZE_MAX);
	int r = mgr_buf_adds(&h->join, members);
	if (r == 0 && h->connected && h->join_id != 0)
		r = mgr_ctl_ask(&h->client, "update", members, NULL, 0, NULL);
	return r;
}
