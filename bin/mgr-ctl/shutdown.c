/*
 * shutdown: asks who stands at the top to stop, and waits until it is gone.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/auto.h"
#include "base/num.h"
#include "ctl.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/log.h"

struct shutdown_options {
	struct ctl_common common;
	int64_t timeout_ns;
};

const struct mgr_opt shutdown_options[] = {
	{.name = "timeout", .type = MGR_OPT_DURATION, .arg = "TIME", .fallback = "120s",
	 .offset = offsetof(struct shutdown_options, timeout_ns), .min = MGR_MS,
	 .max = (uint64_t)(86400 * MGR_S), .help = "how long to wait for requests and calls in flight"},
	CTL_OPTION_HELP,
	MGR_OPT_END,
};

/* mgr-ctl up stops the two below by itself, in this order. */
static const struct {
	const char *socket, *name;
} tops[] = {{"up.sock", "mgr-ctl up"}, {"httpd.sock", "mgr-httpd"}, {"hub.sock", "mgr-hub"}};

/* One daemon that is asked to stop. */
struct stopping {
	struct mgr_ctl_client client;
	struct mgr_child process;
	struct mgr_loop *loop;
	const char *name;
	bool gone;    /* the connection ended */
	bool refused;
};

static void
process_ended(struct mgr_child *c, int status)
{
	(void)c;
	(void)status;
}

static void
greeted(struct stopping *s, const struct mgr_ctl_answer *a)
{
	struct mgr_json value;
	int64_t pid = 0;

	/* The number is that of the process at the other end: it lives while the connection does. */
	if (a->meta.n > 0 && mgr_json_get(&a->meta, "pid", &value) && mgr_json_int(&value, 1, INT32_MAX, &pid) == 0)
		mgr_child_adopt(&s->process, s->loop, (pid_t)pid, process_ended);
	if (mgr_ctl_ask(&s->client, "shutdown", NULL, NULL, 0, NULL) < 0)
		s->gone = true;
}

static void
event(struct mgr_ctl_client *client, enum mgr_ctl_event what, const struct mgr_ctl_answer *a)
{
	struct stopping *s = MGR_CONTAINER(client, struct stopping, client);

	if (what == MGR_CTL_UP)
		greeted(s, a);
	else if (what == MGR_CTL_DOWN)
		s->gone = true;
	else if (what == MGR_CTL_DONE && a->failed)
		s->refused = true;
}

/* Until the connection and the process are gone: the exit code. */
static int
wait_gone(struct stopping *s, int64_t end_ns)
{
	int r = 0;

	while (r == 0 && !s->refused && (!s->gone || s->process.pid != 0)) {
		int64_t left_ns = end_ns - mgr_now_ns();
		if (left_ns <= 0)
			break;
		r = mgr_loop_turn(s->loop, left_ns);
	}
	if (r == 0 && s->gone && s->process.pid == 0)
		return MGR_EXIT_OK;
	ctl_complain(s->refused ? "%s refuses to stop" : "%s still runs", s->name);
	return s->refused ? MGR_EXIT_FAILED : MGR_EXIT_TIMEOUT;
}

/* *ret_found is counted on when somebody was there. */
static int
stop_one(struct mgr_loop *loop, size_t i, int64_t end_ns, unsigned *ret_found)
{
	struct stopping s = {.loop = loop, .name = tops[i].name};
	char path[MGR_PATH_MAX];
	int status = ctl_path(path, tops[i].socket);

	if (status != MGR_EXIT_OK)
		return status;
	int r = mgr_ctl_open(&s.client, loop, path, event);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return MGR_EXIT_OK;
	++*ret_found;
	if (r < 0) {
		ctl_complain("%s: %s", path, mgr_log_errno(r));
		return (int)mgr_exit_by_errno(r);
	}
	status = wait_gone(&s, end_ns);
	mgr_ctl_close(&s.client);
	mgr_child_fini(&s.process);
	return status;
}

/* A mgr-ctl up that was killed leaves its files: nobody else would remove them. */
static void
sweep(void)
{
	static const char *const file[] = {"up.sock", "up.notify", "up.lock"}; /* the lock last */
	char path[MGR_PATH_MAX], dir[MGR_PATH_MAX];

	if (mgr_paths_runtime(dir) < 0 || mgr_paths_join(path, dir, "up.lock") < 0)
		return;
	if (access(path, F_OK) < 0)
		return;
	MGR_AUTO_CLOSE int fd = mgr_file_lock(path, NULL);
	for (size_t i = 0; fd >= 0 && i < MGR_N(file); i++)
		if (mgr_paths_join(path, dir, file[i]) == 0)
			unlink(path);
}

static int
stop_all(struct mgr_loop *loop, int64_t timeout_ns)
{
	int64_t end_ns = mgr_now_ns() + timeout_ns;
	unsigned found = 0;
	int status = MGR_EXIT_OK;

	for (size_t i = 0; i < MGR_N(tops) && status == MGR_EXIT_OK; i++)
		status = stop_one(loop, i, end_ns, &found);
	if (status == MGR_EXIT_OK && found == 0) {
		ctl_complain("nothing is running");
		status = MGR_EXIT_UNAVAILABLE;
	}
	sweep();
	return status;
}

int
ctl_shutdown(const struct ctl_verb *v, int argc, char **argv)
{
	struct shutdown_options o = {0};
	struct mgr_loop *loop;
	int status = ctl_options(v, &o, &argc, &argv);

	if (status != CTL_NO_OPTIONS)
		return status;
	int r = mgr_loop_new(&loop);
	if (r < 0) {
		ctl_complain("%s", mgr_log_errno(r));
		return MGR_EXIT_FAILED;
	}
	status = stop_all(loop, o.timeout_ns);
	mgr_loop_free(loop);
	return status;
}
