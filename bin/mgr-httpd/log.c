/*
 * The access log: one line per request, in the form of all log lines.  Lines are gathered and
 * written in pieces that a pipe takes whole; a pipe that is full loses them, counted, and never
 * holds up a request.
 */
#include "httpd.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/text.h"
#include "os/clock.h"
#include "os/log.h"

#define PIECE_N 4096 /* PIPE_BUF: written whole or not at all */
#define LINE_N 700   /* longest line: see log_request */
#define HOLD_NS (100 * MGR_MS)
#define PATH_N 256

static struct {
	struct httpd *httpd;
	struct mgr_buf lines;
	struct mgr_timer timer;
	uint64_t lost;
	char who[32]; /* made once: this is written for every request */
	int64_t when_ms;
	char when[MGR_CLOCK_TEXT_MAX];
} self;

void
log_start(struct httpd *h)
{
	self.httpd = h;
	snprintf(self.who, sizeof(self.who), " mgr-httpd[%d]", (int)getpid());
}

void
log_flush(void)
{
	struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};
	size_t n = mgr_buf_n(&self.lines);

	mgr_timer_stop(&self.timer);
	if (n == 0)
		return;
	if (poll(&pfd, 1, 0) != 1 || !(pfd.revents & POLLOUT) ||
	    write(STDERR_FILENO, mgr_buf_p(&self.lines), n) != (ssize_t)n)
		self.lost++;
	mgr_buf_clear(&self.lines, PIECE_N * 2);
}

static void
on_time(struct mgr_timer *t)
{
	(void)t;
	log_flush();
}

static const char *
when(void)
{
	int64_t ns = mgr_wall_ns();

	if (ns / MGR_MS != self.when_ms) {
		self.when_ms = ns / MGR_MS;
		mgr_clock_text(self.when, ns);
	}
	return self.when;
}

static void
add_text(const char *key, const char *p, size_t n, size_t max)
{
	mgr_buf_adds(&self.lines, key);
	mgr_buf_addc(&self.lines, '"');
	mgr_text_escape(&self.lines, p, n, max);
	mgr_buf_addc(&self.lines, '"');
}

static void
add_word(const char *key, const char *word)
{
	mgr_buf_adds(&self.lines, key);
	mgr_buf_adds(&self.lines, word);
}

static void
add_number(const char *key, uint64_t value)
{
	mgr_buf_adds(&self.lines, key);
	mgr_buf_addu(&self.lines, value);
}

/* The path without its query, which may hold secrets. */
static void
add_path(const struct conn *conn)
{
	const struct exchange *x = &conn->x;
	const char *p = x->target, *mark;
	size_t n = x->path_n;

	if (p == NULL) { /* refused before it was understood */
		p = mgr_buf_n(&conn->line) > 0 ? mgr_buf_p(&conn->line) : "";
		n = mgr_buf_n(&conn->line);
		mark = memchr(p, '?', n);
		n = mark == NULL ? n : (size_t)(mark - p);
	}
	add_text(" path=", p, n, PATH_N / 4);
}

static void
add_line(const struct conn *conn, unsigned status)
{
	const struct exchange *x = &conn->x;
	struct mgr_buf *b = &self.lines;
	int64_t us = (mgr_now_ns() - x->begin_ns) / MGR_US;
	uint64_t out_n = x->answer.stream ? x->sent_n : mgr_buf_n(&x->answer.body);

	mgr_buf_adds(b, when());
	mgr_buf_adds(b, self.who);
	add_word(" info request id=", x->id);
	add_word(" remote=", conn->remote);
	add_word(" method=", x->method[0] == '\0' ? "-" : x->method);
	add_path(conn);
	add_number(" status=", status);
	mgr_buf_adds(b, " outcome=");
	add_text("", mgr_outcome_row(x->outcome)->name, strlen(mgr_outcome_row(x->outcome)->name), 32);
	add_word(" step=", step_word[x->reached]);
	if (x->name[0] != '\0')
		add_word(" handler=", x->name);
	if (x->echo_trace)
		add_text(" trace=", x->trace, strlen(x->trace), TRACE_MAX);
	add_number(" in=", x->got_n);
	add_number(" out=", out_n);
	add_number(" ms=", (uint64_t)us / 1000);
	const char part[] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10), (char)('0' + us % 10), '\n'};
	mgr_buf_add(b, part, sizeof(part));
}

static void
count(const struct conn *conn, unsigned status)
{
	struct page_slot *me = conn->httpd->me;
	const struct exchange *x = &conn->x;

	page_add(&me->bytes_out, x->answer.stream ? x->sent_n : mgr_buf_n(&x->answer.body));
	if (status >= 500)
		page_add(&me->errors, 1);
	else if (status >= 400)
		page_add(&me->refused, 1);
	if (x->outcome == MGR_OUT_CANCELLED)
		page_add(&me->cancelled, 1);
}

void
log_request(const struct conn *conn, unsigned status)
{
	if (conn->x.outcome == MGR_OUT_CANCELLED)
		status = mgr_outcome_row(MGR_OUT_CANCELLED)->http;
	count(conn, status);
	if (!conn->httpd->opt->log_access || mgr_log_level() < MGR_INFO)
		return;
	if (mgr_buf_n(&self.lines) + LINE_N > PIECE_N)
		log_flush();
	add_line(conn, status);
	if (!mgr_timer_is_on(&self.timer) &&
	    mgr_timer_start(&self.timer, self.httpd->loop, mgr_loop_now(self.httpd->loop) + HOLD_NS, on_time) < 0)
		log_flush();
}
