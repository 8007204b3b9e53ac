/*
 * HTTP routes: `METHOD /path/{param}` patterns and the table that finds the most specific one.
 * Literal before parameter, from the left; two patterns that match the same requests are a conflict.
 */
#ifndef MGR_WIRE_ROUTE_H
#define MGR_WIRE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define MGR_ROUTE_PATTERN_MAX 256
#define MGR_ROUTE_PARAM_MAX 16
#define MGR_ROUTE_METHOD_MAX 16 /* with its NUL */

/* First path segments that no handler may take (mgr-httpd(8)); also all that begin with '_'. */
extern const char *const mgr_route_reserved[]; /* NULL at the end */
bool mgr_route_is_reserved(const char *segment, size_t n);

/*
 * Reads "[METHOD ]PATTERN" (no METHOD = any): method is "" for any.  0, or -EINVAL with a sentence
 * in *ret_why: bad method token, no leading '/', empty segment, bad or doubled parameter, "%", '?',
 * '#', control byte, too long, reserved first segment.
 */
int mgr_route_parse(const char *text, size_t n, char method[static MGR_ROUTE_METHOD_MAX],
		    char pattern[static MGR_ROUTE_PATTERN_MAX + 1], const char **ret_why);

struct mgr_routes; /* the table */

int mgr_routes_new(struct mgr_routes **ret_routes);
void mgr_routes_free(struct mgr_routes *routes); /* accepts NULL */

/*
 * Adds a pattern for owner (kept as a number): 0, -EEXIST with the owner that conflicts, -ENOMEM, -EINVAL
 * for what mgr_route_parse refuses (but reserved names are taken).  The same (method, pattern shape) of
 * the same owner again is 0.  At one pattern the method itself goes before GET for HEAD, and that before
 * any.
 */
int mgr_routes_add(struct mgr_routes *routes, const char *method, const char *pattern, uint32_t owner,
		   uint32_t *ret_conflict);

struct mgr_route_param {
	const char *name; /* inside the pattern */
	size_t name_n;
	const char *value; /* raw, still percent-encoded, inside the path */
	size_t value_n;
};

struct mgr_route_match {
	uint32_t owner;
	const char *pattern; /* borrowed from the table */
	const char *method;  /* "" = any */
	size_t param_n;
	struct mgr_route_param param[MGR_ROUTE_PARAM_MAX];
};

/*
 * Finds the route for a method and a path (raw, before '?').  0 with *ret_match; -ENOENT for an
 * unknown path; -EPERM when only other methods match: then allow gets "GET, PUT" (with HEAD where GET
 * is).  HEAD falls back to GET.  Literal segments compare with the decoded segment.  A more
 * specific pattern without the method gives way to a less specific one that has it.  Never allocates but
 * in allow, which may be NULL.
 */
int mgr_routes_find(const struct mgr_routes *routes, const char *method, const char *path, size_t path_n,
		    struct mgr_route_match *ret_match, struct mgr_buf *allow);

/* Percent-decodes ('+' becomes a space when plus is set): 0, -EINVAL for a bad escape or a NUL. */
int mgr_route_decode(const char *p, size_t n, bool plus, struct mgr_buf *b);

#endif
