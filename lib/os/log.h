/*
 * The log of a program: one event, one line on stderr.
 *
 *   2026-01-02T03:04:05.678Z mgr-hub[17] info worker-joined name=hello pid=4711
 *
 * Logging never blocks the service: a line that does not fit into a full pipe is dropped and counted.
 */
#ifndef MGR_OS_LOG_H
#define MGR_OS_LOG_H

#include <stddef.h>
#include <stdint.h>

enum mgr_log_level {
	MGR_ERR,   /* someone must act */
	MGR_WARN,  /* we coped */
	MGR_INFO,  /* life changed */
	MGR_DEBUG, /* anything */
};

#define MGR_LOG_LINE_MAX 4000 /* bytes of one line; the rest is cut with "..." */

/* prog is borrowed for ever. */
void mgr_log_init(const char *prog, enum mgr_log_level level);

/* "error", "warn", "info", "debug": the level or -1. */
int mgr_log_level_by_name(const char *name);
enum mgr_log_level mgr_log_level(void);

/* event is a literal; fmt makes "key=value key=value", foreign text through mgr_log_text. */
void mgr_log(enum mgr_log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define MGR_LOG_TEXT_MAX 1024

/* Foreign bytes quoted and escaped, for one use inside a mgr_log call (eight buffers take turns). */
const char *mgr_log_text(const char *p, size_t n);
const char *mgr_log_str(const char *s); /* NULL becomes "" */

/* strerror of a negative errno. */
const char *mgr_log_errno(int r);

/* Lines dropped so far. */
uint64_t mgr_log_dropped(void);

#endif
