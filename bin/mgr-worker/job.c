#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/log.h"

#define FREE_JOBS_MAX 1024

/* One call: the task of the pool on one side, the slot of a lane on the other. */
struct job {
	struct mgr_task task;
	struct worker *worker;
	struct lane *lane; /* NULL = nobody waits for the answer any more */
	uint32_t slot;
	struct mgr_lane_head head; /* as the caller sent it */
	struct mgr_buf meta;
	struct mgr_buf body;     /* of a dispatched call, copied so that its caller may go */
	struct mgr_buf answer;   /* answer's META that found no room yet */
	uint64_t taken_n;        /* request body bytes that the pool took */
	bool submitted, detached;
	bool answered; /* the head went out */
	bool whole;    /* the answer has no body at all */
	bool over;     /* the pool is done; the rest of the META still goes out */
	uint8_t outcome;
	LIST_ENTRY(job) entry;
};

static struct job *
of_task(struct mgr_task *task)
{
	return MGR_CONTAINER(task, struct job, task);
}

static struct mgr_lane *
lane_of(const struct job *j)
{
	return &j->lane->link.lane;
}

static struct job *
job_new(struct worker *w)
{
	struct job *j = LIST_FIRST(&w->free_jobs);

	if (j == NULL)
		return calloc(1, sizeof(*j));
	LIST_REMOVE(j, entry);
	w->free_job_n--;
	struct mgr_buf meta = j->meta;
	*j = (struct job){.meta = meta};
	return j;
}

static void
job_free(struct job *j)
{
	struct worker *w = j->worker;

	mgr_buf_fini(&j->body);
	mgr_buf_fini(&j->answer);
	mgr_buf_clear(&j->meta, 4096);
	if (w->free_job_n >= FREE_JOBS_MAX) {
		mgr_buf_fini(&j->meta);
		free(j);
		return;
	}
	LIST_INSERT_HEAD(&w->free_jobs, j, entry);
	w->free_job_n++;
}

void
job_fini(struct worker *w)
{
	struct job *j;

	while ((j = LIST_FIRST(&w->free_jobs)) != NULL) {
		LIST_REMOVE(j, entry);
		mgr_buf_fini(&j->meta);
		free(j);
	}
}

/* Says the last word on the slot; the job no longer knows it. */
static void
close_slot(struct job *j, uint8_t outcome, int64_t retry_ns)
{
	if (j->lane == NULL)
		return;
	mgr_lane_set_user(lane_of(j), j->slot, NULL);
	mgr_lane_close(lane_of(j), j->slot, outcome, retry_ns);
	mgr_link_touch(&j->lane->link);
	j->lane = NULL;
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
	return j->lane == NULL ? 0 : mgr_lane_data(lane_of(j), j->slot, iov);
}

/* A dispatched call was copied as a whole: its caller need not wait. */
static void
maybe_let_go(struct job *j)
{
	struct iovec iov[2];

	if ((j->head.info & MGR_CALL_DISPATCH) && j->lane != NULL && task_body(&j->task, iov) == 0 &&
	    mgr_lane_ended(lane_of(j), j->slot)) {
		close_slot(j, MGR_OUT_OK, 0);
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
	mgr_lane_consume(lane_of(j), j->slot, n);
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
	return mgr_buf_n(&j->answer) > 0 ? 0 : mgr_lane_room(lane_of(j), j->slot);
}

static void
task_started(struct mgr_task *task)
{
	struct job *j = of_task(task);

	if (j->lane != NULL)
		mgr_lane_started(lane_of(j), j->slot);
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
	if (mgr_lane_answer(lane_of(j), j->slot, &head) < 0) {
		mgr_log(MGR_ERR, "answer-refused", "meta=%zu", meta_n);
		return;
	}
	size_t put = mgr_lane_append(lane_of(j), j->slot, meta, meta_n);
	if (put < meta_n && mgr_buf_add(&j->answer, meta + put, meta_n - put) < 0)
		close_slot(j, MGR_OUT_GONE, 0);
	else
		mgr_link_touch(&j->lane->link);
}

static void
task_data(struct mgr_task *task, const void *p, size_t n)
{
	struct job *j = of_task(task);

	if (j->lane == NULL)
		return;
	size_t put = mgr_lane_append(lane_of(j), j->slot, p, n);
	mgr_assert(put == n); /* the pool asked for room() */
	mgr_link_touch(&j->lane->link);
}

static void
finish(struct job *j, uint8_t outcome, int64_t retry_ns)
{
	close_slot(j, outcome, retry_ns);
	job_free(j);
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
	finish(j, (uint8_t)outcome, retry_ns);
}

static const struct mgr_task_ops task_ops = {
	.body = task_body,
	.body_take = task_body_take,
	.room = task_room,
	.head = task_head,
	.data = task_data,
	.done = task_done,
	.started = task_started,
};

/* A whole answer without a body, made here. */
static void
answer(struct job *j, unsigned status, const char *message)
{
	MGR_AUTO_BUF struct mgr_buf meta = {0};

	mgr_buf_addf(&meta, "{\"status\":%u", status);
	if (message != NULL) {
		mgr_buf_adds(&meta, ",\"message\":");
		mgr_json_add_string(&meta, message, strlen(message));
	}
	mgr_buf_adds(&meta, "}\n");
	struct mgr_lane_head head = {.meta_n = (uint32_t)mgr_buf_n(&meta), .body_n = 0, .info = status};
	mgr_lane_answer(lane_of(j), j->slot, &head);
	mgr_lane_append(lane_of(j), j->slot, mgr_buf_p(&meta), mgr_buf_n(&meta));
	finish(j, MGR_OUT_OK, 0);
}

static const struct {
	int error;
	enum mgr_outcome outcome;
	int64_t retry_ns;
} refusals[] = {
	{EAGAIN, MGR_OUT_BUSY, MGR_S},
	{ESHUTDOWN, MGR_OUT_UNAVAILABLE, MGR_S},
	{EHOSTDOWN, MGR_OUT_UNAVAILABLE, 30 * MGR_S},
	{EINVAL, MGR_OUT_BAD_REQUEST, 0},
};

static void
refuse(struct job *j, int r)
{
	const char *why = mgr_pool_refusal(j->worker->pool);

	if (r == -EINVAL && why[0] != '\0' && !(j->head.info & MGR_CALL_DISPATCH)) {
		answer(j, 400, why);
		return;
	}
	for (size_t i = 0; i < MGR_N(refusals); i++) {
		if (refusals[i].error == -r) {
			finish(j, (uint8_t)refusals[i].outcome, refusals[i].retry_ns);
			return;
		}
	}
	finish(j, MGR_OUT_BUSY, MGR_S);
}

static unsigned
task_flags(uint32_t info)
{
	return (info & MGR_CALL_DISPATCH ? MGR_TASK_DISPATCH : 0u) |
	       (info & MGR_CALL_IDEMPOTENT ? MGR_TASK_IDEMPOTENT : 0u) |
	       (info & MGR_CALL_PRIORITY ? MGR_TASK_PRIORITY : 0u);
}

static int
copy_body(struct job *j)
{
	struct iovec iov[2];

	mgr_lane_data(lane_of(j), j->slot, iov);
	for (int i = 0; i < 2; i++)
		if (mgr_buf_add(&j->body, iov[i].iov_base, iov[i].iov_len) < 0)
			return -ENOMEM;
	mgr_lane_consume(lane_of(j), j->slot, mgr_buf_n(&j->body));
	return 0;
}

/* META is complete: the pool's turn. */
static void
submit(struct job *j)
{
	bool dispatch = (j->head.info & MGR_CALL_DISPATCH) != 0;

	if (j->head.info & MGR_CALL_PING) {
		answer(j, 200, NULL);
		return;
	}
	j->task.ops = &task_ops;
	j->task.deadline_ns = j->head.deadline_ns == MGR_LANE_NO_DEADLINE ? 0 : j->head.deadline_ns;
	j->task.flags = task_flags(j->head.info);
	j->task.source = j->lane->number;
	j->task.meta = mgr_buf_p(&j->meta);
	j->task.meta_n = mgr_buf_n(&j->meta);
	j->task.body_n = j->head.body_n;
	j->task.body_end = mgr_lane_ended(lane_of(j), j->slot);
	if (dispatch && j->task.body_end) {
		if (copy_body(j) < 0) {
			refuse(j, -EAGAIN);
			return;
		}
		j->detached = true;
	}
	int r = mgr_pool_submit(j->worker->pool, &j->task);
	if (r < 0) {
		refuse(j, r);
		return;
	}
	j->submitted = true;
	if (j->detached)
		close_slot(j, MGR_OUT_OK, 0);
}

static void
take_meta(struct job *j)
{
	struct iovec iov[2];
	size_t left = j->head.meta_n - mgr_buf_n(&j->meta);

	mgr_lane_data(lane_of(j), j->slot, iov);
	for (int i = 0; i < 2 && left > 0; i++) {
		size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;
		if (mgr_buf_add(&j->meta, iov[i].iov_base, n) < 0) {
			finish(j, MGR_OUT_BUSY, MGR_S);
			return;
		}
		mgr_lane_consume(lane_of(j), j->slot, n);
		left -= n;
	}
	if (left == 0)
		submit(j);
	else if (mgr_lane_ended(lane_of(j), j->slot))
		finish(j, MGR_OUT_BAD_REQUEST, 0);
}

static void
take_call(struct lane *lane, uint32_t slot)
{
	struct job *j = job_new(lane->worker);

	if (j == NULL) {
		mgr_lane_close(&lane->link.lane, slot, MGR_OUT_BUSY, MGR_S);
		return;
	}
	j->worker = lane->worker;
	j->lane = lane;
	j->slot = slot;
	mgr_lane_set_user(&lane->link.lane, slot, j);
	mgr_lane_request(&lane->link.lane, slot, &j->head);
	take_meta(j);
}

static const char *
reason(const struct job *j)
{
	static const char *const names[] = {"client", "deadline", "shutdown"};
	uint8_t code = mgr_lane_reason(lane_of(j), j->slot);

	return code < MGR_N(names) ? names[code] : names[0];
}

static void
see_room(struct job *j)
{
	size_t waits = mgr_buf_n(&j->answer);

	if (waits > 0) {
		mgr_buf_take(&j->answer, mgr_lane_append(lane_of(j), j->slot, mgr_buf_p(&j->answer), waits));
		if (mgr_buf_n(&j->answer) > 0)
			return;
		if (j->over) {
			finish(j, j->outcome, 0);
			return;
		}
	}
	if (j->submitted && !j->over)
		mgr_pool_room(&j->task);
}

static void
see_body(struct job *j)
{
	if (!j->submitted) {
		take_meta(j);
		return;
	}
	j->task.body_end = mgr_lane_ended(lane_of(j), j->slot);
	if (!j->over)
		mgr_pool_body(&j->task);
}

/* Whether the slot still belongs to this job: a callback may have ended it. */
static bool
is_live(const struct lane *lane, uint32_t slot, const struct job *j)
{
	return mgr_lane_user(&lane->link.lane, slot) == j && j->lane == lane && j->slot == slot;
}

void
job_look(struct lane *lane, uint32_t slot, unsigned events)
{
	if (events & MGR_LANE_NEW) {
		take_call(lane, slot);
		/* What else came with it was seen by take_call; a cancel too, in the next look. */
		if (!(events & MGR_LANE_CANCEL))
			return;
	}
	struct job *j = mgr_lane_user(&lane->link.lane, slot);
	if (j == NULL || !is_live(lane, slot, j))
		return;
	if (events & MGR_LANE_CANCEL) {
		const char *why = reason(j);
		if (j->submitted && !j->over)
			mgr_pool_cancel(&j->task, why);
		finish(j, MGR_OUT_CANCELLED, 0);
		return;
	}
	if (events & (MGR_LANE_DATA | MGR_LANE_END))
		see_body(j);
	if ((events & MGR_LANE_ROOM) && is_live(lane, slot, j))
		see_room(j);
}

void
job_lane_down(struct lane *lane)
{
	struct mgr_lane *l = &lane->link.lane;

	if (lane->link.mine == NULL || l->slot == NULL)
		return;
	for (int slot = 0; (slot = mgr_lane_next(l, (uint32_t)slot)) >= 0; slot++) {
		struct job *j = mgr_lane_user(l, (uint32_t)slot);
		if (j == NULL || j->lane != lane)
			continue;
		j->lane = NULL;
		if (j->submitted && !j->over)
			mgr_pool_cancel(&j->task, "client");
		job_free(j);
	}
}
