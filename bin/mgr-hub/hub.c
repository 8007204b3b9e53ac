#include "hub.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/io.h"

struct hub the_hub = {.lock_fd = -1};

static bool
has_started(const struct unit *u)
{
	if (u->role != UNIT_KEPT)
		return true;
	return unit_is_joined(u) ? u->worker->state != WORKER_STARTING : u->pid == 0;
}

static void
ready_step(struct hub *h)
{
	const struct unit *u;
	int64_t left_ns = h->started_ns + h->opt->ready_ns - mgr_now_ns();

	if (h->is_ready || !h->settled)
		return;
	TAILQ_FOREACH(u, &h->units, link) {
		if (has_started(u) || left_ns <= 0)
			continue;
		hub_wake_in(h, left_ns);
		return;
	}
	h->is_ready = true;
	event_add(h, MGR_INFO, "hub-ready", "", "workers=%zu", h->registry.n);
	mgr_prog_notify("READY=1");
}

/* The one round through the rooms; each looks at what is true now, not at what happened. */
static void
hub_work(struct mgr_timer *t)
{
	struct hub *h = MGR_CONTAINER(t, struct hub, work);

	adopt_step(h);
	asks_step(h);
	if (h->settled)
		table_publish(h);
	ready_step(h);
	stop_step(h);
}

void
hub_wake(struct hub *h)
{
	if (!mgr_timer_is_on(&h->work))
		mgr_timer_start(&h->work, h->loop, 0, hub_work);
}

static void
on_clock(struct mgr_timer *t)
{
	hub_wake(MGR_CONTAINER(t, struct hub, clock));
}

void
hub_wake_in(struct hub *h, int64_t ns)
{
	int64_t at_ns = mgr_now_ns() + ns;

	if (!mgr_timer_is_on(&h->clock) || h->clock.at_ns > at_ns)
		mgr_timer_start(&h->clock, h->loop, at_ns, on_clock);
}

static int
fail(const char *what, int r)
{
	mgr_log(MGR_ERR, "start-failed", "what=\"%s\" why=%s", what, mgr_log_str(mgr_log_errno(r)));
	return MGR_EXIT_FAILED;
}

static int
take_lock(struct hub *h)
{
	char path[MGR_PATH_MAX];
	pid_t pid = 0;
	int fd = mgr_paths_join(path, h->prog->runtime_dir, "hub.lock");

	if (fd == 0)
		fd = mgr_file_lock(path, &pid);
	if (fd == -EEXIST) {
		mgr_log(MGR_ERR, "start-failed", "what=\"another mgr-hub runs\" pid=%d lock=%s", (int)pid,
			mgr_log_str(path));
		return MGR_EXIT_CONFLICT;
	}
	if (fd < 0)
		return fail("lock", fd);
	h->lock_fd = fd;
	return 0;
}

static void
init(struct hub *h, struct mgr_prog *p)
{
	*h = (struct hub){.prog = p, .loop = p->loop, .opt = &hub_values, .lock_fd = -1};
	h->started_ns = mgr_now_ns();
	h->since_wall_ns = mgr_wall_ns();
	LIST_INIT(&h->clients);
	TAILQ_INIT(&h->units);
	TAILQ_INIT(&h->asks);
	LIST_INIT(&h->pokes);
	registry_init(&h->registry);
	table_init(&h->table);
}

static void
init_calls(struct hub *h)
{
	mgr_links_init(&h->links, h->loop, &mgr_links_standard, false);
	mgr_caller_init(&h->caller, h->loop, NULL, &h->links);
}

/* Who lives, who is stored, and only then: who is missing. */
static int
load(struct hub *h)
{
	int r = adopt_scan(h);

	if (r < 0)
		return fail("runtime folder", r);
	r = store_load(h);
	return r < 0 ? fail("stored registrations", r) : 0;
}

static void
start_missing(struct hub *h)
{
	struct unit *u;

	TAILQ_FOREACH(u, &h->units, link)
		if (u->role == UNIT_KEPT && u->pid == 0)
			unit_start(u);
}

int
hub_open(struct mgr_prog *p, int argc, char **argv)
{
	struct hub *h = &the_hub;
	char path[MGR_PATH_MAX];

	(void)argv;
	if (argc > 0) {
		mgr_log(MGR_ERR, "start-failed", "what=\"no operands are expected\"");
		return MGR_EXIT_USAGE;
	}
	init(h, p);
	int status = take_lock(h);
	if (status != 0)
		return status;
	/* Workers must find the same folders, whatever ours were derived from. */
	setenv("MGR_RUNTIME_DIR", p->runtime_dir, 1);
	if (p->state_dir[0] != '\0')
		setenv("MGR_STATE_DIR", p->state_dir, 1);
	init_calls(h);
	int r = mgr_child_reap_orphans(h->loop);
	if (r < 0)
		return fail("reaping", r);
	status = load(h);
	if (status != 0)
		return status;
	r = mgr_paths_join(path, p->runtime_dir, "hub.sock");
	if (r == 0)
		r = mgr_ctl_listen(&h->server, h->loop, path, "mgr-hub", hub_verbs, h);
	if (r < 0)
		return fail("hub.sock", r);
	adopt_poke(h);
	start_missing(h);
	hub_wake(h);
	return 0;
}

/* Processes that still run are left alone: the next hub finds them. */
static void
forget_units(struct hub *h)
{
	while (!TAILQ_EMPTY(&h->units)) {
		struct unit *u = TAILQ_FIRST(&h->units);
		mgr_child_fini(&u->child);
		u->pid = 0;
		unit_free(u);
	}
}

static void
drop_lock(struct hub *h)
{
	char path[MGR_PATH_MAX];

	if (h->lock_fd < 0)
		return;
	if (mgr_paths_join(path, h->prog->runtime_dir, "hub.lock") == 0)
		unlink(path); /* while we hold it, so nobody else's goes */
	mgr_close(&h->lock_fd);
}

void
hub_fini(struct mgr_prog *p)
{
	struct hub *h = &the_hub;

	(void)p;
	if (h->prog == NULL)
		return;
	bool orderly = h->stopping && TAILQ_EMPTY(&h->units);
	asks_fini(h, "the hub is stopping");
	adopt_fini(h);
	clients_free(h);
	forget_units(h);
	mgr_ctl_server_fini(&h->server);
	if (h->caller.loop != NULL) {
		mgr_caller_fini(&h->caller);
		mgr_links_fini(&h->links);
		mgr_child_reap_fini();
	}
	mgr_timer_stop(&h->work);
	mgr_timer_stop(&h->clock);
	if (orderly)
		store_fini(h);
	drop_lock(h);
	table_fini(&h->table);
	events_fini(&h->events);
	h->prog = NULL;
}
