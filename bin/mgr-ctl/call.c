/*
 * publish and dispatch: this process is a caller like any other, with a lane of its own to the worker.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/auto.h"
#include "base/num.h"
#include "base/text.h"
#include "ctl.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/sock.h"
#include "svc/caller.h"

#define TABLE_NS (5 * MGR_S) /* until the hub has said who serves what */

struct call_options {
	struct ctl_common common;
	struct head_options head;
	int64_t timeout_ns;
	bool lines;
};

const struct mgr_opt call_options[] = {
	{.name = "timeout", .type = MGR_OPT_DURATION, .arg = "TIME", .fallback = "120s",
	 .offset = offsetof(struct call_options, timeout_ns), .min = MGR_MS, .max = (uint64_t)(86400 * MGR_S),
	 .help = "deadline of the call"},
	{.name = "type", .type = MGR_OPT_TEXT, .arg = "TYPE", .offset = offsetof(struct call_options, head.type),
	 .help = "content type of DATA"},
	{.name = "header", .letter = 'H', .type = MGR_OPT_LIST, .arg = "NAME:VALUE",
	 .offset = offsetof(struct call_options, head.headers), .help = "a header for the handler; may be repeated"},
	{.name = "lines", .type = MGR_OPT_FLAG, .offset = offsetof(struct call_options, lines),
	 .help = "each line of stdin, without its LF, is one call"},
	CTL_OPTION_HELP,
	MGR_OPT_END,
};

struct session {
	struct call_options o;
	const char *name;
	bool dispatch;
	struct mgr_loop *loop;
	struct mgr_hub hub;
	struct mgr_links links;
	struct mgr_caller caller;
	bool table_known;

	/* the call that runs */
	struct mgr_call call;
	struct input in;
	struct mgr_buf meta, message;
	bool done, ended;
	unsigned status;
	enum mgr_outcome outcome;
	uint64_t got_n;
};

static void
changed(struct mgr_hub *hub)
{
	struct session *s = hub->user;

	s->table_known = true;
	mgr_caller_table_changed(&s->caller);
}

static void
pump(struct session *s)
{
	while (!s->done && !s->ended) {
		int64_t n = input_more(&s->in);
		if (n == -EAGAIN)
			return;
		if (n == 0)
			break;
		size_t taken = mgr_call_write(&s->call, mgr_buf_p(&s->in.buf), (size_t)n);
		mgr_buf_take(&s->in.buf, taken);
		if (taken < (size_t)n)
			return; /* room() follows */
	}
	if (s->done || s->ended)
		return;
	s->ended = true;
	if (s->in.error < 0) {
		mgr_call_cancel(&s->call, 0);
		s->done = true;
		return;
	}
	mgr_call_end(&s->call);
}

static void
input_ready(struct input *in)
{
	pump(MGR_CONTAINER(in, struct session, in));
}

static void
head(struct mgr_call *call, unsigned status, const char *meta, size_t meta_n, uint64_t body_n)
{
	struct session *s = call->user;

	(void)body_n;
	s->status = status;
	if (status >= 400)
		head_message(meta, meta_n > 0 && meta[meta_n - 1] == '\n' ? meta_n - 1 : meta_n, &s->message);
}

static void
data(struct mgr_call *call)
{
	struct session *s = call->user;
	struct iovec iov[2];
	size_t n = mgr_call_data(call, iov);

	for (int i = 0; i < 2 && n > 0; i++)
		ctl_write(iov[i].iov_base, iov[i].iov_len);
	s->got_n += n;
	mgr_call_consume(call, n);
}

static void
room(struct mgr_call *call)
{
	pump(call->user);
}

static void
done(struct mgr_call *call, enum mgr_outcome outcome, int64_t retry_ms)
{
	struct session *s = call->user;

	(void)retry_ms;
	s->done = true;
	s->outcome = outcome;
}

static const struct mgr_call_ops ops = {.head = head, .data = data, .room = room, .done = done};

static int
submit(struct session *s)
{
	const struct mgr_call_request req = {
		.name = s->name, .name_n = strlen(s->name), .meta = mgr_buf_p(&s->meta),
		.meta_n = mgr_buf_n(&s->meta), .body = mgr_buf_p(&s->in.buf), .first_n = mgr_buf_n(&s->in.buf),
		.end = s->in.end, .body_n = s->in.n == UINT64_MAX ? MGR_LANE_UNKNOWN : s->in.n,
		.deadline_ns = mgr_now_ns() + s->o.timeout_ns, .flags = s->dispatch ? MGR_CALL_DISPATCH : 0};
	size_t taken = 0;

	s->call.user = s;
	int r = mgr_caller_submit(&s->caller, &s->call, &req, &ops, &taken);
	if (r < 0)
		return r;
	bool whole = req.end && taken == req.first_n;
	mgr_buf_take(&s->in.buf, taken);
	s->ended = whole;
	pump(s);
	return 0;
}

/* How the call ended, said: the exit code. */
static int
conclude(struct session *s)
{
	const struct mgr_outcome_row *row = mgr_outcome_row(s->outcome);

	if (s->in.error < 0) {
		ctl_complain("cannot read the body: %s", mgr_log_errno(s->in.error));
		return MGR_EXIT_FAILED;
	}
	if (mgr_buf_n(&s->message) > 0)
		ctl_complain("%s: %s", s->name, ctl_text(mgr_buf_str(&s->message)));
	else if (s->outcome != MGR_OUT_OK)
		ctl_complain("%s: %s", s->name, row->text);
	else if (s->status >= 400 && s->got_n == 0)
		ctl_complain("%s: status %u", s->name, s->status);
	return head_exit(s->outcome, s->status);
}

/* One call with the body in s->in. */
static int
run_one(struct session *s)
{
	char err[256];

	s->done = s->ended = false;
	s->status = 0;
	s->outcome = MGR_OUT_OK;
	s->got_n = 0;
	mgr_buf_clear(&s->message, SIZE_MAX);
	mgr_buf_clear(&s->meta, SIZE_MAX);
	int r = head_call(&s->o.head, s->dispatch ? "dispatch" : "publish", s->o.timeout_ns, s->in.n, &s->meta, err,
			  sizeof(err));
	if (r < 0) {
		ctl_complain("%s", ctl_text(err));
		return MGR_EXIT_USAGE;
	}
	r = submit(s);
	if (r == -ENOENT)
		return ctl_not_served(s->loop, s->name);
	/* The caller ends every call soon after its deadline at the latest. */
	while (r == 0 && !s->done)
		r = mgr_loop_turn(s->loop, -1);
	if (r < 0) {
		ctl_complain("%s: %s", s->name, mgr_log_errno(r));
		return (int)mgr_exit_by_errno(r);
	}
	return conclude(s);
}

/* Every line of stdin is a call; the worst exit code of all is the result. */
static int
run_lines(struct session *s)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int status = MGR_EXIT_OK;

	while ((n = getline(&line, &cap, stdin)) >= 0) {
		if (n > 0 && line[n - 1] == '\n')
			n--;
		int r = input_text(&s->in, s->loop, line, (size_t)n) < 0 ? MGR_EXIT_FAILED : run_one(s);
		input_fini(&s->in);
		status = r != MGR_EXIT_OK ? r : status;
		if (r == MGR_EXIT_NOT_FOUND || r == MGR_EXIT_USAGE)
			break; /* the next line would end so too */
	}
	free(line);
	return status;
}

static int
run(struct session *s, const char *arg)
{
	bool from_stdin = arg == NULL || strcmp(arg, "-") == 0;

	if (s->o.lines && from_stdin)
		return run_lines(s);
	if (from_stdin)
		input_fd(&s->in, s->loop, STDIN_FILENO, input_ready);
	else if (input_text(&s->in, s->loop, arg, strlen(arg)) < 0)
		return MGR_EXIT_FAILED;
	int status = run_one(s);
	input_fini(&s->in);
	return status;
}

/* Waits for the first table: the exit code, said. */
static int
wait_table(struct session *s)
{
	MGR_AUTO_BUF struct mgr_buf why = {0};
	int64_t end_ns = mgr_now_ns() + (s->o.timeout_ns < TABLE_NS ? s->o.timeout_ns : TABLE_NS);
	char path[MGR_PATH_MAX];
	int status = ctl_path(path, "hub.sock"), r;

	if (status != MGR_EXIT_OK)
		return status;
	/* The client of the hub tries again and again; we want to know now whether one is there. */
	MGR_AUTO_CLOSE int fd = mgr_sock_unix_connect(path);
	if (fd == -ENOENT || fd == -ECONNREFUSED) {
		ctl_no_hub(&why);
		ctl_complain("%s", mgr_buf_str(&why));
		return MGR_EXIT_UNAVAILABLE;
	}
	s->hub.user = s;
	r = mgr_hub_init(&s->hub, s->loop, changed);
	while (r == 0 && !s->table_known && mgr_now_ns() < end_ns)
		r = mgr_loop_turn(s->loop, end_ns - mgr_now_ns());
	if (r == 0 && s->table_known)
		return MGR_EXIT_OK;
	ctl_complain("mgr-hub does not answer");
	return MGR_EXIT_TIMEOUT;
}

static int
run_verb(const struct ctl_verb *v, int argc, char **argv, bool dispatch)
{
	static struct session s;
	int status = ctl_options(v, &s.o, &argc, &argv);

	if (status != CTL_NO_OPTIONS)
		return status;
	if (!mgr_text_is_name(argv[0], strlen(argv[0])))
		return ctl_usage_error(v, "\"%s\" is no name of a handler", argv[0]);
	if (s.o.lines && argc > 1 && strcmp(argv[1], "-") != 0)
		return ctl_usage_error(v, "--lines reads stdin and takes no DATA");
	s.name = argv[0];
	s.dispatch = dispatch;
	if (mgr_loop_new(&s.loop) < 0) {
		ctl_complain("out of memory or descriptors");
		return MGR_EXIT_FAILED;
	}
	mgr_links_init(&s.links, s.loop, &mgr_links_standard, false);
	mgr_caller_init(&s.caller, s.loop, &s.hub, &s.links);
	status = wait_table(&s);
	if (status == MGR_EXIT_OK)
		status = run(&s, argc > 1 ? argv[1] : NULL);
	mgr_caller_fini(&s.caller);
	mgr_links_fini(&s.links);
	if (s.hub.user != NULL)
		mgr_hub_fini(&s.hub);
	mgr_loop_free(s.loop);
	mgr_buf_fini(&s.meta);
	mgr_buf_fini(&s.message);
	return status;
}

int
ctl_publish(const struct ctl_verb *v, int argc, char **argv)
{
	return run_verb(v, argc, argv, false);
}

int
ctl_dispatch(const struct ctl_verb *v, int argc, char **argv)
{
	return run_verb(v, argc, argv, true);
}
