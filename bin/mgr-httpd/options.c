#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "os/log.h"

#define AT(member) .offset = offsetof(struct options, member)
#define KIB UINT64_C(1024)
#define TIB (KIB * KIB * KIB * KIB)
#define DAY_NS (UINT64_C(86400) * UINT64_C(1000000000))

const struct mgr_opt options_table[] = {
	MGR_PROG_OPTIONS,
	{.name = "listen", .letter = 'l', .type = MGR_OPT_TEXT, .arg = "ADDR:PORT", AT(listen),
	 .fallback = "127.0.0.1:8080", .help = "where to listen; port 0 takes a free one"},
	{.name = "processes", .letter = 'j', .type = MGR_OPT_UINT, .arg = "N", AT(processes), .fallback = "0",
	 .min = 0, .max = OPTIONS_PROCESSES_MAX, .help = "processes that serve; 0 means one per core"},
	{.name = "request-timeout", .type = MGR_OPT_DURATION, .arg = "TIME", AT(request_ns),
	 .fallback = "120s", .min = 1000000, .max = DAY_NS,
	 .help = "answer due after the request is complete, else 504"},
	{.name = "head-timeout", .type = MGR_OPT_DURATION, .arg = "TIME", AT(head_ns), .fallback = "10s",
	 .min = 1000000, .max = DAY_NS, .help = "a request's head must be complete in this time"},
	{.name = "body-timeout", .type = MGR_OPT_DURATION, .arg = "TIME", AT(body_ns), .fallback = "10s",
	 .min = 1000000, .max = DAY_NS, .help = "after this a body must have come at 1 KiB/s or more, else 408"},
	{.name = "keep-alive", .type = MGR_OPT_DURATION, .arg = "TIME", AT(keep_alive_ns), .fallback = "30s",
	 .min = 1000000, .max = DAY_NS, .help = "how long a connection may idle between requests"},
	{.name = "write-timeout", .type = MGR_OPT_DURATION, .arg = "TIME", AT(write_ns), .fallback = "30s",
	 .min = 1000000, .max = DAY_NS, .help = "a client that takes less than 1 KiB/s over this time is cut"},
	{.name = "drain", .type = MGR_OPT_DURATION, .arg = "TIME", AT(drain_ns), .fallback = "30s", .max = DAY_NS,
	 .help = "how long requests may run on after the order to stop"},
	{.name = "max-requests", .type = MGR_OPT_UINT, .arg = "N", AT(max_requests), .fallback = "1000",
	 .min = 1, .max = 1000000, .help = "requests that run at once, in all processes together"},
	{.name = "max-waiting", .type = MGR_OPT_UINT, .arg = "N", AT(max_waiting), .fallback = "1000",
	 .max = 1000000, .help = "requests that may wait for their turn; more get 503"},
	{.name = "max-connections", .type = MGR_OPT_UINT, .arg = "N", AT(max_connections), .fallback = "10000",
	 .min = 1, .max = 1000000, .help = "connections of one process; more get 503"},
	{.name = "max-per-address", .type = MGR_OPT_UINT, .arg = "N", AT(max_per_address), .fallback = "0",
	 .max = 1000000, .help = "connections of one client address and process; 0 means any number"},
	{.name = "max-body", .type = MGR_OPT_SIZE, .arg = "SIZE", AT(max_body), .fallback = "10G",
	 .max = 8 * KIB * TIB, .help = "largest request body, else 413"},
	{.name = "max-json", .type = MGR_OPT_SIZE, .arg = "SIZE", AT(max_json), .fallback = "1G",
	 .max = TIB, .help = "largest body of type application/json, which may be held in memory"},
	/* libmicrohttpd clears the whole buffer after every request: 64 KiB would cost a tenth of all speed. */
	{.name = "max-head", .type = MGR_OPT_SIZE, .arg = "SIZE", AT(max_head), .fallback = "32k",
	 .min = 8 * KIB, .max = KIB * KIB,
	 .help = "buffer of a connection, which must hold a request's head (about two thirds of it)"},
	{.name = "max-fields", .type = MGR_OPT_UINT, .arg = "N", AT(max_fields), .fallback = "100", .min = 1,
	 .max = 1000, .help = "header fields of a request, else 431"},
	{.name = "max-target", .type = MGR_OPT_SIZE, .arg = "SIZE", AT(max_target), .fallback = "8k", .min = 16,
	 .max = 64 * KIB, .help = "length of a request's target, else 414"},
	{.name = "access-log", .type = MGR_OPT_TEXT, .arg = "on|off", AT(access_log), .fallback = "on",
	 .help = "one line per request on stderr"},
	{.name = "half-close", .type = MGR_OPT_FLAG, AT(half_close),
	 .help = "go on for clients that closed their sending side (default: they left)"},
	{.name = "park", .type = MGR_OPT_DURATION, .arg = "TIME", AT(park_ns), .fallback = "3ms",
	 .max = 1000000000, .help = "how long a request waits in place before it is set aside"},
	{.name = "spin", .type = MGR_OPT_UINT, .arg = "US", AT(spin_us), .fallback = "0", .max = 200,
	 .help = "microseconds to look for an answer before sleeping, with one or two requests"},
	MGR_OPT_END,
};

int
options_check(struct options *o)
{
	o->log_access = strcmp(o->access_log, "on") == 0;
	if (!o->log_access && strcmp(o->access_log, "off") != 0) {
		mgr_log(MGR_ERR, "bad-option", "option=access-log value=%s must be on or off",
			mgr_log_str(o->access_log));
		return -EINVAL;
	}
	if (o->processes == 0) {
		long n = sysconf(_SC_NPROCESSORS_ONLN);
		o->processes = n < 1 ? 1 : n > OPTIONS_PROCESSES_MAX ? OPTIONS_PROCESSES_MAX : (uint64_t)n;
	}
	return 0;
}
