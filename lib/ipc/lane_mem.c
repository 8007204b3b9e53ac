#include "ipc/lane_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u		/* Linux 6.3 */
#endif

/* FUTURE_WRITE and not WRITE: the maker's own mapping exists before and stays writable. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

static int
open_memfd(void)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("mgr-lane", flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("mgr-lane", flags);
	return fd < 0 ? -errno : fd;
}

static int
map_and_seal(int fd, const struct mgr_lane_conf *conf, size_t n, void **ret_map)
{
	void *map;
	int r;

	if (ftruncate(fd, (off_t)n) < 0)
		return -errno;
	map = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	mgr_lane_half_init(map, conf);
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		r = -errno;
		munmap(map, n);
		return r;
	}
	*ret_map = map;
	return 0;
}

int
mgr_lane_mem_make(const struct mgr_lane_conf *conf, int *ret_fd, void **ret_map, size_t *ret_n)
{
	size_t n = mgr_lane_half_size(conf->slots, conf->bytes);
	int fd;
	int r;

	if (n == 0)
		return -EINVAL;
	fd = open_memfd();
	if (fd < 0)
		return fd;
	r = map_and_seal(fd, conf, n, ret_map);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	*ret_n = n;
	return 0;
}

/* A huge-page file can raise SIGBUS for want of pages, and one without seals can shrink under
 * us: only a sealed tmpfs file of just the agreed size is safe to read. */
static int
check_half(int fd, size_t n)
{
	struct statfs fs;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS)
		return -EPROTO;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EPROTO;
	if (st.st_size < 0 || (uintmax_t)st.st_size != n)
		return -EPROTO;
	if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return -EPROTO;
	return 0;
}

int
mgr_lane_mem_take(int fd, const struct mgr_lane_conf *conf, const void **ret_map)
{
	size_t n = mgr_lane_half_size(conf->slots, conf->bytes);
	void *map;
	int r;

	if (n == 0)
		return -EINVAL;
	r = check_half(fd, n);
	if (r < 0)
		return r;
	map = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*ret_map = map;
	return 0;
}

void
mgr_lane_mem_drop(const void *map, size_t n)
{
	if (map != NULL)
		munmap((void *)(uintptr_t)map, n);
}
