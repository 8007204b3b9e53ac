#include "svc/pool_priv.h"

#include <errno.h>

#include "os/io.h"

/* Descriptor 3 of exec mode: RES gives status and headers, CALL calls. */
static int
aux_frame(struct mgr_replica *r, struct mgr_once *o, struct mgr_slot *slot)
{
	const struct mgr_frame *f = &o->aux.frame;
	struct mgr_meta_answer a = {.status = 200};
	const char *why, *meta;
	size_t meta_n;

	meta = mgr_frame_meta(&o->aux, &meta_n);
	if (f->type == MGR_FRAME_CALL && !f->more)
		return mgr_frame_call_head(r, slot, meta, meta_n);
	if (f->type != MGR_FRAME_RES || f->more || f->body_n != 0)
		return -EPROTO;
	if (meta_n > 0 && mgr_meta_read_answer(meta, meta_n, false, &a, &why) < 0)
		return -EPROTO;
	if (slot == NULL || slot->head_seen)
		return 0; /* too late to change anything */
	o->status = a.status;
	mgr_buf_clear(&o->answer, MGR_CGI_HEAD_MAX);
	int err = meta_n > 0 ? mgr_buf_add(&o->answer, meta, meta_n + 1) : mgr_buf_add(&o->answer, "{}\n", 3);
	o->has_answer = err == 0;
	return err;
}

static int
aux_bytes(struct mgr_replica *r, struct mgr_once *o, const char *p, size_t n)
{
	struct mgr_slot *slot = TAILQ_FIRST(&r->slots);

	for (size_t at = 0, used;; at += used) {
		const char *body;
		size_t body_n;
		int err = 0;

		switch (mgr_frame_feed(&o->aux, p + at, n - at, &used, &body, &body_n)) {
		case MGR_FRAME_MORE:
			return 0;
		case MGR_FRAME_HEAD:
			err = aux_frame(r, o, slot);
			break;
		case MGR_FRAME_BODY:
			err = mgr_frame_call_add(r, slot, body, body_n);
			break;
		case MGR_FRAME_END:
			if (o->aux.frame.type == MGR_FRAME_CALL)
				err = mgr_frame_call_end(r, slot);
			break;
		case MGR_FRAME_BROKEN:
			err = -EPROTO;
			break;
		}
		if (err < 0)
			return err;
	}
}

void
mgr_once_aux_input(struct mgr_replica *r)
{
	struct mgr_once *o = r->state_of_driver;
	char text[4096];

	for (int i = 0; i < 16 && r->fd_aux >= 0; i++) {
		ssize_t n = mgr_read(r->fd_aux, text, sizeof(text));
		if (n == -EAGAIN)
			return;
		if (n > 0 && aux_bytes(r, o, text, (size_t)n) == 0)
			continue;
		mgr_watch_stop(&r->watch_aux);
		mgr_close(&r->fd_aux);
		if (n > 0)
			mgr_replica_broken(r, "on descriptor 3, which takes RES and CALL frames", text, (size_t)n);
	}
}

/* A RET that the program does not read is its own loss: it never holds us up. */
void
mgr_once_aux_ret(struct mgr_replica *r, const char *meta, size_t meta_n, uint32_t id, const char *body, size_t body_n)
{
	struct mgr_once *o = r->state_of_driver;

	mgr_buf_clear(&o->ret, MGR_CGI_HEAD_MAX);
	if (r->fd_aux >= 0 && mgr_frame_add(&o->ret, MGR_FRAME_RET, false, id, meta, meta_n, body, body_n) == 0 &&
	    mgr_write(r->fd_aux, mgr_buf_p(&o->ret), mgr_buf_n(&o->ret)) != (ssize_t)mgr_buf_n(&o->ret))
		mgr_replica_terminate(r);
}
