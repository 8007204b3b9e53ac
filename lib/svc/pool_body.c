#include "svc/pool_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/io.h"

size_t
mgr_task_body(struct mgr_task *task, struct iovec iov[2])
{
	iov[0] = iov[1] = (struct iovec){0};
	return task->ops->body(task, iov);
}

/* Bytes that were streamed are gone; everything else can be written once more. */
bool
mgr_task_is_whole(struct mgr_task *task)
{
	return task->body_end && (task->slot == NULL || task->slot->held || task->gathered_n > 0 ||
				  task->spooled || task->body_n == 0);
}

static int
spool_open(struct mgr_task *task)
{
	const char *dir = task->pool->conf.spool_dir;

	if (asprintf(&task->spool_path, "%s/mgr-body-XXXXXX", dir != NULL ? dir : "/tmp") < 0) {
		task->spool_path = NULL;
		return -ENOMEM;
	}
	task->spool_fd = mkostemp(task->spool_path, O_CLOEXEC);
	if (task->spool_fd < 0) {
		int r = -errno;
		free(task->spool_path);
		task->spool_path = NULL;
		return r;
	}
	task->spooled = true;
	int r = mgr_write_all(task->spool_fd, mgr_buf_n(&task->gathered) > 0 ? mgr_buf_p(&task->gathered) : "",
			      mgr_buf_n(&task->gathered));
	mgr_buf_fini(&task->gathered);
	return r;
}

static int
keep(struct mgr_task *task, const struct iovec *iov)
{
	uint64_t limit = task->pool->conf.body_buffer;
	int r = 0;

	if (iov->iov_len == 0)
		return 0;
	if (!task->spooled && iov->iov_len > limit - mgr_buf_n(&task->gathered))
		r = spool_open(task);
	if (r == 0)
		r = task->spooled ? mgr_write_all(task->spool_fd, iov->iov_base, iov->iov_len) :
				    mgr_buf_add(&task->gathered, iov->iov_base, iov->iov_len);
	if (r == 0)
		task->gathered_n += iov->iov_len;
	return r;
}

/* Collects what is here; when that is all, the task may go to a replica. */
int
mgr_task_gather(struct mgr_task *task)
{
	struct iovec iov[2];
	size_t n = mgr_task_body(task, iov);

	mgr_assert(task->state == MGR_TASK_GATHER);
	if (n > 0) {
		int r = keep(task, &iov[0]);
		if (r == 0)
			r = keep(task, &iov[1]);
		if (r < 0)
			return r;
		task->ops->body_take(task, n);
	}
	if (!task->body_end)
		return 0;
	if (task->spooled)
		mgr_close(&task->spool_fd);
	task->queued_ns = 0; /* the sender's time is not the queue's */
	mgr_task_queue(task, false);
	return 0;
}

void
mgr_task_body_fini(struct mgr_task *task)
{
	mgr_buf_fini(&task->gathered);
	mgr_close(&task->spool_fd);
	if (task->spool_path != NULL)
		unlink(task->spool_path);
	free(task->spool_path);
	task->spool_path = NULL;
	task->spooled = false;
}

int
mgr_task_add_body(struct mgr_task *task, struct mgr_slot *slot, struct mgr_buf *b)
{
	struct iovec iov[2];
	int r;

	if (task->gathered_n > 0)
		return mgr_buf_add(b, mgr_buf_p(&task->gathered), mgr_buf_n(&task->gathered));
	mgr_task_body(task, iov);
	slot->held = true;
	r = mgr_buf_add(b, iov[0].iov_base, iov[0].iov_len);
	return r < 0 ? r : mgr_buf_add(b, iov[1].iov_base, iov[1].iov_len);
}

void
mgr_slot_let_go(struct mgr_slot *slot)
{
	struct mgr_task *task = slot->task;
	struct iovec iov[2];

	if (!slot->held || task == NULL)
		return;
	slot->held = false;
	size_t n = mgr_task_body(task, iov);
	if (n > 0)
		task->ops->body_take(task, n);
}
