#include "job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/log.h"

#define FREE_JOBS_MAX 1024

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

void
job_close_slot(struct job *j, uint8_t outcome, int64_t retry_ns)
{
	if (j->lane == NULL)
		return;
	mgr_lane_set_user(job_lane(j), j->slot, NULL);
	mgr_lane_close(job_lane(j), j->slot, outcome, retry_ns);
	mgr_link_touch(&j->lane->link);
	j->lane = NULL;
}

void
job_finish(struct job *j, uint8_t outcome, int64_t retry_ns)
{
	job_close_slot(j, outcome, retry_ns);
	job_free(j);
}

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
	mgr_lane_answer(job_lane(j), j->slot, &head);
	mgr_lane_append(job_lane(j), j->slot, mgr_buf_p(&meta), mgr_buf_n(&meta));
	job_finish(j, MGR_OUT_OK, 0);
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
			job_finish(j, (uint8_t)refusals[i].outcome, refusals[i].retry_ns);
			return;
		}
	}
	job_finish(j, MGR_OUT_BUSY, MGR_S);
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

	mgr_lane_data(job_lane(j), j->slot, iov);
	for (int i = 0; i < 2; i++)
		if (mgr_buf_add(&j->body, iov[i].iov_base, iov[i].iov_len) < 0)
			return -ENOMEM;
	mgr_lane_consume(job_lane(j), j->slot, mgr_buf_n(&j->body));
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
	j->task.ops = &job_task_ops;
	j->task.deadline_ns = j->head.deadline_ns == MGR_LANE_NO_DEADLINE ? 0 : j->head.deadline_ns;
	j->task.flags = task_flags(j->head.info);
	j->task.source = j->lane->number;
	j->task.meta = mgr_buf_p(&j->meta);
	j->task.meta_n = mgr_buf_n(&j->meta);
	j->task.body_n = j->head.body_n;
	j->task.body_end = mgr_lane_ended(job_lane(j), j->slot);
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
		job_close_slot(j, MGR_OUT_OK, 0);
}

static void
take_meta(struct job *j)
{
	struct iovec iov[2];
	size_t left = j->head.meta_n - mgr_buf_n(&j->meta);

	mgr_lane_data(job_lane(j), j->slot, iov);
	for (int i = 0; i < 2 && left > 0; i++) {
		size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;
		if (mgr_buf_add(&j->meta, iov[i].iov_base, n) < 0) {
			job_finish(j, MGR_OUT_BUSY, MGR_S);
			return;
		}
		mgr_lane_consume(job_lane(j), j->slot, n);
		left -= n;
	}
	if (left == 0)
		submit(j);
	else if (mgr_lane_ended(job_lane(j), j->slot))
		job_finish(j, MGR_OUT_BAD_REQUEST, 0);
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
	uint8_t code = mgr_lane_reason(job_lane(j), j->slot);

	return code < MGR_N(names) ? names[code] : names[0];
}

static void
see_room(struct job *j)
{
	size_t waits = mgr_buf_n(&j->answer);

	if (waits > 0) {
		mgr_buf_take(&j->answer, mgr_lane_append(job_lane(j), j->slot, mgr_buf_p(&j->answer), waits));
		if (mgr_buf_n(&j->answer) > 0)
			return;
		if (j->over) {
			job_finish(j, j->outcome, 0);
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
	j->task.body_end = mgr_lane_ended(job_lane(j), j->slot);
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
		job_finish(j, MGR_OUT_CANCELLED, 0);
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
