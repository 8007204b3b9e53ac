/*
 * A handler of mode frame, watched closely: one process, its pipes and what it says, judged by the rules
 * of mgr-frame(7).  The owner sends requests and turns the probe until what he waits for is there.
 */
#ifndef MGR_CTL_PROBE_H
#define MGR_CTL_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "wire/frame.h"

#define PROBE_REQUESTS 32
#define PROBE_WINDOW 65536 /* of a body, to and from a handler with concurrency > 1 */

enum probe_state { PROBE_OPEN, PROBE_ANSWERING, PROBE_DONE };

struct probe_request {
	uint32_t id;
	enum probe_state state;
	uint64_t body_n;  /* of the answer, so far */
	uint64_t owed_n;  /* of these, not granted again */
	uint64_t window;  /* bytes of the request's body that may be sent */
	unsigned place;   /* of its end among all ends, from 1 */
};

struct probe {
	const char *path;
	char *const *argv;
	char *const *envp;

	/* what READY said */
	bool ready, stream_in, ping;
	unsigned concurrency, pipeline;

	/* what happened */
	bool exited, closed; /* the process; its stdout */
	int status;
	bool broken;         /* it broke the rules */
	char why[512];
	bool ponged;
	struct probe_request request[PROBE_REQUESTS];
	size_t request_n;
	unsigned done_n;

	bool slow; /* reads little by little */

	/* private */
	pid_t pid; /* 0 = no process */
	int pidfd, in, out;
	struct mgr_buf to;
	struct mgr_frame_parser parser;
	struct mgr_buf call; /* META of a CALL that is not complete */
	uint32_t call_id;
	bool in_call;
	struct probe_request *current;
};

int probe_start(struct probe *p); /* 0 or -errno */
/* Kills what is left of it; the probe can be started again. */
void probe_stop(struct probe *p);
/* Some work, or a wait until end_ns: false when that has passed, or when nothing more can come. */
bool probe_turn(struct probe *p, int64_t end_ns);
/* Queues a request; more: the body is not complete.  NULL when there are too many. */
struct probe_request *probe_ask(struct probe *p, uint32_t id, const char *members, bool more, const void *body,
				size_t body_n);
void probe_send(struct probe *p, enum mgr_frame_type type, bool more, uint32_t id, const char *meta,
		const void *body, size_t body_n);
/* Ends its stdin once everything was written. */
void probe_close_in(struct probe *p);

#endif
