#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"
#include "base/rand.h"
#include "os/clock.h"
#include "os/log.h"
#include "up.h"

#define BACKOFF_MIN_NS (100 * MGR_MS)
#define BACKOFF_MAX_NS (30 * MGR_S)
#define READY_NS (60 * MGR_S)  /* for the first READY */
#define STABLE_NS (10 * MGR_S) /* one that ran so long starts again with the shortest delay */

static void start_again(struct mgr_timer *t);

int
up_child_environment(struct up *up)
{
	size_t n = 0, k = 1;
	char *own;

	while (environ[n] != NULL)
		n++;
	up->envp = calloc(n + 2, sizeof(*up->envp));
	if (up->envp == NULL || asprintf(&own, "NOTIFY_SOCKET=%s", up->notify_path) < 0)
		return -ENOMEM;
	up->envp[0] = own;
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0)
			up->envp[k++] = environ[i];
	return 0;
}

int
up_child_init(struct up_child *c, struct up *up, const char *name, char **words, int n, int64_t stop_ns)
{
	int r = mgr_paths_program(c->path, name);

	c->up = up;
	c->name = name;
	c->stop_ns = stop_ns;
	if (r < 0) {
		ctl_complain("cannot find %s: %s", name, mgr_log_errno(r));
		return (int)mgr_exit_by_errno(r);
	}
	c->argv = calloc((size_t)n + 4, sizeof(*c->argv)); /* room for up_child_append */
	if (c->argv == NULL) {
		ctl_complain("out of memory");
		return MGR_EXIT_FAILED;
	}
	c->argv[c->argc++] = strdup(name);
	for (int i = 0; i < n; i++)
		c->argv[c->argc++] = strdup(words[i]);
	for (int i = 0; i < c->argc; i++)
		if (c->argv[i] == NULL)
			return MGR_EXIT_FAILED;
	return MGR_EXIT_OK;
}

void
up_child_append(struct up_child *c, const char *option, const char *value)
{
	char *a = strdup(option), *b = strdup(value);

	if (a == NULL || b == NULL) {
		free(a);
		free(b);
		return;
	}
	c->argv[c->argc++] = a;
	c->argv[c->argc++] = b;
}

void
up_child_fini(struct up_child *c)
{
	mgr_timer_stop(&c->timer);
	mgr_child_fini(&c->process);
	for (int i = 0; i < c->argc; i++)
		free(c->argv[i]);
	free(c->argv);
	c->argv = NULL;
	c->argc = 0;
}

static void
retry_later(struct up_child *c)
{
	int64_t now = mgr_now_ns();

	if (now - c->started_ns >= STABLE_NS)
		c->tries = 0;
	int64_t delay_ns = mgr_rand_backoff(BACKOFF_MIN_NS, BACKOFF_MAX_NS, c->tries++);
	mgr_timer_start(&c->timer, c->up->loop, now + delay_ns, start_again);
	mgr_log(MGR_INFO, "restart", "program=%s in_ms=%lld", c->name, (long long)(delay_ns / MGR_MS));
}

static void
ended(struct mgr_child *process, int status)
{
	struct up_child *c = MGR_CONTAINER(process, struct up_child, process);
	char text[64];

	c->ready = false;
	mgr_timer_stop(&c->timer);
	if (c->up->stopping) {
		up_step(c->up);
		return;
	}
	/* What it could not do at first it cannot do now: it has said why. */
	if (!c->was_ready && WIFEXITED(status) && WEXITSTATUS(status) != 0) {
		up_stop(c->up, WEXITSTATUS(status), false);
		return;
	}
	mgr_log(MGR_WARN, "program-ended", "program=%s end=\"%s\"", c->name,
		mgr_child_status_text(status, text, sizeof(text)));
	retry_later(c);
}

static int
start(struct up_child *c)
{
	/* A group of its own: Ctrl-C is ours to hand on, in the right order. */
	const struct mgr_spawn s = {
		.path = c->path, .argv = c->argv, .envp = c->up->envp,
		.fd = {-1, STDERR_FILENO, STDERR_FILENO}, .fd_n = 3, .new_group = true, .death_signal = SIGTERM};

	c->started_ns = mgr_now_ns();
	c->ready = false;
	int r = mgr_child_start(&c->process, c->up->loop, &s, ended);
	if (r < 0)
		ctl_complain("%s: %s", c->path, mgr_log_errno(r));
	return r;
}

void
up_child_begin(struct up_child *c)
{
	struct up *up = c->up;
	int64_t end_ns = mgr_now_ns() + READY_NS;

	if (up->stopping)
		return;
	if (start(c) < 0)
		up_stop(up, MGR_EXIT_FAILED, false);
	while (!c->ready && !up->stopping) {
		int64_t left_ns = end_ns - mgr_now_ns();
		if (left_ns > 0 && mgr_loop_turn(up->loop, left_ns) == 0)
			continue;
		ctl_complain("%s did not become ready", c->name);
		up_stop(up, MGR_EXIT_FAILED, false);
	}
}

static void
start_again(struct mgr_timer *t)
{
	struct up_child *c = MGR_CONTAINER(t, struct up_child, timer);

	if (start(c) < 0)
		retry_later(c);
}

static void
took_too_long(struct mgr_timer *t)
{
	struct up_child *c = MGR_CONTAINER(t, struct up_child, timer);

	mgr_log(MGR_WARN, "kill", "program=%s why=\"it does not stop\"", c->name);
	mgr_child_kill(&c->process, SIGKILL, false);
}

bool
up_child_stop(struct up_child *c, bool urge)
{
	if (c->process.pid == 0) {
		mgr_timer_stop(&c->timer);
		return false;
	}
	if (c->told > 0 && !urge)
		return true;
	if (c->told == 0)
		mgr_timer_start(&c->timer, c->up->loop, mgr_now_ns() + c->stop_ns, took_too_long);
	c->told++;
	mgr_child_kill(&c->process, c->told > 2 ? SIGKILL : SIGTERM, false);
	return true;
}
