/* What a peer can do with a half that it was given: read it, and nothing else. */
#include "tap.h"

#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/lane_mem.h"

#define ALL (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

static const struct mgr_lane_conf conf = { .slots = 2, .bytes = 4096, .meta_max = 64 };

static void
test_peer(void)
{
	const void *peer = NULL;
	void *own = NULL;
	char path[64];
	size_t n = 0;
	int again;
	int fd = -1;

	is_int(mgr_lane_mem_make(&conf, &fd, &own, &n), 0, "make");
	is_int(n, mgr_lane_half_size(2, 4096), "size");
	ok((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "close-on-exec");
	is_int(fcntl(fd, F_GET_SEALS) & ALL, ALL, "all seals");
	is_int(mgr_lane_mem_take(fd, &conf, &peer), 0, "take");
	ok(memcmp(own, peer, n) == 0, "the same bytes");
	((char *)own)[n - 1] = 7;
	is_int(((const char *)peer)[n - 1], 7, "the maker's stores are seen");
	ok(mprotect((void *)(uintptr_t)peer, n, PROT_READ | PROT_WRITE) < 0, "no mprotect");
	ok(mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED,
		"no writable mapping");
	ok(pwrite(fd, "x", 1, 0) < 0, "no write");
	ok(ftruncate(fd, (off_t)n - 1) < 0 && ftruncate(fd, (off_t)n + 1) < 0, "no resize");
	ok(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0, "no holes");
	ok(madvise((void *)(uintptr_t)peer, n, MADV_REMOVE) < 0, "no MADV_REMOVE");
	ok(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0, "no more seals");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	ok(again < 0 || mmap(NULL, n, PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED,
		"not by opening it anew");
	is_int(((const char *)peer)[n - 1], 7, "nothing was changed");
	if (again >= 0)
		close(again);
	close(fd);
	((char *)own)[n - 1] = 8;
	is_int(((const char *)peer)[n - 1], 8, "it lives on without its descriptor");
	mgr_lane_mem_drop(peer, n);
	mgr_lane_mem_drop(own, n);
	mgr_lane_mem_drop(NULL, 0);
}

/* Our own bug, a store into the wrong half, must fault rather than be seen. */
static void
test_stray_store(void)
{
	const void *peer = NULL;
	void *own = NULL;
	size_t n = 0;
	int status = 0;
	int fd = -1;
	pid_t pid;

	mgr_lane_mem_make(&conf, &fd, &own, &n);
	mgr_lane_mem_take(fd, &conf, &peer);
	pid = fork();
	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(2);
		signal(SIGSEGV, SIG_DFL); /* expected: no report of a sanitizer, please */
		*(volatile char *)(uintptr_t)peer = 1;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	/* A sanitizer turns the signal into an exit code. */
	ok(WIFSIGNALED(status) || WEXITSTATUS(status) != 0, "a stray store faults");
	close(fd);
	mgr_lane_mem_drop(peer, n);
	mgr_lane_mem_drop(own, n);
}

static int
sealed(unsigned flags, size_t n, int seals)
{
	int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)n) < 0 || (seals != 0 && fcntl(fd, F_ADD_SEALS, seals) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
refused(int fd, const char *what)
{
	const void *map = &conf;

	if (fd < 0) {
		skip(what, "cannot be made here");
		return;
	}
	is_int(mgr_lane_mem_take(fd, &conf, &map), -EPROTO, "refused: %s", what);
	ok(map == &conf, "and the result is untouched");
	close(fd);
}

static void
test_refused(void)
{
	static const int seal[] = {
		F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL,
	};
	static const char *const name[] = { "SHRINK", "GROW", "FUTURE_WRITE", "SEAL" };
	size_t n = mgr_lane_half_size(conf.slots, conf.bytes);
	char path[] = "/tmp/lane-mem-XXXXXX";
	struct mgr_lane_conf bad = { .slots = 2, .bytes = 100 };
	const void *map = NULL;
	void *own = NULL;
	int fds[2] = { -1, -1 };
	size_t i;
	int fd;

	for (i = 0; i < 4; i++)
		refused(sealed(0, n, ALL & ~seal[i]), name[i]);
	refused(sealed(0, n, 0), "no seals");
	refused(sealed(0, n - 1, ALL), "one byte short");
	refused(sealed(0, n + 1, ALL), "one byte more");
	refused(sealed(0, 0, ALL), "empty");
	refused(sealed(MFD_HUGETLB, (size_t)2 << 20, ALL), "huge pages");
	fd = mkstemp(path);
	if (fd >= 0) {
		unlink(path);
		if (ftruncate(fd, (off_t)n) < 0)
			diag("ftruncate: %s", strerror(errno));
	}
	refused(fd, "a plain file");
	refused(pipe(fds) == 0 ? fds[0] : -1, "a pipe");
	close(fds[1]);
	is_int(mgr_lane_mem_take(-1, &conf, &map), -EPROTO, "refused: no descriptor");
	is_int(mgr_lane_mem_take(0, &bad, &map), -EINVAL, "conf out of range");
	is_int(mgr_lane_mem_make(&bad, &fd, &own, &n), -EINVAL, "conf out of range");
}

/* A huge-page half whose size would be right: only the file system tells. */
static void
test_huge(void)
{
	const struct mgr_lane_conf huge = { .slots = 503, .bytes = 4096 };
	size_t n = mgr_lane_half_size(huge.slots, huge.bytes);
	const void *map = NULL;
	int fd = sealed(MFD_HUGETLB, n, ALL);

	is_int(n, 2 << 20, "a half of just one huge page");
	if (fd < 0) {
		skip("huge pages", "cannot be made here");
		return;
	}
	is_int(mgr_lane_mem_take(fd, &huge, &map), -EPROTO, "is refused as a huge page");
	close(fd);
}

int
main(void)
{
	test_peer();
	test_stray_store();
	test_refused();
	test_huge();
	return done_testing();
}
