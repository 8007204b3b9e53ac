/*
 * Bodies of any size in constant memory (stream_in):
 *
 *   POST PATH        answers {"len":N,"fnv":"..."} (FNV-1a 64) of the body
 *   POST PATH/echo   sends the body back as it arrives
 *   GET  PATH?n=N&seed=S[&chunked=1]
 *                    N bytes of xorshift64, little endian; chunked=1 does not announce N
 *
 *   stream --gen N [SEED]     writes the same bytes to stdout
 *   stream --sum              prints the same line about stdin
 */
#include "frame.h"
#include "meta.h"

#define PART (32 * 1024)
#define FNV_START 0xcbf29ce484222325

struct sum {
	uint64_t fnv, n;
};

/* What is read of a request's body: its frame, and whether more frames follow. */
struct body {
	struct frame_in *in;
	size_t left;
	bool more;
};

static void
sum_add(struct sum *sum, const char *p, size_t n)
{
	uint64_t fnv = sum->fnv;

	for (size_t i = 0; i < n; i++)
		fnv = (fnv ^ (unsigned char)p[i]) * 0x100000001b3;
	sum->fnv = fnv;
	sum->n += n;
}

static int
sum_text(const struct sum *sum, char *text, size_t text_n)
{
	return snprintf(text, text_n, "{\"len\":%llu,\"fnv\":\"%016llx\"}\n",
			(unsigned long long)sum->n, (unsigned long long)sum->fnv);
}

/* PART is a multiple of 8, so parts join without a seam. */
static void
generate(uint64_t *state, char *p, size_t n)
{
	for (size_t i = 0; i < n; i += 8) {
		*state ^= *state << 13;
		*state ^= *state >> 7;
		*state ^= *state << 17;
		for (size_t j = i; j < i + 8 && j < n; j++)
			p[j] = (char)(*state >> (8 * (j - i)));
	}
}

/* Takes a header and its META, and leaves the frame's body in the pipe. */
static int
take_head(struct frame_in *in, struct frame *f)
{
	for (;;) {
		size_t left = in->end - in->at;
		int head_n = left == 0 ? 0 : frame_head(in->data + in->at, left, f);

		if (head_n < 0)
			return head_n;
		if (head_n > 0 && left >= (size_t)head_n + f->meta_n) {
			f->meta = in->data + in->at + head_n;
			in->at += (size_t)head_n + f->meta_n;
			return 1;
		}
		in->want = head_n > 0 ? (size_t)head_n + f->meta_n : left + 1;
		if (frame_fill(in) <= 0)
			return 0;
	}
}

/* Gives the next bytes of the body; 0 at its end.  Ends with the input. */
static size_t
take_body(struct body *body, const char **ret)
{
	struct frame_in *in = body->in;
	struct frame f;
	size_t n;

	while (body->left == 0) {
		if (!body->more)
			return 0;
		if (take_head(in, &f) <= 0 || strncmp(f.type, "DATA", 4) != 0)
			exit(1);
		body->left = f.body_n;
		body->more = strchr(f.type, '+') != NULL;
	}
	in->want = 0;
	if (in->at == in->end && frame_fill(in) <= 0)
		exit(1);
	n = in->end - in->at;
	if (n > body->left)
		n = body->left;
	*ret = in->data + in->at;
	in->at += n;
	body->left -= n;
	return n;
}

static void
skip(struct body *body)
{
	const char *p;

	while (take_body(body, &p) > 0)
		continue;
}

static void
count(unsigned long id, struct body *body)
{
	struct sum sum = { .fnv = FNV_START };
	const char *p;
	char text[80];
	size_t n;

	while ((n = take_body(body, &p)) > 0)
		sum_add(&sum, p, n);
	n = (size_t)sum_text(&sum, text, sizeof text);
	frame_send("RES", id, "{\"headers\":{\"content-type\":\"application/json\"}}", text, n);
}

static const char *
start_meta(char *text, size_t text_n, struct meta_view len)
{
	snprintf(text, text_n, "{\"headers\":{\"content-type\":\"application/octet-stream\"}%s%.*s}",
		 len.n > 0 ? ",\"len\":" : "", (int)len.n, len.p);
	return text;
}

static void
echo(unsigned long id, struct body *body, struct meta_view len)
{
	char text[128];
	const char *p;
	size_t n;

	frame_send("RES+", id, start_meta(text, sizeof text, len), NULL, 0);
	while ((n = take_body(body, &p)) > 0)
		frame_send("DATA+", id, NULL, p, n);
	frame_send("DATA", id, NULL, NULL, 0);
}

static void
produce(unsigned long id, uint64_t n, uint64_t state, bool chunked)
{
	static char part[PART];
	char digits[24], text[128];
	int digits_n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
	struct meta_view len = { digits, chunked ? 0 : (size_t)digits_n };

	frame_send("RES+", id, start_meta(text, sizeof text, len), NULL, 0);
	for (; n > PART; n -= PART) {
		generate(&state, part, PART);
		frame_send("DATA+", id, NULL, part, PART);
	}
	generate(&state, part, (size_t)n);
	frame_send("DATA", id, NULL, part, (size_t)n);
}

static uint64_t
seed_state(uint64_t seed)
{
	return seed == 0 ? 1 : seed;
}

static void
answer(struct frame_in *in, const struct frame *f)
{
	struct body body = { .in = in, .left = f->body_n, .more = strchr(f->type, '+') != NULL };
	struct meta_view method = meta_get(f->meta, f->meta_n, NULL, "method");
	struct meta_view path = meta_get(f->meta, f->meta_n, NULL, "path");
	struct meta_view len = meta_get(f->meta, f->meta_n, NULL, "len");
	struct meta_view n = meta_get(f->meta, f->meta_n, "query", "n");
	struct meta_view seed = meta_get(f->meta, f->meta_n, "query", "seed");
	struct meta_view chunked = meta_get(f->meta, f->meta_n, "query", "chunked");
	uint64_t state = seed_state(meta_number(seed, 1));

	if (meta_is(method, "GET") || meta_is(method, "HEAD")) {
		/* The views end with the next read. */
		uint64_t bytes_n = meta_number(n, 0);
		bool unknown = meta_is(chunked, "1");

		skip(&body);
		produce(f->id, bytes_n, state, unknown);
	} else if (path.n >= 5 && memcmp(path.p + path.n - 5, "/echo", 5) == 0) {
		echo(f->id, &body, len);
	} else {
		count(f->id, &body);
	}
}

static int
serve(void)
{
	struct frame_in in = {0};
	struct frame f;
	int r;

	frame_start("{\"stream_in\":true}");
	while ((r = take_head(&in, &f)) > 0) {
		struct body other = { .in = &in, .left = f.body_n };

		if (strcmp(f.type, "REQ") == 0 || strcmp(f.type, "REQ+") == 0)
			answer(&in, &f);
		else
			skip(&other);
	}
	free(in.data);
	return r < 0;
}

static int
print_generated(uint64_t n, uint64_t seed)
{
	static char part[PART];
	uint64_t state = seed_state(seed);

	for (size_t m; n > 0; n -= m) {
		m = n < PART ? (size_t)n : PART;
		generate(&state, part, m);
		if (fwrite(part, 1, m, stdout) != m)
			return 1;
	}
	return fflush(stdout) != 0;
}

static int
print_sum(void)
{
	static char part[PART];
	struct sum sum = { .fnv = FNV_START };
	char text[80];
	size_t n;

	while ((n = fread(part, 1, sizeof part, stdin)) > 0)
		sum_add(&sum, part, n);
	sum_text(&sum, text, sizeof text);
	return fputs(text, stdout) < 0;
}

int
main(int argc, char **argv)
{
	if (argc == 1)
		return serve();
	if (strcmp(argv[1], "--sum") == 0)
		return print_sum();
	if (strcmp(argv[1], "--gen") == 0 && argc > 2)
		return print_generated(strtoul(argv[2], NULL, 10),
				       argc > 3 ? strtoul(argv[3], NULL, 10) : 1);
	fprintf(stderr, "usage: stream [--gen N [SEED] | --sum]\n");
	return 2;
}
