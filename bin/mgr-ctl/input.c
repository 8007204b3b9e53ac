#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "ctl.h"
#include "os/io.h"

#define CHUNK (64u * 1024)

int
input_text(struct input *in, struct mgr_loop *loop, const char *p, size_t n)
{
	*in = (struct input){.loop = loop, .fd = -1, .end = true, .n = n};
	return mgr_buf_add(&in->buf, p, n);
}

/* Bytes from here to the end of a regular file, else UINT64_MAX. */
static uint64_t
size_of(int fd)
{
	struct stat st;
	off_t at = lseek(fd, 0, SEEK_CUR);

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || at < 0)
		return UINT64_MAX;
	return st.st_size > at ? (uint64_t)(st.st_size - at) : 0;
}

void
input_fd(struct input *in, struct mgr_loop *loop, int fd, void (*ready)(struct input *))
{
	*in = (struct input){.loop = loop, .fd = fd, .ready = ready, .n = size_of(fd)};
}

static void
on_readable(struct mgr_watch *w, uint32_t events)
{
	struct input *in = MGR_CONTAINER(w, struct input, watch);

	(void)events;
	mgr_watch_stop(w);
	in->readable = true;
	in->ready(in);
}

/* The descriptor is shared with others, so it stays blocking; it is read only when that cannot block. */
static int
wait_readable(struct input *in)
{
	if (in->readable)
		return 0;
	if (in->watch.loop != NULL)
		return -EAGAIN;
	int r = mgr_watch_start(&in->watch, in->loop, in->fd, EPOLLIN, on_readable);
	if (r == 0)
		return -EAGAIN;
	return r == -EPERM ? 0 : r; /* a file: always ready */
}

int64_t
input_more(struct input *in)
{
	if (mgr_buf_n(&in->buf) > 0)
		return (int64_t)mgr_buf_n(&in->buf);
	if (in->end)
		return 0;
	int r = wait_readable(in);
	if (r == -EAGAIN)
		return r;
	if (r == 0)
		r = mgr_buf_reserve(&in->buf, CHUNK);
	uint64_t left = in->n - in->got_n;
	ssize_t got = r < 0 ? r : mgr_read(in->fd, mgr_buf_tail(&in->buf), left < CHUNK ? (size_t)left : CHUNK);
	in->readable = false;
	if (got == 0 && left > 0 && in->n != UINT64_MAX)
		got = -EIO; /* the file became shorter */
	if (got <= 0) {
		in->end = true;
		in->error = (int)got;
		return 0;
	}
	in->got_n += (uint64_t)got;
	mgr_buf_commit(&in->buf, (size_t)got);
	return got;
}

void
input_fini(struct input *in)
{
	mgr_watch_stop(&in->watch);
	mgr_buf_fini(&in->buf);
}
