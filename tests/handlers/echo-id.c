/*
 * Answers with the request's own x-request-id, the length and the FNV-1a 64 of its body, so
 * that a test can tell a wrong answer from a right one while replicas are being killed.
 *
 *   echo-id [PIPELINE]
 *
 * x-sleep-ms: N waits before it answers; x-crash: before, mid or after dies by SIGKILL
 * before, in the middle of, or right behind its answer.
 */
#include <signal.h>
#include <time.h>

#include "frame.h"
#include "meta.h"

struct sum {
	uint64_t fnv;
	size_t n;
};

static void
sum_add(struct sum *sum, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum->fnv = (sum->fnv ^ (unsigned char)p[i]) * 0x100000001b3;
	sum->n += n;
}

/* A body too large for a frame waits in a file. */
static void
sum_file(struct sum *sum, struct meta_view path)
{
	char buf[4096];
	FILE *file;
	size_t n;

	if (path.n >= sizeof buf)
		return;
	memcpy(buf, path.p, path.n);
	buf[path.n] = '\0';
	file = fopen(buf, "rb");
	if (file == NULL)
		return;
	while ((n = fread(buf, 1, sizeof buf, file)) > 0)
		sum_add(sum, buf, n);
	fclose(file);
}

static void
sleep_ms(unsigned long ms)
{
	struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		continue;
}

static void
die(void)
{
	kill(getpid(), SIGKILL);
	pause();
}

static size_t
describe(const struct frame *f, char *text, size_t text_n)
{
	struct meta_view id = meta_get(f->meta, f->meta_n, "headers", "x-request-id");
	struct meta_view path = meta_get(f->meta, f->meta_n, NULL, "body_file");
	struct sum sum = { .fnv = 0xcbf29ce484222325 };
	int n;

	sum_add(&sum, f->body, f->body_n);
	if (path.n > 0)
		sum_file(&sum, path);
	n = snprintf(text, text_n, "{\"id\":\"%.*s\",\"len\":%zu,\"fnv\":\"%016llx\",\"pid\":%ld}\n",
		     id.n < 256 ? (int)id.n : 0, id.p, sum.n, (unsigned long long)sum.fnv,
		     (long)getpid());
	return (size_t)n;
}

static void
answer(const struct frame *f)
{
	static const char meta[] =
		"{\"status\":200,\"headers\":{\"content-type\":\"application/json\"}}";
	struct meta_view crash = meta_get(f->meta, f->meta_n, "headers", "x-crash");
	struct meta_view pause_ms = meta_get(f->meta, f->meta_n, "headers", "x-sleep-ms");
	char text[512], head[FRAME_LINE_MAX + sizeof meta + 1];
	size_t text_n = describe(f, text, sizeof text);
	int head_n = snprintf(head, sizeof head, "RES %lu %zu %zu\n%s\n", f->id, sizeof meta,
			      text_n, meta);
	struct iovec iov[] = {
		{ .iov_base = head, .iov_len = (size_t)head_n },
		{ .iov_base = text, .iov_len = text_n },
	};

	sleep_ms(meta_number(pause_ms, 0));
	if (meta_is(crash, "before"))
		die();
	if (meta_is(crash, "mid"))
		iov[1].iov_len /= 2;
	frame_write(iov, 2);
	if (crash.n > 0)
		die();
}

int
main(int argc, char **argv)
{
	struct frame_in in = {0};
	struct frame f;
	char ready[64];
	int r;

	snprintf(ready, sizeof ready, "{\"pipeline\":%lu}",
		 argc > 1 ? strtoul(argv[1], NULL, 10) : 1);
	frame_start(ready);
	while ((r = frame_next(&in, &f)) > 0)
		if (strcmp(f.type, "REQ") == 0)
			answer(&f);
	free(in.data);
	return r < 0;
}
