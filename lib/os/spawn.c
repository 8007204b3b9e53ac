#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

/*
 * The child of vfork runs in our memory until it execs: everything below up to start() makes only
 * system calls, writes only its own frames and start.err, and never returns from become().
 */
struct start {
	const struct mgr_spawn *spawn;
	pid_t parent;
	volatile int err; /* the child's -errno */
};

static int
set_death(const struct start *start)
{
	int signo = start->spawn->death_signal;

	if (signo == 0)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, signo) < 0)
		return -errno;
	/* A parent that died before the line above sends nothing any more. */
	return getppid() == start->parent ? 0 : -ESRCH;
}

static int
set_group(const struct start *start)
{
	int r = 0;

	if (start->spawn->new_session)
		r = setsid() < 0 ? -1 : 0; /* leads its own group as well */
	else if (start->spawn->new_group)
		r = setpgid(0, 0);
	return r < 0 ? -errno : 0;
}

/* A descriptor out of the way of the targets 0..n-1: the source itself or a copy. */
static int
lift(int fd, int n)
{
	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd >= 0 && fd < n)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, n);
	return fd;
}

static int
set_fds(const struct start *start)
{
	int from[MGR_SPAWN_FD_MAX], n = (int)start->spawn->fd_n;

	for (int i = 0; i < n; i++) {
		from[i] = lift(start->spawn->fd[i], n);
		if (from[i] < 0)
			return -errno;
	}
	for (int i = 0; i < n; i++)
		if (dup2(from[i], i) < 0)
			return -errno;
	return close_range((unsigned)n, ~0u, 0) < 0 ? -errno : 0;
}

static int
set_cwd(const struct start *start)
{
	const char *cwd = start->spawn->cwd;

	return cwd != NULL && chdir(cwd) < 0 ? -errno : 0;
}

static int
set_limits(const struct start *start)
{
	const struct rlimit none = {0, 0};

	if (start->spawn->no_core && setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	if (start->spawn->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

/* Last: from here on a signal may end the child, but no handler of ours can run in it. */
static int
set_signals(const struct start *start)
{
	const struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t none;

	(void)start;
	for (int signo = 1; signo < NSIG; signo++)
		sigaction(signo, &sa, NULL); /* KILL, STOP and libc's own refuse, rightly */
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

static int (*const steps[])(const struct start *) = {
	set_death, set_group, set_fds, set_cwd, set_limits, set_signals,
};

static _Noreturn void
become(struct start *start)
{
	const struct mgr_spawn *s = start->spawn;

	for (size_t i = 0; i < MGR_N(steps); i++) {
		int r = steps[i](start);
		if (r < 0) {
			start->err = r;
			_exit(127);
		}
	}
	execve(s->path != NULL ? s->path : s->argv[0], s->argv, s->envp);
	start->err = -errno;
	_exit(127);
}

/* Not inlined: the child must not touch a frame that the parent still needs. */
static __attribute__((noinline)) pid_t
start_child(struct start *start)
{
	pid_t pid = vfork();

	if (pid == 0)
		become(start);
	return pid;
}

static void
reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int
mgr_spawn(const struct mgr_spawn *s, pid_t *ret_pid, int *ret_pidfd)
{
	struct start start = {.spawn = s, .parent = getpid()};
	sigset_t all, old;

	mgr_assert(s->fd_n >= 3 && s->fd_n <= MGR_SPAWN_FD_MAX);
	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, &old) < 0)
		return -errno;
	pid_t pid = start_child(&start);
	int r = pid < 0 ? -errno : start.err;
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return r;
	if (r < 0) {
		reap(pid);
		return r;
	}
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		r = -errno;
		kill(pid, SIGKILL);
		reap(pid);
		return r;
	}
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}

/* -ENOENT for what is not there at all. */
static int
check_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == EACCES ? -EACCES : -ENOENT;
	if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return -EACCES;
	return 0;
}

/* Writes dir "/" name, made absolute; an empty dir is the current one. */
static int
make_path(char to[static PATH_MAX], const char *dir, size_t dir_n, const char *name)
{
	char cwd[PATH_MAX] = "";
	bool absolute = dir_n > 0 ? dir[0] == '/' : name[0] == '/';

	if (!absolute && getcwd(cwd, sizeof(cwd)) == NULL)
		return -errno;
	const char *mid = !absolute && strcmp(cwd, "/") != 0 ? "/" : "";
	const char *end = dir_n > 0 && dir[dir_n - 1] != '/' ? "/" : "";
	int n = snprintf(to, PATH_MAX, "%s%s%.*s%s%s", cwd, mid, (int)dir_n, dir, end, name);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int
search_path(const char *list, const char *name, char found[static PATH_MAX])
{
	int result = -ENOENT;

	for (const char *at = list;; at++) {
		size_t n = strcspn(at, ":");
		int r = n < PATH_MAX ? make_path(found, at, n, name) : -ENAMETOOLONG;
		if (r == 0)
			r = check_program(found);
		if (r == 0)
			return 0;
		if (r == -EACCES)
			result = r; /* a later folder may still have one that runs */
		at += n;
		if (*at == '\0')
			return result;
	}
}

int
mgr_spawn_find(const char *name, char *path, size_t n)
{
	char found[PATH_MAX];
	const char *list = getenv("PATH");
	int r;

	if (name[0] == '\0')
		return -ENOENT;
	if (strchr(name, '/') != NULL) {
		r = make_path(found, "", 0, name);
		if (r == 0)
			r = check_program(found);
	} else {
		r = search_path(list != NULL ? list : "/usr/local/bin:/usr/bin:/bin", name, found);
	}
	if (r < 0)
		return r;
	for (char *dot; (dot = strstr(found, "/./")) != NULL;)
		memmove(dot, dot + 2, strlen(dot + 2) + 1); /* "./hello" is shown as people think of it */
	size_t found_n = strlen(found) + 1;
	if (found_n > n)
		return -ENAMETOOLONG;
	memcpy(path, found, found_n);
	return 0;
}
