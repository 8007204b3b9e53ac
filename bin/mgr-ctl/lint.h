/*
 * The checks of mgr-ctl lint.
 */
#ifndef MGR_CTL_LINT_H
#define MGR_CTL_LINT_H

#include "ctl.h"
#include "probe.h"

struct lint_options {
	struct ctl_common common;
	int64_t start_ns, timeout_ns;
	bool json;
};

struct lint {
	struct lint_options o;
	struct probe probe;   /* READY at the begin of every check */
	struct mgr_doc *list; /* of results, NULL when they are printed as they come */
	unsigned failed;
	bool skipped;
	char why[600];   /* of this check's failure, or of its being skipped */
	char stray[600]; /* the first thing on stdout that has no place there */
};

struct lint_check {
	const char *name;
	bool (*fn)(struct lint *); /* false: l->why says why */
};

extern const struct lint_check lint_checks[]; /* name NULL at the end; the first is READY itself */

/* Gives false, so that a check can end with it. */
bool lint_fail(struct lint *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What came instead of the thing waited for; true, for the caller's "it failed". */
bool lint_gone(struct lint *l, const char *what);

#endif
