#include "up.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"
#include "config.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/io.h"
#include "os/log.h"
#include "svc/prog.h"

#define DRAIN_NS (30 * MGR_S)     /* of mgr-httpd, when its options do not say */
#define STOP_NS (30 * MGR_S)      /* beyond its drain time */
#define HUB_STOP_NS (3600 * MGR_S) /* its workers have drain times of their own */

struct up_values {
	struct ctl_common common;
	const char *file;
	bool no_http;
};

const struct mgr_opt up_options[] = {
	{.name = "file", .letter = 'f', .type = MGR_OPT_TEXT, .arg = "FILE",
	 .offset = offsetof(struct up_values, file),
	 .help = "register what the lines of FILE say, as behind mgr-ctl register"},
	{.name = "no-http", .type = MGR_OPT_FLAG, .offset = offsetof(struct up_values, no_http),
	 .help = "start no mgr-httpd"},
	CTL_OPTION_HELP,
	MGR_OPT_END,
};

/* How many words an option of ours takes at word; 0 = it is none of ours. */
static int
own_words(const char *word)
{
	if (strcmp(word, "-f") == 0 || strcmp(word, "--file") == 0)
		return 2;
	return strncmp(word, "--file=", 7) == 0 || (strncmp(word, "-f", 2) == 0 && word[2] != '\0') ||
	       strcmp(word, "--no-http") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Reads our options and leaves the others in rest: how many, or the negative exit code. */
static int
split_options(const struct ctl_verb *v, struct up_values *o, int argc, char **argv, char **rest)
{
	char err[256];
	int rest_n = 0;

	for (int i = 1; i < argc; i++) {
		int n = own_words(argv[i]);
		if (n == 0) {
			rest[rest_n++] = argv[i];
			continue;
		}
		n = n > argc - i ? argc - i : n;
		/* The word before ours plays the program's name. */
		if (mgr_opt_parse(v->options, o, n + 1, argv + i - 1, err, sizeof(err)) < 0)
			return -ctl_usage_error(v, "%s", err);
		i += n - 1;
	}
	if (o->no_http && rest_n > 0)
		return -ctl_usage_error(v, "with --no-http nobody takes \"%.64s\"", rest[0]);
	return rest_n;
}

/* The time that --drain gives to mgr-httpd. */
static int64_t
drain_of(char **rest, int n)
{
	int64_t ns, found = DRAIN_NS;

	for (int i = 0; i < n; i++) {
		const char *text = strncmp(rest[i], "--drain=", 8) == 0 ? rest[i] + 8 :
				   strcmp(rest[i], "--drain") == 0 && i + 1 < n ? rest[i + 1] : NULL;
		if (text != NULL && mgr_num_parse_duration(text, &ns) == 0)
			found = ns;
	}
	return found;
}

static void
say_ready(struct up *up)
{
	MGR_AUTO_BUF struct mgr_buf line = {0};

	if (up->is_ready)
		return;
	up->is_ready = true;
	if (up->url[0] != '\0') {
		mgr_buf_addf(&line, "%s\n", up->url);
		/* Whoever started us may not care to read it. */
		mgr_write_all(STDOUT_FILENO, mgr_buf_p(&line), mgr_buf_n(&line));
	}
	mgr_log(MGR_INFO, "ready", "listen=%s", up->url[0] != '\0' ? up->url : "none");
	mgr_prog_notify("READY=1");
}

void
up_child_is_ready(struct up_child *c, const char *listen)
{
	struct up *up = c->up;
	bool again = c->was_ready;

	c->ready = c->was_ready = true;
	if (c == &up->hub && again)
		up->hub_is_new = true;
	if (listen == NULL || up->url[0] != '\0')
		return;
	snprintf(up->url, sizeof(up->url), "%s", listen);
	/* Clients know this port by now: the next mgr-httpd takes it again. */
	const char *address = strstr(listen, "://");
	if (address != NULL)
		up_child_append(c, "--listen", address + 3);
}

void
up_step(struct up *up)
{
	if (up_child_stop(&up->httpd, false) || up_child_stop(&up->hub, false))
		return;
	up->over = true;
}

void
up_stop(struct up *up, int status, bool urge)
{
	if (!up->stopping) {
		up->stopping = true;
		up->status = status;
		mgr_prog_notify("STOPPING=1");
	} else if (urge) {
		(void)(up_child_stop(&up->httpd, true) || up_child_stop(&up->hub, true));
	}
	up_step(up);
}

static void
on_term(struct mgr_signal *s)
{
	up_stop(MGR_CONTAINER(s, struct up, term), MGR_EXIT_OK, true);
}

static void
on_interrupt(struct mgr_signal *s)
{
	up_stop(MGR_CONTAINER(s, struct up, interrupt), MGR_EXIT_OK, true);
}

/* The terminal went away: nobody could stop us any more. */
static void
on_hangup(struct mgr_signal *s)
{
	up_stop(MGR_CONTAINER(s, struct up, hangup), MGR_EXIT_OK, false);
}

static void
status_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	const struct up *up = c->server->user;
	char since[MGR_CLOCK_TEXT_MAX], meta[256];

	mgr_clock_text(since, up->since_wall_ns);
	snprintf(meta, sizeof(meta),
		 "{\"name\":\"mgr-ctl\",\"pid\":%d,\"state\":\"%s\",\"since\":\"%s\",\"version\":\"%s\"}", (int)getpid(),
		 up->stopping ? "draining" : up->is_ready ? "ready" : "starting", since, PACKAGE_VERSION);
	mgr_ctl_reply(c, req->id, meta, NULL, 0);
}

static void
shutdown_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	mgr_ctl_reply(c, req->id, NULL, NULL, 0);
	up_stop(c->server->user, MGR_EXIT_OK, false);
}

static const struct mgr_ctl_verb verbs[] = {
	{.name = "status", .fn = status_verb, .help = "how it is"},
	{.name = "shutdown", .fn = shutdown_verb, .help = "drain and stop everything"},
	{.name = NULL},
};

/* From the first start to the last end: the exit code. */
static int
run(struct up *up)
{
	up_child_begin(&up->hub);
	if (up->with_http)
		up_child_begin(&up->httpd);
	if (!up->stopping) {
		int status = up_file_register(&up->file, up->loop, &up->stopping);
		if (status != MGR_EXIT_OK)
			up_stop(up, status, false);
	}
	if (!up->stopping)
		say_ready(up);
	while (!up->over) {
		if (mgr_loop_turn(up->loop, -1) < 0)
			up_stop(up, MGR_EXIT_FAILED, true);
		/* A new hub knows what is stored and who lives; what FILE says is ours to tell. */
		if (up->hub_is_new && !up->stopping) {
			up->hub_is_new = false;
			up_file_restore(&up->file, up->loop, &up->stopping);
		}
	}
	return up->status;
}

static int
watch_signals(struct up *up)
{
	struct sigaction sa;
	int r = mgr_signal_start(&up->term, up->loop, SIGTERM, on_term);

	if (r == 0)
		r = mgr_signal_start(&up->interrupt, up->loop, SIGINT, on_interrupt);
	/* nohup(1) means it. */
	if (r == 0 && sigaction(SIGHUP, NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
		r = mgr_signal_start(&up->hangup, up->loop, SIGHUP, on_hangup);
	return r;
}

static int
take_lock(struct up *up)
{
	char path[MGR_PATH_MAX];
	pid_t holder = 0;
	int r = mgr_paths_join(path, up->dir, "up.lock");

	if (r == 0)
		r = up->lock_fd = mgr_file_lock(path, &holder);
	if (r == -EEXIST)
		ctl_complain("mgr-ctl up runs already (pid %d)", (int)holder);
	else if (r < 0)
		ctl_complain("%s: %s", path, mgr_log_errno(r));
	return r < 0 ? (int)mgr_exit_by_errno(r) : MGR_EXIT_OK;
}

static int
open_up(struct up *up)
{
	char path[MGR_PATH_MAX];
	int status = ctl_path(up->notify_path, "up.notify");

	if (status != MGR_EXIT_OK)
		return status;
	int r = mgr_paths_runtime(up->dir);
	if (r == 0)
		r = mgr_file_mkdir(up->dir, 0700);
	if (r < 0) {
		ctl_complain("%s: %s", up->dir, mgr_log_errno(r));
		return MGR_EXIT_FAILED;
	}
	status = take_lock(up);
	if (status != MGR_EXIT_OK)
		return status;
	r = mgr_loop_new(&up->loop);
	if (r == 0)
		r = watch_signals(up);
	if (r == 0)
		r = up_notify_open(up);
	if (r == 0)
		r = up_child_environment(up);
	if (r == 0)
		r = mgr_paths_join(path, up->dir, "up.sock");
	if (r == 0)
		r = mgr_ctl_listen(&up->server, up->loop, path, "mgr-ctl", verbs, up);
	if (r < 0)
		ctl_complain("cannot start: %s", mgr_log_errno(r));
	return r < 0 ? MGR_EXIT_FAILED : MGR_EXIT_OK;
}

static void
close_up(struct up *up)
{
	char path[MGR_PATH_MAX];

	up_child_fini(&up->httpd);
	up_child_fini(&up->hub);
	mgr_ctl_server_fini(&up->server);
	up_notify_close(up);
	mgr_signal_stop(&up->term);
	mgr_signal_stop(&up->interrupt);
	mgr_signal_stop(&up->hangup);
	up_file_fini(&up->file);
	if (up->envp != NULL)
		free(up->envp[0]);
	free(up->envp);
	mgr_loop_free(up->loop);
	if (up->lock_fd >= 0 && mgr_paths_join(path, up->dir, "up.lock") == 0)
		unlink(path); /* while we hold it */
	mgr_close(&up->lock_fd);
}

int
ctl_up(const struct ctl_verb *v, int argc, char **argv)
{
	static struct up up = {.lock_fd = -1, .notify_fd = -1};
	struct up_values o = {0};
	char **rest = calloc((size_t)argc + 1, sizeof(*rest));
	int n = rest == NULL ? -MGR_EXIT_FAILED : split_options(v, &o, argc, argv, rest);
	int status = n < 0 ? -n : MGR_EXIT_OK;

	if (status == MGR_EXIT_OK && o.common.help) {
		free(rest);
		ctl_usage(v, stdout);
		printf("\nEvery other option goes to mgr-httpd as it stands; mgr-httpd --help lists them.\n");
		return ctl_flush(MGR_EXIT_OK);
	}
	mgr_log_init("mgr-ctl", MGR_INFO);
	up.with_http = !o.no_http;
	up.since_wall_ns = mgr_wall_ns();
	if (status == MGR_EXIT_OK && o.file != NULL)
		status = up_file_read(&up.file, o.file);
	if (status == MGR_EXIT_OK)
		status = up_child_init(&up.hub, &up, "mgr-hub", NULL, 0, HUB_STOP_NS);
	if (status == MGR_EXIT_OK && up.with_http)
		status = up_child_init(&up.httpd, &up, "mgr-httpd", rest, n, drain_of(rest, n) + STOP_NS);
	if (status == MGR_EXIT_OK)
		status = open_up(&up);
	if (status == MGR_EXIT_OK)
		status = run(&up);
	close_up(&up);
	free(rest);
	return status;
}
