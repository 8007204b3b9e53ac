#include "job.h"

#include "base/assert.h"
#include "os/log.h"

static struct job *
of_task(struct mgr_task *task)
{
	return MGR_CONTAINER(task, struct job, task);
}

static size_t
task_body(struct mgr_task *task, struct iovec iov[2])
{
	struct job *j = of_task(task);

	iov[0] = iov[1] = (struct iovec){0};
	if (j->detached) {
		iov[0] = (struct iovec){mgr_buf_p(&j->body), mgr_buf_n(&j->body)};
		return iov[0].iov_len;
	}
	return j->lane == NULL ? 0 : mgr_lane_data(job_lane(j), j->slot, iov);
}

/* A dispatched call was copied as a whole: its caller need not wait. */
static void
maybe_let_go(struct job *j)
{
	struct iovec iov[2];

	if ((j->head.info & MGR_CALL_DISPATCH) && j->lane != NULL && task_body(&j->task, iov) == 0 &&
	    mgr_lane_ended(job_lane(j), j->slot)) {
		job_close_slot(j, MGR_OUT_OK, 0);
		j->detached = true;
	}
}

static void
task_body_take(struct mgr_task *task, size_t n)
{
	struct job *j = of_task(task);

	j->taken_n += n;
	if (j->detached) {
		mgr_buf_take(&j->body, n);
		return;
	}
	if (j->lane == NULL)
		return;
	mgr_lane_consume(job_lane(j), j->slot, n);
	mgr_link_touch(&j->lane->link);
	maybe_let_go(j);
}

static size_t
task_room(struct mgr_task *task)
{
	struct job *j = of_task(task);

	if (j->lane == NULL || (j->head.info & MGR_CALL_DISPATCH))
		return SIZE_MAX;
	if (!j->answered)
		return MGR_LANE_BYTES;
	return mgr_buf_n(&j->answer) > 0 ? 0 : mgr_lane_room(job_lane(j), j->slot);
}

static void
task_started(struct mgr_task *task)
{
	struct job *j = of_task(task);

	if (j->lane != NULL)
		mgr_lane_started(job_lane(j), j->slot);
}

static void
task_head(struct mgr_task *task, unsigned status, const char *meta, size_t meta_n, uint64_t body_n)
{
	struct job *j = of_task(task);
	struct mgr_lane_head head = {.meta_n = (uint32_t)meta_n, .body_n = body_n, .info = status};

	if (j->lane == NULL)
		return;
	j->answered = true;
	j->whole = body_n == 0;
	if (mgr_lane_answer(job_lane(j), j->slot, &head) < 0) {
		mgr_log(MGR_ERR, "answer-refused", "meta=%zu", meta_n);
		return;
	}
	size_t put = mgr_lane_append(job_lane(j), j->slot, meta, meta_n);
	if (put < meta_n && mgr_buf_add(&j->answer, meta + put, meta_n - put) < 0)
		job_close_slot(j, MGR_OUT_GONE, 0);
	else
		mgr_link_touch(&j->lane->link);
}

static void
task_data(struct mgr_task *task, const void *p, size_t n)
{
	struct job *j = of_task(task);

	if (j->lane == NULL)
		return;
	size_t put = mgr_lane_append(job_lane(j), j->slot, p, n);
	mgr_assert(put == n); /* the pool asked for room() */
	mgr_link_touch(&j->lane->link);
}

static void
task_done(struct mgr_task *task, enum mgr_outcome outcome, const char *message, int64_t retry_ns)
{
	struct job *j = of_task(task);

	(void)message;
	/* An error that is told by the head alone is a complete answer. */
	if (outcome == MGR_OUT_ERROR && j->answered && j->whole)
		outcome = MGR_OUT_OK;
	if (j->lane != NULL && mgr_buf_n(&j->answer) > 0 && outcome == MGR_OUT_OK) {
		j->over = true;
		j->outcome = MGR_OUT_OK;
		return;
	}
	job_finish(j, (uint8_t)outcome, retry_ns);
}

const struct mgr_task_ops job_task_ops = {
	.body = task_body,
	.body_take = task_body_take,
	.room = task_room,
	.head = task_head,
	.data = task_data,
	.done = task_done,
	.started = task_started,
};
