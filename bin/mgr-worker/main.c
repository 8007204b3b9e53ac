#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/log.h"
#include "wire/route.h"

#define AT(member) offsetof(struct worker_options, reg.member)
#define LINGER_NS (200 * MGR_MS)

static struct worker_options options;
static struct worker self = {.options = &options, .lane_fd = -1, .lock_fd = -1};

static const struct mgr_opt table[] = {
	MGR_PROG_OPTIONS,
	{.name = "name", .type = MGR_OPT_TEXT, .arg = "NAME", .offset = offsetof(struct worker_options, name),
	 .help = "name of the handler (required)"},
	MGR_REGOPT_ROWS(AT)
	MGR_OPT_END,
};

static void
pool_changed(struct mgr_pool *pool)
{
	join_changed(mgr_pool_user(pool));
}

static void
pool_ready(struct mgr_pool *pool, const char *routes)
{
	join_ready(mgr_pool_user(pool), routes);
}

static void
pool_stopped(struct mgr_pool *pool)
{
	struct worker *w = mgr_pool_user(pool);

	mgr_prog_quit(w->prog, MGR_EXIT_OK);
}

static const struct mgr_pool_ops pool_ops = {
	.changed = pool_changed, .ready = pool_ready, .stopped = pool_stopped, .call = bus_call};

static int
open_pool(struct worker *w)
{
	struct mgr_pool_conf conf = {.name = w->options->name, .argv = w->argv,
				     .spool_dir = w->spool_dir, .runtime_dir = w->prog->runtime_dir,
				     .state_dir = w->prog->state_dir, .routes = mgr_buf_str(&w->route_lines)};

	w->env = calloc(w->options->reg.env.n + 1, sizeof(*w->env));
	if (w->env == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < w->options->reg.env.n; i++)
		w->env[i] = (char *)(uintptr_t)w->options->reg.env.item[i];
	conf.env = w->env;
	mgr_regopt_conf(&w->options->reg, &conf);
	int r = mgr_pool_new(&w->pool, w->prog->loop, &conf, &pool_ops, w);
	return r < 0 ? r : mgr_pool_start(w->pool);
}

static int
find_handler(struct worker *w, char **argv)
{
	int r = mgr_spawn_find(argv[0], w->handler_path, sizeof(w->handler_path));

	if (r < 0) {
		mgr_log(MGR_ERR, "handler-missing", "path=%s why=\"%s\"", mgr_log_str(argv[0]), mgr_log_errno(r));
		return r == -EACCES ? MGR_EXIT_DENIED : MGR_EXIT_NOT_FOUND;
	}
	argv[0] = w->handler_path;
	w->argv = argv;
	return MGR_EXIT_OK;
}

static int
check_command_line(struct worker *w, int argc, char **argv)
{
	char err[200];

	if (w->options->name == NULL || !mgr_text_is_name(w->options->name, strlen(w->options->name))) {
		mgr_log(MGR_ERR, "usage", "why=\"--name is required: 1-64 of A-Z a-z 0-9 _ . -\"");
		return MGR_EXIT_USAGE;
	}
	if (mgr_route_is_reserved(w->options->name, strlen(w->options->name))) {
		mgr_log(MGR_ERR, "usage", "why=\"the name %s is reserved\"", w->options->name);
		return MGR_EXIT_USAGE;
	}
	if (argc == 0) {
		mgr_log(MGR_ERR, "usage", "why=\"no handler: mgr-worker --name NAME -- COMMAND\"");
		return MGR_EXIT_USAGE;
	}
	if (mgr_regopt_check(&w->options->reg, err, sizeof(err)) < 0) {
		mgr_log(MGR_ERR, "usage", "why=%s", mgr_log_str(err));
		return MGR_EXIT_USAGE;
	}
	return find_handler(w, argv);
}

static int
start(struct mgr_prog *prog, int argc, char **argv)
{
	struct worker *w = &self;
	int (*const step[])(struct worker *) = {files_open, join_open, open_pool, lanes_open, control_open};
	int status;

	w->prog = prog;
	w->since_ns = mgr_wall_ns();
	LIST_INIT(&w->lanes);
	LIST_INIT(&w->free_jobs);
	LIST_INIT(&w->bus_calls);
	status = check_command_line(w, argc, argv);
	if (status != MGR_EXIT_OK)
		return status;
	mgr_links_init(&w->links, prog->loop, &mgr_links_standard, true);
	mgr_caller_init(&w->caller, prog->loop, &w->hub, &w->links);
	for (size_t i = 0; i < MGR_N(step); i++) {
		int r = step[i](w);
		if (r < 0) {
			mgr_log(MGR_ERR, "start", "why=\"%s\"", mgr_log_errno(r));
			return r == -EEXIST ? MGR_EXIT_CONFLICT : MGR_EXIT_FAILED;
		}
	}
	mgr_child_reap_orphans(prog->loop);
	return MGR_EXIT_OK;
}

static void
drain(struct mgr_timer *t)
{
	struct worker *w = MGR_CONTAINER(t, struct worker, linger);

	mgr_pool_drain(w->pool);
}

/* Callers that have not heard yet may still send: out of the table first, then drain. */
static void
stop(struct mgr_prog *prog, bool urgent)
{
	struct worker *w = &self;

	if (urgent) {
		mgr_prog_quit(prog, MGR_EXIT_OK);
		return;
	}
	join_leave(w);
	mgr_timer_start(&w->linger, prog->loop, mgr_now_ns() + LINGER_NS, drain);
}

static void
reload(struct mgr_prog *prog)
{
	(void)prog;
	mgr_pool_restart(self.pool);
}

static void
fini(struct mgr_prog *prog)
{
	struct worker *w = &self;

	(void)prog;
	mgr_timer_stop(&w->linger);
	control_close(w);
	lanes_close(w);
	bus_fini(w);
	mgr_pool_free(w->pool);
	free(w->env);
	mgr_buf_fini(&w->route_lines);
	job_fini(w);
	mgr_caller_fini(&w->caller);
	mgr_links_fini(&w->links);
	join_close(w);
	mgr_child_reap_fini();
	files_close(w);
}

static const struct mgr_prog_spec spec = {
	.name = "mgr-worker",
	.operands = "-- COMMAND [ARGUMENT]...",
	.about = "Runs a handler and serves its calls.",
	.options = table,
	.values = &options,
	.start = start,
	.stop = stop,
	.reload = reload,
	.fini = fini,
};

int
main(int argc, char **argv)
{
	return mgr_prog_main(&spec, argc, argv);
}
