/*
 * The replica pool in frame mode, against real processes.  MGR_HANDLERS_BIN holds the compiled handlers, MGR_HANDLERS the
 * scripts.
 */
#include "pool-kit.h"

/* Freed memory is kept on purpose there, so that its size says nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

#include <errno.h>
#include <poll.h>

#include "os/file.h"
#include "os/spawn.h"
#include "wire/json.h"

static bool
is_json(const char *text)
{
	return mgr_json_check(text, strlen(text)) == 0;
}

static void
test_hello(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "hello-lockstep")));
	MGR_AUTO_BUF struct mgr_buf list = {0};
	struct kit k;
	struct job j;

	conf.replicas = 2;
	kit_open(&k, &conf);
	is_int(kit_stats(&k).state, MGR_POOL_STARTING, "starts as starting");
	ok(kit_ready_up(&k, 2), "two replicas are READY");
	is_int(k.ready_n, 1, "ready() came once");
	job_init(&j, &k, "\"path\":\"/hello\"", "world");
	ok(job_run(&j, 5), "a request is answered");
	is_str(job_text(&j), "Hello, world!", "its body");
	ok(j.status == 200 && j.head_n == 1 && j.done_n == 1 && j.outcome == MGR_OUT_OK && j.started_n == 1,
	   "head, started and done came once");
	is_int(j.body_n, 13, "the length was known");
	is_int(mgr_buf_n(&j.in), 0, "the body was taken in the end");
	mgr_pool_list(k.pool, &list);
	ok(is_json(mgr_buf_str(&list)), "the list is JSON: %s", mgr_buf_str(&list));
	ok(kit_stats(&k).rss > 0, "rss is known");
	job_fini(&j);
	job_init(&j, &k, NULL, "");
	j.task.flags = MGR_TASK_DISPATCH;
	ok(job_run(&j, 5) && j.outcome == MGR_OUT_OK && j.head_n == 0 && j.out_n == 0, "dispatch discards the answer");
	job_fini(&j);
	kit_close(&k);
}

static void
test_reentry(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "hello-lockstep")));
	struct kit k;
	struct job a, b, c;

	kit_open(&k, &conf);
	job_init(&a, &k, NULL, "a");
	job_init(&b, &k, NULL, "b");
	job_init(&c, &k, NULL, "c");
	a.again = &b;
	a.leave = &c;
	job_submit(&a);
	job_submit(&c);
	ok(kit_until(&k, 5, b.done_n == 1), "done() submits another and cancels a third");
	is_int(c.done_n, 0, "the cancelled one hears nothing");
	is_str(job_text(&b), "Hello, b!", "the other is answered");
	is_int(kit_stats(&k).in_flight + kit_stats(&k).queued, 0, "nothing is left");
	job_fini(&a);
	job_fini(&b);
	job_fini(&c);
	kit_close(&k);
}

static void
test_languages(void)
{
	static const char *const name[] = {"hello.py", "hello.js", "hello.pl", "hello.sh"};

	for (size_t i = 0; i < MGR_N(name); i++) {
		struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(scripts, name[i])));
		struct kit k;
		struct job j;

		kit_open(&k, &conf);
		job_init(&j, &k, NULL, "world");
		ok(job_run(&j, 15) && strcmp(job_text(&j), "Hello, world!") == 0, "%s answers", name[i]);
		job_fini(&j);
		kit_close(&k);
	}
}

static void
test_start_faults(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(T("/nonexistent/handler")));
	struct kit k;
	struct job j;

	kit_open(&k, &conf);
	ok(kit_until(&k, 5, k.first_why[0] != '\0') && strstr(k.first_why, "No such file") != NULL,
	   "a missing program is told at once: %s", k.first_why);
	kit_close(&k);

	conf = conf_of(MGR_POOL_FRAME, SH("echo last words >&2; exit 125"));
	conf.backoff_min_ns = 10 * MGR_MS;
	kit_open(&k, &conf);
	ok(kit_until(&k, 5, k.first_why[0] != '\0') && strstr(k.first_why, "125") != NULL &&
		   strstr(k.first_why, "last words") != NULL,
	   "an exit before READY is told with its last words: %s", k.first_why);
	ok(kit_until(&k, 5, k.failed_seen), "five deaths make it failed");
	is_int(kit_stats(&k).restarts, 5, "after five starts");
	job_init(&j, &k, NULL, "");
	is_int(job_try(&j), -EHOSTDOWN, "a failed pool takes nothing");
	mgr_pool_restart(k.pool);
	ok(kit_until(&k, 5, kit_stats(&k).restarts > 5), "restart tries again at once");
	kit_close(&k);

	conf = conf_of(MGR_POOL_FRAME, SH("printf 'debug: x=\\001\\n'; exec sleep 5"));
	kit_open(&k, &conf);
	kit_until(&k, 5, k.first_why[0] != '\0');
	ok(kit_logged("handler hello#0 wrote \"debug: x=\\x01\" on stdout, which is reserved for frames; use stderr") > 0,
	   "stray output is quoted: %s", k.first_why);
	kit_close(&k);

	conf = conf_of(MGR_POOL_FRAME, SH("exec sleep 5"));
	conf.start_ns = 100 * MGR_MS;
	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "");
	j.task.deadline_ns = mgr_now_ns() + 300 * MGR_MS;
	ok(job_run(&j, 5) && j.outcome == MGR_OUT_TIMEOUT && j.started_n == 0, "no traffic before READY");
	ok(strstr(k.first_why, "READY within 100 ms") != NULL, "READY has a limit: %s", k.first_why);
	kit_close(&k);

	conf = conf_of(MGR_POOL_FRAME, SH("exit 1"));
	conf.backoff_min_ns = 5 * MGR_MS;
	conf.failed_retry_ns = 300 * MGR_MS;
	kit_open(&k, &conf);
	ok(kit_until(&k, 5, kit_stats(&k).restarts >= 6), "a failed pool is tried again by itself");
	is_int(kit_stats(&k).state, MGR_POOL_FAILED, "and stays failed when that fails");
	kit_close(&k);
}

static void
test_queue(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "liar"), T("slow"), T("100")));
	struct job j[6];
	struct kit k;

	conf.queue_n = 3;
	kit_open(&k, &conf);
	kit_ready_up(&k, 1);
	for (int i = 0; i < 6; i++) {
		job_init(&j[i], &k, NULL, "");
		j[i].task.source = i < 3 ? 1 : 2;
	}
	job_submit(&j[0]);
	mgr_loop_turn(k.loop, 0);
	job_submit(&j[1]);
	job_submit(&j[2]);
	job_submit(&j[3]);
	is_int(job_try(&j[4]), -EAGAIN, "a full queue says busy");
	is_int(kit_stats(&k).rejected, 1, "and counts it");
	kit_until(&k, 5, j[1].done_n > 0);
	is_int(j[2].done_n, 0, "the second of one source waits");
	kit_until(&k, 5, j[3].done_n > 0);
	is_int(j[2].done_n, 0, "until the other source had its turn");
	j[5].task.flags = MGR_TASK_PRIORITY;
	kit_until(&k, 5, j[2].done_n > 0);
	job_submit(&j[4]);
	mgr_loop_turn(k.loop, 0);
	job_fini(&j[0]);
	job_init(&j[0], &k, NULL, "");
	job_submit(&j[0]);
	job_submit(&j[5]);
	kit_until(&k, 5, j[5].done_n > 0);
	is_int(j[0].done_n, 0, "priority goes first");
	kit_until(&k, 5, j[0].done_n > 0);
	for (int i = 0; i < 6; i++)
		job_fini(&j[i]);
	kit_close(&k);

	conf.queue_ns = 30 * MGR_MS;
	kit_open(&k, &conf);
	kit_ready_up(&k, 1);
	job_init(&j[0], &k, NULL, "");
	job_init(&j[1], &k, NULL, "");
	job_submit(&j[0]);
	job_submit(&j[1]);
	ok(kit_until(&k, 5, j[1].done_n > 0) && j[1].outcome == MGR_OUT_BUSY && j[1].retry_ns > 0 && j[0].done_n == 0,
	   "waiting has a limit");
	ok(kit_until(&k, 5, j[0].done_n > 0) && j[0].outcome == MGR_OUT_OK, "the one at work is not touched by it");
	job_fini(&j[0]);
	job_fini(&j[1]);
	kit_close(&k);
}

static void
test_deadline(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "echo-id"), T("16")));
	struct job j, after, behind[3];
	struct kit k;

	kit_open(&k, &conf);
	kit_ready_up(&k, 1);
	job_init(&j, &k, "\"headers\":{\"x-sleep-ms\":\"150\",\"x-request-id\":\"late\"}", "");
	j.task.deadline_ns = mgr_now_ns() + 50 * MGR_MS;
	job_submit(&j);
	ok(kit_until(&k, 5, j.done_n > 0) && j.outcome == MGR_OUT_TIMEOUT, "the deadline ends a request");
	job_init(&after, &k, "\"headers\":{\"x-request-id\":\"next\"}", "");
	ok(job_run(&after, 5) && strstr(job_text(&after), "\"next\"") != NULL, "the late answer reaches nobody else");
	is_int(kit_stats(&k).restarts, 0, "an answer within the grace time saves the replica");
	is_int(j.head_n + j.done_n, 1, "nor the one that timed out");
	job_fini(&after);

	/* A quick answer first, so that the pipe may be used. */
	job_init(&after, &k, "\"headers\":{\"x-request-id\":\"quick\"}", "");
	job_run(&after, 5);
	job_fini(&after);
	job_init(&j, &k, "\"headers\":{\"x-sleep-ms\":\"3000\"}", "");
	j.task.deadline_ns = mgr_now_ns() + 100 * MGR_MS;
	job_submit(&j);
	for (int i = 0; i < 3; i++) {
		job_init(&behind[i], &k, "\"headers\":{\"x-request-id\":\"behind\"}", "");
		behind[i].task.flags = MGR_TASK_IDEMPOTENT;
		job_submit(&behind[i]);
	}
	int64_t begin_ns = mgr_now_ns();
	ok(kit_until(&k, 5, j.done_n && behind[0].done_n && behind[1].done_n && behind[2].done_n),
	   "a hung head: all end");
	ok(j.outcome == MGR_OUT_TIMEOUT && behind[0].outcome == MGR_OUT_OK && behind[1].outcome == MGR_OUT_OK &&
		   behind[2].outcome == MGR_OUT_OK,
	   "504 for the head, those behind it go to the next replica");
	ok(mgr_now_ns() - begin_ns < 2 * MGR_S, "and do not wait for it");
	is_int(kit_stats(&k).restarts, 1, "the hung replica was replaced");
	is_int(kit_stats(&k).timeouts, 2, "time-outs are counted");
	for (int i = 0; i < 3; i++)
		job_fini(&behind[i]);
	kit_close(&k);
}

static void
test_slow_depth(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "echo-id"), T("16")));
	struct job slow, quick[8];
	struct kit k;

	conf.replicas = 2;
	kit_open(&k, &conf);
	kit_ready_up(&k, 2);
	job_init(&slow, &k, "\"headers\":{\"x-sleep-ms\":\"400\"}", "");
	job_submit(&slow);
	kit_until(&k, 1, slow.started_n > 0);
	int64_t end_ns = mgr_now_ns() + 20 * MGR_MS;
	kit_until(&k, 1, mgr_now_ns() > end_ns);
	for (int i = 0; i < 8; i++) {
		job_init(&quick[i], &k, NULL, "");
		job_submit(&quick[i]);
	}
	unsigned n = 0;
	for (int i = 0; i < 8; i++)
		n += kit_until(&k, 5, quick[i].done_n > 0) && slow.done_n == 0;
	is_int(n, 8, "a slow request holds nobody up");
	kit_until(&k, 5, slow.done_n > 0);
	for (int i = 0; i < 8; i++)
		job_fini(&quick[i]);
	job_fini(&slow);
	kit_close(&k);
}

static void
test_death(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "echo-id")));
	struct job j;
	struct kit k;

	conf.backoff_min_ns = 10 * MGR_MS;
	kit_open(&k, &conf);
	kit_ready_up(&k, 1);
	job_init(&j, &k, "\"headers\":{\"x-request-id\":\"1\"}", "x");
	job_run(&j, 5);
	job_fini(&j);
	job_init(&j, &k, "\"headers\":{\"x-crash\":\"before\"}", "x");
	ok(job_run(&j, 5) && j.outcome == MGR_OUT_GONE && j.started_n == 1, "a death before RES: gone (%s)", j.message);
	job_fini(&j);
	job_init(&j, &k, "\"headers\":{\"x-crash\":\"before\"}", "x");
	j.task.flags = MGR_TASK_IDEMPOTENT;
	ok(job_run(&j, 5) && j.outcome == MGR_OUT_GONE && j.started_n == 2, "an idempotent one is tried twice");
	job_fini(&j);
	job_init(&j, &k, "\"headers\":{\"x-crash\":\"mid\"}", "x");
	ok(job_run(&j, 5) && j.outcome == MGR_OUT_GONE && j.head_n == 1, "a death after the head: an abort");
	job_fini(&j);
	job_init(&j, &k, "\"headers\":{\"x-crash\":\"after\",\"x-request-id\":\"2\"}", "x");
	ok(job_run(&j, 5) && j.outcome == MGR_OUT_OK, "a death right behind the answer harms nobody");
	job_fini(&j);
	/* Each of these had answered, so there is no backoff and no tally. */
	unsigned good = 0;
	for (int i = 0; i < 8; i++) {
		job_init(&j, &k, "\"headers\":{\"x-crash\":\"after\",\"x-request-id\":\"3\"}", "x");
		good += job_run(&j, 5) && j.outcome == MGR_OUT_OK;
		if (j.outcome != MGR_OUT_OK)
			diag("%s", j.message);
		job_fini(&j);
	}
	is_int(good, 8, "replicas that answered are replaced at once");
	ok(!k.failed_seen, "and never make it failed");
	kit_close(&k);
}

static void
test_bodies(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "echo-id")));
	struct job j;
	struct kit k;

	conf.body_buffer = 256 * 1024;
	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "");
	j.gen_n = 200000;
	j.task.body_end = false;
	j.task.body_n = 200000;
	job_submit(&j);
	while (j.done_n == 0 && kit_until(&k, 5, true)) {
		mgr_loop_turn(k.loop, 5 * MGR_MS);
		mgr_pool_body(&j.task);
	}
	ok(strstr(job_text(&j), "\"len\":200000,") != NULL, "a body is gathered");
	job_fini(&j);

	job_init(&j, &k, NULL, "");
	j.gen_n = 3000000;
	j.task.body_end = false;
	j.task.body_n = MGR_POOL_UNKNOWN;
	job_submit(&j);
	char spool[128] = "";
	while (j.done_n == 0) {
		mgr_loop_turn(k.loop, 5 * MGR_MS);
		mgr_pool_body(&j.task);
		if (j.done_n == 0 && j.task.spool_path != NULL)
			snprintf(spool, sizeof(spool), "%s", j.task.spool_path);
	}
	ok(strstr(job_text(&j), "\"len\":3000000,") != NULL && spool[0] != '\0', "a larger one is spooled");
	ok(access(spool, F_OK) < 0, "and the file is gone");
	job_fini(&j);
	kit_close(&k);
}

static void
test_stream(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "stream")));
	uint64_t size = UINT64_C(256) << 20;
	struct job j;
	struct kit k;

	kit_open(&k, &conf);
	kit_ready_up(&k, 1);
	job_init(&j, &k, "\"method\":\"POST\",\"path\":\"/x/echo\"", "");
	j.gen_n = size;
	j.task.body_end = false;
	j.task.body_n = MGR_POOL_UNKNOWN;
	j.drop = true;
	j.room = 0;
	long before = kit_rss_kb();
	job_submit(&j);
	for (int i = 0; i < 100; i++)
		mgr_loop_turn(k.loop, MGR_MS);
	ok(j.out_n == 0 && j.gen_n > size - (32 << 20) && j.done_n == 0, "without room nothing moves on");
	struct rusage ru1, ru2;
	getrusage(RUSAGE_SELF, &ru1);
	int64_t quiet_ns = mgr_now_ns() + 500 * MGR_MS;
	kit_until(&k, 2, mgr_now_ns() > quiet_ns);
	getrusage(RUSAGE_SELF, &ru2);
	long used_ms = (ru2.ru_utime.tv_sec - ru1.ru_utime.tv_sec) * 1000 +
		       (ru2.ru_utime.tv_usec - ru1.ru_utime.tv_usec) / 1000;
	ok(used_ms < 50, "and nothing spins (%ld ms)", used_ms);
	while (j.done_n == 0 && mgr_now_ns() < quiet_ns + 20 * MGR_S) {
		j.room = 1 << 20;
		mgr_pool_room(&j.task);
		mgr_pool_body(&j.task);
		mgr_loop_turn(k.loop, MGR_MS);
	}
	ok(j.done_n == 1 && j.outcome == MGR_OUT_OK, "256 MiB go through and come back");
	is_int((intmax_t)j.out_n, (intmax_t)size, "every byte");
	ok(SANITIZED || kit_rss_kb() - before < 16 * 1024 * (test_scale() > 1 ? 4 : 1), "in constant memory (%ld KiB)",
	   kit_rss_kb() - before);
	is_int(kit_stats(&k).restarts, 0, "by one process");
	job_fini(&j);

	/* Cancelled in the middle: a half-sent request can only be ended with its process. */
	job_init(&j, &k, "\"method\":\"POST\",\"path\":\"/x\"", "");
	mgr_buf_adds(&j.in, "part");
	j.task.body_end = false;
	job_submit(&j);
	kit_until(&k, 1, mgr_buf_n(&j.in) == 0);
	mgr_pool_cancel(&j.task, "client");
	job_fini(&j);
	job_init(&j, &k, "\"method\":\"POST\",\"path\":\"/x\"", "whole");
	ok(job_run(&j, 5) && strstr(job_text(&j), "\"len\":5,") != NULL && j.outcome == MGR_OUT_OK,
	   "a cancelled upload does not leak into the next");
	job_fini(&j);
	kit_close(&k);
}

static void
test_many(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(scripts, "multi.js")));
	struct job j[12], big;
	struct kit k;

	kit_open(&k, &conf);
	ok(kit_ready_up(&k, 1), "multi.js is READY");
	int64_t begin_ns = mgr_now_ns();
	for (int i = 0; i < 8; i++) {
		job_init(&j[i], &k, "\"query\":{\"ms\":\"200\"}", "x");
		job_submit(&j[i]);
	}
	unsigned n = 0;
	for (int i = 0; i < 8; i++)
		n += kit_until(&k, 5, j[i].done_n > 0) && strcmp(job_text(&j[i]), "Hello, x!") == 0;
	is_int(n, 8, "eight at once");
	ok(mgr_now_ns() - begin_ns < 1000 * MGR_MS, "in the time of one or two");
	for (int i = 0; i < 8; i++)
		job_fini(&j[i]);
	job_init(&big, &k, "\"query\":{\"ms\":\"0\"}", "");
	big.gen_n = 700000;
	big.task.body_end = false;
	big.task.body_n = 700000;
	job_submit(&big);
	while (big.done_n == 0 && kit_until(&k, 5, true) && mgr_now_ns() < begin_ns + 10 * MGR_S) {
		mgr_loop_turn(k.loop, MGR_MS);
		mgr_pool_body(&big.task);
	}
	is_int((intmax_t)big.out_n, 700008, "bodies larger than the windows, by CREDIT");
	job_fini(&big);
	job_init(&big, &k, "\"query\":{\"ms\":\"5000\"}", "");
	job_submit(&big);
	kit_until(&k, 5, big.started_n > 0);
	mgr_pool_cancel(&big.task, "client");
	ok(kit_until(&k, 1, kit_stats(&k).busy == 0), "CANCEL ends a request early");
	is_int(kit_stats(&k).restarts, 0, "the process lives");
	kit_close(&k);
}

static void
test_calls(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(scripts, "call.py")));
	struct job j;
	struct kit k;

	kit_open(&k, &conf);
	kit_ready_up(&k, 1);
	job_init(&j, &k, "\"hops\":3,\"params\":{\"op\":\"publish\"},\"query\":{\"to\":\"other\"}", "argument");
	ok(job_run(&j, 5) && strcmp(job_text(&j), "returned") == 0, "CALL and RET: %s", job_text(&j));
	is_str(k.call_op, "publish", "the op");
	is_str(k.call_body, "argument", "the argument");
	ok(k.call_hops == 3 && k.call_deadline_ns == j.task.deadline_ns, "hops and deadline");
	job_fini(&j);
	job_init(&j, &k, "\"params\":{\"op\":\"dispatch\"},\"query\":{\"to\":\"other\"}", "x");
	ok(job_run(&j, 5) && j.status == 202, "a CALL without RET");
	job_fini(&j);
	k.hold_ret = true;
	job_init(&j, &k, "\"params\":{\"op\":\"publish\"},\"query\":{\"to\":\"other\"}", "x");
	job_submit(&j);
	unsigned had = k.call_n;
	kit_until(&k, 5, k.call_n > had);
	ok(!mgr_pool_has_spare(k.pool, k.call.replica), "no spare replica beside the one that asks");
	mgr_pool_ret(k.pool, &k.call, 503, "later", NULL, 0);
	ok(kit_until(&k, 5, j.done_n > 0) && j.status == 503, "a RET may come later");
	mgr_pool_ret(k.pool, &k.call, 503, "twice", NULL, 0);
	k.call.serial += 1000;
	mgr_pool_ret(k.pool, &k.call, 503, "wrong replica", NULL, 0);
	ok(kit_stats(&k).restarts == 0, "stray RETs are dropped");
	job_fini(&j);
	kit_close(&k);
}

static bool
wanted(const char *expect, const struct job *j)
{
	if (strcmp(expect, "good") == 0)
		return j->outcome == MGR_OUT_OK || (j->outcome == MGR_OUT_ERROR && j->status == 503);
	if (strcmp(expect, "hang") == 0)
		return j->outcome == MGR_OUT_TIMEOUT || j->outcome == MGR_OUT_GONE;
	if (strcmp(expect, "start") == 0)
		return j->outcome == MGR_OUT_TIMEOUT || j->outcome == MGR_OUT_UNAVAILABLE;
	if (strcmp(expect, "refused") == 0) /* header rules are the web server's */
		return j->outcome == MGR_OUT_GONE || j->outcome == MGR_OUT_OK;
	/* What is wrong behind a right answer harms only the replica. */
	return j->outcome == MGR_OUT_GONE || (strcmp(expect, "garbage") == 0 && j->outcome == MGR_OUT_OK);
}

static void
run_liar(const char *kind, const char *expect)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "liar"), T(kind), T("50")));
	bool good = strcmp(expect, "good") == 0;
	struct job j;
	struct kit k;

	conf.start_ns = 100 * MGR_MS;
	conf.grace_ns = 50 * MGR_MS;
	conf.backoff_min_ns = 5 * MGR_MS;
	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "body");
	j.task.deadline_ns = mgr_now_ns() + 250 * MGR_MS;
	job_submit(&j);
	kit_until(&k, 3, j.done_n > 0);
	bool ended = j.done_n == 1 && wanted(expect, &j);
	if (!good && strcmp(expect, "refused") != 0)
		ended = ended && kit_until(&k, 2, kit_stats(&k).restarts > 0);
	ok(ended, "liar %s (%s): outcome %d %s", kind, expect, (int)j.outcome, j.message);
	job_fini(&j);
	kit_close(&k);
}

static void
list_kinds(struct mgr_buf *list)
{
	const struct mgr_spawn spawn = {.argv = ARGV(path(bin, "liar"), T("--list")), .envp = environ,
					.fd_n = 3, .fd = {-1, -1, -1}};
	struct mgr_spawn s = spawn;
	int fd[2], pidfd;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) < 0)
		bail_out("pipe");
	s.fd[1] = fd[1];
	if (mgr_spawn(&s, &pid, &pidfd) < 0)
		bail_out("liar --list");
	close(fd[1]);
	mgr_file_read_fd(fd[0], 1 << 20, list);
	mgr_buf_addc(list, '\0');
	close(fd[0]);
	close(pidfd);
	waitpid(pid, NULL, 0);
}

static void
test_liars(void)
{
	MGR_AUTO_BUF struct mgr_buf list = {0};
	unsigned n = 0;

	list_kinds(&list);
	long before = kit_rss_kb();
	for (const char *at = mgr_buf_p(&list); at != NULL; at = strchr(at, '\n')) {
		char kind[64], expect[64];
		at += *at == '\n' ? 1 : 0;
		if (sscanf(at, "%63s %63s", kind, expect) != 2)
			break;
		run_liar(kind, expect);
		n++;
	}
	ok(n > 50, "%u kinds of liars", n);
	ok(kit_rss_kb() - before < 32 * 1024 * (long)test_scale(), "cost no memory (%ld KiB)", kit_rss_kb() - before);
}

static void
test_twice_is_garbage(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "liar"), T("print-between")));
	struct job j;
	struct kit k;

	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "");
	ok(job_run(&j, 5) && j.outcome == MGR_OUT_OK && kit_until(&k, 2, kit_stats(&k).restarts == 1),
	   "print-between: the right answer counts, the replica goes");
	ok(kit_logged("wrote \"debug: x=1\" on stdout") == 1, "and the print is quoted");
	kit_close(&k);
}

static void
test_half_frame(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "liar"), T("no-lf-stop")));
	struct job j;
	struct kit k;

	conf.frame_ns = 100 * MGR_MS;
	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "");
	ok(job_run(&j, 3) && j.outcome == MGR_OUT_GONE, "a frame that does not move has a limit of its own: %s", j.message);
	kit_close(&k);
}

/* The host dies without a word. */
static void
test_orphans(void)
{
	int fd[2];
	pid_t handler = 0;

	if (pipe(fd) < 0)
		bail_out("pipe");
	pid_t host = fork();
	if (host == 0) {
		struct mgr_pool_conf conf = conf_of(
			MGR_POOL_FRAME, SH("trap '' TERM; echo 'READY 0 0 0'; while :; do sleep 1; done"));
		struct kit k;
		struct job j;
		kit_open(&k, &conf);
		kit_ready_up(&k, 1);
		MGR_AUTO_BUF struct mgr_buf list = {0};
		mgr_pool_list(k.pool, &list);
		const char *at = strstr(mgr_buf_str(&list), "\"pid\":");
		handler = at != NULL ? (pid_t)strtol(at + 6, NULL, 10) : 0;
		job_init(&j, &k, NULL, "");
		if (write(fd[1], &handler, sizeof(handler)) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
		_exit(1);
	}
	bool told = read(fd[0], &handler, sizeof(handler)) == sizeof(handler);
	waitpid(host, NULL, 0);
	bool gone = false;
	for (int i = 0; i < 200 && told && !gone; i++) {
		char file[64], text[256] = "";
		snprintf(file, sizeof(file), "/proc/%d/stat", (int)handler);
		FILE *f = fopen(file, "r");
		gone = f == NULL || fgets(text, sizeof(text), f) == NULL || strstr(text, ") Z") != NULL;
		if (f != NULL)
			fclose(f);
		poll(NULL, 0, 10);
	}
	ok(told && gone, "handlers die with their host");
	close(fd[0]);
	close(fd[1]);
}

static void
test_rolling(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "hello-lockstep")));
	char link_path[64], *target = path(bin, "hello-lockstep");
	struct job j;
	struct kit k;
	unsigned good = 0;

	snprintf(link_path, sizeof(link_path), "/tmp/mgr-pool-handler-%d", (int)getpid());
	unlink(link_path);
	if (symlink(target, link_path) < 0)
		bail_out("symlink");
	conf.argv = ARGV(link_path);
	conf.replicas = 3;
	conf.start_ns = MGR_S;
	kit_open(&k, &conf);
	kit_ready_up(&k, 3);
	mgr_pool_restart(k.pool);
	int64_t end_ns = mgr_now_ns() + 400 * MGR_MS;
	unsigned n = 0;
	while (mgr_now_ns() < end_ns) {
		job_init(&j, &k, NULL, "x");
		good += job_run(&j, 5) && j.outcome == MGR_OUT_OK;
		n++;
		job_fini(&j);
	}
	ok(good == n && n > 10, "no request is lost by a restart (%u)", n);
	ok(kit_logged("handler-ready") == 6 && kit_until(&k, 2, kit_logged("handler-ended") == 3),
	   "three new ones came, three old ones went");
	is_int(kit_stats(&k).restarts, 0, "which is not counted as deaths");

	unlink(link_path);
	if (symlink("/bin/false", link_path) < 0)
		bail_out("symlink");
	mgr_pool_restart(k.pool);
	kit_until(&k, 3, kit_logged("restart-stopped") > 0);
	job_init(&j, &k, NULL, "x");
	ok(job_run(&j, 5) && j.outcome == MGR_OUT_OK && kit_stats(&k).ready == 3,
	   "a new version that fails leaves the old one at work");
	ok(strstr(kit_stats(&k).why, "before READY") != NULL, "and the reason is shown: %s", kit_stats(&k).why);
	job_fini(&j);
	unlink(link_path);
	if (symlink(target, link_path) < 0)
		bail_out("symlink");
	mgr_pool_scale(k.pool, 5);
	ok(kit_ready_up(&k, 5), "scale up");
	mgr_pool_scale(k.pool, 1);
	ok(kit_until(&k, 3, kit_logged("handler-ended") >= 8) && kit_stats(&k).ready == 1 && kit_stats(&k).want == 1,
	   "scale down");
	unlink(link_path);
	kit_close(&k);
}

static void
test_drain(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "liar"), T("slow"), T("150")));
	struct job j[3];
	struct kit k;

	conf.drain_ns = 2 * MGR_S;
	kit_open(&k, &conf);
	kit_ready_up(&k, 1);
	for (int i = 0; i < 3; i++)
		job_init(&j[i], &k, NULL, "");
	job_submit(&j[0]);
	job_submit(&j[1]);
	mgr_loop_turn(k.loop, 0);
	mgr_pool_drain(k.pool);
	is_int(job_try(&j[2]), -ESHUTDOWN, "a draining pool takes nothing");
	ok(kit_until(&k, 3, k.stopped_n == 1) && j[0].outcome == MGR_OUT_OK && j[1].outcome == MGR_OUT_OK &&
		   j[0].done_n + j[1].done_n == 2,
	   "what is there is finished first");
	is_int(kit_stats(&k).state, MGR_POOL_STOPPED, "then it is stopped");
	for (int i = 0; i < 3; i++)
		job_fini(&j[i]);
	kit_close(&k);

	/* One that neither answers nor ends on TERM. */
	conf = conf_of(MGR_POOL_FRAME, SH("trap '' TERM; echo 'READY 0 0 0'; while :; do sleep 1; done"));
	conf.drain_ns = 200 * MGR_MS;
	kit_open(&k, &conf);
	kit_ready_up(&k, 1);
	job_init(&j[0], &k, NULL, "");
	job_submit(&j[0]);
	mgr_loop_turn(k.loop, 0);
	int64_t begin_ns = mgr_now_ns();
	mgr_pool_drain(k.pool);
	ok(kit_until(&k, 5, k.stopped_n == 1) && mgr_now_ns() - begin_ns < 2 * MGR_S, "TERM, then KILL");
	ok(j[0].done_n == 1 && j[0].outcome == MGR_OUT_UNAVAILABLE, "its request is told");
	kit_close(&k);

	conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "hello-lockstep")));
	kit_open(&k, &conf);
	kit_ready_up(&k, 1);
	job_init(&j[0], &k, NULL, "");
	job_submit(&j[0]);
	mgr_pool_free(k.pool);
	ok(j[0].done_n == 1 && j[0].outcome == MGR_OUT_GONE, "free ends the tasks first");
	mgr_loop_free(k.loop);
}

#define FLIGHT 64

static struct {
	unsigned sent, ended, good, wrong, killed, gone;
} chaos;

static void
chaos_send(struct job *j)
{
	struct kit *k = j->kit;
	const struct mgr_task_ops *ops = j->task.ops;
	char members[128];

	job_fini(j);
	snprintf(members, sizeof(members), "\"headers\":{\"x-request-id\":\"n%u\"}", chaos.sent++);
	job_init(j, k, members, "body");
	j->task.ops = ops;
	j->task.flags = MGR_TASK_IDEMPOTENT;
	j->body_n = chaos.sent - 1;
	job_submit(j);
}

static void
chaos_head(struct mgr_task *task, unsigned status, const char *meta, size_t meta_n, uint64_t body_n)
{
	struct job *j = task->user;

	(void)meta;
	(void)meta_n;
	(void)body_n;
	j->status = status;
}

static void
chaos_done(struct mgr_task *task, enum mgr_outcome outcome, const char *message, int64_t retry_ns)
{
	struct job *j = task->user;
	const char *pid = strstr(job_text(j), "\"pid\":");
	char want[64];

	(void)message;
	(void)retry_ns;
	chaos.ended++;
	snprintf(want, sizeof(want), "{\"id\":\"n%llu\",\"len\":4,", (unsigned long long)j->body_n);
	bool mine = outcome == MGR_OUT_OK && strncmp(job_text(j), want, strlen(want)) == 0;
	chaos.good += mine;
	chaos.gone += outcome == MGR_OUT_GONE;
	chaos.wrong += outcome == MGR_OUT_OK ? !mine : outcome != MGR_OUT_GONE;
	/* Only one that has answered is killed: it must come back at once. */
	if (mine && pid != NULL && chaos.ended % 500 == 0)
		chaos.killed += kill((pid_t)strtol(pid + 6, NULL, 10), SIGKILL) == 0;
	if (chaos.sent < 30000)
		chaos_send(j);
}

static void
test_chaos(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, "echo-id"), T("16")));
	struct mgr_task_ops ops = job_ops;
	static struct job j[FLIGHT];
	struct kit k;

	ops.done = chaos_done;
	ops.head = chaos_head;
	conf.replicas = 4;
	kit_open(&k, &conf);
	kit_ready_up(&k, 4);
	for (int i = 0; i < FLIGHT; i++) {
		job_init(&j[i], &k, NULL, NULL);
		j[i].task.ops = &ops;
		chaos_send(&j[i]);
	}
	ok(kit_until(&k, 30, chaos.ended >= 30000), "requests end while replicas are killed");
	is_int(chaos.wrong, 0, "nobody gets another's answer");
	/* A request is lost only when it meets two deaths, or one in the middle of its answer. */
	ok(chaos.good + chaos.gone == 30000 && chaos.gone <= chaos.killed * 2, "%u good, %u lost", chaos.good, chaos.gone);
	ok(kit_until(&k, 5, kit_stats(&k).ready == 4 && kit_stats(&k).restarts >= chaos.killed) && chaos.killed > 10,
	   "all are back: %u killed, %u replaced", chaos.killed, (unsigned)kit_stats(&k).restarts);
	ok(!k.failed_seen, "and it never failed");
	for (int i = 0; i < FLIGHT; i++)
		job_fini(&j[i]);
	kit_close(&k);
}

static unsigned rate_left;

static void
rate_done(struct mgr_task *task, enum mgr_outcome outcome, const char *message, int64_t retry_ns)
{
	struct job *j = task->user;

	(void)message;
	(void)retry_ns;
	if (outcome != MGR_OUT_OK || j->out_n != 13)
		j->done_n = 1;
	j->out_n = 0;
	if (rate_left == 0)
		return;
	rate_left--;
	mgr_buf_clear(&j->in, 64);
	mgr_buf_adds(&j->in, "world");
	j->task.deadline_ns = 0;
	job_submit(j);
}

static void
test_rate(const char *name)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FRAME, ARGV(path(bin, name)));
	struct mgr_task_ops ops = job_ops;
	static struct job j[FLIGHT];
	const unsigned total = 200000;
	unsigned bad = 0;
	struct kit k;

	ops.done = rate_done;
	ops.started = NULL;
	kit_open(&k, &conf);
	kit_ready_up(&k, 1);
	rate_left = total - FLIGHT;
	int64_t begin_ns = mgr_now_ns();
	for (int i = 0; i < FLIGHT; i++) {
		job_init(&j[i], &k, "\"kind\":\"http\",\"method\":\"POST\",\"path\":\"/hello\",\"route\":\"/hello\"", "world");
		j[i].task.ops = &ops;
		j[i].drop = true;
		job_submit(&j[i]);
	}
	ok(kit_until(&k, 60, kit_stats(&k).calls >= total), "%u requests at %d in flight through %s", total, FLIGHT, name);
	double s = (double)(mgr_now_ns() - begin_ns) / 1e9;
	for (int i = 0; i < FLIGHT; i++)
		bad += j[i].done_n;
	is_int(bad, 0, "all answered right");
	diag("%s: %.0f requests/s at %d in flight", name, total / s, FLIGHT);
	for (int i = 0; i < FLIGHT; i++)
		job_fini(&j[i]);
	kit_close(&k);
}

static void
test_rates(void)
{
	test_rate("hello-batch");
	test_rate("hello-lockstep");
}

int
main(int argc, char **argv)
{
	static const struct kit_test tests[] = {
		{"hello", test_hello},       {"reentry", test_reentry}, {"languages", test_languages},
		{"start", test_start_faults}, {"queue", test_queue},    {"deadline", test_deadline},
		{"depth", test_slow_depth},  {"death", test_death},     {"bodies", test_bodies},
		{"stream", test_stream},     {"many", test_many},       {"calls", test_calls},
		{"liars", test_liars},       {"print", test_twice_is_garbage}, {"half", test_half_frame},
		{"orphans", test_orphans},   {"rolling", test_rolling}, {"drain", test_drain},
		{"chaos", test_chaos},       {"rate", test_rates},
	};

	return kit_main(tests, MGR_N(tests), argc > 1 ? argv[1] : NULL);
}
