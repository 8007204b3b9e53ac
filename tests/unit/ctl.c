/* Control sockets: verbs, answers, pushes, refusals, hostile bytes. */
#include "ipc/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/io.h"
#include "os/sock.h"
#include "tap.h"

static struct mgr_loop *loop;
static struct mgr_ctl_server server;
static char dir[] = "/tmp/mgr-ctl-XXXXXX", path[64];
static unsigned closed_n;

static void
echo(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	mgr_ctl_reply(c, req->id, "{\"n\":1}", req->body, req->body_n);
}

static void
refuse(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	mgr_ctl_fail(c, req->id, MGR_OUT_CONFLICT, "the name \"%s\" is taken", "x\"y");
}

static void
list(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	mgr_ctl_push(c, req->id, true, false, "one ", 4);
	mgr_ctl_push(c, req->id, false, false, "two ", 4);
	mgr_ctl_push(c, req->id, false, true, "three", 5);
}

static void
left(struct mgr_ctl_conn *c)
{
	(void)c;
	closed_n++;
}

static void
silent(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	(void)req;
	c->closed = left;
}

static const struct mgr_ctl_verb verbs[] = {
	{"echo", echo, "gives the body back"}, {"refuse", refuse, "refuses"},
	{"list", list, "answers in three parts"}, {"silent", silent, "never answers"}, {0}};

static int
call(const char *verb, const void *body, size_t n, struct mgr_buf *meta, struct mgr_buf *out)
{
	mgr_buf_clear(meta, 0);
	mgr_buf_clear(out, 0);
	return mgr_ctl_call(loop, path, verb, NULL, body, n, 300 * MGR_MS, meta, out);
}

static void
test_verbs(void)
{
	MGR_AUTO_BUF struct mgr_buf meta = {0}, out = {0};
	static char big[3000000];

	is_int(call("echo", "hello", 5, &meta, &out), 0, "a verb");
	is_str(mgr_buf_str(&out), "hello", "its body");
	is_str(mgr_buf_str(&meta), "{\"n\":1}", "its metadata");
	memset(big, 'b', sizeof(big));
	is_int(call("echo", big, sizeof(big), &meta, &out), 0, "3 MB there and back");
	ok(mgr_buf_n(&out) == sizeof(big) && memcmp(mgr_buf_p(&out), big, sizeof(big)) == 0, "whole");
	is_int(call("refuse", NULL, 0, &meta, &out), 1 + MGR_OUT_CONFLICT, "a refusal has its outcome");
	is_str(mgr_buf_str(&meta), "the name \"x\"y\" is taken", "and its sentence");
	is_int(call("list", NULL, 0, &meta, &out), 0, "an answer in parts");
	is_str(mgr_buf_str(&out), "one two three", "comes in order");
	is_int(call("nope", NULL, 0, &meta, &out), 1 + MGR_OUT_NOT_FOUND, "an unknown verb");
	is_int(call("help", NULL, 0, &meta, &out), 0, "help is built in");
	ok(strstr(mgr_buf_str(&out), "gives the body back") != NULL, "help lists the verbs");
	is_int(call("silent", NULL, 0, &meta, &out), -ETIMEDOUT, "a server that never answers");
	for (int i = 0; i < 10 && closed_n == 0; i++)
		mgr_loop_turn(loop, 50 * MGR_MS);
	is_int((int)closed_n, 1, "closed() is told when its client leaves");
}

/* Sends raw bytes and waits for the server to close: true when it did. */
static bool
is_dropped(const char *bytes, size_t n)
{
	char waste[4096];
	int fd = mgr_sock_unix_connect(path);
	bool gone = false;

	mgr_assert(fd >= 0 && mgr_write_all(fd, bytes, n) == 0);
	for (int i = 0; i < 20 && !gone; i++) {
		mgr_loop_turn(loop, 20 * MGR_MS);
		ssize_t got;
		while ((got = mgr_read(fd, waste, sizeof(waste))) > 0)
			;
		gone = got == 0 || got == -ECONNRESET;
	}
	close(fd);
	for (int i = 0; i < 3; i++)
		mgr_loop_turn(loop, 0);
	return gone;
}

static void
test_hostile(void)
{
	static const char *const bad[] = {"GET / HTTP/1.1\r\n\r\n", "REQ 1 -1 0\n", "REQ 01 0 0\n",
					  "REQ 1 99999999 0\n", "REQ 1 0 99999999999\n",
					  "REQ  1 0 0\n", "\xff\xfe\n"};
	MGR_AUTO_BUF struct mgr_buf meta = {0}, out = {0};

	for (size_t i = 0; i < MGR_N(bad); i++)
		ok(is_dropped(bad[i], strlen(bad[i])), "dropped: bad bytes %zu", i);
	ok(!is_dropped("REQ 1 0 0\n", 10), "no metadata is an answer, not a drop");
	ok(!is_dropped("REQ 1 3 0\n{]\n", 13), "bad JSON is an answer too");
	ok(!is_dropped("NEWTYPE 1 0 3\nabc", 17), "an unknown frame type is ignored");
	is_int(call("echo", "x", 1, &meta, &out), 0, "others are still served");
	for (int i = 0; i < 20 && server.conn_n > 0; i++)
		mgr_loop_turn(loop, 10 * MGR_MS);
	is_int((int)server.conn_n, 0, "no connection is left");
}

int
main(void)
{
	struct stat st;

	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/s", dir);
	mgr_loop_new(&loop);
	is_int(mgr_ctl_call(loop, path, "echo", NULL, NULL, 0, MGR_S, NULL, NULL), -ENOENT, "nobody there");
	is_int(mgr_ctl_listen(&server, loop, path, "test", verbs, NULL), 0, "listens");
	ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "mode 0600");
	test_verbs();
	test_hostile();
	mgr_ctl_server_fini(&server);
	ok(access(path, F_OK) < 0, "the socket file is gone");
	mgr_loop_free(loop);
	rmdir(dir);
	return done_testing();
}
