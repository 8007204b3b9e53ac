#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"
#include "ctl.h"
#include "os/clock.h"
#include "os/log.h"

#define FIRST_NS (10 * MGR_S) /* until the hub answers */

struct events_options {
	struct ctl_common common;
	bool follow, json;
};

const struct mgr_opt events_options[] = {
	{.name = "follow", .letter = 'f', .type = MGR_OPT_FLAG,
	 .offset = offsetof(struct events_options, follow), .help = "go on with what happens, one JSON object per line"},
	{.name = "json", .type = MGR_OPT_FLAG, .offset = offsetof(struct events_options, json),
	 .help = "print one JSON document (with -f: one per line, as always)"},
	CTL_OPTION_HELP,
	MGR_OPT_END,
};

struct watcher {
	struct mgr_ctl_client client;
	struct mgr_timer timer;
	struct mgr_watch reader; /* of our stdout */
	struct mgr_loop *loop;
	int status;
};

static void
stop(struct watcher *w, int status, const char *why)
{
	ctl_complain("%s", ctl_text(why));
	w->status = status;
	mgr_loop_stop(w->loop);
}

static void
late(struct mgr_timer *t)
{
	stop(MGR_CONTAINER(t, struct watcher, timer), MGR_EXIT_TIMEOUT, "mgr-hub does not answer");
}

static void
refused(struct watcher *w, const struct mgr_ctl_answer *a)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};
	struct mgr_json message;

	if (a->meta.n > 0 && mgr_json_get(&a->meta, "message", &message))
		mgr_json_text(&message, &text);
	stop(w, mgr_outcome_row(a->outcome)->exit, mgr_buf_str(&text));
}

static void
event(struct mgr_ctl_client *client, enum mgr_ctl_event what, const struct mgr_ctl_answer *a)
{
	struct watcher *w = MGR_CONTAINER(client, struct watcher, client);

	if (what == MGR_CTL_DOWN) {
		stop(w, MGR_EXIT_UNAVAILABLE, "mgr-hub is gone");
	} else if (what == MGR_CTL_UP) {
		if (mgr_ctl_ask(client, "events", ",\"follow\":true", NULL, 0, NULL) < 0)
			stop(w, MGR_EXIT_UNAVAILABLE, "mgr-hub is gone");
	} else if (a->failed) {
		refused(w, a);
	} else {
		mgr_timer_stop(&w->timer);
		ctl_write(a->body, a->body_n);
		if (what == MGR_CTL_DONE)
			mgr_loop_stop(w->loop);
	}
}

/* Nobody reads any more; the next event may be hours away. */
static void
reader_left(struct mgr_watch *watch, uint32_t events)
{
	struct watcher *w = MGR_CONTAINER(watch, struct watcher, reader);

	(void)events;
	mgr_watch_stop(watch);
	mgr_loop_stop(w->loop);
}

static int
follow(void)
{
	MGR_AUTO_BUF struct mgr_buf why = {0};
	struct watcher w = {0};
	char path[MGR_PATH_MAX];
	int status = ctl_path(path, "hub.sock"), r;

	if (status != MGR_EXIT_OK)
		return status;
	r = mgr_loop_new(&w.loop);
	if (r == 0)
		r = mgr_timer_start(&w.timer, w.loop, mgr_now_ns() + FIRST_NS, late);
	if (r == 0)
		r = mgr_ctl_open(&w.client, w.loop, path, event);
	if (r == 0)
		mgr_watch_start(&w.reader, w.loop, STDOUT_FILENO, 0, reader_left); /* a file cannot, and need not */
	if (r == 0)
		r = mgr_loop_run(w.loop);
	mgr_watch_stop(&w.reader);
	if (r == -ENOENT || r == -ECONNREFUSED) {
		ctl_no_hub(&why);
		ctl_complain("%s", mgr_buf_str(&why));
		w.status = MGR_EXIT_UNAVAILABLE;
	} else if (r < 0) {
		ctl_complain("%s", mgr_log_errno(r));
		w.status = (int)mgr_exit_by_errno(r);
	}
	mgr_ctl_close(&w.client);
	mgr_timer_stop(&w.timer);
	mgr_loop_free(w.loop);
	return w.status;
}

/* Lines of JSON become one array; lines that are none are left out. */
static int
read_lines(struct mgr_buf *text, struct mgr_doc **ret_list)
{
	struct mgr_doc *list = mgr_doc_array();
	int r = list == NULL ? -ENOMEM : 0;

	while (r == 0 && mgr_buf_n(text) > 0) {
		const char *p = mgr_buf_p(text), *end = memchr(p, '\n', mgr_buf_n(text));
		size_t n = end != NULL ? (size_t)(end - p) : mgr_buf_n(text);
		struct mgr_doc *one;
		if (mgr_doc_parse(p, n, &one) == 0)
			r = mgr_doc_push(list, one);
		mgr_buf_take(text, end != NULL ? n + 1 : n);
	}
	*ret_list = list;
	return r;
}

static void
print_table(const struct mgr_doc *list)
{
	static const struct ctl_column column[] = {
		{.title = "TIME"}, {.title = "EVENT"}, {.title = "NAME"}, {.title = "DETAIL"}};
	struct ctl_table t;

	ctl_table_init(&t, column, MGR_N(column));
	for (size_t i = 0; i < mgr_doc_n(list); i++) {
		const struct mgr_doc *one = mgr_doc_at(list, i);
		ctl_table_add(&t, mgr_doc_str(one, "ts", "-"));
		ctl_table_add(&t, mgr_doc_str(one, "event", "?"));
		ctl_table_add(&t, mgr_doc_str(one, "name", ""));
		ctl_table_add(&t, mgr_doc_str(one, "detail", mgr_doc_str(one, "why", "")));
	}
	ctl_table_print(&t, stdout);
}

int
ctl_events(const struct ctl_verb *v, int argc, char **argv)
{
	const struct ctl_question q = {.socket = "hub.sock", .verb = "events", .members = ",\"follow\":false",
				       .timeout_ns = FIRST_NS};
	MGR_AUTO_BUF struct mgr_buf body = {0};
	struct events_options o = {0};
	struct mgr_doc *list;
	int status = ctl_options(v, &o, &argc, &argv);

	if (status != CTL_NO_OPTIONS)
		return status;
	if (o.follow)
		return follow();
	status = ctl_ask_hub(&q, &body);
	if (status != MGR_EXIT_OK)
		return status;
	if (read_lines(&body, &list) < 0) {
		ctl_complain("out of memory");
		status = MGR_EXIT_FAILED;
	} else if (o.json) {
		status = ctl_print_doc(list);
	} else {
		print_table(list);
		status = ctl_flush(MGR_EXIT_OK);
	}
	mgr_doc_free(list);
	return status;
}
