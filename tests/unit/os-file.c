/*
 * Files, paths and sockets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "os/file.h"
#include "os/io.h"
#include "os/paths.h"
#include "os/sock.h"
#include "tap.h"

static char top[] = "/tmp/mgr-os-XXXXXX";

/* A name in the scratch folder; four take turns. */
static const char *
in_top(const char *name)
{
	static char ring[4][MGR_PATH_MAX];
	static unsigned turn;
	char *path = ring[turn++ % MGR_N(ring)];

	mgr_paths_join(path, top, name);
	return path;
}

static int
add_name(void *arg, const char *name)
{
	struct mgr_buf *b = arg;

	mgr_buf_adds(b, name);
	mgr_buf_addc(b, ' ');
	return strcmp(name, "stop") == 0 ? 5 : 0;
}

static void
test_read(void)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};
	const char *path = in_top("read");

	mgr_buf_adds(&b, "x");
	is_int(mgr_file_replace(path, "0123456789", 10, 0640), 0, "write");
	is_int(mgr_file_read(path, 10, &b), 0, "a file of the greatest size");
	is_str(mgr_buf_str(&b), "x0123456789", "is added");
	is_int(mgr_file_read(path, 9, &b), -EFBIG, "one byte more");
	is_int(mgr_buf_n(&b), 11, "leaves the buffer as it was");
	is_int(mgr_file_read(in_top("none"), 9, &b), -ENOENT, "no file");
	is_int(mgr_file_read(top, 9, &b), -EISDIR, "a folder");
	is_int(mkfifo(in_top("fifo"), 0600), 0, "mkfifo");
	is_int(mgr_file_read(in_top("fifo"), 9, &b), -EINVAL, "a FIFO does not hang us");
	is_int(mgr_file_read("/proc/self/stat", 9, &b), -EFBIG, "more than its size says");
	is_int(mgr_buf_n(&b), 11, "leaves the buffer as it was");
}

static void
test_replace(void)
{
	MGR_AUTO_BUF struct mgr_buf b = {0}, names = {0};
	const char *path = in_top("state.json");
	struct stat st;

	is_int(mgr_file_replace(path, "old", 3, 0600), 0, "first");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	is_int(mgr_file_replace(path, "newer", 5, 0644), 0, "second");
	is_int(mgr_file_read_fd(fd, 100, &b), 0, "the old file is still whole");
	is_str(mgr_buf_str(&b), "old", "for who has it open");
	close(fd);
	mgr_buf_clear(&b, 0);
	mgr_file_read(path, 100, &b);
	is_str(mgr_buf_str(&b), "newer", "the name has the new one");
	ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0644, "with its mode");
	is_int(mgr_file_replace(in_top("none/x"), "a", 1, 0600), -ENOENT, "no folder");
	is_int(mkdir(in_top("dir.json"), 0700), 0, "mkdir");
	is_int(mgr_file_replace(in_top("dir.json"), "a", 1, 0600), -EISDIR, "a folder of that name");
	is_int(mgr_file_replace(in_top("a.json"), "", 0, 0600), 0, "an empty file");
	is_int(mgr_file_each(top, ".tmp", add_name, &names), 0, "each");
	is_int(mgr_buf_n(&names), 0, "no temporary file is left");
	is_int(mgr_file_each(top, ".json", add_name, &names), 0, "each");
	is_str(mgr_buf_str(&names), "a.json dir.json state.json ", "sorted, by suffix");
	mgr_file_replace(in_top("stop"), "", 0, 0600);
	is_int(mgr_file_each(top, "", add_name, &names), 5, "the first result that is not 0 ends it");
	is_int(mgr_file_each(in_top("none"), "", add_name, &names), -ENOENT, "no folder");
}

static void
test_mkdir(void)
{
	struct stat st;

	is_int(mgr_file_mkdir(in_top("a/b//c/"), 0700), 0, "with parents");
	ok(stat(in_top("a/b/c"), &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0700, "mode");
	is_int(mgr_file_mkdir(in_top("a/b/c"), 0700), 0, "again");
	is_int(chmod(in_top("a/b"), 0777), 0, "chmod");
	is_int(mgr_file_mkdir(in_top("a/b"), 0700), -EPERM, "world-writable is refused");
	is_int(mgr_file_mkdir("/tmp", 0700), -EPERM, "with a sticky bit too");
	is_int(mgr_file_mkdir(in_top("read"), 0700), -ENOTDIR, "a file");
	is_int(mgr_file_mkdir(in_top("read/x"), 0700), -ENOTDIR, "below a file");
	is_int(mgr_file_mkdir("", 0700), -ENOENT, "no name");
	if (geteuid() != 0) {
		skip("somebody else's folder is refused", "only root can give one away");
		return;
	}
	is_int(chmod(in_top("a/b"), 0700) | chown(in_top("a/b"), 12345, 12345), 0, "chown");
	is_int(mgr_file_mkdir(in_top("a/b"), 0700), -EPERM, "somebody else's folder is refused");
}

static void
test_lock(void)
{
	int up[2], hold[2];
	const char *path = in_top("lock");
	pid_t holder = 0;
	char c;

	if (pipe2(up, O_CLOEXEC) < 0 || pipe2(hold, O_CLOEXEC) < 0)
		bail_out("no pipe");
	pid_t pid = fork();
	if (pid == 0) {
		close(hold[1]);
		c = mgr_file_lock(path, NULL) >= 0 ? 'y' : 'n';
		mgr_write_all(up[1], &c, 1);
		mgr_read(hold[0], &c, 1); /* until the parent closes */
		_exit(0);
	}
	is_int(mgr_read(up[0], &c, 1), 1, "the other process is up");
	is_int(c, 'y', "and has the lock");
	is_int(mgr_file_lock(path, &holder), -EEXIST, "so we cannot");
	is_int(holder, pid, "and know who has it");
	close(hold[1]);
	waitpid(pid, NULL, 0);
	int fd = mgr_file_lock(path, &holder);
	ok(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "free when it ended");
	is_int(mgr_file_lock(path, &holder), -EEXIST, "we exclude ourselves too");
	is_int(holder, getpid(), "our pid");
	is_int(unlink(path), 0, "somebody removes it");
	int again = mgr_file_lock(path, NULL);
	ok(again >= 0, "a new file, a new lock");
	is_int(symlink("/etc/passwd", in_top("link")), 0, "symlink");
	is_int(mgr_file_lock(in_top("link"), NULL), -ELOOP, "a link is refused");
	mgr_close(&fd);
	mgr_close(&again);
	mgr_close(&up[0]);
	mgr_close(&up[1]);
	mgr_close(&hold[0]);
}

static void
test_paths(void)
{
	char path[MGR_PATH_MAX], other[MGR_PATH_MAX], name[MGR_PATH_MAX];

	setenv("MGR_RUNTIME_DIR", "/x/y/", 1);
	is_int(mgr_paths_runtime(path), 0, "runtime");
	is_str(path, "/x/y", "as named");
	setenv("MGR_RUNTIME_DIR", "x", 1);
	is_int(mgr_paths_runtime(path), -EINVAL, "relative");
	unsetenv("MGR_RUNTIME_DIR");
	setenv("XDG_RUNTIME_DIR", "/xdg", 1);
	is_int(mgr_paths_runtime(path), 0, "runtime");
	is_str(path, geteuid() == 0 ? "/run/mgr" : "/xdg/mgr", "the default");
	unsetenv("MGR_STATE_DIR");
	unsetenv("XDG_STATE_HOME");
	setenv("HOME", "/home/x", 1);
	is_int(mgr_paths_state(path), 0, "state");
	is_str(path, geteuid() == 0 ? "/var/lib/mgr" : "/home/x/.local/state/mgr", "the default");
	setenv("MGR_STATE_DIR", "/", 1);
	is_int(mgr_paths_state(path), 0, "state");
	is_str(path, "/", "the root folder");
	is_int(mgr_paths_join(path, path, "a"), 0, "join in place");
	is_str(path, "/a", "one slash");

	memset(name, 'n', sizeof(name));
	name[MGR_PATH_MAX - 4] = '\0'; /* "/a" "/" and a NUL fill up the rest */
	is_int(mgr_paths_join(other, "/a", name), 0, "the longest");
	is_int(strlen(other), MGR_PATH_MAX - 1, "fits");
	is_int(mgr_paths_join(other, "/ab", name), -ENAMETOOLONG, "one more");

	is_int(mgr_paths_self_dir(path), 0, "self");
	setenv("MGR_BIN_DIR", "/bin", 1);
	is_int(mgr_paths_program(path, "sh"), 0, "a program");
	is_str(path, "/bin/sh", "in the folder that was named");
	is_int(mgr_paths_program(path, "no-such-program"), -ENOENT, "and only there");
	setenv("MGR_BIN_DIR", "bin", 1);
	is_int(mgr_paths_program(path, "sh"), -EINVAL, "relative");
	unsetenv("MGR_BIN_DIR");
	setenv("PATH", "/bin", 1);
	is_int(mgr_paths_program(path, "sh"), 0, "a program");
	is_str(path, "/bin/sh", "in PATH");
	is_int(mgr_paths_program(path, "os-file") | mgr_paths_self_dir(other), 0, "ourselves");
	ok(strncmp(path, other, strlen(other)) == 0, "beside us: %s", path);
}

static void
test_parse(void)
{
	static const struct {
		const char *text, *want; /* NULL = refused */
	} row[] = {
		{"127.0.0.1:80", "127.0.0.1:80"}, {"[::1]:80", "[::1]:80"},    {":80", "0.0.0.0:80"},
		{"80", "127.0.0.1:80"},           {"0", "127.0.0.1:0"},        {"0.0.0.0:1", "0.0.0.0:1"},
		{"[::]:1", "[::]:1"},             {"", NULL},                  {":", NULL},
		{"1.2.3.4", NULL},                {"1.2.3.4:", NULL},          {"1.2.3.4:65536", NULL},
		{"1.2.3:80", NULL},               {"host.example:80", NULL},   {"[::1:80", NULL},
		{"1.2.3.4:+80", NULL},            {"1.2.3.4:080", NULL},       {"1.2.3.4: 80", NULL},
		{"[::1%lo]:80", NULL},            {"1.2.3.4:99999999999999999999", NULL},
		{"[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]:80", NULL},
	};

	for (size_t i = 0; i < MGR_N(row); i++) {
		struct mgr_sock_addr addr = {0};
		char text[MGR_SOCK_TEXT_MAX];
		int r = mgr_sock_parse(row[i].text, &addr);

		is_int(r, row[i].want == NULL ? -EINVAL : 0, "parse \"%s\"", row[i].text);
		if (r < 0 || row[i].want == NULL)
			continue;
		mgr_sock_text((const struct sockaddr *)&addr.ss, text, true);
		is_str(text, row[i].want, "the same as text");
	}
}

static int
open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* One message that carries two descriptors, which our own sender refuses to make. */
static ssize_t
send_two(int fd, const int passed[2])
{
	char byte = 'x';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), passed, 2 * sizeof(int));
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static void
test_passing(int a, int b)
{
	int got = 99, files[2] = {memfd_create("m", MFD_CLOEXEC), memfd_create("m", MFD_CLOEXEC)};
	struct stat want = {0}, st = {0};
	char text[8];

	is_int(mgr_sock_send_fd(a, "hello", 5, files[0]), 5, "sent");
	is_int(mgr_sock_recv_fd(b, text, sizeof(text), &got), 5, "received");
	ok(fstat(files[0], &want) == 0 && fstat(got, &st) == 0 && want.st_ino == st.st_ino, "the same file");
	ok(fcntl(got, F_GETFD) == FD_CLOEXEC, "close-on-exec");
	mgr_close(&got);
	mgr_sock_send_fd(a, "x", 1, -1);
	is_int(mgr_sock_recv_fd(b, text, sizeof(text), &got), 1, "a message without");
	is_int(got, -1, "has none");
	int before = open_fds();
	is_int(send_two(a, files), 1, "two at once");
	is_int(mgr_sock_recv_fd(b, text, sizeof(text), &got), -EPROTO, "are refused");
	is_int(open_fds(), before, "and closed");
	is_int(mgr_sock_recv_fd(b, text, sizeof(text), &got), -EAGAIN, "nothing more");
	mgr_close(&files[0]);
	mgr_close(&files[1]);
}

static void
test_unix(void)
{
	const char *path = in_top("x.sock");
	char longest[200] = "/";
	struct stat st;
	pid_t pid = 0;
	uid_t uid = 12345;

	int fd = mgr_sock_unix_listen(path, 0600, 5);
	ok(fd >= 0 && stat(path, &st) == 0 && S_ISSOCK(st.st_mode), "listens");
	is_int(st.st_mode & 0777, 0600, "for us alone");
	mgr_close(&fd);
	fd = mgr_sock_unix_listen(path, 0660, 5);
	ok(fd >= 0 && stat(path, &st) == 0, "a socket file that is left over is replaced");
	is_int(st.st_mode & 0777, 0660, "for a group");
	int a = mgr_sock_unix_connect(path), b = mgr_sock_accept(fd);
	ok(a >= 0 && b >= 0, "connected");
	is_int(mgr_sock_accept(fd), -EAGAIN, "nobody else");
	ok(fcntl(b, F_GETFD) == FD_CLOEXEC && (fcntl(b, F_GETFL) & O_NONBLOCK), "flags");
	is_int(mgr_sock_peer(b, &pid, &uid), 0, "peer");
	ok(pid == getpid() && uid == geteuid() && mgr_sock_peer_is_ours(b), "is us");
	test_passing(a, b);
	mgr_close(&a);
	mgr_close(&b);
	mgr_close(&fd);
	is_int(mgr_sock_unix_connect(path), -ECONNREFUSED, "nobody listens");
	is_int(mgr_sock_unix_connect(in_top("none")), -ENOENT, "no socket");
	memset(longest, 'a', sizeof(longest) - 1);
	is_int(mgr_sock_unix_listen(longest, 0600, 5), -ENAMETOOLONG, "too long");
}

static void
test_tcp(void)
{
	struct mgr_sock_addr addr, local;

	is_int(mgr_sock_parse("127.0.0.1:0", &addr), 0, "parse");
	int fd = mgr_sock_tcp_listen(&addr, true, 5);
	ok(fd >= 0 && mgr_sock_local(fd, &local) == 0, "listens");
	ok(mgr_sock_is_loopback((const struct sockaddr *)&local.ss), "on loopback");
	int second = mgr_sock_tcp_listen(&local, true, 5);
	ok(second >= 0, "shared");
	is_int(mgr_sock_tcp_listen(&local, false, 5), -EADDRINUSE, "not shared");
	mgr_close(&fd);
	mgr_close(&second);
}

static void
clean(void)
{
	static const char *const names[] = {"a/b/c", "a/b", "a", "read", "fifo", "state.json",
					    "dir.json", "a.json", "stop", "lock", "link", "x.sock"};

	for (size_t i = 0; i < MGR_N(names); i++)
		remove(in_top(names[i]));
	is_int(rmdir(top), 0, "nothing else was left behind");
}

int
main(void)
{
	umask(022);
	if (mkdtemp(top) == NULL)
		bail_out("no scratch folder");
	test_read();
	test_replace();
	test_mkdir();
	test_lock();
	test_paths();
	test_parse();
	test_unix();
	test_tcp();
	clean();
	return done_testing();
}
