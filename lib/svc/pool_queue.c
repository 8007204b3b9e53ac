#include "svc/pool_priv.h"

#include "base/assert.h"

void
mgr_queue_init(struct mgr_queue *q)
{
	TAILQ_INIT(&q->first);
	TAILQ_INIT(&q->active);
	for (size_t i = 0; i < MGR_POOL_SOURCES; i++)
		TAILQ_INIT(&q->source[i].tasks);
}

/* Sources that are numbered one after the other land on different queues. */
static struct mgr_source *
source_of(struct mgr_queue *q, const struct mgr_task *task)
{
	return &q->source[(task->source * UINT64_C(0x9e3779b97f4a7c15)) >> 58];
}

static bool
is_first(const struct mgr_task *task)
{
	return (task->flags & MGR_TASK_PRIORITY) != 0 || task->back;
}

void
mgr_queue_push(struct mgr_queue *q, struct mgr_task *task)
{
	struct mgr_source *s = source_of(q, task);

	q->n++;
	if (is_first(task)) {
		TAILQ_INSERT_TAIL(&q->first, task, link);
		return;
	}
	TAILQ_INSERT_TAIL(&s->tasks, task, link);
	if (s->active)
		return;
	s->active = true;
	TAILQ_INSERT_TAIL(&q->active, s, link);
}

void
mgr_queue_push_first(struct mgr_queue *q, struct mgr_task *task)
{
	task->back = true;
	q->n++;
	TAILQ_INSERT_HEAD(&q->first, task, link);
}

/* Whose turn it is; the task stays until mgr_queue_remove, which passes the turn on. */
struct mgr_task *
mgr_queue_first(struct mgr_queue *q)
{
	if (!TAILQ_EMPTY(&q->first))
		return TAILQ_FIRST(&q->first);
	if (TAILQ_EMPTY(&q->active))
		return NULL;
	return TAILQ_FIRST(&TAILQ_FIRST(&q->active)->tasks);
}

void
mgr_queue_remove(struct mgr_queue *q, struct mgr_task *task)
{
	struct mgr_source *s = source_of(q, task);

	mgr_assert(q->n > 0);
	q->n--;
	if (is_first(task)) {
		TAILQ_REMOVE(&q->first, task, link);
		return;
	}
	bool served = TAILQ_FIRST(&q->active) == s && TAILQ_FIRST(&s->tasks) == task;
	TAILQ_REMOVE(&s->tasks, task, link);
	if (!served && !TAILQ_EMPTY(&s->tasks))
		return;
	TAILQ_REMOVE(&q->active, s, link);
	s->active = !TAILQ_EMPTY(&s->tasks);
	if (s->active)
		TAILQ_INSERT_TAIL(&q->active, s, link);
}
