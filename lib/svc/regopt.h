/*
 * What can be said of a handler when it is registered: one table for `mgr-ctl register`, for
 * mgr-worker and for the stored registrations.
 */
#ifndef MGR_SVC_REGOPT_H
#define MGR_SVC_REGOPT_H

#include "base/num.h"
#include "base/opt.h"
#include "svc/pool.h"

struct mgr_regopt {
	uint64_t replicas;
	const char *mode;
	struct mgr_opt_list routes; /* "[METHOD ]PATTERN" */
	struct mgr_opt_list env;    /* "K=V" */
	uint64_t queue;
	int64_t queue_time_ns, timeout_ns, start_time_ns, drain_time_ns, grace_ns;
	uint64_t concurrency, pipeline, body_buffer;
};

#define MGR_REGOPT_ROUTES_MAX 64

/* The rows; at(member) gives the offset of a member of struct mgr_regopt inside the caller's struct. */
#define MGR_REGOPT_ROWS(at) \
	{.name = "replicas", .letter = 'n', .type = MGR_OPT_UINT, .arg = "N", .offset = at(replicas), \
	 .fallback = "1", .min = 1, .max = 1024, .help = "copies of the handler"}, \
	{.name = "mode", .type = MGR_OPT_TEXT, .arg = "MODE", .offset = at(mode), .fallback = "frame", \
	 .help = "frame, packet, line, filter, exec or cgi"}, \
	{.name = "route", .type = MGR_OPT_LIST, .arg = "ROUTE", .offset = at(routes), \
	 .help = "serve '[METHOD ]PATTERN' instead of POST /NAME; may be repeated"}, \
	{.name = "env", .type = MGR_OPT_LIST, .arg = "K=V", .offset = at(env), \
	 .help = "set a variable for the handler; may be repeated"}, \
	{.name = "queue", .type = MGR_OPT_UINT, .arg = "N", .offset = at(queue), .fallback = "1024", \
	 .min = 1, .max = 1000000, .help = "calls that may wait"}, \
	{.name = "queue-time", .type = MGR_OPT_DURATION, .arg = "TIME", .offset = at(queue_time_ns), \
	 .fallback = "10s", .min = MGR_MS, .max = (uint64_t)(86400 * MGR_S), .help = "longest wait of a call"}, \
	{.name = "timeout", .type = MGR_OPT_DURATION, .arg = "TIME", .offset = at(timeout_ns), \
	 .fallback = "120s", .min = MGR_MS, .max = (uint64_t)(86400 * MGR_S), \
	 .help = "time for a call that brings no deadline"}, \
	{.name = "start-time", .type = MGR_OPT_DURATION, .arg = "TIME", .offset = at(start_time_ns), \
	 .fallback = "10s", .min = MGR_MS, .max = (uint64_t)(3600 * MGR_S), .help = "time until READY"}, \
	{.name = "drain-time", .type = MGR_OPT_DURATION, .arg = "TIME", .offset = at(drain_time_ns), \
	 .fallback = "30s", .max = (uint64_t)(86400 * MGR_S), .help = "time to finish at a stop"}, \
	{.name = "grace", .type = MGR_OPT_DURATION, .arg = "TIME", .offset = at(grace_ns), \
	 .fallback = "2s", .min = MGR_MS, .max = (uint64_t)(3600 * MGR_S), \
	 .help = "time between CANCEL or TERM and KILL"}, \
	{.name = "concurrency", .type = MGR_OPT_UINT, .arg = "N", .offset = at(concurrency), \
	 .fallback = "64", .min = 1, .max = 4096, .help = "most requests at once in one replica that asks for it"}, \
	{.name = "pipeline", .type = MGR_OPT_UINT, .arg = "N", .offset = at(pipeline), .fallback = "16", \
	 .min = 1, .max = 1024, .help = "most requests in the pipe of one replica that asks for it"}, \
	{.name = "body-buffer", .type = MGR_OPT_SIZE, .arg = "BYTES", .offset = at(body_buffer), \
	 .fallback = "1M", .min = 1, .max = UINT64_C(1) << 40, \
	 .help = "larger request bodies go through a file"},

extern const struct mgr_opt mgr_regopt_table[];

/* Checks what the table cannot: mode, routes, environment, argv not empty: 0 or -EINVAL with a line in err. */
int mgr_regopt_check(const struct mgr_regopt *o, char *err, size_t err_n);

/* The mode, already checked. */
enum mgr_pool_mode mgr_regopt_mode(const struct mgr_regopt *o);

/* Calls fn for each argument in canonical form (long names in table order, the last of repeated ones, "--name",
 * "value"): 0 or the first negative result.  argv must have parsed before. */
int mgr_regopt_canonical(int argc, char *const argv[], int (*fn)(void *arg, const char *text), void *arg);

/* Fills the pool's configuration from the options. */
void mgr_regopt_conf(const struct mgr_regopt *o, struct mgr_pool_conf *conf);

#endif
