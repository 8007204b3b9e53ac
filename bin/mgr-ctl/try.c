/*
 * try: one handler, one request, no daemon.  The pool runs in this process with one replica.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"
#include "ctl.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/spawn.h"
#include "svc/pool.h"
#include "wire/frame.h"

#define AT(member) .offset = offsetof(struct try_options, member)
#define END_NS (5 * MGR_S) /* for the handler's end after its answer */

const struct mgr_opt try_options[] = {
	{.name = "mode", .type = MGR_OPT_TEXT, .arg = "MODE", AT(mode), .fallback = "frame",
	 .help = "frame, packet, line, filter, exec or cgi"},
	{.name = "include", .letter = 'i', .type = MGR_OPT_FLAG, AT(include),
	 .help = "print status and headers before the body"},
	{.name = "route", .type = MGR_OPT_TEXT, .arg = "ROUTE", AT(route),
	 .help = "'[METHOD ]PATTERN' that gives the params of PATH"},
	{.name = "header", .letter = 'H', .type = MGR_OPT_LIST, .arg = "NAME:VALUE", AT(head.headers),
	 .help = "a header of the request; may be repeated"},
	{.name = "type", .type = MGR_OPT_TEXT, .arg = "TYPE", AT(head.type), .help = "content type of the body"},
	{.name = "env", .type = MGR_OPT_LIST, .arg = "K=V", AT(env),
	 .help = "set a variable for the handler; may be repeated"},
	{.name = "timeout", .type = MGR_OPT_DURATION, .arg = "TIME", AT(timeout_ns), .fallback = "120s",
	 .min = MGR_MS, .max = (uint64_t)(86400 * MGR_S), .help = "deadline of the request"},
	{.name = "start-time", .type = MGR_OPT_DURATION, .arg = "TIME", AT(start_ns), .fallback = "10s",
	 .min = MGR_MS, .max = (uint64_t)(3600 * MGR_S), .help = "time until READY"},
	{.name = "log-level", .type = MGR_OPT_TEXT, .arg = "LEVEL", AT(log_level), .fallback = "info",
	 .help = "error, warn, info or debug; what the handler writes on stderr is info"},
	CTL_OPTION_HELP,
	MGR_OPT_END,
};

struct trial {
	struct try_options o;
	struct mgr_loop *loop;
	struct mgr_pool *pool;
	struct mgr_task task;
	struct input in;
	struct mgr_timer refill;
	struct mgr_buf meta, message;
	char path[PATH_MAX], runtime_dir[MGR_PATH_MAX];
	char **env;
	const char *method, *target;
	bool started, ended, stopped;
	int exit;
};

static void
end(struct trial *t, int code)
{
	if (t->ended)
		return;
	t->ended = true;
	t->exit = code;
}

/* Makes body bytes wait and says so to the pool. */
static void
refill(struct mgr_timer *timer)
{
	struct trial *t = MGR_CONTAINER(timer, struct trial, refill);

	if (t->ended || t->task.body_end || input_more(&t->in) == -EAGAIN)
		return;
	if (t->in.error < 0) {
		ctl_complain("cannot read the body: %s", mgr_log_errno(t->in.error));
		mgr_pool_cancel(&t->task, "client");
		end(t, MGR_EXIT_FAILED);
		return;
	}
	t->task.body_end = t->in.end;
	mgr_pool_body(&t->task);
}

static void
input_ready(struct input *in)
{
	refill(&MGR_CONTAINER(in, struct trial, in)->refill);
}

static size_t
body(struct mgr_task *task, struct iovec iov[2])
{
	struct trial *t = task->user;

	iov[0] = (struct iovec){.iov_base = mgr_buf_p(&t->in.buf), .iov_len = mgr_buf_n(&t->in.buf)};
	iov[1] = (struct iovec){0};
	return iov[0].iov_len;
}

static void
body_take(struct mgr_task *task, size_t n)
{
	struct trial *t = task->user;

	mgr_buf_take(&t->in.buf, n);
	/* Not now: the pool is in the middle of something. */
	if (mgr_buf_n(&t->in.buf) == 0 && !task->body_end)
		mgr_timer_start(&t->refill, t->loop, 0, refill);
}

static size_t
room(struct mgr_task *task)
{
	(void)task;
	return SIZE_MAX;
}

static void
head(struct mgr_task *task, unsigned status, const char *meta, size_t meta_n, uint64_t body_n)
{
	struct trial *t = task->user;
	size_t n = meta_n > 0 && meta[meta_n - 1] == '\n' ? meta_n - 1 : meta_n;

	(void)body_n;
	t->exit = head_exit(MGR_OUT_OK, status);
	if (t->o.include)
		head_print(status, meta, n);
	if (status >= 400)
		head_message(meta, n, &t->message);
}

static void
data(struct mgr_task *task, const void *p, size_t n)
{
	(void)task;
	ctl_write(p, n);
}

static void
done(struct mgr_task *task, enum mgr_outcome outcome, const char *message, int64_t retry_ns)
{
	struct trial *t = task->user;

	(void)retry_ns;
	if (mgr_buf_n(&t->message) > 0)
		ctl_complain("%s", ctl_text(mgr_buf_str(&t->message)));
	else if (outcome != MGR_OUT_OK)
		ctl_complain("%s", message != NULL ? ctl_text(message) : mgr_outcome_row(outcome)->text);
	end(t, outcome == MGR_OUT_OK ? t->exit : head_exit(outcome, 0));
}

static void
started(struct mgr_task *task)
{
	((struct trial *)task->user)->started = true;
}

static const struct mgr_task_ops task_ops = {
	.body = body, .body_take = body_take, .room = room, .head = head, .data = data, .done = done,
	.started = started,
};

/* A handler that ends before READY will do so again: say why now. */
static void
changed(struct mgr_pool *pool)
{
	struct trial *t = mgr_pool_user(pool);
	struct mgr_pool_stats stats;

	mgr_pool_get_stats(pool, &stats);
	if (t->started || t->ended || (stats.state != MGR_POOL_BACKOFF && stats.state != MGR_POOL_FAILED))
		return;
	ctl_complain("%s", stats.why[0] != '\0' ? ctl_text(stats.why) : "the handler ended before READY");
	end(t, MGR_EXIT_FAILED);
}

static void
stopped(struct mgr_pool *pool)
{
	((struct trial *)mgr_pool_user(pool))->stopped = true;
}

static const struct mgr_pool_ops pool_ops = {.changed = changed, .stopped = stopped};

static bool
is_method(const char *word)
{
	size_t n = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return n > 0 && word[n] == '\0' && n < 16;
}

/* The last two words are METHOD and PATH when they look so. */
static int
take_request(struct trial *t, int argc, char **argv)
{
	t->method = "POST";
	t->target = "/try";
	if (argc >= 3 && is_method(argv[argc - 2]) && argv[argc - 1][0] == '/') {
		t->method = argv[argc - 2];
		t->target = argv[argc - 1];
		argc -= 2;
	}
	argv[argc] = NULL;
	return argc;
}

static int
find_program(struct trial *t, char **argv)
{
	int r = mgr_spawn_find(argv[0], t->path, sizeof(t->path));

	if (r < 0) {
		ctl_complain("%s: %s", ctl_text(argv[0]), r == -ENOENT ? "command not found" :
			     r == -EACCES ? "not an executable file" : mgr_log_errno(r));
		return (int)mgr_exit_by_errno(r);
	}
	argv[0] = t->path;
	return MGR_EXIT_OK;
}

static int
check_options(struct trial *t, const struct ctl_verb *v)
{
	const struct mgr_regopt as_registered = {.mode = t->o.mode, .env = t->o.env};
	int level = mgr_log_level_by_name(t->o.log_level);
	char err[256];

	if (level < 0)
		return ctl_usage_error(v, "--log-level takes error, warn, info or debug");
	mgr_log_init("mgr-ctl", (enum mgr_log_level)level);
	if (mgr_regopt_check(&as_registered, err, sizeof(err)) < 0 ||
	    try_request(&t->o, t->method, t->target, t->in.n, &t->meta, err, sizeof(err)) < 0)
		return ctl_usage_error(v, "%s", err);
	if (mgr_buf_n(&t->meta) > MGR_FRAME_META_MAX)
		return ctl_usage_error(v, "the head of the request is too large");
	return MGR_EXIT_OK;
}

static int
open_pool(struct trial *t, char **argv)
{
	const struct mgr_regopt as_registered = {.mode = t->o.mode};
	struct mgr_pool_conf conf = {
		.quiet = true,
		.name = "try", .mode = mgr_regopt_mode(&as_registered), .argv = argv, .env = t->env, .replicas = 1,
		.timeout_ns = t->o.timeout_ns, .queue_ns = t->o.timeout_ns, .start_ns = t->o.start_ns,
		.drain_ns = MGR_S, .grace_ns = MGR_S, .runtime_dir = t->runtime_dir};

	t->env = calloc(t->o.env.n + 1, sizeof(*t->env));
	if (t->env == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < t->o.env.n; i++)
		t->env[i] = (char *)(uintptr_t)t->o.env.item[i];
	conf.env = t->env;
	if (mgr_paths_runtime(t->runtime_dir) < 0)
		conf.runtime_dir = NULL;
	int r = mgr_pool_new(&t->pool, t->loop, &conf, &pool_ops, t);
	return r < 0 ? r : mgr_pool_start(t->pool);
}

/* The request, then the orderly end of the handler: 0 or -errno. */
static int
drive(struct trial *t)
{
	t->task = (struct mgr_task){
		.user = t, .ops = &task_ops, .meta = mgr_buf_p(&t->meta), .meta_n = mgr_buf_n(&t->meta),
		.body_n = t->in.n == UINT64_MAX ? MGR_POOL_UNKNOWN : t->in.n,
		.deadline_ns = mgr_now_ns() + t->o.timeout_ns};
	int r = mgr_pool_submit(t->pool, &t->task);
	if (r == 0)
		refill(&t->refill);
	/* The task ends soon after its deadline at the latest. */
	while (r == 0 && !t->ended)
		r = mgr_loop_turn(t->loop, -1);
	if (t->task.pool != NULL)
		mgr_pool_cancel(&t->task, "client");
	if (r < 0)
		return r;
	int64_t end_ns = mgr_now_ns() + END_NS;
	mgr_pool_drain(t->pool);
	while (!t->stopped && mgr_now_ns() < end_ns && r == 0)
		r = mgr_loop_turn(t->loop, end_ns - mgr_now_ns());
	return r;
}

static int
run(struct trial *t, const struct ctl_verb *v, int argc, char **argv)
{
	argc = take_request(t, argc, argv);
	int status = find_program(t, argv);

	if (status != MGR_EXIT_OK)
		return status;
	int r = mgr_loop_new(&t->loop);
	/* A person who asks for a page does not want to be asked for a body. */
	if (r == 0 && isatty(STDIN_FILENO) && strcmp(t->method, "GET") == 0)
		r = input_text(&t->in, t->loop, "", 0);
	else if (r == 0)
		input_fd(&t->in, t->loop, STDIN_FILENO, input_ready);
	if (r == 0) {
		status = check_options(t, v);
		if (status != MGR_EXIT_OK)
			return status;
		r = open_pool(t, argv);
	}
	if (r == 0)
		r = drive(t);
	if (r < 0) {
		ctl_complain("%s", r == -EINVAL ? "this mode cannot carry the request" : mgr_log_errno(r));
		return MGR_EXIT_FAILED;
	}
	return t->exit;
}

int
ctl_try(const struct ctl_verb *v, int argc, char **argv)
{
	static struct trial t;
	int status = ctl_options(v, &t.o, &argc, &argv);

	if (status != CTL_NO_OPTIONS)
		return status;
	status = run(&t, v, argc, argv);
	mgr_timer_stop(&t.refill);
	mgr_pool_free(t.pool);
	input_fini(&t.in);
	mgr_loop_free(t.loop);
	mgr_buf_fini(&t.meta);
	mgr_buf_fini(&t.message);
	free(t.env);
	return status;
}
