#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/auto.h"
#include "base/num.h"
#include "lint.h"
#include "os/clock.h"
#include "os/io.h"

#define BIG_N (10u * 1024 * 1024)
#define SLOW_BODY_N (512u * 1024)
#define CHUNK 32768u
#define ID_MAX UINT32_MAX

bool
lint_fail(struct lint *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->why, sizeof(l->why), fmt, ap);
	va_end(ap);
	return false;
}

bool
lint_gone(struct lint *l, const char *what)
{
	const struct probe *p = &l->probe;
	char text[64];

	if (p->broken)
		lint_fail(l, "%s", p->why);
	else if (p->exited)
		lint_fail(l, "no %s: it ended (%s)", what, mgr_child_status_text(p->status, text, sizeof(text)));
	else if (p->closed)
		lint_fail(l, "no %s: it closed its stdout", what);
	else
		lint_fail(l, "no %s in time", what);
	return true;
}

static bool
skip(struct lint *l, const char *why)
{
	lint_fail(l, "%s", why);
	l->skipped = true;
	return true;
}

/* Waits for the end of an answer. */
static bool
answered(struct lint *l, const struct probe_request *q)
{
	int64_t end_ns = mgr_now_ns() + l->o.timeout_ns;

	while (q->state != PROBE_DONE && probe_turn(&l->probe, end_ns))
		continue;
	return q->state == PROBE_DONE ? true : !lint_gone(l, "answer");
}

static bool
ask(struct lint *l, uint32_t id, const void *body, size_t n)
{
	return answered(l, probe_ask(&l->probe, id, "", false, body, n));
}

static bool
check_ready(struct lint *l)
{
	(void)l;
	return true; /* every check begins with it */
}

static bool
check_empty(struct lint *l)
{
	return ask(l, 1, "", 0);
}

/* Every byte there is, newlines, NULs and a look-alike of a frame. */
static bool
check_binary(struct lint *l)
{
	static const char frame[] = "\n\0RES 1 0 0\nREQ 9 0 0\n";
	char body[256 + sizeof(frame)];

	for (size_t i = 0; i < 256; i++)
		body[i] = (char)i;
	memcpy(body + 256, frame, sizeof(frame));
	/* The next one shows that exactly the body was read. */
	return ask(l, 2, body, sizeof(body)) && ask(l, 3, "world", 5);
}

static bool
check_id(struct lint *l)
{
	return ask(l, 7, "seven", 5) && ask(l, ID_MAX, "last", 4) && ask(l, 8, "eight", 5);
}

static bool
check_unknown(struct lint *l)
{
	static const char frame[] = "LINT 0 11 10\n{\"lint\":1}\nREQ 5 0 0\n";

	mgr_buf_add(&l->probe.to, frame, sizeof(frame) - 1);
	return ask(l, 4, "world", 5);
}

/* Gives a large body piece by piece, within the window of a handler that has one. */
static bool
stream_big(struct lint *l)
{
	static char piece[CHUNK];
	struct probe *p = &l->probe;
	int64_t end_ns = mgr_now_ns() + l->o.timeout_ns;
	struct probe_request *q = probe_ask(p, 10, ",\"len\":10485760", true, piece, sizeof(piece));
	size_t left = BIG_N - sizeof(piece);

	while (left > 0 && q->state != PROBE_DONE) {
		bool may = mgr_buf_n(&p->to) < 8 * CHUNK && (p->concurrency <= 1 || q->window >= CHUNK);
		if (may) {
			left -= CHUNK;
			q->window -= CHUNK;
			probe_send(p, MGR_FRAME_DATA, left > 0, 10, "", piece, CHUNK);
		} else if (!probe_turn(p, end_ns)) {
			return !lint_gone(l, p->concurrency > 1 && q->window < CHUNK ? "CREDIT" : "answer");
		}
	}
	if (left > 0) /* it answered early, which it may: the rest is still owed */
		probe_send(p, MGR_FRAME_DATA, false, 10, "", NULL, 0);
	return answered(l, q);
}

/* Zeros in a file, as the host spools a body for handlers that do not stream. */
static bool
spool_big(struct lint *l)
{
	const char *dir = getenv("TMPDIR");
	char path[512], members[600];
	int n = snprintf(path, sizeof(path), "%s/mgr-lint.XXXXXX", dir != NULL && dir[0] == '/' ? dir : "/tmp");

	if (n < 0 || n >= (int)sizeof(path) || strpbrk(path, "\"\\") != NULL)
		return lint_fail(l, "TMPDIR cannot be used");
	MGR_AUTO_CLOSE int fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, BIG_N) < 0)
		return lint_fail(l, "no file for the body: %s", strerror(errno));
	snprintf(members, sizeof(members), ",\"len\":10485760,\"body_file\":\"%s\"", path);
	bool good = answered(l, probe_ask(&l->probe, 10, members, false, "", 0));
	unlink(path);
	return good;
}

static bool
check_big(struct lint *l)
{
	return l->probe.stream_in ? stream_big(l) : spool_big(l);
}

static bool
check_slow(struct lint *l)
{
	/* A handler with credits never has more than a window under way. */
	size_t n = l->probe.concurrency > 1 ? CHUNK : SLOW_BODY_N;
	MGR_AUTO_FREE char *body = calloc(1, n);

	if (body == NULL)
		return lint_fail(l, "out of memory");
	l->probe.slow = true;
	bool good = ask(l, 11, body, n);
	l->probe.slow = false;
	return good && ask(l, 12, "world", 5);
}

/* As many at once as it announced (but not more than 8); in order, where that is promised. */
static bool
check_many(struct lint *l)
{
	struct probe *p = &l->probe;
	unsigned n = p->concurrency > 1 ? p->concurrency : p->pipeline;
	struct probe_request *q[8];

	if (n < 2)
		return skip(l, "neither pipeline nor concurrency was announced");
	n = n > MGR_N(q) ? (unsigned)MGR_N(q) : n;
	for (unsigned i = 0; i < n; i++)
		q[i] = probe_ask(p, 20 + i, "", false, "together", i % 8 + 1);
	for (unsigned i = 0; i < n; i++)
		if (!answered(l, q[i]))
			return false;
	for (unsigned i = 0; i < n && p->concurrency <= 1; i++)
		if (q[i]->place != i + 1)
			return lint_fail(l, "the answers came in another order than the requests");
	return true;
}

static bool
check_ping(struct lint *l)
{
	struct probe *p = &l->probe;
	int64_t end_ns = mgr_now_ns() + l->o.timeout_ns;

	if (!p->ping)
		return skip(l, "ping was not announced");
	p->ponged = false;
	probe_send(p, MGR_FRAME_PING, false, 0, "", NULL, 0);
	while (!p->ponged && probe_turn(p, end_ns))
		continue;
	return p->ponged ? true : !lint_gone(l, "PONG");
}

/* Its end after EOF, with status 0. */
static bool
ends_well(struct lint *l)
{
	struct probe *p = &l->probe;
	int64_t end_ns = mgr_now_ns() + l->o.timeout_ns;
	char text[64];

	while (!(p->exited && p->closed) && probe_turn(p, end_ns))
		continue;
	if (p->broken)
		return !lint_gone(l, "end");
	if (!p->exited)
		return lint_fail(l, "it still runs after the end of its stdin");
	if (!p->closed)
		return lint_fail(l, "it left a process behind that holds its stdout");
	if (!WIFEXITED(p->status) || WEXITSTATUS(p->status) != 0)
		return lint_fail(l, "after the end of its stdin it ended with %s, not with exit status 0",
				 mgr_child_status_text(p->status, text, sizeof(text)));
	return true;
}

static bool
check_eof(struct lint *l)
{
	probe_close_in(&l->probe);
	return ends_well(l);
}

static bool
check_eof_busy(struct lint *l)
{
	struct probe_request *q = probe_ask(&l->probe, 30, "", false, "world", 5);

	probe_close_in(&l->probe);
	if (!ends_well(l))
		return false;
	return q->state == PROBE_DONE ? true : lint_fail(l, "it ended without the answer to its last request");
}

const struct lint_check lint_checks[] = {
	{"READY in time", check_ready},
	{"an empty body", check_empty},
	{"a binary body", check_binary},
	{"the id of each request is echoed", check_id},
	{"an unknown frame is ignored", check_unknown},
	{"a body of 10 MB", check_big},
	{"a slow reader", check_slow},
	{"several requests at once", check_many},
	{"PING is answered", check_ping},
	{"the end of stdin ends it", check_eof},
	{"the end of stdin lets it finish", check_eof_busy},
	{NULL, NULL},
};
