/*
 * Files and folders: whole reads with a limit, atomic replacement, locks.  0 or -errno.
 */
#ifndef MGR_OS_FILE_H
#define MGR_OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

/* Adds the content of a regular file: -EFBIG past max. */
int mgr_file_read(const char *path, size_t max, struct mgr_buf *b);

/* Adds everything up to the end of a descriptor (blocking): -EFBIG past max. */
int mgr_file_read_fd(int fd, size_t max, struct mgr_buf *b);

/* Writes to a temporary name in the same folder, syncs, renames, syncs the folder. */
int mgr_file_replace(const char *path, const void *p, size_t n, mode_t mode);

/* Makes a folder and its missing parents; the folder itself must then be ours (or root's) and not
 * writable for others: -EPERM otherwise. */
int mgr_file_mkdir(const char *path, mode_t mode);

/*
 * Opens and locks a lock file and writes our pid into it: a descriptor to keep, -EEXIST when
 * another process holds it (its pid in *ret_pid when that can be read).
 */
int mgr_file_lock(const char *path, pid_t *ret_pid);

/* Calls fn for every name in the folder that ends in suffix (sorted); stops at the first non-zero result. */
int mgr_file_each(const char *dir, const char *suffix, int (*fn)(void *arg, const char *name), void *arg);

#endif
