#include "svc/pool_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "os/io.h"
#include "os/log.h"
#include "wire/json.h"

#define LINE_MAX_N (8u * 1024)
#define LINES_PER_S 200
#define READS_PER_EVENT 4

/* <0>..<7> of syslog(3) as sd-daemon(3) reads them. */
static const enum mgr_log_level by_prefix[8] = {
	[0] = MGR_ERR, [1] = MGR_ERR, [2] = MGR_ERR, [3] = MGR_ERR,
	[4] = MGR_WARN, [5] = MGR_INFO, [6] = MGR_INFO, [7] = MGR_DEBUG,
};

static void
say_dropped(struct mgr_replica *r)
{
	if (r->log.dropped == 0)
		return;
	mgr_log(MGR_WARN, "handler-log-dropped", "handler=%s#%u pid=%d text=%llu lines dropped", r->pool->conf.name,
		r->index, (int)r->pid, (unsigned long long)r->log.dropped);
	r->log.dropped = 0;
}

static bool
admit(struct mgr_replica *r)
{
	int64_t now = mgr_loop_now(r->pool->loop);

	if (now - r->log.window_ns >= MGR_S) {
		r->log.window_ns = now;
		r->log.window_n = 0;
		say_dropped(r);
	}
	if (r->log.window_n >= LINES_PER_S) {
		r->log.dropped++;
		return false;
	}
	r->log.window_n++;
	return true;
}

/* The level that a JSON line names, by the words most loggers use. */
static enum mgr_log_level
json_level(const struct mgr_json *line)
{
	struct mgr_json level;
	char text[16];

	if (!mgr_json_get(line, "level", &level) || mgr_json_copy(&level, text, sizeof(text)) < 0)
		return MGR_INFO;
	for (char *p = text; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 'a' - 'A');
	if (strcmp(text, "warning") == 0)
		return MGR_WARN;
	if (strcmp(text, "fatal") == 0 || strcmp(text, "critical") == 0)
		return MGR_ERR;
	int known = mgr_log_level_by_name(text);
	return known < 0 ? MGR_INFO : (enum mgr_log_level)known;
}

static void
emit(struct mgr_replica *r, enum mgr_log_level level, const char *key, const char *text, int text_n)
{
	const struct mgr_slot *slot = TAILQ_FIRST(&r->slots);
	char request[32] = "";

	if (slot != NULL && r->caps.concurrency <= 1)
		snprintf(request, sizeof(request), " request=%u", slot->id);
	mgr_log(level, "handler-says", "handler=%s#%u pid=%d%s %s=%.*s", r->pool->conf.name, r->index, (int)r->pid,
		request, key, text_n, text);
}

static void
remember(struct mgr_replica *r, const char *p, size_t n)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};

	if (n == 0)
		return;
	mgr_text_escape(&b, p, n, 100);
	snprintf(r->log.last, sizeof(r->log.last), "%s", mgr_buf_str(&b));
}

static void
line_done(struct mgr_replica *r)
{
	const char *p = mgr_buf_p(&r->log.line);
	size_t n = mgr_buf_n(&r->log.line);
	enum mgr_log_level level = MGR_INFO;

	if (n > 0 && p[n - 1] == '\r')
		n--;
	if (n >= 3 && p[0] == '<' && p[1] >= '0' && p[1] <= '7' && p[2] == '>') {
		level = by_prefix[p[1] - '0'];
		p += 3;
		n -= 3;
	}
	remember(r, p, n);
	if (!admit(r))
		return;
	if (n > 0 && n < MGR_LOG_LINE_MAX / 2 && p[0] == '{' && mgr_json_check(p, n) == 0) {
		struct mgr_json line = mgr_json_root(p, n);
		emit(r, json_level(&line), "json", p, (int)n);
		return;
	}
	const char *text = mgr_log_text(p, n);
	emit(r, level, "text", text, (int)strlen(text));
}

static void
add(struct mgr_replica *r, const char *p, size_t n)
{
	struct mgr_stderr *log = &r->log;

	while (n > 0) {
		const char *lf = memchr(p, '\n', n);
		size_t part = lf != NULL ? (size_t)(lf - p) : n;
		size_t room = LINE_MAX_N - mgr_buf_n(&log->line);
		mgr_buf_add(&log->line, p, part < room ? part : room);
		if (lf == NULL)
			return;
		line_done(r);
		mgr_buf_clear(&log->line, LINE_MAX_N);
		p += part + 1;
		n -= part + 1;
	}
}

void
mgr_stderr_read(struct mgr_replica *r)
{
	char text[16 * 1024];

	for (int i = 0; i < READS_PER_EVENT && r->fd_err >= 0; i++) {
		ssize_t n = mgr_read(r->fd_err, text, sizeof(text));
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			mgr_watch_stop(&r->watch_err);
			mgr_close(&r->fd_err);
			return;
		}
		add(r, text, (size_t)n);
	}
}

void
mgr_stderr_watch(struct mgr_watch *w, uint32_t events)
{
	(void)events;
	mgr_stderr_read(MGR_CONTAINER(w, struct mgr_replica, watch_err));
}

void
mgr_stderr_fini(struct mgr_replica *r)
{
	if (mgr_buf_n(&r->log.line) > 0)
		line_done(r);
	mgr_buf_clear(&r->log.line, 0);
	say_dropped(r);
}
