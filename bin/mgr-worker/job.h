/*
 * One call inside mgr-worker, between job.c (claims it from its slot and gives it to the pool) and
 * job_task.c (what the pool asks of it and the answer's way back).
 */
#ifndef MGR_WORKER_JOB_H
#define MGR_WORKER_JOB_H

#include "worker.h"

/* The task of the pool on one side, the slot of a lane on the other. */
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

extern const struct mgr_task_ops job_task_ops; /* job_task.c */

/* Says the last word on the slot; the job no longer knows it. */
void job_close_slot(struct job *j, uint8_t outcome, int64_t retry_ns);
/* The same, and the job's memory is free. */
void job_finish(struct job *j, uint8_t outcome, int64_t retry_ns);

static inline struct mgr_lane *
job_lane(const struct job *j)
{
	return &j->lane->link.lane;
}

#endif
