#include "svc/pool_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "os/io.h"

struct packet {
	unsigned char head[4];
	unsigned head_n;
	uint64_t left; /* of the answer's body */
	int fd;        /* of a spooled request */
};

static int
packet_open(struct mgr_replica *r)
{
	struct packet *pk = calloc(1, sizeof(*pk));

	if (pk == NULL)
		return -ENOMEM;
	pk->fd = -1;
	r->state_of_driver = pk;
	return 0;
}

static void
packet_close(struct mgr_replica *r)
{
	struct packet *pk = r->state_of_driver;

	mgr_close(&pk->fd);
	free(pk);
}

static int
packet_begin(struct mgr_replica *r, struct mgr_slot *slot)
{
	struct packet *pk = r->state_of_driver;
	struct mgr_task *task = slot->task;
	struct iovec iov[2];
	uint64_t n = task->gathered_n > 0 ? task->gathered_n : mgr_task_body(task, iov);
	unsigned char head[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8),
				 (unsigned char)n};

	if (n > UINT32_MAX)
		return -EINVAL;
	if (task->spooled) {
		pk->fd = open(task->spool_path, O_RDONLY | O_CLOEXEC);
		if (pk->fd < 0)
			return -errno;
		return mgr_buf_add(&r->out, head, sizeof(head));
	}
	int err = mgr_buf_reserve(&r->out, sizeof(head) + (size_t)n);
	if (err < 0)
		return err;
	mgr_buf_add(&r->out, head, sizeof(head));
	err = mgr_task_add_body(task, slot, &r->out);
	slot->fed_all = true;
	return err;
}

/* Only a body that waits in a file comes in parts. */
static void
packet_feed(struct mgr_replica *r, struct mgr_slot *slot)
{
	struct packet *pk = r->state_of_driver;

	while (!slot->fed_all && mgr_buf_n(&r->out) < MGR_POOL_CHUNK) {
		ssize_t n = -ENOMEM;
		if (mgr_buf_reserve(&r->out, MGR_POOL_CHUNK) == 0)
			n = mgr_read(pk->fd, mgr_buf_tail(&r->out), MGR_POOL_CHUNK);
		if (n < 0) {
			mgr_replica_kill(r);
			return;
		}
		mgr_buf_commit(&r->out, (size_t)n);
		slot->fed_all = n == 0;
	}
	if (slot->fed_all)
		mgr_close(&pk->fd);
}

static uint64_t
head_value(const struct packet *pk)
{
	return (uint64_t)pk->head[0] << 24 | (uint64_t)pk->head[1] << 16 | (uint64_t)pk->head[2] << 8 | pk->head[3];
}

static ssize_t
packet_input(struct mgr_replica *r, const char *p, size_t n)
{
	struct packet *pk = r->state_of_driver;
	size_t at = 0;

	while (at < n) {
		struct mgr_slot *slot = TAILQ_FIRST(&r->slots);
		if (slot == NULL) {
			mgr_replica_broken(r, "on stdout without a request", p + at, n - at);
			return -EPROTO;
		}
		if (pk->head_n < sizeof(pk->head)) {
			pk->head[pk->head_n++] = (unsigned char)p[at++];
			if (pk->head_n < sizeof(pk->head))
				continue;
			pk->left = head_value(pk);
			if (pk->left > r->pool->conf.body_max) {
				mgr_replica_broken(r, "as a length, which is too large", (char *)pk->head,
						   sizeof(pk->head));
				return -EPROTO;
			}
			mgr_answer_head(slot, 200, "{}\n", 3, pk->left);
		} else {
			size_t m = n - at < pk->left ? n - at : (size_t)pk->left;
			size_t took = mgr_answer_data(slot, p + at, m);
			at += took;
			pk->left -= took;
			if (took < m)
				return (ssize_t)at;
		}
		if (pk->left > 0)
			continue;
		pk->head_n = 0;
		mgr_answer_end(slot, MGR_OUT_OK, NULL);
	}
	return (ssize_t)at;
}

/* The request cannot be taken back: a late answer is thrown away, and a half-sent one ends the process. */
static void
packet_cancel(struct mgr_replica *r, struct mgr_slot *slot, const char *reason)
{
	(void)reason;
	if (slot->fed_all)
		return;
	r->expected = true;
	mgr_replica_kill(r);
}

static bool
packet_at_border(const struct mgr_replica *r)
{
	const struct packet *pk = r->state_of_driver;

	return pk->head_n == 0;
}

const struct mgr_driver mgr_driver_packet = {
	.resident = true,
	.open = packet_open,
	.close = packet_close,
	.begin = packet_begin,
	.feed = packet_feed,
	.input = packet_input,
	.cancel = packet_cancel,
	.at_border = packet_at_border,
};
