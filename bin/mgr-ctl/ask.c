#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "ctl.h"
#include "os/log.h"

#define LIST_NS (10 * MGR_S)

int
ctl_path(char path[static MGR_PATH_MAX], const char *name)
{
	char dir[MGR_PATH_MAX];
	int r = mgr_paths_runtime(dir);

	if (r == 0)
		r = mgr_paths_join(path, dir, name);
	if (r == 0)
		return MGR_EXIT_OK;
	ctl_complain("no runtime folder (%s); set MGR_RUNTIME_DIR to an absolute path", mgr_log_errno(r));
	return MGR_EXIT_USAGE;
}

void
ctl_no_hub(struct mgr_buf *why)
{
	char path[MGR_PATH_MAX];

	if (ctl_path(path, "hub.sock") == MGR_EXIT_OK)
		mgr_buf_addf(why, "mgr-hub is not running (no %s); start it with: mgr-ctl up", path);
	else
		mgr_buf_adds(why, "mgr-hub is not running");
}

/* A failure of the connection: the exit code, why as a sentence. */
static int
explain(const struct ctl_question *q, int r, struct mgr_buf *why)
{
	bool absent = r == -ENOENT || r == -ECONNREFUSED;
	int prog_n = (int)strcspn(q->socket, ".");

	if (absent && strcmp(q->socket, "hub.sock") == 0)
		ctl_no_hub(why);
	else if (absent)
		mgr_buf_addf(why, "mgr-%.*s is not running", prog_n, q->socket);
	else if (r == -ECONNRESET || r == -EPIPE)
		mgr_buf_addf(why, "mgr-%.*s ended before it answered", prog_n, q->socket);
	else if (r == -ETIMEDOUT)
		mgr_buf_addf(why, "mgr-%.*s did not answer within %lld s", prog_n, q->socket,
			     (long long)(q->timeout_ns / MGR_S));
	else
		mgr_buf_addf(why, "%s: %s", q->socket, mgr_log_errno(r));
	return absent ? MGR_EXIT_UNAVAILABLE : (int)mgr_exit_by_errno(r);
}

int
ctl_ask(struct mgr_loop *loop, const struct ctl_question *q, struct mgr_buf *ret_meta,
	struct mgr_buf *ret_body, struct mgr_buf *why)
{
	MGR_AUTO_BUF struct mgr_buf meta = {0};
	char path[MGR_PATH_MAX];
	int r = ctl_path(path, q->socket);

	if (r != MGR_EXIT_OK)
		return r;
	r = mgr_ctl_call(loop, path, q->verb, q->members, q->body, q->body_n, q->timeout_ns, &meta, ret_body);
	if (r < 0)
		return explain(q, r, why);
	if (r == 0) {
		if (ret_meta != NULL)
			mgr_buf_add(ret_meta, mgr_buf_p(&meta), mgr_buf_n(&meta));
		return MGR_EXIT_OK;
	}
	const struct mgr_outcome_row *row = mgr_outcome_row((unsigned)(r - 1));
	mgr_buf_adds(why, mgr_buf_n(&meta) > 0 ? mgr_buf_str(&meta) : row->text);
	/* "ok" cannot be a refusal: whoever says so is confused. */
	return row->exit != 0 ? row->exit : MGR_EXIT_FAILED;
}

int
ctl_ask_hub(const struct ctl_question *q, struct mgr_buf *ret_body)
{
	MGR_AUTO_BUF struct mgr_buf why = {0};
	struct mgr_loop *loop;
	int r = mgr_loop_new(&loop);

	if (r < 0) {
		ctl_complain("%s", mgr_log_errno(r));
		return MGR_EXIT_FAILED;
	}
	r = ctl_ask(loop, q, NULL, ret_body, &why);
	mgr_loop_free(loop);
	if (r != MGR_EXIT_OK && mgr_buf_n(&why) > 0)
		ctl_complain("%s", ctl_text(mgr_buf_str(&why)));
	return r;
}

int
ctl_ask_list(const char *verb, struct mgr_doc **ret_list)
{
	const struct ctl_question q = {.socket = "hub.sock", .verb = verb, .timeout_ns = LIST_NS};
	MGR_AUTO_BUF struct mgr_buf body = {0};
	struct mgr_doc *list = NULL;
	int status = ctl_ask_hub(&q, &body);

	if (status != MGR_EXIT_OK)
		return status;
	int r = mgr_doc_parse(mgr_buf_p(&body), mgr_buf_n(&body), &list);
	if (r < 0 || !mgr_doc_is_array(list)) {
		mgr_doc_free(list);
		ctl_complain("mgr-hub answered something that is no list");
		return MGR_EXIT_CORRUPT;
	}
	*ret_list = list;
	return MGR_EXIT_OK;
}

int
ctl_not_served(struct mgr_loop *loop, const char *name)
{
	const struct ctl_question q = {.socket = "hub.sock", .verb = "ls", .timeout_ns = LIST_NS};
	MGR_AUTO_BUF struct mgr_buf body = {0}, why = {0};
	struct mgr_doc *list = NULL;
	int status = MGR_EXIT_NOT_FOUND;

	if (ctl_ask(loop, &q, NULL, &body, &why) == MGR_EXIT_OK)
		mgr_doc_parse(mgr_buf_p(&body), mgr_buf_n(&body), &list);
	for (size_t i = 0; i < mgr_doc_n(list) && status == MGR_EXIT_NOT_FOUND; i++) {
		const struct mgr_doc *one = mgr_doc_at(list, i);
		if (strcmp(mgr_doc_str(one, "name", ""), name) != 0)
			continue;
		const char *reason = mgr_doc_str(one, "why", "");
		ctl_complain("%s: no live worker (%s%s%s)", name, ctl_text(mgr_doc_str(one, "state", "away")),
			     reason[0] != '\0' ? ": " : "", ctl_text(reason));
		status = MGR_EXIT_UNAVAILABLE;
	}
	mgr_doc_free(list);
	if (status == MGR_EXIT_NOT_FOUND)
		ctl_complain("Handler not found: %s", name);
	return status;
}
