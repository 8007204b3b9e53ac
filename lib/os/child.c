#include "os/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"
#include "os/clock.h"
#include "os/io.h"

#define REAP_MAX 256 /* ended children per look, so that a fork bomb cannot hold the loop */

/* The watched ones: the reaper of orphans must not take their status. */
static struct {
	struct mgr_child **item;
	size_t n, cap;
} watched;

static struct {
	struct mgr_loop *loop;
	struct mgr_signal signal;
	struct mgr_timer again;
} reaper;

static int
open_pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

static int
send(int pidfd, int signo)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

static int
reserve(void)
{
	if (watched.n < watched.cap)
		return 0;
	size_t cap = watched.cap == 0 ? 16 : watched.cap * 2;
	struct mgr_child **item = reallocarray(watched.item, cap, sizeof(struct mgr_child *));
	if (item == NULL)
		return -ENOMEM;
	watched.item = item;
	watched.cap = cap;
	return 0;
}

static void
forget(const struct mgr_child *c)
{
	size_t i = 0;

	while (i < watched.n && watched.item[i] != c)
		i++;
	mgr_assert(i < watched.n);
	watched.item[i] = watched.item[--watched.n];
	if (watched.n > 0)
		return;
	free(watched.item);
	watched.item = NULL;
	watched.cap = 0;
}

static struct mgr_child *
find(pid_t pid)
{
	for (size_t i = 0; i < watched.n; i++)
		if (watched.item[i]->pid == pid)
			return watched.item[i];
	return NULL;
}

/* An inherited "ignore" would make the kernel throw every status away. */
static void
keep_status(void)
{
	const struct sigaction plain = {.sa_handler = SIG_DFL};
	struct sigaction sa;

	if (sigaction(SIGCHLD, NULL, &sa) == 0 &&
	    (sa.sa_handler == SIG_IGN || (sa.sa_flags & SA_NOCLDWAIT)))
		sigaction(SIGCHLD, &plain, NULL);
}

static int
wait_status(const siginfo_t *si)
{
	int status = si->si_status;

	if (si->si_code == CLD_EXITED)
		return W_EXITCODE(status, 0);
	return si->si_code == CLD_DUMPED ? W_EXITCODE(0, status) | WCOREFLAG : W_EXITCODE(0, status);
}

/* Takes the status and tells the owner, who may free or restart c. */
static void
end(struct mgr_child *c)
{
	siginfo_t si = {0};
	int status = -1; /* somebody else's child */

	/* Before the reap, while the number still names this group and no other. */
	if (c->kill_group && !c->adopted && c->pid > 0)
		kill(-c->pid, SIGKILL);
	if (waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG) == 0) {
		if (si.si_pid == 0)
			return; /* not yet */
		status = wait_status(&si);
	}
	mgr_child_fini(c);
	c->fn(c, status);
}

static void
on_end(struct mgr_watch *w, uint32_t events)
{
	(void)events;
	end(MGR_CONTAINER(w, struct mgr_child, watch));
}

static int
attach(struct mgr_child *c, struct mgr_loop *loop, pid_t pid, int pidfd)
{
	int r = mgr_watch_start(&c->watch, loop, pidfd, EPOLLIN, on_end);
	if (r < 0)
		return r;
	c->pid = pid;
	c->pidfd = pidfd;
	watched.item[watched.n++] = c;
	return 0;
}

int
mgr_child_start(struct mgr_child *c, struct mgr_loop *loop, const struct mgr_spawn *s,
		void (*fn)(struct mgr_child *, int status))
{
	pid_t pid;
	int pidfd, r = reserve();

	mgr_assert(c->pid == 0);
	if (r < 0)
		return r;
	keep_status();
	r = mgr_spawn(s, &pid, &pidfd);
	if (r < 0)
		return r;
	c->adopted = false;
	c->fn = fn;
	r = attach(c, loop, pid, pidfd);
	if (r < 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		close(pidfd);
	}
	return r;
}

int
mgr_child_adopt(struct mgr_child *c, struct mgr_loop *loop, pid_t pid,
		void (*fn)(struct mgr_child *, int status))
{
	int r = reserve();

	mgr_assert(c->pid == 0);
	if (r < 0)
		return r;
	if (pid <= 0)
		return -ESRCH;
	int pidfd = open_pidfd(pid);
	if (pidfd < 0)
		return pidfd;
	c->adopted = true;
	c->fn = fn;
	r = attach(c, loop, pid, pidfd);
	if (r < 0)
		close(pidfd);
	return r;
}

void
mgr_child_kill(struct mgr_child *c, int signo, bool group)
{
	/* The pidfd says whether the number still means this process; its group has the same number. */
	if (c->pid == 0 || send(c->pidfd, 0) == -ESRCH)
		return;
	if (group && c->pid != getpgrp() && kill(-c->pid, signo) == 0 && getpgid(c->pid) == c->pid)
		return;
	send(c->pidfd, signo);
}

void
mgr_child_fini(struct mgr_child *c)
{
	if (c->pid == 0)
		return;
	mgr_watch_stop(&c->watch);
	mgr_close(&c->pidfd);
	forget(c);
	c->pid = 0;
}

static void on_again(struct mgr_timer *t);

/*
 * Looks without taking, because the first that ended may be a watched one: its owner gets the
 * status now, else it would hide the orphans behind it.
 */
static void
reap(void)
{
	for (int i = 0; i < REAP_MAX; i++) {
		siginfo_t si = {0};
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0)
			return;
		struct mgr_child *c = find(si.si_pid);
		if (c != NULL)
			end(c);
		else
			waitid(P_PID, (id_t)si.si_pid, &si, WEXITED | WNOHANG);
		if (reaper.loop == NULL)
			return; /* the owner stopped us */
	}
	mgr_timer_start(&reaper.again, reaper.loop, mgr_now_ns() + MGR_MS, on_again);
}

static void
on_again(struct mgr_timer *t)
{
	(void)t;
	reap();
}

static void
on_signal(struct mgr_signal *s)
{
	(void)s;
	reap();
}

int
mgr_child_reap_orphans(struct mgr_loop *loop)
{
	mgr_assert(reaper.loop == NULL);
	keep_status();
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return -errno;
	int r = mgr_signal_start(&reaper.signal, loop, SIGCHLD, on_signal);
	if (r < 0)
		return r;
	reaper.loop = loop;
	/* What ended before the signal was blocked is found by a first look, from the loop. */
	r = mgr_timer_start(&reaper.again, loop, mgr_now_ns(), on_again);
	if (r < 0)
		mgr_child_reap_fini();
	return r;
}

void
mgr_child_reap_fini(void)
{
	mgr_signal_stop(&reaper.signal);
	mgr_timer_stop(&reaper.again);
	reaper.loop = NULL;
}

/* The session of a process that runs, 0 for one that is gone or a zombie. */
static pid_t
session_of(int proc_fd, const char *name)
{
	char file[32], text[512], state;
	int sid;

	if (snprintf(file, sizeof(file), "%s/stat", name) >= (int)sizeof(file))
		return 0;
	int fd = openat(proc_fd, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = mgr_read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* The command's name is the process's own choice, ") R 1 1 1" included: count from its end. */
	const char *at = strrchr(text, ')');
	if (at == NULL || sscanf(at + 1, " %c %*d %*d %d", &state, &sid) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : sid;
}

/* 1 when the process was signalled. */
static int
kill_member(int proc_fd, const char *name, pid_t sid, int signo)
{
	uint64_t pid;
	int killed = 0;

	if (mgr_num_parse(name, strlen(name), INT32_MAX, &pid) < 0 || (pid_t)pid == getpid())
		return 0;
	if (session_of(proc_fd, name) != sid)
		return 0;
	int pidfd = open_pidfd((pid_t)pid);
	if (pidfd < 0)
		return 0;
	/* The number may have gone to a stranger meanwhile; what the pidfd holds cannot. */
	if (session_of(proc_fd, name) == sid)
		killed = send(pidfd, signo) == 0;
	close(pidfd);
	return killed;
}

int
mgr_child_kill_session(pid_t sid, int signo)
{
	int killed = 0;

	if (sid <= 0 || sid == getsid(0))
		return 0;
	DIR *dir = opendir("/proc");
	if (dir == NULL)
		return -errno;
	/* Numbers come in rising order, so what a member forks while we walk is met as well. */
	for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
		killed += kill_member(dirfd(dir), e->d_name, sid, signo);
	closedir(dir);
	return killed;
}

const char *
mgr_child_status_text(int status, char *text, size_t n)
{
	if (status == -1) {
		snprintf(text, n, "unknown status");
	} else if (WIFSIGNALED(status)) {
		const char *what = sigdescr_np(WTERMSIG(status));
		snprintf(text, n, "signal %d (%s)", WTERMSIG(status), what != NULL ? what : "unknown");
	} else {
		snprintf(text, n, "exit status %d", WEXITSTATUS(status));
	}
	return text;
}
