/* Calls over real lanes: caller, target, link against a small worker process of our own. */
#include "svc/caller.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/sock.h"
#include "tap.h"

static const struct mgr_lane_conf conf = {.slots = 16, .bytes = 4096, .meta_max = 256 * 1024,
					  .body_max = 1u << 30, .deadline_max_ns = 3600 * MGR_S};

/* The worker: what to do with a call stands in its META as the first byte. */
struct served {
	bool used, answered, head_sent;
	char what;
	struct mgr_lane_head head;
	size_t meta_left, answer_meta_left;
};

static struct {
	struct mgr_loop *loop;
	struct mgr_links links;
	struct mgr_link link[8];
	unsigned link_n;
	bool is_second;
	struct mgr_watch listen;
	struct served slot[8][16];
} server;

static void
put_meta(struct mgr_lane *l, uint32_t slot, struct served *s)
{
	static char block[1024];

	memset(block, 'm', sizeof(block));
	while (s->answer_meta_left > 0) {
		size_t n = s->answer_meta_left < sizeof(block) ? s->answer_meta_left : sizeof(block);
		size_t put = mgr_lane_append(l, slot, block, n);
		s->answer_meta_left -= put;
		if (put == 0)
			return;
	}
}

static void
serve(struct mgr_link *link, uint32_t slot, struct served *s)
{
	struct mgr_lane *l = &link->lane;
	struct iovec iov[2];
	size_t n;

	while ((n = mgr_lane_data(l, slot, iov)) > 0 && s->meta_left > 0) {
		if (s->what == 0)
			s->what = *(const char *)iov[0].iov_base;
		n = n < s->meta_left ? n : s->meta_left;
		s->meta_left -= n;
		mgr_lane_consume(l, slot, n);
	}
	if (s->meta_left > 0)
		return;
	switch (s->what) {
	case 'b':
		mgr_lane_close(l, slot, MGR_OUT_BUSY, 3 * MGR_S);
		s->used = false;
		return;
	case 'z': /* a good end of nothing */
		mgr_lane_close(l, slot, MGR_OUT_OK, 0);
		s->used = false;
		return;
	case 'n':
		return;
	case 's':
		mgr_lane_started(l, slot);
		return;
	case 'k':
		mgr_lane_started(l, slot);
		mgr_lane_flush(l);
		raise(SIGKILL);
		return;
	case 'q': /* only the second worker dies of it */
		if (server.is_second)
			raise(SIGKILL);
		break;
	default:
		break;
	}
	if (!s->head_sent) {
		struct mgr_lane_head head = {.info = 200, .body_n = s->head.body_n,
					     .meta_n = s->what == 'M' ? 200000 : 2};
		s->head_sent = true;
		mgr_lane_started(l, slot);
		mgr_lane_answer(l, slot, &head);
		s->answer_meta_left = head.meta_n;
	}
	put_meta(l, slot, s);
	while (s->answer_meta_left == 0 && (n = mgr_lane_data(l, slot, iov)) > 0) {
		size_t put = mgr_lane_append(l, slot, iov[0].iov_base, iov[0].iov_len);
		if (put == 0)
			return;
		mgr_lane_consume(l, slot, put);
	}
	if (s->answer_meta_left == 0 && mgr_lane_ended(l, slot)) {
		mgr_lane_close(l, slot, MGR_OUT_OK, 0);
		s->used = false;
	}
}

static void
server_look(struct mgr_link *link, uint32_t slot, unsigned events)
{
	struct served *s = &server.slot[link - server.link][slot];

	if (events & MGR_LANE_NEW) {
		*s = (struct served){.used = true};
		mgr_lane_request(&link->lane, slot, &s->head);
		s->meta_left = s->head.meta_n;
	}
	if (!s->used)
		return;
	if (events & MGR_LANE_CANCEL) {
		mgr_lane_close(&link->lane, slot, MGR_OUT_CANCELLED, 0);
		s->used = false;
		return;
	}
	serve(link, slot, s);
}

static void
server_up(struct mgr_link *link)
{
	(void)link;
}

static void
server_down(struct mgr_link *link)
{
	mgr_link_fini(link);
}

static const struct mgr_link_ops server_ops = {.up = server_up, .look = server_look, .down = server_down};

static void
server_accept(struct mgr_watch *w, uint32_t events)
{
	int fd = mgr_sock_accept(w->fd);

	(void)events;
	if (fd >= 0)
		mgr_link_accept(&server.link[server.link_n++], &server.links, fd, &server_ops);
}

static pid_t
start_server(const char *path)
{
	int fd = mgr_sock_unix_listen(path, 0600, 8);
	pid_t pid = fork();

	mgr_assert(fd >= 0 && pid >= 0);
	if (pid > 0) {
		close(fd);
		return pid;
	}
	alarm(30);
	server.is_second = path[strlen(path) - 1] == 'b';
	mgr_loop_new(&server.loop);
	mgr_links_init(&server.links, server.loop, &conf, false);
	mgr_watch_start(&server.listen, server.loop, fd, EPOLLIN, server_accept);
	mgr_loop_run(server.loop);
	_exit(0);
}

/* The caller's side. */
struct ask {
	struct mgr_call call;
	bool done, head;
	enum mgr_outcome outcome;
	int64_t retry_ms;
	unsigned status;
	size_t meta_n, body_n, sent_n, want_n;
	uint32_t sum;
	bool bad;
};

static struct mgr_loop *loop;
static struct mgr_hub hub;
static struct mgr_links links;
static struct mgr_caller caller;

static char
byte_at(size_t i)
{
	return (char)(i * 7 + i / 251);
}

static void
head(struct mgr_call *call, unsigned status, const char *meta, size_t meta_n, uint64_t body_n)
{
	struct ask *a = MGR_CONTAINER(call, struct ask, call);

	(void)body_n;
	a->head = true;
	a->status = status;
	a->meta_n = meta_n;
	for (size_t i = 0; i < meta_n; i++)
		if (meta[i] != 'm')
			a->bad = true;
}

static void
data(struct mgr_call *call)
{
	struct ask *a = MGR_CONTAINER(call, struct ask, call);
	struct iovec iov[2];
	size_t n = mgr_call_data(call, iov);

	for (int k = 0; k < 2; k++)
		for (size_t i = 0; i < iov[k].iov_len; i++)
			if (((const char *)iov[k].iov_base)[i] != byte_at(a->body_n++))
				a->bad = true;
	mgr_call_consume(call, n);
}

static void
push(struct ask *a)
{
	char block[1000];

	while (a->sent_n < a->want_n) {
		size_t n = a->want_n - a->sent_n < sizeof(block) ? a->want_n - a->sent_n : sizeof(block);
		for (size_t i = 0; i < n; i++)
			block[i] = byte_at(a->sent_n + i);
		size_t put = mgr_call_write(&a->call, block, n);
		a->sent_n += put;
		if (put < n)
			return;
	}
	mgr_call_end(&a->call);
}

static void
room(struct mgr_call *call)
{
	push(MGR_CONTAINER(call, struct ask, call));
}

static void
done(struct mgr_call *call, enum mgr_outcome outcome, int64_t retry_ms)
{
	struct ask *a = MGR_CONTAINER(call, struct ask, call);

	if (a->done)
		a->bad = true;
	a->done = true;
	a->outcome = outcome;
	a->retry_ms = retry_ms;
}

static const struct mgr_call_ops ops = {.head = head, .data = data, .room = room, .done = done};

static int
ask(struct ask *a, char what, size_t meta_n, size_t body_n, unsigned flags, int64_t time_ns)
{
	char *meta = malloc(meta_n);
	struct mgr_call_request req = {.name = "w", .name_n = 1, .meta = meta, .meta_n = meta_n,
				       .body_n = body_n, .deadline_ns = mgr_now_ns() + time_ns, .flags = flags};
	size_t taken = 0;

	memset(meta, what, meta_n);
	*a = (struct ask){.want_n = body_n};
	req.end = body_n == 0;
	int r = mgr_caller_submit(&caller, &a->call, &req, &ops, &taken);
	free(meta);
	if (r == 0 && body_n > 0)
		push(a);
	return r;
}

static bool
wait_for(struct ask *a, unsigned n)
{
	int64_t end_ns = mgr_now_ns() + 10 * MGR_S;

	for (;;) {
		unsigned open = 0;
		for (unsigned i = 0; i < n; i++)
			open += !a[i].done;
		if (open == 0)
			return true;
		if (mgr_now_ns() > end_ns)
			return false;
		mgr_loop_turn(loop, 100 * MGR_MS);
	}
}

static void
set_table(const char *one, const char *two)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};
	const char *const path[] = {one, two};

	mgr_buf_adds(&b, "{\"version\":1,\"workers\":[");
	for (int i = 0; i < 2; i++)
		if (path[i] != NULL)
			mgr_buf_addf(&b, "%s{\"name\":\"w\",\"worker_id\":\"%d\",\"lane\":\"%s\",\"control\":\"\","
				     "\"mode\":\"frame\",\"pid\":1,\"ready\":1,\"routes\":[]}",
				     i > 0 && one != NULL ? "," : "", i, path[i]);
	mgr_buf_adds(&b, "]}");
	mgr_hub_table_drop(hub.table);
	mgr_assert(mgr_hub_table_parse(mgr_buf_p(&b), mgr_buf_n(&b), &hub.table) == 0);
	mgr_caller_table_changed(&caller);
}

static char dir[] = "/tmp/mgr-call-XXXXXX", path_a[64], path_b[64];

static void
test_answers(void)
{
	static struct ask a[400];

	set_table(path_a, NULL);
	ok(ask(a, 'e', 10, 0, 0, 5 * MGR_S) == 0, "submitted before the lane is there");
	ok(wait_for(a, 1) && a->outcome == MGR_OUT_OK && a->status == 200 && a->meta_n == 2, "empty body");
	ask(a, 'e', 10, 3000000, 0, 5 * MGR_S);
	ok(wait_for(a, 1) && a->outcome == MGR_OUT_OK && a->body_n == 3000000 && !a->bad,
	   "3 MB through a ring of 4 KiB both ways");
	ask(a, 'M', 200000, 5000, 0, 5 * MGR_S);
	ok(wait_for(a, 1) && a->outcome == MGR_OUT_OK && a->meta_n == 200000 && a->body_n == 5000 && !a->bad,
	   "META larger than the ring both ways");
	ask(a, 'b', 10, 0, 0, 5 * MGR_S);
	ok(wait_for(a, 1) && a->outcome == MGR_OUT_BUSY && a->retry_ms == 3000 && !a->head, "busy with a hint");
	ask(a, 'z', 10, 0, 0, 5 * MGR_S);
	ok(wait_for(a, 1) && a->outcome == MGR_OUT_GONE && !a->head, "closed well without an answer: gone");
	for (int i = 0; i < 400; i++)
		ask(&a[i], 'e', 10, (size_t)i * 13, 0, 9 * MGR_S);
	bool good = wait_for(a, 400);
	for (int i = 0; i < 400; i++)
		good = good && a[i].outcome == MGR_OUT_OK && a[i].body_n == (size_t)i * 13 && !a[i].bad;
	ok(good, "400 calls through 16 slots");
	is_int((int)caller.in_flight, 0, "nothing is in flight");
}

static void
test_ends(void)
{
	static struct ask a[40];

	ask(a, 'n', 10, 0, 0, 50 * MGR_MS);
	ok(wait_for(a, 1) && a->outcome == MGR_OUT_TIMEOUT, "a silent worker: timeout by the caller");
	for (int i = 0; i < 40; i++)
		ask(&a[i], 'n', 10, 0, 0, 5 * MGR_S);
	mgr_loop_turn(loop, 10 * MGR_MS);
	for (int i = 0; i < 40; i++)
		mgr_call_cancel(&a[i].call, 0);
	ok(!mgr_call_is_open(&a[0].call) && !a[0].done, "a cancelled call is silent");
	ask(a, 'e', 10, 100, 0, 5 * MGR_S);
	ok(wait_for(a, 1) && a->outcome == MGR_OUT_OK, "the slots of cancelled calls come back");
}

static void
test_retry(void)
{
	static struct ask a[2];
	pid_t pid = start_server(path_b);
	int status;

	set_table(NULL, path_b);
	ask(&a[0], 'k', 10, 0, 0, 5 * MGR_S);
	ok(wait_for(a, 1) && a[0].outcome == MGR_OUT_GONE, "a worker that dies with a started call: gone");
	waitpid(pid, &status, 0);
	ok(ask(&a[0], 'e', 10, 0, 0, 5 * MGR_S) == -ECONNREFUSED, "nobody listens any more");

	/* The dying one is the only choice at first; the other takes the call over. */
	pid = start_server(path_b);
	set_table(NULL, path_b);
	ask(&a[0], 'q', 10, 2000, 0, 5 * MGR_S);
	ask(&a[1], 'n', 10, 0, 0, 5 * MGR_S);
	set_table(path_a, path_b);
	ok(wait_for(a, 1) && a->outcome == MGR_OUT_OK && a->body_n == 2000 && !a->bad,
	   "a call on a dying worker that was not started is answered by another");
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status), "it was killed");
	ok(caller.retry_n >= 1, "calls that were not started went elsewhere");
	mgr_call_cancel(&a[1].call, 0);
}

int
main(void)
{
	pid_t pid;

	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path_a, sizeof(path_a), "%s/a", dir);
	snprintf(path_b, sizeof(path_b), "%s/b", dir);
	signal(SIGPIPE, SIG_IGN);
	pid = start_server(path_a);
	mgr_loop_new(&loop);
	mgr_hub_table_parse("{\"version\":0,\"workers\":[]}", 26, &hub.table);
	mgr_links_init(&links, loop, &conf, false);
	mgr_caller_init(&caller, loop, &hub, &links);

	struct ask none;
	ok(ask(&none, 'e', 4, 0, 0, MGR_S) == -ENOENT, "an unknown name");
	test_answers();
	test_ends();
	test_retry();
	is_int((int)links.belt_wakes, 0, "no sleep was ended by the belt alone");

	mgr_caller_fini(&caller);
	mgr_links_fini(&links);
	mgr_hub_table_drop(hub.table);
	mgr_loop_free(loop);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path_a);
	unlink(path_b);
	rmdir(dir);
	return done_testing();
}
