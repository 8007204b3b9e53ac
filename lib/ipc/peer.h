/*
 * A connection that speaks frames over a Unix stream socket.  Messages arrive whole; output is
 * queued and bounded; reading stops while the output is full.  The peer owns its descriptor.
 */
#ifndef MGR_IPC_PEER_H
#define MGR_IPC_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "os/loop.h"
#include "wire/frame.h"

#define MGR_PEER_BODY_MAX (16u * 1024 * 1024)
#define MGR_PEER_OUT_MAX (64u * 1024 * 1024) /* a peer that lets more wait is dropped */

struct mgr_peer_msg {
	enum mgr_frame_type type;
	bool more;
	uint32_t id;
	const char *meta; /* without LF; borrowed for the callback */
	size_t meta_n;
	const char *body;
	size_t body_n;
};

struct mgr_peer {
	void *user;

	/* private */
	struct mgr_watch watch;
	int fd; /* -1 = closed */
	struct mgr_frame_parser parser;
	struct mgr_buf in, body, out;
	bool closing; /* close when the output is out */
	bool in_call; /* a callback runs: memory stays until it returns */
	const char *why;
	/* msg NULL = the peer is gone: closed, broken or too slow (mgr_peer_why); called once, after which the peer is closed. */
	void (*fn)(struct mgr_peer *, const struct mgr_peer_msg *msg);
};

/* Takes fd (also on failure): 0 or -errno. */
int mgr_peer_init(struct mgr_peer *p, struct mgr_loop *loop, int fd,
		  void (*fn)(struct mgr_peer *, const struct mgr_peer_msg *msg));

/* Closes at once without a callback; a no-op for a closed or zeroed peer.  Safe inside its own callback. */
void mgr_peer_fini(struct mgr_peer *p);

/* Queues a frame and tries to write it: 0, -EPIPE when gone, -EMSGSIZE when too much waits, -ENOMEM.  META
 * of n bytes without LF (0 = none).  Never calls back. */
int mgr_peer_send(struct mgr_peer *p, enum mgr_frame_type type, bool more, uint32_t id, const char *meta,
		  size_t meta_n, const void *body, size_t body_n);

/* Closes when all output was written; the callback still gets NULL then. */
void mgr_peer_finish(struct mgr_peer *p);

bool mgr_peer_is_open(const struct mgr_peer *p);
const char *mgr_peer_why(const struct mgr_peer *p);

#endif
