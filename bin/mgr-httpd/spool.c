#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int
make(struct spool *s, const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	s->fd = fd;
	return 0;
}

int
spool_put(struct spool *s, const char *dir, const void *p, size_t n)
{
	const char *from = p;

	if (s->put_n == 0 && n > 0) {
		int r = make(s, dir);
		if (r < 0)
			return r;
	}
	while (n > 0) {
		ssize_t wrote = pwrite(s->fd, from, n, (off_t)s->put_n);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0) {
			int r = wrote < 0 ? -errno : -EIO;
			if (s->put_n == 0)
				close(s->fd);
			return r;
		}
		from += wrote;
		n -= (size_t)wrote;
		s->put_n += (uint64_t)wrote;
	}
	return 0;
}

ssize_t
spool_get(struct spool *s, void *p, size_t n)
{
	uint64_t left = s->put_n - s->got_n;

	if (left == 0)
		return 0;
	ssize_t got;
	do
		got = pread(s->fd, p, left < n ? (size_t)left : n, (off_t)s->got_n);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got < 0 ? -errno : -EIO;
	s->got_n += (uint64_t)got;
	return got;
}

void
spool_fini(struct spool *s)
{
	if (s->put_n > 0)
		close(s->fd);
	*s = (struct spool){0};
}
