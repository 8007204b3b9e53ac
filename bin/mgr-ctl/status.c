#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/num.h"
#include "config.h"
#include "ctl.h"
#include "os/clock.h"
#include "os/file.h"

#define ONE_NS (2 * MGR_S) /* for one program that does not answer */
#define ALL_NS (6 * MGR_S) /* for all of them */

struct survey {
	struct mgr_loop *loop;
	char dir[MGR_PATH_MAX];
	int64_t end_ns;
	struct mgr_doc *programs, *handlers; /* members of doc */
	struct mgr_doc *doc;
	struct mgr_doc *workers; /* what workers say: BODY of their status with "control" added */
	bool hub;        /* it is there */
	bool hub_silent; /* but does not answer */
	int error;
};

static int64_t
left_ns(const struct survey *s)
{
	int64_t left = s->end_ns - mgr_now_ns();

	return left > ONE_NS ? ONE_NS : left > MGR_MS ? left : MGR_MS;
}

static struct mgr_doc *
parse_object(struct mgr_buf *text)
{
	struct mgr_doc *doc = NULL;

	if (mgr_doc_parse(mgr_buf_p(text), mgr_buf_n(text), &doc) == 0 && mgr_doc_is_object(doc))
		return doc;
	mgr_doc_free(doc);
	return NULL;
}

/* The process that holds the lock beside a socket, 0 when that cannot be told. */
static int64_t
pid_of_lock(const struct survey *s, const char *file)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};
	char name[64], path[MGR_PATH_MAX];
	uint64_t pid = 0;
	int n = snprintf(name, sizeof(name), "%.*s.lock", (int)strcspn(file, "."), file);

	if (n < 0 || n >= (int)sizeof(name) || mgr_paths_join(path, s->dir, name) < 0)
		return 0;
	if (mgr_file_read(path, 4096, &text) < 0 || mgr_buf_n(&text) == 0)
		return 0;
	mgr_num_parse(mgr_buf_p(&text), strspn(mgr_buf_str(&text), "0123456789"), INT32_MAX, &pid);
	return (int64_t)pid;
}

static int
add_program(struct survey *s, const struct mgr_doc *meta, const char *file)
{
	struct mgr_doc *one = mgr_doc_object();
	const char *handler = mgr_doc_str(meta, "handler", NULL);
	int64_t pid = meta != NULL ? mgr_doc_int(meta, "pid", 0) : pid_of_lock(s, file);
	char name[64];

	snprintf(name, sizeof(name), "mgr-%.*s", (int)strcspn(file, "-."), file);
	int r = mgr_doc_set_str(one, "name", mgr_doc_str(meta, "name", name));

	if (r == 0)
		r = pid > 0 ? mgr_doc_set_int(one, "pid", pid) : mgr_doc_set_str(one, "pid", NULL);
	if (r == 0)
		r = mgr_doc_set_str(one, "state", meta == NULL ? "silent" : mgr_doc_str(meta, "state", "unknown"));
	if (r == 0)
		r = mgr_doc_set_str(one, "since", mgr_doc_str(meta, "since", NULL));
	if (r == 0 && handler != NULL)
		r = mgr_doc_set_str(one, "handler", handler);
	if (r == 0 && mgr_doc_get(meta, "listen") != NULL)
		r = mgr_doc_set(one, "listen", mgr_doc_copy(mgr_doc_get(meta, "listen")));
	int r2 = mgr_doc_push(s->programs, one);
	return r < 0 ? r : r2;
}

static int
add_worker(struct survey *s, struct mgr_doc *body, const char *path)
{
	int r = mgr_doc_set_str(body, "control", path);
	int r2 = mgr_doc_push(s->workers, body);

	return r < 0 ? r : r2;
}

/* One socket of the runtime folder. */
static int
look(void *arg, const char *name)
{
	struct survey *s = arg;
	MGR_AUTO_BUF struct mgr_buf meta = {0}, body = {0};
	char path[MGR_PATH_MAX];
	int r = mgr_paths_join(path, s->dir, name);

	if (r < 0)
		return 0;
	r = mgr_ctl_call(s->loop, path, "status", NULL, NULL, 0, left_ns(s), &meta, &body);
	if (r == -ECONNREFUSED || r == -ENOENT || r == -EACCES)
		return 0; /* what a dead one left behind, or not ours */
	if (strcmp(name, "hub.sock") == 0)
		s->hub = true;
	struct mgr_doc *doc = r == 0 ? parse_object(&meta) : NULL;
	if (strcmp(name, "hub.sock") == 0)
		s->hub_silent = doc == NULL;
	s->error = add_program(s, doc, name);
	mgr_doc_free(doc);
	doc = mgr_buf_n(&body) > 0 ? parse_object(&body) : NULL;
	if (s->error == 0 && strncmp(name, "worker-", 7) == 0 && doc != NULL)
		s->error = add_worker(s, doc, path);
	else
		mgr_doc_free(doc);
	return s->error;
}

static const struct mgr_doc *
find_worker(const struct survey *s, const char *control)
{
	for (size_t i = 0; control != NULL && i < mgr_doc_n(s->workers); i++) {
		const struct mgr_doc *one = mgr_doc_at(s->workers, i);
		if (strcmp(mgr_doc_str(one, "control", ""), control) == 0)
			return one;
	}
	return NULL;
}

static int
add_counters(struct mgr_doc *handler, const struct mgr_doc *worker)
{
	static const char *const counter[] = {"in_flight", "queued", "calls", "errors", "restarts", "rss"};
	int r = 0;

	for (size_t i = 0; i < MGR_N(counter) && r == 0; i++)
		r = mgr_doc_set_int(handler, counter[i], mgr_doc_int(worker, counter[i], 0));
	return r;
}

/* The hub's list, with the counters that only the workers know. */
static int
add_handlers(struct survey *s)
{
	struct mgr_doc *list, *raw;
	int status = ls_get(&list, &raw), r = 0;

	if (status != MGR_EXIT_OK)
		return status;
	for (size_t i = 0; i < mgr_doc_n(list) && r == 0; i++) {
		struct mgr_doc *one = mgr_doc_copy(mgr_doc_at(list, i));
		const char *control = mgr_doc_str(mgr_doc_at(raw, i), "control", NULL);
		r = add_counters(one, find_worker(s, control));
		int r2 = mgr_doc_push(s->handlers, one);
		r = r < 0 ? r : r2;
	}
	mgr_doc_free(list);
	mgr_doc_free(raw);
	s->error = r;
	return MGR_EXIT_OK;
}

static int
open_survey(struct survey *s)
{
	*s = (struct survey){.end_ns = mgr_now_ns() + ALL_NS};
	s->doc = mgr_doc_object();
	s->programs = mgr_doc_array();
	s->handlers = mgr_doc_array();
	s->workers = mgr_doc_array();
	int r = mgr_doc_set_str(s->doc, "version", PACKAGE_VERSION);
	int r2 = mgr_doc_set(s->doc, "programs", s->programs);
	int r3 = mgr_doc_set(s->doc, "handlers", s->handlers);
	r = r < 0 ? r : r2 < 0 ? r2 : r3;
	if (r == 0 && s->workers == NULL)
		r = -ENOMEM;
	return r < 0 ? r : mgr_loop_new(&s->loop);
}

static void
print_programs(const struct mgr_doc *list)
{
	static const struct ctl_column column[] = {
		{.title = "PROGRAM"}, {.title = "PID", .right = true}, {.title = "STATE"}, {.title = "SINCE"},
		{.title = "FOR"}};
	struct ctl_table t;

	ctl_table_init(&t, column, MGR_N(column));
	for (size_t i = 0; i < mgr_doc_n(list); i++) {
		const struct mgr_doc *one = mgr_doc_at(list, i);
		const char *listen = mgr_doc_text(mgr_doc_at(mgr_doc_get(one, "listen"), 0));
		ctl_table_add(&t, mgr_doc_str(one, "name", "?"));
		ctl_table_addu(&t, mgr_doc_int(one, "pid", 0));
		ctl_table_add(&t, mgr_doc_str(one, "state", "?"));
		ctl_table_add(&t, mgr_doc_str(one, "since", "-"));
		ctl_table_add(&t, listen != NULL ? listen : mgr_doc_str(one, "handler", ""));
	}
	ctl_table_print(&t, stdout);
}

static void
print_handlers(const struct mgr_doc *list)
{
	static const struct ctl_column column[] = {
		{.title = "HANDLER"}, {.title = "READY", .right = true}, {.title = "STATE"},
		{.title = "IN FLIGHT", .right = true}, {.title = "QUEUED", .right = true},
		{.title = "CALLS", .right = true}, {.title = "ERRORS", .right = true},
		{.title = "RESTARTS", .right = true}, {.title = "RSS KiB", .right = true}};
	static const char *const counter[] = {"in_flight", "queued", "calls", "errors", "restarts"};
	struct ctl_table t;

	ctl_table_init(&t, column, MGR_N(column));
	for (size_t i = 0; i < mgr_doc_n(list); i++) {
		const struct mgr_doc *one = mgr_doc_at(list, i);
		ctl_table_add(&t, mgr_doc_str(one, "name", "?"));
		ctl_table_add(&t, ls_replicas(one));
		ctl_table_add(&t, mgr_doc_str(one, "state", "?"));
		for (size_t k = 0; k < MGR_N(counter); k++)
			ctl_table_addu(&t, mgr_doc_int(one, counter[k], 0));
		ctl_table_addu(&t, mgr_doc_int(one, "rss", 0) / 1024);
	}
	ctl_table_print(&t, stdout);
}

static int
print(const struct survey *s, bool json)
{
	if (json)
		return ctl_print_doc(s->doc);
	if (mgr_doc_n(s->programs) > 0)
		print_programs(s->programs);
	if (mgr_doc_n(s->handlers) > 0) {
		putchar('\n');
		print_handlers(s->handlers);
	}
	return ctl_flush(MGR_EXIT_OK);
}

static int
run(struct survey *s, bool json)
{
	MGR_AUTO_BUF struct mgr_buf why = {0};
	int status = MGR_EXIT_OK;

	mgr_file_each(s->dir, ".sock", look, s); /* no folder: nothing runs */
	if (s->error == 0 && s->hub && !s->hub_silent)
		status = add_handlers(s);
	if (s->error < 0) {
		ctl_complain("out of memory");
		return MGR_EXIT_FAILED;
	}
	/* Without a hub what is left is still worth seeing. */
	int printed = s->hub || json || mgr_doc_n(s->programs) > 0 ? print(s, json) : MGR_EXIT_OK;
	if (!s->hub) {
		ctl_no_hub(&why);
		ctl_complain("%s", mgr_buf_str(&why));
		return MGR_EXIT_UNAVAILABLE;
	}
	if (s->hub_silent) {
		ctl_complain("mgr-hub does not answer");
		return MGR_EXIT_TIMEOUT;
	}
	return status != MGR_EXIT_OK ? status : printed;
}

int
ctl_status(const struct ctl_verb *v, int argc, char **argv)
{
	struct list_options o = {0};
	struct survey s;
	char path[MGR_PATH_MAX];
	int status = ctl_options(v, &o, &argc, &argv);

	if (status != CTL_NO_OPTIONS)
		return status;
	status = ctl_path(path, "hub.sock");
	if (status != MGR_EXIT_OK)
		return status;
	if (open_survey(&s) == 0 && mgr_paths_runtime(s.dir) == 0) {
		status = run(&s, o.json);
	} else {
		ctl_complain("out of memory");
		status = MGR_EXIT_FAILED;
	}
	mgr_doc_free(s.workers);
	mgr_doc_free(s.doc);
	mgr_loop_free(s.loop);
	return status;
}
