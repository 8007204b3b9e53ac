/*
 * System calls on descriptors with EINTR handled in one place.  Results: a count >= 0 or -errno;
 * a read of 0 is the end of input.
 */
#ifndef MGR_OS_IO_H
#define MGR_OS_IO_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

ssize_t mgr_read(int fd, void *p, size_t n);
ssize_t mgr_write(int fd, const void *p, size_t n);
ssize_t mgr_writev(int fd, const struct iovec *iov, int iov_n);

/* Writes all n bytes, waiting where it must (blocking descriptors, start-up and tools only). */
int mgr_write_all(int fd, const void *p, size_t n);

int mgr_set_nonblock(int fd);
int mgr_set_cloexec(int fd);
void mgr_close(int *fd); /* closes and sets -1; -1 is fine */

#endif
