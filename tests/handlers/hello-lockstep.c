/* hello without pipeline: one request at a time, one read and one write for each. */
#include "frame.h"

static void
answer(const struct frame *f)
{
	char head[FRAME_LINE_MAX + 16];
	int n = snprintf(head, sizeof head, "RES %lu 0 %zu\nHello, ", f->id, f->body_n + 8);
	struct iovec iov[] = {
		{ .iov_base = head, .iov_len = (size_t)n },
		{ .iov_base = (void *)(uintptr_t)f->body, .iov_len = f->body_n },
		{ .iov_base = (void *)(uintptr_t)"!", .iov_len = 1 },
	};

	frame_write(iov, 3);
}

int
main(void)
{
	struct frame_in in = {0};
	struct frame f;
	int r;

	frame_start(NULL);
	while ((r = frame_next(&in, &f)) > 0)
		if (strcmp(f.type, "REQ") == 0)
			answer(&f);
	free(in.data);
	return r < 0;
}
