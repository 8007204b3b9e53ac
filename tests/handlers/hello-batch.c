/*
 * hello as fast as a pipe allows: requests may wait in the input, and the answers of all
 * whole frames found there leave in one write.
 */
#include "frame.h"

static struct {
	char data[FRAME_CHUNK];
	size_t n;
} out;

static void
flush(void)
{
	struct iovec iov = { .iov_base = out.data, .iov_len = out.n };

	frame_write(&iov, out.n > 0);
	out.n = 0;
}

static void
put(const void *p, size_t n)
{
	if (n > sizeof out.data - out.n)
		flush();
	if (n > sizeof out.data) {
		struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };

		frame_write(&iov, 1);
		return;
	}
	memcpy(out.data + out.n, p, n);
	out.n += n;
}

static void
answer(const struct frame *f)
{
	char head[FRAME_LINE_MAX + 16];
	int n = snprintf(head, sizeof head, "RES %lu 0 %zu\nHello, ", f->id, f->body_n + 8);

	put(head, (size_t)n);
	put(f->body, f->body_n);
	put("!", 1);
}

int
main(void)
{
	struct frame_in in = {0};
	struct frame f;
	int r;

	frame_start("{\"pipeline\":16}");
	do {
		while ((r = frame_take(&in, &f)) > 0)
			if (strcmp(f.type, "REQ") == 0)
				answer(&f);
		flush();
	} while (r == 0 && frame_fill(&in) > 0);
	free(in.data);
	return r < 0;
}
