#include "svc/pool_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

/* Adds the META that the handler gets: the time that is left now, and the file of a large body. */
static int
add_meta(struct mgr_task *task, struct mgr_buf *b, const char *extra, size_t extra_n)
{
	size_t meta_n = task->meta_n;
	int64_t now = mgr_loop_now(task->pool->loop);
	int r = mgr_buf_reserve(b, meta_n + extra_n);

	if (r < 0)
		return r;
	char *at = mgr_buf_tail(b);
	size_t keep_n = extra_n > 0 ? meta_n - 2 : meta_n; /* "}\n" goes behind what is added */
	memcpy(at, task->meta, keep_n);
	if (extra_n > 0)
		memcpy(at + keep_n, extra, extra_n);
	mgr_buf_commit(b, keep_n + extra_n);
	if (task->queued_ns != 0 && now - task->queued_ns > MGR_MS)
		mgr_meta_set_left(at, keep_n + extra_n, task->deadline_ns - now);
	return 0;
}

static int
add_request(struct mgr_slot *slot, bool more, const char *extra, size_t extra_n, uint64_t body_n)
{
	struct mgr_buf *out = &slot->replica->out;
	struct mgr_task *task = slot->task;
	char line[MGR_FRAME_LINE_MAX];
	size_t meta_n = task->meta_n - (extra_n > 0 ? 2 : 0) + extra_n;

	if (meta_n > MGR_FRAME_META_MAX)
		return -EMSGSIZE;
	size_t n = mgr_frame_head(line, MGR_FRAME_REQ, more, slot->id, (uint32_t)meta_n, body_n);
	int r = mgr_buf_add(out, line, n);
	if (r == 0)
		r = add_meta(task, out, extra, extra_n);
	return r;
}

static int
add_with_file(struct mgr_slot *slot)
{
	MGR_AUTO_BUF struct mgr_buf extra = {0};
	const char *path = slot->task->spool_path;

	/* META "{}" has no member to stand behind. */
	mgr_buf_addf(&extra, "%s\"body_file\":", slot->task->meta_n > 3 ? "," : "");
	mgr_json_add_string(&extra, path, strlen(path));
	int r = mgr_buf_adds(&extra, "}\n");
	if (r == 0)
		r = add_request(slot, false, mgr_buf_p(&extra), mgr_buf_n(&extra), 0);
	slot->fed_all = r == 0;
	return r;
}

static size_t
body_here(struct mgr_slot *slot, struct iovec iov[2])
{
	struct mgr_task *task = slot->task;

	if (task->gathered_n == 0)
		return mgr_task_body(task, iov);
	size_t left = mgr_buf_n(&task->gathered) - (size_t)slot->sent_n;
	iov[0] = (struct iovec){.iov_base = mgr_buf_p(&task->gathered) + slot->sent_n, .iov_len = left};
	iov[1] = (struct iovec){0};
	return left;
}

static int
add_iov(struct mgr_buf *b, const struct iovec iov[2], size_t n)
{
	size_t first = n < iov[0].iov_len ? n : iov[0].iov_len;
	int r = mgr_buf_add(b, iov[0].iov_base, first);

	return r < 0 ? r : mgr_buf_add(b, iov[1].iov_base, n - first);
}

/* Adds one DATA frame: false when nothing can be sent now. */
static bool
feed_one(struct mgr_replica *r, struct mgr_slot *slot)
{
	struct mgr_task *task = slot->task;
	char line[MGR_FRAME_LINE_MAX];
	struct iovec iov[2];
	size_t have = body_here(slot, iov);
	size_t n = have < MGR_POOL_PART ? have : MGR_POOL_PART;

	if (r->caps.concurrency > 1 && n > slot->window_out)
		n = (size_t)slot->window_out;
	bool last = task->body_end && n == have;
	if (n == 0 && !last)
		return false;
	size_t line_n = mgr_frame_head(line, MGR_FRAME_DATA, !last, slot->id, 0, n);
	if (mgr_buf_add(&r->out, line, line_n) < 0 || add_iov(&r->out, iov, n) < 0) {
		mgr_replica_kill(r);
		return false;
	}
	slot->sent_n += n;
	slot->window_out -= r->caps.concurrency > 1 ? n : 0;
	slot->fed_all = last;
	slot->end_n = r->written_n + mgr_buf_n(&r->out);
	if (task->gathered_n == 0 && n > 0)
		task->ops->body_take(task, n);
	return !last && slot->task == task;
}

void
mgr_frame_feed_more(struct mgr_replica *r, struct mgr_slot *slot)
{
	/* Between a CALL and its RET a handler that does one thing at a time reads nothing else. */
	if (slot->task == NULL || (slot->ret_n > 0 && r->caps.concurrency <= 1))
		return;
	while (r->state < MGR_REPLICA_KILLED && mgr_buf_n(&r->out) < MGR_POOL_CHUNK && feed_one(r, slot))
		;
}

int
mgr_frame_begin(struct mgr_replica *r, struct mgr_slot *slot)
{
	struct mgr_task *task = slot->task;
	struct iovec iov[2];
	int err;

	if (task->spooled)
		return add_with_file(slot);
	size_t n = body_here(slot, iov);
	if (!task->body_end || (r->caps.concurrency > 1 && n > MGR_POOL_WINDOW)) {
		err = add_request(slot, true, NULL, 0, 0);
		if (err == 0)
			mgr_frame_feed_more(r, slot);
		return err;
	}
	err = add_request(slot, false, NULL, 0, n);
	if (err == 0)
		err = mgr_task_add_body(task, slot, &r->out);
	slot->fed_all = true;
	slot->end_n = r->written_n + mgr_buf_n(&r->out);
	if (err < 0)
		mgr_replica_kill(r); /* half a frame is in its buffer */
	return err;
}

/* Says that no more of the body will come. */
void
mgr_frame_end_request(struct mgr_replica *r, struct mgr_slot *slot)
{
	static const char meta[] = "{\"aborted\":true}\n";

	if (mgr_frame_add(&r->out, MGR_FRAME_DATA, false, slot->id, meta, sizeof(meta) - 1, NULL, 0) < 0)
		mgr_replica_kill(r);
	slot->fed_all = true;
	mgr_replica_touch(r);
}

void
mgr_frame_cancel(struct mgr_replica *r, struct mgr_slot *slot, const char *reason)
{
	char meta[64];

	if (r->caps.cancel) {
		int n = snprintf(meta, sizeof(meta), "{\"reason\":\"%s\"}\n", reason);
		if (mgr_frame_add(&r->out, MGR_FRAME_CANCEL, false, slot->id, meta, (size_t)n, NULL, 0) < 0)
			mgr_replica_kill(r);
		slot->fed_all = true;
		mgr_replica_touch(r);
	} else if (!slot->fed_all) {
		/* A sequential handler would wait for the rest, or take a part for the whole. */
		if (r->caps.concurrency > 1) {
			mgr_frame_end_request(r, slot);
			return;
		}
		r->expected = true;
		mgr_replica_kill(r);
	}
}

void
mgr_frame_credit(struct mgr_slot *slot)
{
	struct mgr_replica *r = slot->replica;
	char meta[48];

	if (slot->owed_n < MGR_POOL_WINDOW / 2 || r->state >= MGR_REPLICA_KILLED)
		return;
	int n = snprintf(meta, sizeof(meta), "{\"n\":%llu}\n", (unsigned long long)slot->owed_n);
	if (mgr_frame_add(&r->out, MGR_FRAME_CREDIT, false, slot->id, meta, (size_t)n, NULL, 0) < 0) {
		mgr_replica_kill(r);
		return;
	}
	slot->window_in += slot->owed_n;
	slot->owed_n = 0;
	mgr_replica_touch(r);
}
