#include "svc/pool_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json.h"

/* The answer's line as far as it is here. */
static struct mgr_buf *
line_of(const struct mgr_replica *r)
{
	return r->state_of_driver;
}

static int
line_open(struct mgr_replica *r)
{
	struct mgr_buf *line = calloc(1, sizeof(*line));

	if (line == NULL)
		return -ENOMEM;
	r->state_of_driver = line;
	return 0;
}

static void
line_close(struct mgr_replica *r)
{
	mgr_buf_fini(line_of(r));
	free(line_of(r));
}

/* One LF at the end is the line's own; any other is only allowed in JSON, where it can be left out. */
static int
add_line(struct mgr_buf *out, const char *p, size_t n)
{
	if (n > 0 && p[n - 1] == '\n')
		n--;
	if (n == 0 || memchr(p, '\n', n) == NULL)
		return mgr_buf_add(out, p, n);
	if (mgr_json_check(p, n) < 0)
		return -EINVAL;
	return mgr_json_add_compact(out, p, n);
}

static int
add_iov_line(struct mgr_buf *out, const struct iovec iov[2])
{
	MGR_AUTO_BUF struct mgr_buf whole = {0};
	int r;

	if (iov[1].iov_len == 0)
		return add_line(out, iov[0].iov_base, iov[0].iov_len);
	r = mgr_buf_add(&whole, iov[0].iov_base, iov[0].iov_len);
	if (r == 0)
		r = mgr_buf_add(&whole, iov[1].iov_base, iov[1].iov_len);
	return r < 0 ? r : add_line(out, mgr_buf_p(&whole), mgr_buf_n(&whole));
}

static int
line_check(const struct mgr_task *task, const char **ret_why)
{
	MGR_AUTO_BUF struct mgr_buf line = {0};
	struct iovec iov[2] = {0};

	if (!task->body_end)
		return 0; /* begin looks again */
	task->ops->body((struct mgr_task *)(uintptr_t)task, iov);
	*ret_why = "the body has more than one line";
	return add_iov_line(&line, iov) == -EINVAL ? -EINVAL : 0;
}

static int
line_begin(struct mgr_replica *r, struct mgr_slot *slot)
{
	struct mgr_task *task = slot->task;
	struct iovec iov[2] = {0};
	size_t had = mgr_buf_n(&r->out);

	if (task->spooled)
		return -EINVAL;
	if (task->gathered_n > 0) {
		iov[0] = (struct iovec){.iov_base = mgr_buf_p(&task->gathered), .iov_len = mgr_buf_n(&task->gathered)};
	} else {
		mgr_task_body(task, iov);
		slot->held = true;
	}
	int err = add_iov_line(&r->out, iov);
	if (err == 0)
		err = mgr_buf_addc(&r->out, '\n');
	if (err < 0)
		mgr_buf_cut(&r->out, mgr_buf_n(&r->out) - had);
	slot->fed_all = true;
	return err;
}

static ssize_t
line_input(struct mgr_replica *r, const char *p, size_t n)
{
	struct mgr_buf *line = line_of(r);
	size_t at = 0;

	while (at < n) {
		struct mgr_slot *slot = TAILQ_FIRST(&r->slots);
		if (slot == NULL) {
			mgr_replica_broken(r, "on stdout without a request", p + at, n - at);
			return -EPROTO;
		}
		/* The rest of a line that the owner has no room for. */
		if (slot->head_seen) {
			size_t took = mgr_answer_data(slot, mgr_buf_p(line), mgr_buf_n(line));
			mgr_buf_take(line, took);
			if (mgr_buf_n(line) > 0)
				return (ssize_t)at;
			at++; /* the LF that stayed in the input as a mark */
			mgr_answer_end(slot, MGR_OUT_OK, NULL);
			continue;
		}
		const char *lf = memchr(p + at, '\n', n - at);
		size_t part = lf != NULL ? (size_t)(lf - p) - at : n - at;
		if (part > r->pool->conf.body_buffer - mgr_buf_n(line) || mgr_buf_add(line, p + at, part) < 0) {
			mgr_replica_broken(r, "and more in a line that is too long", p + at, part);
			return -EPROTO;
		}
		at += part;
		if (lf != NULL)
			mgr_answer_head(slot, 200, "{}\n", 3, mgr_buf_n(line));
	}
	return (ssize_t)at;
}

/* A late answer is thrown away; the process goes on when it comes in time. */
static void
line_cancel(struct mgr_replica *r, struct mgr_slot *slot, const char *reason)
{
	(void)r;
	(void)slot;
	(void)reason;
}

static bool
line_at_border(const struct mgr_replica *r)
{
	return mgr_buf_n(line_of(r)) == 0;
}

const struct mgr_driver mgr_driver_line = {
	.resident = true,
	.check = line_check,
	.open = line_open,
	.close = line_close,
	.begin = line_begin,
	.input = line_input,
	.cancel = line_cancel,
	.at_border = line_at_border,
};
