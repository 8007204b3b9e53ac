/*
 * What a handler in C needs of mgr-frame(7): a buffer that gives out whole frames, and a
 * writer that ends the process when its host is gone.  Everything is static: a handler
 * stays one file that cc compiles alone.  A frame's views hold until the next frame_fill.
 */
#ifndef MGR_HANDLERS_FRAME_H
#define MGR_HANDLERS_FRAME_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRAME_LINE_MAX 64
#define FRAME_CHUNK (64 * 1024)

struct frame {
	char type[10];
	unsigned long id;
	const char *meta, *body;
	size_t meta_n, body_n;
};

struct frame_in {
	char *data;
	size_t at, end, size;
	size_t want;			/* bytes the frame at `at` needs in all, as far as known */
};

static int frame_out = STDOUT_FILENO;

/* Parses the header line at P; gives its length, 0 when it is not whole yet, -EPROTO. */
static inline int
frame_head(const char *p, size_t n, struct frame *f)
{
	char line[FRAME_LINE_MAX], *at;
	const char *lf = memchr(p, '\n', n < FRAME_LINE_MAX ? n : FRAME_LINE_MAX);

	if (lf == NULL)
		return n < FRAME_LINE_MAX ? 0 : -EPROTO;
	memcpy(line, p, (size_t)(lf - p));
	line[lf - p] = '\0';
	at = strchr(line, ' ');
	if (at == NULL || (size_t)(at - line) >= sizeof f->type)
		return -EPROTO;
	memcpy(f->type, line, (size_t)(at - line));
	f->type[at - line] = '\0';
	f->id = strtoul(at, &at, 10);
	f->meta_n = strtoul(at, &at, 10);
	f->body_n = strtoul(at, &at, 10);
	return *at == '\0' ? (int)(lf - p) + 1 : -EPROTO;
}

/* Takes the next whole frame out of the buffer: 1, 0 when it is not whole yet, -EPROTO. */
static inline int
frame_take(struct frame_in *in, struct frame *f)
{
	size_t left = in->end - in->at;
	int head_n;

	in->want = left + 1;
	if (left == 0)
		return 0;
	head_n = frame_head(in->data + in->at, left, f);
	if (head_n <= 0)
		return head_n;
	in->want = (size_t)head_n + f->meta_n + f->body_n;
	if (left < in->want)
		return 0;
	f->meta = in->data + in->at + head_n;
	f->body = f->meta + f->meta_n;
	in->at += in->want;
	return 1;
}

/* Waits for more bytes: their number, 0 at the end of input, -errno. */
static inline ssize_t
frame_fill(struct frame_in *in)
{
	size_t left = in->end - in->at;
	ssize_t n;

	if (in->at > 0 && left > 0)
		memmove(in->data, in->data + in->at, left);
	in->at = 0;
	in->end = left;
	if (in->size <= left || in->size < in->want) {
		size_t size = (in->want > left ? in->want : left) + FRAME_CHUNK;
		char *data = realloc(in->data, size);

		if (data == NULL)
			return -ENOMEM;
		in->data = data;
		in->size = size;
	}
	do
		n = read(STDIN_FILENO, in->data + left, in->size - left);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		in->end += (size_t)n;
	return n < 0 ? -errno : n;
}

/* Waits for the next whole frame: 1, 0 at the end of input, -errno. */
static inline int
frame_next(struct frame_in *in, struct frame *f)
{
	int r;

	while ((r = frame_take(in, f)) == 0) {
		ssize_t n = frame_fill(in);

		if (n <= 0)
			return (int)n;
	}
	return r;
}

/* Writes all of IOV, which it uses up. */
static inline void
frame_write(struct iovec *iov, int iov_n)
{
	while (iov_n > 0) {
		ssize_t n = writev(frame_out, iov, iov_n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			exit(1);
		for (; iov_n > 0 && (size_t)n >= iov->iov_len; iov++, iov_n--)
			n -= (ssize_t)iov->iov_len;
		if (iov_n > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
}

/* Writes one frame; META is a JSON object without its LF, or NULL. */
static inline void
frame_send(const char *type, unsigned long id, const char *meta, const void *body, size_t body_n)
{
	size_t meta_n = meta == NULL ? 0 : strlen(meta) + 1;
	char head[FRAME_LINE_MAX];
	int n = snprintf(head, sizeof head, "%s %lu %zu %zu\n", type, id, meta_n, body_n);
	struct iovec iov[] = {
		{ .iov_base = head, .iov_len = (size_t)n },
		{ .iov_base = (void *)(uintptr_t)meta, .iov_len = meta_n > 0 ? meta_n - 1 : 0 },
		{ .iov_base = (void *)(uintptr_t)"\n", .iov_len = meta_n > 0 },
		{ .iov_base = (void *)(uintptr_t)body, .iov_len = body_n },
	};

	frame_write(iov, 4);
}

/* Moves the frames off fd 1, so that a stray printf reaches the log, and says READY. */
static inline void
frame_start(const char *meta)
{
	int fd = dup(STDOUT_FILENO);

	if (fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		exit(1);
	frame_out = fd;
	frame_send("READY", 0, meta, NULL, 0);
}

#endif
