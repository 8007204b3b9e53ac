/*
 * Answer bytes that come while the request is still arriving: libmicrohttpd answers only complete
 * requests, and a handler that must not write would stop reading.  An unlinked file, no name.
 */
#ifndef MGR_HTTPD_SPOOL_H
#define MGR_HTTPD_SPOOL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spool {
	int fd; /* valid when put_n > 0 */
	uint64_t put_n, got_n;
};

/* Adds n bytes; the file is made in dir, else in /tmp: 0 or -errno. */
int spool_put(struct spool *s, const char *dir, const void *p, size_t n);

/* Takes up to n bytes from the front: how many, 0 = empty, -errno. */
ssize_t spool_get(struct spool *s, void *p, size_t n);

void spool_fini(struct spool *s);

#endif
