#include "os/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/text.h"
#include "os/clock.h"

static const char *const names[] = {
	[MGR_ERR] = "error", [MGR_WARN] = "warn", [MGR_INFO] = "info", [MGR_DEBUG] = "debug"};

static struct {
	const char *prog;
	enum mgr_log_level level;
	uint64_t dropped;
	pid_t pid; /* asked once: a busy server logs a line per request */
} self = {.prog = "mgr", .level = MGR_INFO};

void
mgr_log_init(const char *prog, enum mgr_log_level level)
{
	self.prog = prog;
	self.level = level;
	self.pid = getpid();
}

int
mgr_log_level_by_name(const char *name)
{
	for (int i = 0; i < (int)MGR_N(names); i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

enum mgr_log_level
mgr_log_level(void)
{
	return self.level;
}

uint64_t
mgr_log_dropped(void)
{
	return self.dropped;
}

const char *
mgr_log_errno(int r)
{
	const char *text = strerrordesc_np(r < 0 ? -r : r);

	return text != NULL ? text : "unknown error";
}

const char *
mgr_log_text(const char *p, size_t n)
{
	static char ring[8][MGR_LOG_TEXT_MAX + 32];
	static unsigned turn;
	char *to = ring[turn++ % MGR_N(ring)];
	MGR_AUTO_BUF struct mgr_buf b = {0};

	mgr_buf_addc(&b, '"');
	mgr_text_escape(&b, p, n, MGR_LOG_TEXT_MAX);
	mgr_buf_addc(&b, '"');
	snprintf(to, sizeof(ring[0]), "%s", mgr_buf_str(&b));
	return to;
}

const char *
mgr_log_str(const char *s)
{
	return s == NULL ? "\"\"" : mgr_log_text(s, strlen(s));
}

static void
emit(char *line, size_t n)
{
	struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};

	/* POLLOUT on a pipe promises PIPE_BUF bytes, which no line exceeds. */
	if (poll(&pfd, 1, 0) != 1 || !(pfd.revents & POLLOUT) || write(STDERR_FILENO, line, n) < 0)
		self.dropped++;
}

void
mgr_log(enum mgr_log_level level, const char *event, const char *fmt, ...)
{
	char line[MGR_LOG_LINE_MAX + 8], when[MGR_CLOCK_TEXT_MAX];
	va_list ap;

	if (level > self.level)
		return;
	if (self.pid == 0)
		self.pid = getpid();
	mgr_clock_text(when, mgr_wall_ns());
	int n = snprintf(line, sizeof(line), "%s %s[%d] %s %s%s", when, self.prog, (int)self.pid,
			 names[level], event, fmt[0] != '\0' ? " " : "");
	if (n < 0 || n > MGR_LOG_LINE_MAX)
		return;
	va_start(ap, fmt);
	int more = vsnprintf(line + n, (size_t)(MGR_LOG_LINE_MAX - n), fmt, ap);
	va_end(ap);
	size_t end = (size_t)n + (more > 0 ? (size_t)more : 0);
	if (end >= MGR_LOG_LINE_MAX) {
		end = MGR_LOG_LINE_MAX - 1;
		memcpy(line + end, "...", 3);
		end += 3;
	}
	line[end++] = '\n';
	emit(line, end);
}
