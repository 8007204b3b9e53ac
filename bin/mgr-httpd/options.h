/*
 * The settings of mgr-httpd, read by the parent and again by each child from the same command line.
 */
#ifndef MGR_HTTPD_OPTIONS_H
#define MGR_HTTPD_OPTIONS_H

#include "svc/prog.h"

struct options {
	struct mgr_prog_common common;
	const char *listen;
	uint64_t processes; /* 0 = one per core */
	int64_t request_ns, head_ns, body_ns, keep_alive_ns, write_ns, drain_ns;
	uint64_t max_requests, max_waiting, max_connections, max_per_address;
	uint64_t max_body, max_json, max_head, max_fields, max_target;
	const char *access_log;
	bool half_close;
	int64_t park_ns;
	uint64_t spin_us;

	/* made by options_check */
	bool log_access;
};

#define OPTIONS_PROCESSES_MAX 64

extern const struct mgr_opt options_table[];

/* Completes and checks what a row cannot say: 0, or -EINVAL having logged why. */
int options_check(struct options *o);

#endif
