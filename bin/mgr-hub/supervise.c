#include "hub.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/auto.h"
#include "base/rand.h"
#include "os/clock.h"

#define MARGIN_NS MGR_S /* beyond the worker's own drain and grace */
#define FIXED_N 6       /* program, --name NAME, --log-level LEVEL, -- */

extern char **environ;

static void on_death(struct mgr_child *c, int status);

static void
on_start(struct mgr_timer *t)
{
	unit_start(MGR_CONTAINER(t, struct unit, timer));
}

static void
on_kill(struct mgr_timer *t)
{
	struct unit *u = MGR_CONTAINER(t, struct unit, timer);

	event_add(u->hub, MGR_WARN, "worker-killed", u->name, "pid=%d why=\"%s\"", (int)u->pid,
		  u->evicted ? "hung" : "did not stop in time");
	mgr_child_kill(&u->child, SIGKILL, true);
}

/* What the worker had in the runtime folder; it could not remove it itself. */
static void
remove_files(struct hub *h, pid_t pid)
{
	static const char *const suffixes[] = {"sock", "lane", "lock"};
	char file[64], path[MGR_PATH_MAX];

	for (size_t i = 0; i < MGR_N(suffixes); i++) {
		snprintf(file, sizeof(file), "worker-%d.%s", (int)pid, suffixes[i]);
		if (mgr_paths_join(path, h->prog->runtime_dir, file) == 0)
			unlink(path);
	}
}

/* Tallies a death: true when there were too many of them in a short time. */
static bool
tally(struct unit *u, int64_t now_ns)
{
	u->death_ns[u->death_n++ % HUB_DEATH_MAX] = now_ns;
	return u->death_n >= HUB_DEATH_MAX && now_ns - u->death_ns[u->death_n % HUB_DEATH_MAX] <= HUB_DEATH_NS;
}

static void
start_later(struct unit *u)
{
	const struct hub_options *opt = u->hub->opt;
	int64_t now_ns = mgr_now_ns(), delay_ns;

	if (u->was_ready && now_ns - u->started_ns >= opt->stable_ns) {
		u->tries = 0;
		u->death_n = 0;
		u->failed = false;
		delay_ns = 0;
	} else if (u->failed || tally(u, now_ns)) {
		if (!u->failed)
			event_add(u->hub, MGR_ERR, "worker-failed", u->name, "why=%s", mgr_log_str(u->why));
		u->failed = true;
		u->death_n = 0;
		delay_ns = opt->failed_retry_ns;
	} else {
		delay_ns = mgr_rand_backoff(opt->backoff_min_ns, opt->backoff_max_ns, u->tries++);
	}
	mgr_timer_start(&u->timer, u->hub->loop, now_ns + delay_ns, on_start);
}

/* The process is gone, or never came to be. */
static void
ended(struct unit *u)
{
	u->pid = 0;
	u->awaited = false;
	u->evicted = false;
	mgr_timer_stop(&u->timer);
	hub_wake(u->hub);
	switch (u->role) {
	case UNIT_TRIAL: /* its ask draws the conclusion */
		break;
	case UNIT_KEPT:
		start_later(u);
		break;
	case UNIT_GUEST:
	case UNIT_LEAVING:
		unit_free(u);
		break;
	}
}

/* What mgr-worker says with its exit status; another start would say the same. */
static const struct {
	int status;
	enum mgr_outcome outcome;
	const char *text;
} last_words[] = {
	{MGR_EXIT_USAGE, MGR_OUT_BAD_REQUEST, "mgr-worker refused its options"},
	{MGR_EXIT_NOT_FOUND, MGR_OUT_NOT_FOUND, "the command was not found"},
	{MGR_EXIT_DENIED, MGR_OUT_DENIED, "the command is not executable"},
};

static void
note_end(struct unit *u, int status, const char *text)
{
	char why[128];

	snprintf(why, sizeof(why), "mgr-worker ended: %s", text);
	for (size_t i = 0; i < MGR_N(last_words) && !u->was_ready; i++) {
		if (status < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != last_words[i].status)
			continue;
		u->refusal = last_words[i].outcome;
		snprintf(why, sizeof(why), "%s (%s)", last_words[i].text, text);
	}
	/* What the worker itself said last, and may still say, is worth more. */
	if (u->why[0] == '\0')
		unit_say(u, why);
}

static void
on_death(struct mgr_child *c, int status)
{
	struct unit *u = MGR_CONTAINER(c, struct unit, child);
	char text[64];

	mgr_child_status_text(status, text, sizeof(text));
	int left_n = mgr_child_kill_session(u->pid, SIGKILL);
	remove_files(u->hub, u->pid);
	event_add(u->hub, u->role == UNIT_LEAVING ? MGR_INFO : MGR_WARN, "worker-ended", u->name,
		  "pid=%d status=\"%s\" left=%d", (int)u->pid, text, left_n < 0 ? 0 : left_n);
	note_end(u, status, text);
	ended(u);
}

/* The hub's own environment, but a worker's READY is not ours to a service manager. */
static char **
make_env(void)
{
	size_t n = 0, at = 0;

	while (environ[n] != NULL)
		n++;
	char **env = calloc(n + 1, sizeof(char *));
	if (env == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0)
			env[at++] = environ[i];
	return env;
}

static void
add_texts(const char **argv, size_t *n, const struct mgr_doc *list)
{
	for (size_t i = 0; i < mgr_doc_n(list); i++)
		argv[(*n)++] = mgr_doc_text(mgr_doc_at(list, i));
}

static const char **
make_argv(const struct unit *u, const char *program)
{
	const struct mgr_doc *args = mgr_doc_get(u->doc, "args"), *cmd = mgr_doc_get(u->doc, "cmd");
	const char **argv = calloc(mgr_doc_n(args) + mgr_doc_n(cmd) + FIXED_N + 1, sizeof(char *));
	size_t n = 0;

	if (argv == NULL)
		return NULL;
	argv[n++] = program;
	argv[n++] = "--name";
	argv[n++] = u->name;
	if (mgr_log_level() != MGR_INFO) {
		argv[n++] = "--log-level";
		argv[n++] = u->hub->opt->common.log_level;
	}
	add_texts(argv, &n, args);
	argv[n++] = "--";
	add_texts(argv, &n, cmd);
	return argv;
}

static int
spawn(struct unit *u)
{
	char program[MGR_PATH_MAX];
	int r = mgr_paths_program(program, "mgr-worker");

	if (r < 0)
		return r;
	MGR_AUTO_FREE const char **argv = make_argv(u, program);
	MGR_AUTO_FREE char **env = make_env();
	if (argv == NULL || env == NULL)
		return -ENOMEM;
	struct mgr_spawn s = {
		.path = program,
		.argv = (char *const *)(uintptr_t)argv,
		.envp = env,
		.cwd = mgr_doc_str(u->doc, "cwd", "/"),
		.fd = {-1, STDERR_FILENO, STDERR_FILENO},
		.fd_n = 3,
		.new_session = true, /* so that all that it started can be found when it dies */
	};
	return mgr_child_start(&u->child, u->hub->loop, &s, on_death);
}

void
unit_start(struct unit *u)
{
	char why[HUB_WHY_MAX];

	mgr_assert(u->pid == 0 && u->doc != NULL);
	mgr_timer_stop(&u->timer);
	u->why[0] = '\0';
	u->was_ready = false;
	u->refusal = MGR_OUT_OK;
	u->started_ns = mgr_now_ns();
	int r = spawn(u);
	if (r < 0) {
		snprintf(why, sizeof(why), "cannot start mgr-worker in %.300s: %s", mgr_doc_str(u->doc, "cwd", "/"),
			 mgr_log_errno(r));
		event_add(u->hub, MGR_ERR, "worker-start-failed", u->name, "why=%s", mgr_log_str(why));
		unit_say(u, why);
		ended(u);
		return;
	}
	u->pid = u->child.pid;
	event_add(u->hub, MGR_INFO, "worker-started", u->name, "pid=%d", (int)u->pid);
	hub_wake(u->hub);
}

int
unit_adopt(struct unit *u, pid_t pid)
{
	int r = mgr_child_adopt(&u->child, u->hub->loop, pid, on_death);

	if (r < 0)
		return r;
	u->pid = pid;
	u->started_ns = mgr_now_ns();
	u->awaited = true;
	return 0;
}

void
unit_leave(struct unit *u)
{
	u->role = UNIT_LEAVING;
	u->awaited = false;
	u->evicted = false;
	mgr_timer_stop(&u->timer);
	if (u->worker != NULL)
		u->worker->show = SHOW_LEAVING;
	table_touch(u->hub);
}

void
unit_end(struct unit *u, bool urgent)
{
	const struct hub_options *opt = u->hub->opt;

	if (u->ending && !urgent)
		return;
	unit_leave(u);
	u->ending = true;
	if (u->pid == 0) {
		unit_free(u);
		return;
	}
	int64_t limit_ns = regdoc_duration(u->doc, "drain-time", opt->drain_ns) +
			   regdoc_duration(u->doc, "grace", opt->grace_ns) + MARGIN_NS;
	mgr_child_kill(&u->child, urgent ? SIGKILL : SIGTERM, urgent);
	mgr_child_kill(&u->child, SIGCONT, false); /* a stopped one cannot finish */
	mgr_timer_start(&u->timer, u->hub->loop, mgr_now_ns() + limit_ns, on_kill);
}

void
unit_evict(struct unit *u)
{
	if (u->role != UNIT_KEPT && u->role != UNIT_GUEST)
		return;
	u->evicted = true;
	mgr_timer_start(&u->timer, u->hub->loop, mgr_now_ns() + u->hub->opt->hung_ns, on_kill);
}
