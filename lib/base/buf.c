#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/num.h"

#define MIN_CAP 256

void
mgr_buf_fini(struct mgr_buf *b)
{
	free(b->data);
	*b = (struct mgr_buf){.limit = b->limit};
}

void
mgr_buf_clear(struct mgr_buf *b, size_t keep_n)
{
	b->off = b->end = 0;
	if (b->cap > keep_n)
		mgr_buf_fini(b);
}

static void
pack(struct mgr_buf *b)
{
	size_t n = mgr_buf_n(b);

	if (b->off == 0)
		return;
	memmove(b->data, b->data + b->off, n);
	b->off = 0;
	b->end = n;
}

int
mgr_buf_reserve(struct mgr_buf *b, size_t n)
{
	size_t have = mgr_buf_n(b);

	if (b->limit != 0 && (have > b->limit || n > b->limit - have))
		return -EMSGSIZE;
	if (n <= b->cap - b->end)
		return 0;
	/* Moving what waits is cheap as long as half of the memory is free. */
	if (b->cap >= n && have <= (b->cap - n) / 2) {
		pack(b);
		return 0;
	}
	if (n > SIZE_MAX / 4 - have)
		return -ENOMEM;
	size_t cap = b->cap < MIN_CAP ? MIN_CAP : b->cap;
	while (cap - have < n)
		cap *= 2;
	char *data = malloc(cap);
	if (data == NULL)
		return -ENOMEM;
	if (have > 0)
		memcpy(data, mgr_buf_p(b), have);
	free(b->data);
	b->data = data;
	b->cap = cap;
	b->off = 0;
	b->end = have;
	return 0;
}

void
mgr_buf_commit(struct mgr_buf *b, size_t n)
{
	mgr_assert(n <= b->cap - b->end);
	b->end += n;
}

void
mgr_buf_take(struct mgr_buf *b, size_t n)
{
	mgr_assert(n <= mgr_buf_n(b));
	b->off += n;
	if (b->off == b->end)
		b->off = b->end = 0;
}

void
mgr_buf_cut(struct mgr_buf *b, size_t n)
{
	mgr_assert(n <= mgr_buf_n(b));
	b->end -= n;
}

int
mgr_buf_add_more(struct mgr_buf *b, const void *p, size_t n)
{
	int r;

	if (n == 0)
		return 0;
	r = mgr_buf_reserve(b, n);
	if (r < 0)
		return r;
	memcpy(mgr_buf_tail(b), p, n);
	b->end += n;
	return 0;
}

int
mgr_buf_addu(struct mgr_buf *b, uint64_t value)
{
	char text[MGR_NUM_MAX];

	return mgr_buf_add(b, text, mgr_num_format(text, value));
}

/* As reserve, with one byte behind for a NUL, which is not content. */
static int
reserve_text(struct mgr_buf *b, size_t n)
{
	size_t limit = b->limit;
	int r = mgr_buf_reserve(b, n);

	if (r < 0)
		return r;
	b->limit = 0;
	r = mgr_buf_reserve(b, n + 1);
	b->limit = limit;
	return r;
}

int
mgr_buf_vaddf(struct mgr_buf *b, const char *fmt, va_list ap)
{
	size_t room = b->cap - b->end;
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(room > 0 ? mgr_buf_tail(b) : NULL, room, fmt, ap);
	int r = n < 0 ? -EINVAL : reserve_text(b, (size_t)n);
	if (r == 0 && (size_t)n >= room)
		n = vsnprintf(mgr_buf_tail(b), (size_t)n + 1, fmt, again);
	va_end(again);
	if (r < 0)
		return r;
	b->end += (size_t)n;
	return 0;
}

int
mgr_buf_addf(struct mgr_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int r = mgr_buf_vaddf(b, fmt, ap);
	va_end(ap);
	return r;
}

const char *
mgr_buf_str(struct mgr_buf *b)
{
	if (reserve_text(b, 0) < 0)
		return "";
	*mgr_buf_tail(b) = '\0';
	return mgr_buf_p(b);
}
