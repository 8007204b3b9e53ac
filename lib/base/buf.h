/*
 * A growable queue of bytes: added at the tail, taken from the head.  The owner calls fini; a
 * zeroed struct is a valid empty buffer.  A buffer never holds more than its limit (0 = none).
 */
#ifndef MGR_BASE_BUF_H
#define MGR_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mgr_buf {
	char *data;
	size_t off;   /* first byte that was not taken */
	size_t end;   /* one past the last byte */
	size_t cap;
	size_t limit; /* most bytes that may wait; 0 = no limit */
};

#define MGR_AUTO_BUF __attribute__((cleanup(mgr_buf_fini)))

void mgr_buf_fini(struct mgr_buf *b);

/* Forgets the content, keeps the memory when it is at most keep_n bytes. */
void mgr_buf_clear(struct mgr_buf *b, size_t keep_n);

static inline size_t
mgr_buf_n(const struct mgr_buf *b)
{
	return b->end - b->off;
}

/* The bytes that wait; borrowed until the next call on b. */
static inline char *
mgr_buf_p(const struct mgr_buf *b)
{
	return b->data == NULL ? NULL : b->data + b->off; /* NULL + 0 is undefined */
}

/* Makes room for n more bytes: 0, -ENOMEM, or -EMSGSIZE past the limit.  Then write to mgr_buf_tail. */
int mgr_buf_reserve(struct mgr_buf *b, size_t n);

static inline char *
mgr_buf_tail(const struct mgr_buf *b)
{
	return b->data == NULL ? NULL : b->data + b->end;
}

/* Says that n bytes were written to the reserved tail. */
void mgr_buf_commit(struct mgr_buf *b, size_t n);

/* Drops n bytes from the head. */
void mgr_buf_take(struct mgr_buf *b, size_t n);

/* Drops n bytes from the tail. */
void mgr_buf_cut(struct mgr_buf *b, size_t n);

/* mgr_buf_add where there is no room yet. */
int mgr_buf_add_more(struct mgr_buf *b, const void *p, size_t n);

/* These stand here since a request adds some sixty pieces: with room a piece costs its copy and no call. */
static inline int
mgr_buf_add(struct mgr_buf *b, const void *p, size_t n)
{
	if (n > b->cap - b->end || b->limit != 0 || n == 0)
		return mgr_buf_add_more(b, p, n);
	memcpy(b->data + b->end, p, n);
	b->end += n;
	return 0;
}

static inline int
mgr_buf_adds(struct mgr_buf *b, const char *s)
{
	return mgr_buf_add(b, s, strlen(s));
}

static inline int
mgr_buf_addc(struct mgr_buf *b, char c)
{
	return mgr_buf_add(b, &c, 1);
}

int mgr_buf_addu(struct mgr_buf *b, uint64_t value);
int mgr_buf_addf(struct mgr_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int mgr_buf_vaddf(struct mgr_buf *b, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

/* The content as a C string (a NUL is kept behind it, not counted); "" when memory is out. */
const char *mgr_buf_str(struct mgr_buf *b);

#endif
