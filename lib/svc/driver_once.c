#include "svc/pool_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/io.h"
#include "os/log.h"

#define PAUSE_NS (100 * MGR_MS)

/* What an exit status means: FRAME.md's table as the answer's status and what a job makes of it. */
static const struct {
	int code;
	unsigned status;
	const char *more;
} by_exit[] = {
	{64, 400, ""},
	{65, 422, ",\"outcome\":\"dead\""},
	{66, 404, ""},
	{69, 503, ",\"outcome\":\"retry\""},
	{75, 503, ",\"outcome\":\"retry\""},
	{77, 403, ""},
	{100, 410, ",\"outcome\":\"drop\""},
};

static int
once_open(struct mgr_replica *r)
{
	struct mgr_once *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return -ENOMEM;
	o->status = 200;
	o->aux.body_max = MGR_POOL_CALL_MAX;
	r->state_of_driver = o;
	return 0;
}

static void
once_close(struct mgr_replica *r)
{
	struct mgr_once *o = r->state_of_driver;

	mgr_buf_fini(&o->head);
	mgr_buf_fini(&o->answer);
	mgr_buf_fini(&o->ret);
	mgr_frame_parser_fini(&o->aux);
	free(o);
}

static void
once_feed(struct mgr_replica *r, struct mgr_slot *slot)
{
	struct mgr_task *task = slot->task;
	struct iovec iov[2];

	while (task != NULL && !slot->fed_all && mgr_buf_n(&r->out) < MGR_POOL_CHUNK) {
		size_t n = mgr_task_body(task, iov);
		if (mgr_buf_add(&r->out, iov[0].iov_base, iov[0].iov_len) < 0 ||
		    mgr_buf_add(&r->out, iov[1].iov_base, iov[1].iov_len) < 0) {
			mgr_replica_kill(r);
			return;
		}
		if (n > 0)
			task->ops->body_take(task, n);
		slot->fed_all = task->body_end;
		if (n == 0 || slot->task != task)
			break;
	}
	r->eof_due = slot->fed_all;
}

static int
once_begin(struct mgr_replica *r, struct mgr_slot *slot)
{
	mgr_seats_leave(r);
	r->expected = true;
	once_feed(r, slot);
	mgr_replica_resume(r); /* what a spare copy said before it was asked */
	return 0;
}

static void
start_answer(struct mgr_slot *slot, uint64_t body_n)
{
	struct mgr_once *o = slot->replica->state_of_driver;

	if (o->has_answer)
		mgr_answer_head(slot, o->status, mgr_buf_p(&o->answer), mgr_buf_n(&o->answer), body_n);
	else
		mgr_answer_head(slot, 200, "{}\n", 3, body_n);
}

static ssize_t
once_input(struct mgr_replica *r, const char *p, size_t n)
{
	struct mgr_slot *slot = TAILQ_FIRST(&r->slots);

	if (slot == NULL)
		return 0;
	if (!slot->head_seen) {
		if (r->driver->aux_input != NULL)
			r->driver->aux_input(r); /* a status that was set before this byte was written */
		if (slot->head_seen)
			return (ssize_t)n; /* it broke the rules there */
		start_answer(slot, MGR_POOL_UNKNOWN);
	}
	return (ssize_t)mgr_answer_data(slot, p, n);
}

static ssize_t
cgi_input(struct mgr_replica *r, const char *p, size_t n)
{
	struct mgr_slot *slot = TAILQ_FIRST(&r->slots);
	struct mgr_once *o = r->state_of_driver;

	if (slot == NULL)
		return 0;
	if (slot->head_seen)
		return (ssize_t)mgr_answer_data(slot, p, n);
	size_t had = mgr_buf_n(&o->head), take = n < MGR_CGI_HEAD_MAX - had ? n : MGR_CGI_HEAD_MAX - had;
	if (mgr_buf_add(&o->head, p, take) < 0)
		return -ENOMEM;
	ssize_t used = mgr_cgi_head(mgr_buf_p(&o->head), mgr_buf_n(&o->head), &o->status, &o->answer);
	if (used < 0 || (used == 0 && mgr_buf_n(&o->head) >= MGR_CGI_HEAD_MAX)) {
		mgr_replica_broken(r, "on stdout, which is not a CGI header", mgr_buf_p(&o->head),
				   mgr_buf_n(&o->head));
		return -EPROTO;
	}
	if (used == 0)
		return (ssize_t)n;
	o->has_answer = true;
	mgr_buf_clear(&o->head, 0);
	start_answer(slot, MGR_POOL_UNKNOWN);
	/* The header ended in this piece, behind what was there before. */
	size_t at = (size_t)used - had;
	return (ssize_t)(at + mgr_answer_data(slot, p + at, n - at));
}

static void
answer_exit(struct mgr_slot *slot, int code)
{
	unsigned status = 500;
	const char *more = "";
	char message[64];

	for (size_t i = 0; i < MGR_N(by_exit); i++) {
		if (by_exit[i].code == code) {
			status = by_exit[i].status;
			more = by_exit[i].more;
		}
	}
	int n = snprintf(message, sizeof(message), "handler exited with status %d", code);
	mgr_answer_error(slot, status, more, message, (size_t)n);
}

static void
once_ended(struct mgr_replica *r)
{
	struct mgr_slot *slot = TAILQ_FIRST(&r->slots);
	struct mgr_once *o = r->state_of_driver;
	char text[64], message[128];
	bool normal = WIFEXITED(r->status) && r->status != -1;

	if (slot == NULL)
		return;
	if (!slot->head_seen && r->driver->aux_input != NULL)
		r->driver->aux_input(r);
	slot = TAILQ_FIRST(&r->slots);
	if (slot == NULL)
		return;
	snprintf(message, sizeof(message), "handler ended with %s",
		 mgr_child_status_text(r->status, text, sizeof(text)));
	if (!normal || (WEXITSTATUS(r->status) != 0 && slot->head_seen)) {
		mgr_answer_end(slot, MGR_OUT_GONE, message);
	} else if (WEXITSTATUS(r->status) != 0) {
		answer_exit(slot, WEXITSTATUS(r->status));
	} else if (!slot->head_seen && r->driver == &mgr_driver_cgi && !o->has_answer) {
		mgr_answer_end(slot, MGR_OUT_GONE, "handler ended without a CGI header");
	} else {
		if (!slot->head_seen)
			start_answer(slot, 0);
		mgr_answer_end(slot, MGR_OUT_OK, NULL);
	}
}

/* The client left, or the time is over: the whole group is asked to go, then made to. */
static void
once_cancel(struct mgr_replica *r, struct mgr_slot *slot, const char *reason)
{
	(void)reason;
	slot->fed_all = true;
	slot->kill_ns = INT64_MAX; /* the end of the grace time is watched there */
	mgr_replica_terminate(r);
}

bool
mgr_once_check(struct mgr_pool *pool)
{
	if (access(pool->conf.argv[0], X_OK) == 0) {
		pool->failed = pool->trouble = false;
		return true;
	}
	mgr_pool_set_why(pool, "handler %s cannot be started: %s: %s", pool->conf.name, pool->conf.argv[0],
			 mgr_log_errno(-errno));
	pool->trouble = true;
	mgr_seats_failed(pool);
	return false;
}

static void
on_pause_over(struct mgr_timer *t)
{
	struct mgr_pool *pool = MGR_CONTAINER(t, struct mgr_pool, pause_timer);

	pool->pause_ns = 0;
	mgr_pool_wake(pool);
}

/* The lowest number that no running process has. */
static unsigned
free_index(const struct mgr_pool *pool)
{
	bool used[MGR_POOL_REPLICAS_MAX] = {false};
	const struct mgr_replica *r;
	unsigned i = 0;

	TAILQ_FOREACH(r, &pool->replicas, link)
		if (r->index < MGR_POOL_REPLICAS_MAX)
			used[r->index] = true;
	while (i < MGR_POOL_REPLICAS_MAX - 1 && used[i])
		i++;
	return i;
}

static int
spawn(struct mgr_pool *pool, unsigned index, struct mgr_cgi_start *s, struct mgr_replica **ret_replica)
{
	struct mgr_replica *r;
	int err = mgr_replica_new(pool, index, &r);

	if (err < 0)
		return err;
	err = mgr_replica_spawn(r, s->argv, s->envp);
	if (err < 0) {
		mgr_replica_free(r);
		return err;
	}
	mgr_replica_ready(r);
	*ret_replica = r;
	return 0;
}

static void
refuse(struct mgr_pool *pool, struct mgr_task *task, int err, const char *why)
{
	if (err == -EINVAL && why[0] != '\0') {
		mgr_task_finish(task, MGR_OUT_BAD_REQUEST, why);
		return;
	}
	mgr_pool_set_why(pool, "handler %s cannot be started: %s: %s", pool->conf.name, pool->conf.argv[0],
			 mgr_log_errno(err));
	mgr_log(MGR_ERR, "handler-not-started", "handler=%s path=%s error=%s", pool->conf.name,
		mgr_log_str(pool->conf.argv[0]), mgr_log_errno(err));
	mgr_task_finish(task, MGR_OUT_GONE, pool->why);
}

int
mgr_once_spawn(struct mgr_pool *pool, struct mgr_task *task, struct mgr_replica **ret_replica)
{
	struct mgr_cgi_start s = {0};
	unsigned index = free_index(pool);
	const char *why = "";

	*ret_replica = NULL;
	if (pool->pause_ns > mgr_loop_now(pool->loop))
		return 0;
	mgr_env_set_replica(pool, index);
	int err = mgr_cgi_start_make(pool, task, &s, &why);
	if (err == 0)
		err = spawn(pool, index, &s, ret_replica);
	mgr_cgi_start_fini(&s);
	if (err == 0)
		return 0;
	if (mgr_seats_is_short_of(err)) {
		/* Others are at work and will give back what is missing. */
		pool->pause_ns = mgr_loop_now(pool->loop) + PAUSE_NS;
		if (mgr_timer_start(&pool->pause_timer, pool->loop, pool->pause_ns, on_pause_over) == 0)
			return 0;
	}
	refuse(pool, task, err, why);
	return err;
}

const struct mgr_driver mgr_driver_filter = {
	.spare = true,
	.streams = true,
	.open = once_open,
	.close = once_close,
	.begin = once_begin,
	.feed = once_feed,
	.input = once_input,
	.ended = once_ended,
	.cancel = once_cancel,
};

const struct mgr_driver mgr_driver_exec = {
	.streams = true,
	.aux = true,
	.open = once_open,
	.close = once_close,
	.begin = once_begin,
	.feed = once_feed,
	.input = once_input,
	.aux_input = mgr_once_aux_input,
	.ended = once_ended,
	.cancel = once_cancel,
	.ret = mgr_once_aux_ret,
};

const struct mgr_driver mgr_driver_cgi = {
	.streams = true,
	.open = once_open,
	.close = once_close,
	.begin = once_begin,
	.feed = once_feed,
	.input = cgi_input,
	.ended = once_ended,
	.cancel = once_cancel,
};
