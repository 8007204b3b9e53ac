/*
 * The one table of how a call can end.  A row gives the name used in logs and metrics, the HTTP
 * status, the exit code of a command and the sentence for people (DESIGN.md of the project: every
 * program reports by this table).
 */
#ifndef MGR_BASE_OUTCOME_H
#define MGR_BASE_OUTCOME_H

#include <stdint.h>

/*        enum         name           http exit text */
#define MGR_OUTCOMES(row) \
	row(OK,          "ok",          200, 0, "ok") \
	row(ERROR,       "error",       500, 1, "handler error") \
	row(BAD_REQUEST, "bad request", 400, 2, "bad request") \
	row(NOT_FOUND,   "not found",   404, 3, "not found") \
	row(BUSY,        "busy",        503, 4, "too many requests are waiting") \
	row(CANCELLED,   "cancelled",   499, 1, "the caller left") \
	row(UNAVAILABLE, "unavailable", 503, 5, "no live worker") \
	row(GONE,        "gone",        502, 5, "the worker or handler died") \
	row(TIMEOUT,     "timeout",     504, 6, "deadline passed") \
	row(DENIED,      "denied",      403, 7, "denied") \
	row(MISMATCH,    "mismatch",    502, 8, "answer has another type") \
	row(CONFLICT,    "conflict",    409, 8, "conflict") \
	row(LOOP,        "loop",        508, 8, "the call would wait on itself or passed too many hops") \
	row(CORRUPT,     "corrupt",     500, 9, "corrupt data")

enum mgr_outcome {
#define MGR_OUTCOME_ENUM(id, name, http, exit, text) MGR_OUT_##id,
	MGR_OUTCOMES(MGR_OUTCOME_ENUM)
#undef MGR_OUTCOME_ENUM
	MGR_OUT_N
};

/* Exit codes of every program; the numbers are part of the interface. */
enum mgr_exit {
	MGR_EXIT_OK = 0,
	MGR_EXIT_FAILED = 1,
	MGR_EXIT_USAGE = 2,
	MGR_EXIT_NOT_FOUND = 3,
	MGR_EXIT_BUSY = 4,
	MGR_EXIT_UNAVAILABLE = 5,
	MGR_EXIT_TIMEOUT = 6,
	MGR_EXIT_DENIED = 7,
	MGR_EXIT_CONFLICT = 8,
	MGR_EXIT_CORRUPT = 9,
};

struct mgr_outcome_row {
	const char *name;
	uint16_t http;
	uint8_t exit;
	const char *text;
};

/* The row of an outcome; one that is out of range is answered with that of ERROR. */
const struct mgr_outcome_row *mgr_outcome_row(unsigned outcome);

/* The outcome whose name this is, or -1. */
int mgr_outcome_by_name(const char *name);

/* The outcome that an HTTP status from a handler or from mgr means to a caller. */
enum mgr_outcome mgr_outcome_by_status(unsigned status);

/* The exit code for a negative errno: ENOENT 3, EAGAIN/EBUSY 4, ECONNREFUSED 5, ETIMEDOUT 6, EACCES 7, EEXIST/EADDRINUSE 8, EINVAL 2, else 1. */
enum mgr_exit mgr_exit_by_errno(int r);

#endif
