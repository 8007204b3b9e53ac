/*
 * Starting programs and watching children.  The program that is started is this one: with an
 * argument it plays a role and tells on stdout what it sees.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/io.h"
#include "os/loop.h"
#include "os/spawn.h"
#include "tap.h"

#define SELF "/proc/self/exe"

static void
play_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");

	for (struct dirent *e = dir != NULL ? readdir(dir) : NULL; e != NULL; e = readdir(dir))
		if (e->d_name[0] != '.' && atol(e->d_name) != dirfd(dir))
			printf("%s ", e->d_name);
	if (dir != NULL)
		closedir(dir);
}

/* 32 and 33 are glibc's own: whoever started the test may have left them ignored. */
#define LIBC_SIGNALS 0x180000000ull

static void
play_state(void)
{
	static const char *const keys[] = {"SigIgn:", "SigBlk:", "NoNewPrivs:"};
	char line[256], cwd[256];
	struct rlimit core;
	FILE *f = fopen("/proc/self/status", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		for (size_t i = 0; i < MGR_N(keys); i++)
			if (strncmp(line, keys[i], strlen(keys[i])) == 0)
				printf("%s%llu ", keys[i], strtoull(line + strlen(keys[i]), NULL, 16) & ~LIBC_SIGNALS);
	if (f != NULL)
		fclose(f);
	getrlimit(RLIMIT_CORE, &core);
	printf("core:%llu leader:%d%d cwd:%s", (unsigned long long)core.rlim_cur, getpgrp() == getpid(),
	       getsid(0) == getpid(), getcwd(cwd, sizeof(cwd)) != NULL ? cwd : "?");
}

/* Writes 0, 1, 2 .. to the descriptors 0, 1, 2 ... */
static void
play_mark(void)
{
	for (int fd = 0; fd < MGR_SPAWN_FD_MAX; fd++) {
		char c = (char)('0' + fd);
		if (mgr_write_all(fd, &c, 1) < 0)
			break;
	}
}

static void
until_eof(void)
{
	char c;

	while (mgr_read(STDIN_FILENO, &c, 1) > 0)
		;
}

/* Leaves a process behind that ends when stdin does; prints its pid. */
static void
play_orphan(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		close(STDOUT_FILENO);
		until_eof();
		_exit(0);
	}
	printf("%d", (int)pid);
}

/* A process with a nasty name in a group of its own, both in one session. */
static void
play_session(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_NAME, "a) R 1 1 1 (");
		dprintf(STDOUT_FILENO, "%d ", (int)getpid());
		close(STDOUT_FILENO);
		until_eof();
		_exit(0);
	}
	close(STDOUT_FILENO);
	until_eof();
}

/* Starts a process that must die with this one, and ends. */
static void
play_parent(void)
{
	char name[] = "os-proc", role[] = "mute";
	char *argv[] = {name, role, NULL}, *envp[] = {NULL};
	struct mgr_spawn s = {.path = SELF, .argv = argv, .envp = envp, .fd = {0, -1, 2}, .fd_n = 3,
			      .death_signal = SIGKILL};
	pid_t pid = 0;
	int pidfd;

	if (mgr_spawn(&s, &pid, &pidfd) == 0)
		printf("%d", (int)pid);
}

static void
play_sleep(void)
{
	dprintf(STDOUT_FILENO, "up");
	close(STDOUT_FILENO);
	until_eof();
}

static int
play(char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} role[] = {
		{"fds", play_fds},       {"state", play_state},     {"mark", play_mark},
		{"orphan", play_orphan}, {"session", play_session}, {"sleep", play_sleep},
		{"parent", play_parent}, {"mute", until_eof},
	};

	for (size_t i = 0; i < MGR_N(role); i++)
		if (strcmp(argv[1], role[i].name) == 0)
			role[i].fn();
	fflush(stdout);
	return argv[2] != NULL ? (int)atol(argv[2]) : 0;
}

static struct mgr_loop *loop;
static char *no_env[] = {NULL};

struct run {
	struct mgr_child child;
	int in, out; /* our ends of its stdin and stdout */
	int status, calls;
};

static void
on_end(struct mgr_child *c, int status)
{
	struct run *run = MGR_CONTAINER(c, struct run, child);

	run->status = status;
	run->calls++;
}

static void
turn_until(const int *n, int want)
{
	int64_t end_ns = mgr_now_ns() + 20 * MGR_S;

	while (*n < want && mgr_now_ns() < end_ns)
		mgr_loop_turn(loop, 100 * MGR_MS);
}

/* The template's fd 0 and 1 become pipes to us. */
static int
begin(struct run *run, struct mgr_spawn s, const char *role, const char *code)
{
	char self[] = "os-proc", role_text[16], code_text[16];
	char *argv[] = {self, role_text, code != NULL ? code_text : NULL, NULL};
	int in[2], out[2];

	snprintf(role_text, sizeof(role_text), "%s", role);
	snprintf(code_text, sizeof(code_text), "%s", code != NULL ? code : "");
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		bail_out("no pipe");
	*run = (struct run){.in = in[1], .out = out[0], .status = -2};
	s.path = s.path != NULL ? s.path : SELF;
	s.argv = argv;
	s.envp = no_env;
	s.fd[0] = in[0];
	s.fd[1] = out[1];
	s.fd[2] = STDERR_FILENO;
	s.fd_n = s.fd_n != 0 ? s.fd_n : 3;
	int r = mgr_child_start(&run->child, loop, &s, on_end);
	close(in[0]);
	close(out[1]);
	return r;
}

static const char *
output(struct run *run)
{
	static char text[1024];
	struct mgr_buf b = {0};

	mgr_file_read_fd(run->out, sizeof(text) - 1, &b);
	snprintf(text, sizeof(text), "%s", mgr_buf_str(&b));
	mgr_buf_fini(&b);
	return text;
}

static void
finish(struct run *run)
{
	mgr_close(&run->in);
	turn_until(&run->calls, 1);
	mgr_close(&run->out);
}

static void
test_state(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct mgr_spawn s = {.cwd = "/usr", .new_group = true, .no_core = true, .no_new_privs = true,
			      .death_signal = SIGKILL};
	struct run run;
	sigset_t mask, old;

	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGUSR2, &ignore, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, &old);
	is_int(begin(&run, s, "state", "7"), 0, "start");
	is_str(output(&run), "SigBlk:0 SigIgn:0 NoNewPrivs:1 core:0 leader:10 cwd:/usr",
	       "signals, privileges, limit, group, folder");
	finish(&run);
	is_int(run.status, W_EXITCODE(7, 0), "status");
	is_int(run.calls, 1, "told once");
	is_int(run.child.pid, 0, "no child any more");
	mgr_child_kill(&run.child, SIGKILL, true);
	mgr_child_fini(&run.child);

	sigset_t now;
	sigprocmask(SIG_SETMASK, &old, &now);
	ok(sigismember(&now, SIGTERM) == 1 && sigismember(&now, SIGHUP) == 0, "our mask is as it was");
	s = (struct mgr_spawn){.new_session = true, .new_group = true};
	is_int(begin(&run, s, "state", NULL), 0, "start");
	ok(strstr(output(&run), "leader:11") != NULL, "a session");
	finish(&run);
}

static void
test_fds(void)
{
	struct run run;
	int leak = open("/dev/null", O_RDONLY); /* not close-on-exec, on purpose */

	is_int(begin(&run, (struct mgr_spawn){0}, "fds", NULL), 0, "start");
	is_str(output(&run), "0 1 2 ", "0, 1 and 2 only");
	finish(&run);
	struct mgr_spawn s = {.fd = {0, 0, 0, -1, -1}, .fd_n = 5};
	is_int(begin(&run, s, "fds", NULL), 0, "start");
	is_str(output(&run), "0 1 2 3 4 ", "as many as asked for");
	finish(&run);
	s.fd[4] = 999;
	is_int(begin(&run, s, "fds", NULL), -EBADF, "a source that is not open");
	close(run.in);
	close(run.out);
	close(leak);
}

/* Sources that are targets of each other: 0 <- 1, 1 <- 2, 2 <- 0, 3 <- 1. */
static void
test_collision(void)
{
	enum { N = 4 };
	static const int from[N] = {1, 2, 0, 1};
	char name[] = "os-proc", role[] = "mark", text[N][16];
	char *argv[] = {name, role, NULL};
	int saved[N], files[N], pidfd = -1, status = 0, r;
	pid_t pid = 0;

	fflush(stdout);
	for (int i = 0; i < N; i++) {
		files[i] = memfd_create("mark", MFD_CLOEXEC);
		files[i] = fcntl(files[i], F_DUPFD_CLOEXEC, 20);
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 30);
	}
	for (int i = 0; i < N; i++)
		dup2(files[i], i);
	struct mgr_spawn s = {.path = SELF, .argv = argv, .envp = no_env, .fd_n = N};
	memcpy(s.fd, from, sizeof(from));
	r = mgr_spawn(&s, &pid, &pidfd);
	if (r == 0)
		waitpid(pid, &status, 0);
	for (int i = 0; i < N; i++) {
		ssize_t n = pread(files[i], text[i], sizeof(text[i]) - 1, 0);
		text[i][n > 0 ? n : 0] = '\0';
		if (saved[i] >= 0)
			dup2(saved[i], i);
		else
			close(i);
		mgr_close(&saved[i]);
		mgr_close(&files[i]);
	}
	is_int(r, 0, "started with colliding descriptors");
	is_str(text[0], "2", "2 <- 0");
	is_str(text[1], "03", "0 and 3 <- 1");
	is_str(text[2], "1", "1 <- 2");
	is_str(text[3], "", "3 is not passed");
	ok(fcntl(pidfd, F_GETFD) == FD_CLOEXEC, "the pidfd is close-on-exec");
	mgr_close(&pidfd);
}

static void
test_errors(void)
{
	char file[] = "/tmp/mgr-os-XXXXXX", path[256];
	struct run run;
	int fd = mkstemp(file);

	fchmod(fd, 0600);
	close(fd);
	static const struct {
		const char *path, *cwd;
		int want;
	} row[] = {
		{"/no/such/program", NULL, -ENOENT},
		{NULL, NULL, -EACCES}, /* the file */
		{"/", NULL, -EACCES},
		{SELF, "/no/such/folder", -ENOENT},
		{SELF, "/dev/null", -ENOTDIR},
	};
	for (size_t i = 0; i < MGR_N(row); i++) {
		struct mgr_spawn s = {.path = row[i].path != NULL ? row[i].path : file, .cwd = row[i].cwd};
		is_int(begin(&run, s, "fds", NULL), row[i].want, "error of row %zu", i);
		is_int(run.child.pid, 0, "no child");
		close(run.in);
		close(run.out);
	}
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "no zombie is left");

	setenv("PATH", "/no/such/folder:/tmp:/usr/bin:/bin", 1);
	is_int(mgr_spawn_find("sh", path, sizeof(path)), 0, "sh is found");
	ok(path[0] == '/' && access(path, X_OK) == 0, "absolute: %s", path);
	is_int(mgr_spawn_find("sh", path, 4), -ENAMETOOLONG, "small buffer");
	is_int(mgr_spawn_find("mgr-no-such-program", path, sizeof(path)), -ENOENT, "not there");
	is_int(mgr_spawn_find("", path, sizeof(path)), -ENOENT, "no name");
	is_int(mgr_spawn_find(file + 5, path, sizeof(path)), -EACCES, "there but not executable");
	is_int(mgr_spawn_find(file, path, sizeof(path)), -EACCES, "the same by its path");
	is_int(mgr_spawn_find("/tmp", path, sizeof(path)), -EACCES, "a folder");
	is_int(chdir("/"), 0, "chdir");
	is_int(mgr_spawn_find("./bin/sh", path, sizeof(path)), 0, "relative to the current folder");
	is_str(path, "/bin/sh", "made absolute");
	unlink(file);
}

static void
test_kill(void)
{
	char text[64];
	struct run run, other = {0};

	begin(&run, (struct mgr_spawn){.new_group = true}, "sleep", NULL);
	is_str(output(&run), "up", "it runs");
	is_int(mgr_child_adopt(&other.child, loop, run.child.pid, on_end), 0, "adopt");
	mgr_child_fini(&other.child);
	mgr_child_kill(&run.child, SIGTERM, true);
	finish(&run);
	ok(WIFSIGNALED(run.status) && WTERMSIG(run.status) == SIGTERM, "the group is signalled");
	is_str(mgr_child_status_text(run.status, text, sizeof(text)), "signal 15 (Terminated)", "text");
	is_str(mgr_child_status_text(W_EXITCODE(3, 0), text, sizeof(text)), "exit status 3", "text");
	is_str(mgr_child_status_text(-1, text, sizeof(text)), "unknown status", "text");
}

static void
test_adopt(void)
{
	struct run run, left = {.status = -2};

	/* A grandchild that is not ours: its parent waits until told. */
	begin(&run, (struct mgr_spawn){.new_session = true}, "session", NULL);
	pid_t pid = (pid_t)atol(output(&run));
	is_int(mgr_child_adopt(&left.child, loop, pid, on_end), 0, "adopt a stranger");
	mgr_child_kill(&left.child, SIGKILL, false);
	turn_until(&left.calls, 1);
	is_int(left.status, -1, "its end is seen, its status is not");
	finish(&run);
	is_int(run.status, 0, "the other one ended by itself");
	is_int(mgr_child_adopt(&left.child, loop, 0, on_end), -ESRCH, "no process");
}

static bool
is_gone(pid_t pid)
{
	int64_t end_ns = mgr_now_ns() + 20 * MGR_S;

	while (kill(pid, 0) == 0 && mgr_now_ns() < end_ns)
		mgr_loop_turn(loop, 10 * MGR_MS);
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static void
test_orphans(void)
{
	enum { N = 12 };
	struct run run[N];
	pid_t pid[N];
	char code[12];
	int good = 0, gone = 0;

	is_int(mgr_child_reap_orphans(loop), 0, "reaper");
	for (int i = 0; i < N; i++) {
		snprintf(code, sizeof(code), "%d", i + 1);
		if (begin(&run[i], (struct mgr_spawn){0}, "orphan", code) < 0)
			bail_out("no child");
		pid[i] = (pid_t)atol(output(&run[i]));
	}
	/* Half of the orphans end before any status was taken, so both kinds wait side by side. */
	for (int i = 0; i < N; i += 2)
		mgr_close(&run[i].in);
	for (int i = 0; i < N; i++) {
		turn_until(&run[i].calls, 1);
		good += run[i].calls == 1 && run[i].status == W_EXITCODE(i + 1, 0);
		finish(&run[i]);
	}
	for (int i = 0; i < N; i++)
		gone += is_gone(pid[i]);
	is_int(good, N, "every watched child's status came to its owner");
	is_int(gone, N, "every orphan was reaped");
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "nothing is left");
}

static void
test_death_signal(void)
{
	struct run run;

	begin(&run, (struct mgr_spawn){0}, "parent", NULL);
	pid_t pid = (pid_t)atol(output(&run));
	turn_until(&run.calls, 1);
	ok(pid > 0 && is_gone(pid), "a process with a death signal dies with its parent");
	finish(&run);
}

/* The program runs but cannot be watched: no descriptor is left for its pidfd. */
static void
test_no_pidfd(void)
{
	char name[] = "os-proc", role[] = "mute";
	char *argv[] = {name, role, NULL};
	struct rlimit old, few;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), pidfd = -1;
	pid_t pid = 0;
	struct mgr_spawn s = {.path = SELF, .argv = argv, .envp = no_env, .fd = {fd, fd, fd}, .fd_n = 3};

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = (rlim_t)fd + 1;
	setrlimit(RLIMIT_NOFILE, &few);
	int r = mgr_spawn(&s, &pid, &pidfd);
	setrlimit(RLIMIT_NOFILE, &old);
	close(fd);
	is_int(r, -EMFILE, "no descriptor for the pidfd");
	ok(pid == 0 && pidfd == -1, "the results are not touched");
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "and the child is gone");
}

static void
test_session(void)
{
	struct run run;

	begin(&run, (struct mgr_spawn){.new_session = true}, "session", NULL);
	pid_t sid = run.child.pid, pid = (pid_t)atol(output(&run));
	is_int(mgr_child_kill_session(sid, 0), 2, "two members, one of them named like a stat line");
	is_int(mgr_child_kill_session(sid, SIGKILL), 2, "both killed");
	turn_until(&run.calls, 1);
	ok(WIFSIGNALED(run.status) && WTERMSIG(run.status) == SIGKILL, "the leader died of it");
	ok(is_gone(pid), "the member of another group too, and was reaped");
	finish(&run);
	is_int(mgr_child_kill_session(sid, SIGKILL), 0, "an empty session");
	is_int(mgr_child_kill_session(getsid(0), SIGKILL), 0, "never our own");
	is_int(mgr_child_kill_session(0, SIGKILL), 0, "nor none");
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		return play(argv);
	is_int(mgr_loop_new(&loop), 0, "loop");
	test_state();
	test_fds();
	test_collision();
	test_errors();
	test_no_pidfd();
	test_kill();
	test_adopt();
	test_orphans();
	test_death_signal();
	test_session();
	mgr_child_reap_fini();
	mgr_loop_free(loop);
	return done_testing();
}
