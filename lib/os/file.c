#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/num.h"
#include "base/rand.h"
#include "os/io.h"

#define EACH_MAX 65536 /* names of one folder */

int
mgr_file_read_fd(int fd, size_t max, struct mgr_buf *b)
{
	char chunk[16384];
	size_t before = mgr_buf_n(b);
	ssize_t got;
	int r = 0;

	while (r == 0 && (got = mgr_read(fd, chunk, sizeof(chunk))) != 0) {
		if (got < 0)
			r = (int)got;
		else if ((size_t)got > max - (mgr_buf_n(b) - before))
			r = -EFBIG;
		else
			r = mgr_buf_add(b, chunk, (size_t)got);
	}
	if (r < 0)
		mgr_buf_cut(b, mgr_buf_n(b) - before);
	return r;
}

int
mgr_file_read(const char *path, size_t max, struct mgr_buf *b)
{
	struct stat st;
	/* O_NONBLOCK: a FIFO of that name must not hang us. */
	MGR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > 0 && (uintmax_t)st.st_size > max)
		return -EFBIG;
	return mgr_file_read_fd(fd, max, b);
}

/* Makes a rename in the folder of path durable. */
static int
sync_dir(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int n = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);

	snprintf(dir, sizeof(dir), "%.*s", n, slash == NULL ? "." : path);
	MGR_AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* EINVAL: a file system that knows no sync of folders */
	return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

static int
write_new(const char *path, const void *p, size_t n, mode_t mode)
{
	MGR_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	int r = mgr_write_all(fd, p, n);
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		r = -errno;
	if (r < 0)
		unlink(path);
	return r;
}

int
mgr_file_replace(const char *path, const void *p, size_t n, mode_t mode)
{
	char temp[PATH_MAX];
	int len = snprintf(temp, sizeof(temp), "%s.%08x.tmp", path, (unsigned)mgr_rand_below(UINT32_MAX));

	if (len < 0 || len >= (int)sizeof(temp))
		return -ENAMETOOLONG;
	int r = write_new(temp, p, n, mode);
	if (r < 0)
		return r;
	if (rename(temp, path) < 0) {
		r = -errno;
		unlink(temp);
		return r;
	}
	return sync_dir(path);
}

static int
make_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	int r = -errno;
	if (stat(path, &st) < 0)
		return r; /* EROFS and EACCES come before EEXIST on some file systems */
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int
mgr_file_mkdir(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	struct stat st;
	size_t n = strlen(path);
	int r = 0;

	if (n == 0)
		return -ENOENT;
	if (n >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, n + 1);
	for (char *at = strchr(part + 1, '/'); at != NULL && r == 0; at = strchr(at + 1, '/')) {
		*at = '\0';
		r = make_dir(part, mode);
		*at = '/';
	}
	if (r == 0)
		r = make_dir(part, mode);
	if (r < 0)
		return r;
	if (stat(path, &st) < 0)
		return -errno;
	bool ours = st.st_uid == geteuid() || st.st_uid == 0;
	return ours && !(st.st_mode & S_IWOTH) ? 0 : -EPERM;
}

static void
read_pid(int fd, pid_t *ret_pid)
{
	char text[MGR_NUM_MAX + 1];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	uint64_t pid;

	const char *lf = n > 0 ? memchr(text, '\n', (size_t)n) : NULL; /* the holder may say more below */

	if (lf != NULL && mgr_num_parse(text, (size_t)(lf - text), INT32_MAX, &pid) == 0 && pid > 0)
		*ret_pid = (pid_t)pid;
}

/* False when the name went away or to another file before we had the lock. */
static bool
is_still(int fd, const char *path)
{
	struct stat mine, named;

	return fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino &&
	       mine.st_dev == named.st_dev;
}

static int
write_pid(int fd)
{
	char text[MGR_NUM_MAX + 1];
	size_t n = mgr_num_format(text, (uint64_t)getpid());

	text[n++] = '\n';
	if (ftruncate(fd, 0) < 0)
		return -errno;
	return mgr_write_all(fd, text, n);
}

int
mgr_file_lock(const char *path, pid_t *ret_pid)
{
	for (int tries = 0; tries < 8; tries++) {
		int r, fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

		if (fd < 0)
			return -errno;
		do
			r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
		while (r == -EINTR);
		if (r == -EWOULDBLOCK) {
			if (ret_pid != NULL)
				read_pid(fd, ret_pid);
			r = -EEXIST;
		} else if (r == 0 && is_still(fd, path)) {
			r = write_pid(fd);
			if (r == 0)
				return fd;
		}
		close(fd);
		if (r < 0)
			return r;
	}
	return -EBUSY;
}

struct names {
	char **item;
	size_t n, cap;
};

static void
names_fini(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->item[i]);
	free(names->item);
}

static int
names_add(struct names *names, const char *name)
{
	if (names->n == EACH_MAX)
		return -E2BIG;
	if (names->n == names->cap) {
		size_t cap = names->cap == 0 ? 32 : names->cap * 2;
		char **item = reallocarray(names->item, cap, sizeof(char *));
		if (item == NULL)
			return -ENOMEM;
		names->item = item;
		names->cap = cap;
	}
	char *copy = strdup(name);
	if (copy == NULL)
		return -ENOMEM;
	names->item[names->n++] = copy;
	return 0;
}

static bool
is_wanted(const char *name, const char *suffix)
{
	size_t n = strlen(name), suffix_n = strlen(suffix);

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	return n >= suffix_n && strcmp(name + n - suffix_n, suffix) == 0;
}

static int
read_names(const char *path, const char *suffix, struct names *names)
{
	DIR *dir = opendir(path);
	int r = 0;

	if (dir == NULL)
		return -errno;
	while (r == 0) {
		errno = 0;
		struct dirent *e = readdir(dir);
		if (e == NULL) {
			r = -errno;
			break;
		}
		if (is_wanted(e->d_name, suffix))
			r = names_add(names, e->d_name);
	}
	closedir(dir);
	return r;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int
mgr_file_each(const char *dir, const char *suffix, int (*fn)(void *arg, const char *name),
	      void *arg)
{
	__attribute__((cleanup(names_fini))) struct names names = {0};
	int r = read_names(dir, suffix, &names);

	if (r < 0)
		return r;
	if (names.n > 1)
		qsort(names.item, names.n, sizeof(char *), compare);
	for (size_t i = 0; i < names.n && r == 0; i++)
		r = fn(arg, names.item[i]);
	return r;
}
