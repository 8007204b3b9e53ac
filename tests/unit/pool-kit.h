/*
 * A pool on a loop of its own, and jobs: tasks whose body and answer live in memory.  The log goes to a
 * file that a test can look into.
 */
#ifndef MGR_TESTS_POOL_KIT_H
#define MGR_TESTS_POOL_KIT_H

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/num.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/loop.h"
#include "svc/pool.h"
#include "tap.h"

struct kit {
	struct mgr_loop *loop;
	struct mgr_pool *pool;
	unsigned changed_n, ready_n, stopped_n, call_n;
	char routes[128], first_why[256], call_op[32], call_body[64];
	bool failed_seen;
	bool hold_ret; /* the test answers by itself */
	struct mgr_pool_call call;
	int64_t call_deadline_ns;
	unsigned call_hops;
};

struct job {
	struct mgr_task task;
	struct kit *kit;
	struct mgr_buf in, out;
	char meta[1024], head_meta[512], message[256];
	uint64_t gen_n;       /* more body bytes, made up as they are asked for */
	size_t room;          /* what the owner takes */
	uint64_t out_n;       /* bytes that came, also when they are not kept */
	uint64_t body_n;
	unsigned status, head_n, done_n, started_n;
	enum mgr_outcome outcome;
	int64_t retry_ns, done_ns;
	bool drop;            /* count, do not keep */
	struct job *again;    /* submitted inside done */
	struct job *leave;    /* cancelled inside done */
};

static char kit_log[64];
static char kit_pattern[64 * 1024];

static size_t
job_body(struct mgr_task *task, struct iovec iov[2])
{
	struct job *j = task->user;

	if (j->gen_n > 0) {
		size_t n = j->gen_n < sizeof(kit_pattern) ? (size_t)j->gen_n : sizeof(kit_pattern);
		task->body_end = j->gen_n <= sizeof(kit_pattern);
		/* In two pieces, as a ring would give them. */
		iov[0] = (struct iovec){kit_pattern, n / 2};
		iov[1] = (struct iovec){kit_pattern + n / 2, n - n / 2};
		return n;
	}
	iov[0] = (struct iovec){mgr_buf_n(&j->in) > 0 ? mgr_buf_p(&j->in) : kit_pattern, mgr_buf_n(&j->in)};
	iov[1] = (struct iovec){0};
	return iov[0].iov_len;
}

static void
job_take(struct mgr_task *task, size_t n)
{
	struct job *j = task->user;

	if (j->gen_n > 0)
		j->gen_n -= n;
	else
		mgr_buf_take(&j->in, n);
}

static size_t
job_room(struct mgr_task *task)
{
	struct job *j = task->user;

	return j->room;
}

static void
job_head(struct mgr_task *task, unsigned status, const char *meta, size_t meta_n, uint64_t body_n)
{
	struct job *j = task->user;

	j->head_n++;
	j->status = status;
	j->body_n = body_n;
	if (meta_n == 0 || meta[meta_n - 1] != '\n')
		bail_out("META without LF");
	snprintf(j->head_meta, sizeof(j->head_meta), "%.*s", (int)meta_n - 1, meta);
}

static void
job_data(struct mgr_task *task, const void *p, size_t n)
{
	struct job *j = task->user;

	if (n > j->room)
		bail_out("more than there is room for");
	if (j->room != SIZE_MAX)
		j->room -= n;
	j->out_n += n;
	if (!j->drop)
		mgr_buf_add(&j->out, p, n);
}

static bool kit_submitting;

static void job_submit(struct job *j);

static void
job_done(struct mgr_task *task, enum mgr_outcome outcome, const char *message, int64_t retry_ns)
{
	struct job *j = task->user;

	if (kit_submitting)
		bail_out("done inside submit");
	j->done_n++;
	j->outcome = outcome;
	j->retry_ns = retry_ns;
	j->done_ns = mgr_now_ns();
	snprintf(j->message, sizeof(j->message), "%s", message != NULL ? message : "");
	if (j->leave != NULL && j->leave->done_n == 0)
		mgr_pool_cancel(&j->leave->task, "client");
	if (j->again != NULL)
		job_submit(j->again);
}

static void
job_started(struct mgr_task *task)
{
	struct job *j = task->user;

	j->started_n++;
}

static const struct mgr_task_ops job_ops = {
	.body = job_body, .body_take = job_take, .room = job_room, .head = job_head,
	.data = job_data, .done = job_done, .started = job_started,
};

/* members go behind deadline_ms; NULL = none. */
static void
job_init(struct job *j, struct kit *k, const char *members, const char *body)
{
	*j = (struct job){.kit = k, .room = SIZE_MAX};
	snprintf(j->meta, sizeof(j->meta), "{\"deadline_ms\":%-10d%s%s}\n", 5000, members != NULL ? "," : "",
		 members != NULL ? members : "");
	if (body != NULL)
		mgr_buf_adds(&j->in, body);
	j->task = (struct mgr_task){.user = j, .ops = &job_ops, .meta = j->meta, .meta_n = strlen(j->meta),
				    .body_n = mgr_buf_n(&j->in), .body_end = true};
}

static int
job_try(struct job *j)
{
	kit_submitting = true;
	int r = mgr_pool_submit(j->kit->pool, &j->task);
	kit_submitting = false;
	return r;
}

static void
job_submit(struct job *j)
{
	int r = job_try(j);

	if (r < 0) {
		j->done_n++;
		j->outcome = MGR_OUT_N;
		snprintf(j->message, sizeof(j->message), "submit: %s", mgr_log_errno(r));
	}
}

static void
job_fini(struct job *j)
{
	mgr_buf_fini(&j->in);
	mgr_buf_fini(&j->out);
}

static const char *
job_text(struct job *j)
{
	return mgr_buf_str(&j->out);
}

static void
kit_changed(struct mgr_pool *pool)
{
	struct kit *k = mgr_pool_user(pool);
	struct mgr_pool_stats s;

	k->changed_n++;
	mgr_pool_get_stats(pool, &s);
	if (k->first_why[0] == '\0')
		snprintf(k->first_why, sizeof(k->first_why), "%s", s.why);
	k->failed_seen = k->failed_seen || s.state == MGR_POOL_FAILED;
}

static void
kit_call(struct mgr_pool *pool, const struct mgr_pool_call *call)
{
	struct kit *k = mgr_pool_user(pool);

	k->call_n++;
	k->call_deadline_ns = call->deadline_ns;
	k->call_hops = call->hops;
	snprintf(k->call_op, sizeof(k->call_op), "%s", call->op);
	snprintf(k->call_body, sizeof(k->call_body), "%.*s", (int)call->body_n, call->body);
	if (k->hold_ret) {
		k->call = *call;
		k->call.call = (struct mgr_json){0};
	} else if (strcmp(call->op, "dispatch") != 0) {
		mgr_pool_ret(pool, call, 200, NULL, "returned", 8);
	}
}

static void
kit_ready(struct mgr_pool *pool, const char *routes)
{
	struct kit *k = mgr_pool_user(pool);

	k->ready_n++;
	snprintf(k->routes, sizeof(k->routes), "%s", routes);
}

static void
kit_stopped(struct mgr_pool *pool)
{
	struct kit *k = mgr_pool_user(pool);

	k->stopped_n++;
}

static const struct mgr_pool_ops kit_ops = {
	.changed = kit_changed, .call = kit_call, .ready = kit_ready, .stopped = kit_stopped,
};

static void
kit_open(struct kit *k, const struct mgr_pool_conf *conf)
{
	*k = (struct kit){0};
	if (truncate(kit_log, 0) < 0 || mgr_loop_new(&k->loop) < 0 ||
	    mgr_pool_new(&k->pool, k->loop, conf, &kit_ops, k) < 0)
		bail_out("no pool");
	mgr_pool_start(k->pool);
}

static void
kit_close(struct kit *k)
{
	mgr_pool_free(k->pool);
	mgr_loop_free(k->loop);
}

static struct mgr_pool_stats
kit_stats(const struct kit *k)
{
	struct mgr_pool_stats s;

	mgr_pool_get_stats(k->pool, &s);
	return s;
}

/* Turns until the condition holds: false after so many seconds. */
#define kit_until(k, seconds, condition) \
	({ \
		int64_t end_ns_ = mgr_now_ns() + (int64_t)(seconds) * MGR_S; \
		while (!(condition) && mgr_now_ns() < end_ns_) \
			mgr_loop_turn((k)->loop, 20 * MGR_MS); \
		(condition); \
	})

static inline bool
kit_ready_up(struct kit *k, unsigned n)
{
	return kit_until(k, 10, kit_stats(k).ready >= n);
}

static inline bool
job_run(struct job *j, unsigned seconds)
{
	if (j->done_n == 0 && j->task.pool == NULL)
		job_submit(j);
	return kit_until(j->kit, seconds, j->done_n > 0);
}

/* Lines of the log that hold the text. */
static inline unsigned
kit_logged(const char *text)
{
	char line[8192];
	unsigned n = 0;
	FILE *f = fopen(kit_log, "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, text) != NULL;
	if (f != NULL)
		fclose(f);
	return n;
}

static inline void
kit_init(void)
{
	snprintf(kit_log, sizeof(kit_log), "/tmp/mgr-pool-test-%d.log", (int)getpid());
	int fd = open(kit_log, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		bail_out("no log");
	close(fd);
	mgr_log_init("pool-test", MGR_INFO);
	for (size_t i = 0; i < sizeof(kit_pattern); i++)
		kit_pattern[i] = (char)('a' + i % 26);
}

static inline long
kit_rss_kb(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f != NULL && fscanf(f, "%*d %ld", &pages) != 1)
		pages = 0;
	if (f != NULL)
		fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static char bin[PATH_MAX], scripts[PATH_MAX];

/* A path below one of the two folders; eight take turns. */
static inline char *
path(const char *dir, const char *name)
{
	static char ring[8][PATH_MAX + 64];
	static unsigned turn;
	char *to = ring[turn++ % 8];

	snprintf(to, sizeof(ring[0]), "%s/%s", dir, name);
	return to;
}

#define ARGV(...) ((char *[]){__VA_ARGS__, NULL})
#define SH(text) ARGV((char *)(uintptr_t)"/bin/sh", (char *)(uintptr_t)"-c", (char *)(uintptr_t)text)
#define T(text) ((char *)(uintptr_t)text)

static inline struct mgr_pool_conf
conf_of(enum mgr_pool_mode mode, char *const *argv)
{
	return (struct mgr_pool_conf){.name = "hello", .mode = mode, .argv = argv, .grace_ns = 200 * MGR_MS,
				      .timeout_ns = 20 * MGR_S};
}

/* Runs the tests that are asked for (all without an argument), then looks for what they left behind. */
struct kit_test {
	const char *name;
	void (*fn)(void);
};

static inline unsigned
count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static inline int
kit_main(const struct kit_test *test, size_t n, const char *which)
{
	const char *b = getenv("MGR_HANDLERS_BIN"), *s = getenv("MGR_HANDLERS");

	if (b == NULL || s == NULL || realpath(b, bin) == NULL || realpath(s, scripts) == NULL)
		plan_skip_all("MGR_HANDLERS_BIN and MGR_HANDLERS are not set");
	kit_init();
	unsigned fds = count_fds();
	for (size_t i = 0; i < n; i++)
		if (which == NULL || strcmp(which, test[i].name) == 0)
			test[i].fn();
	is_int(count_fds(), fds, "no descriptor is left open");
	is_int(waitpid(-1, NULL, WNOHANG), -1, "and no child is left");
	unlink(kit_log);
	return done_testing();
}

#endif
