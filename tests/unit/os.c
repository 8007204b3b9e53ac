/*
 * The loop (timers, watchers, signals, hooks) and the log.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/io.h"
#include "os/log.h"
#include "os/loop.h"
#include "tap.h"

static struct mgr_loop *loop;
static char trace[256];

static void
note(char c)
{
	size_t n = strlen(trace);

	if (n + 1 < sizeof(trace)) {
		trace[n] = c;
		trace[n + 1] = '\0';
	}
}

struct named_timer {
	struct mgr_timer timer;
	char name;
	struct named_timer *victim;
};

static void
on_timer(struct mgr_timer *t)
{
	struct named_timer *me = MGR_CONTAINER(t, struct named_timer, timer);

	note(me->name);
	if (me->victim != NULL)
		mgr_timer_stop(&me->victim->timer);
}

static void
on_again(struct mgr_timer *t)
{
	note('r');
	if (strlen(trace) < 20)
		mgr_timer_start(t, loop, mgr_loop_now(loop), on_again);
}

static void
test_timers(void)
{
	enum { N = 50 };
	struct named_timer t[N];
	int64_t now = mgr_now_ns();
	char want[N + 1] = "";

	trace[0] = '\0';
	for (int i = 0; i < N; i++) {
		int at = i * 7 % N; /* a permutation */
		t[i] = (struct named_timer){.name = (char)('0' + at)};
		is_int(mgr_timer_start(&t[i].timer, loop, now - N + at, on_timer), 0, "timer %d", at);
		want[i] = (char)('0' + i);
	}
	mgr_timer_stop(&t[3].timer); /* 21 */
	memmove(want + 21, want + 22, N - 21);
	mgr_loop_turn(loop, 0);
	is_str(trace, want, "due timers run in the order of their time, a stopped one does not");
	ok(!mgr_timer_is_on(&t[0].timer), "a timer that ran is off");

	trace[0] = '\0';
	t[0] = (struct named_timer){.name = 'a'};
	t[1] = (struct named_timer){.name = 'b'};
	mgr_timer_start(&t[0].timer, loop, now, on_timer);
	mgr_timer_start(&t[1].timer, loop, now + 1, on_timer);
	mgr_timer_start(&t[0].timer, loop, now + 3600 * MGR_S, on_timer);
	mgr_loop_turn(loop, 0);
	is_str(trace, "b", "a restarted timer has only its new time");
	mgr_timer_stop(&t[0].timer);
	mgr_timer_stop(&t[0].timer);
}

static void
test_timer_callbacks(void)
{
	struct named_timer a = {.name = 'a'}, b = {.name = 'b'};
	struct mgr_timer again = {0};
	int64_t now = mgr_now_ns();

	trace[0] = '\0';
	a.victim = &b;
	mgr_timer_start(&a.timer, loop, now - 2, on_timer);
	mgr_timer_start(&b.timer, loop, now - 1, on_timer);
	mgr_loop_turn(loop, 0);
	is_str(trace, "a", "a timer stopped by another due timer does not run");

	trace[0] = '\0';
	a.victim = &a;
	mgr_timer_start(&a.timer, loop, now, on_timer);
	mgr_loop_turn(loop, 0);
	is_str(trace, "a", "stop in its own callback");

	trace[0] = '\0';
	mgr_timer_start(&again, loop, now, on_again);
	mgr_loop_turn(loop, 0);
	is_str(trace, "r", "a timer that restarts itself for now waits for the next turn");
	mgr_timer_stop(&again);

	trace[0] = '\0';
	a.victim = NULL;
	int64_t before = mgr_now_ns();
	mgr_timer_start(&a.timer, loop, before + 5 * MGR_MS, on_timer);
	while (trace[0] == '\0')
		mgr_loop_turn(loop, -1);
	ok(mgr_now_ns() >= before + 5 * MGR_MS, "never early");
}

struct pair {
	struct mgr_watch watch;
	struct pair *other;
	int calls;
};

static void
on_pair(struct mgr_watch *w, uint32_t events)
{
	struct pair *me = MGR_CONTAINER(w, struct pair, watch);

	(void)events;
	me->calls++;
	mgr_watch_stop(&me->other->watch);
	mgr_watch_stop(w);
}

static void
test_watch(void)
{
	int fd[2] = {eventfd(1, EFD_CLOEXEC), eventfd(1, EFD_CLOEXEC)};
	struct pair p[2] = {{.other = &p[1]}, {.other = &p[0]}};

	is_int(mgr_watch_start(&p[0].watch, loop, fd[0], EPOLLIN, on_pair), 0, "watch");
	is_int(mgr_watch_start(&p[1].watch, loop, fd[1], EPOLLIN, on_pair), 0, "watch");
	mgr_loop_turn(loop, 0);
	is_int(p[0].calls + p[1].calls, 1, "a watcher stopped in the same batch is not called");

	is_int(mgr_watch_start(&p[0].watch, loop, fd[0], 0, on_pair), 0, "again, without events");
	mgr_loop_turn(loop, 0);
	is_int(p[0].calls + p[1].calls, 1, "silent");
	is_int(mgr_watch_set(&p[0].watch, EPOLLIN), 0, "set");
	mgr_loop_turn(loop, 0);
	is_int(p[0].calls + p[1].calls, 2, "called");
	mgr_close(&fd[0]);
	mgr_close(&fd[1]);
	is_int(mgr_watch_start(&p[0].watch, loop, fd[0], EPOLLIN, on_pair), -EBADF, "a bad descriptor");
}

struct sig {
	struct mgr_signal signal;
	char name;
	struct sig *victim;
};

static void
on_sig(struct mgr_signal *s)
{
	struct sig *me = MGR_CONTAINER(s, struct sig, signal);

	note(me->name);
	if (me->victim != NULL)
		mgr_signal_stop(&me->victim->signal);
}

static void
test_signals(void)
{
	struct sig a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};

	trace[0] = '\0';
	is_int(mgr_signal_start(&c.signal, loop, SIGUSR2, on_sig), 0, "USR2");
	is_int(mgr_signal_start(&a.signal, loop, SIGUSR1, on_sig), 0, "USR1");
	kill(getpid(), SIGUSR2);
	mgr_loop_turn(loop, 0);
	is_str(trace, "c", "the right one hears it");

	trace[0] = '\0';
	mgr_signal_start(&b.signal, loop, SIGUSR1, on_sig);
	kill(getpid(), SIGUSR1);
	mgr_loop_turn(loop, 0);
	ok(strlen(trace) == 2 && strchr(trace, 'a') && strchr(trace, 'b'), "both hear it");

	trace[0] = '\0';
	a.victim = &b;
	b.victim = &a;
	kill(getpid(), SIGUSR1);
	mgr_loop_turn(loop, 0);
	is_int(strlen(trace), 1, "one that the other stopped is not called");
	mgr_signal_stop(&a.signal);
	mgr_signal_stop(&b.signal);
	mgr_signal_stop(&c.signal);
}

static bool refuse, more;

static bool
hook_turn(struct mgr_hook *h)
{
	(void)h;
	note('t');
	bool was = more;
	more = false;
	return was;
}

static void
hook_arm(struct mgr_hook *h)
{
	(void)h;
	note('a');
}

static bool
hook_check(struct mgr_hook *h)
{
	(void)h;
	note('c');
	return !refuse;
}

static void
hook_wake(struct mgr_hook *h)
{
	(void)h;
	note('w');
}

static void
test_hooks(void)
{
	struct mgr_hook one = {hook_turn, hook_arm, hook_check, hook_wake, {0}}, two = one, none = {0};

	mgr_hook_add(&one, loop);
	mgr_hook_add(&none, loop);
	mgr_hook_add(&two, loop);
	trace[0] = '\0';
	mgr_loop_turn(loop, MGR_MS);
	is_str(trace, "aaccwwtt", "all arm, all check, sleep, all wake, all turn");

	trace[0] = '\0';
	refuse = true;
	mgr_loop_turn(loop, -1); /* would sleep for ever */
	is_str(trace, "aaccwwtt", "a refused sleep does not sleep, and wakes");
	refuse = false;

	trace[0] = '\0';
	more = true;
	mgr_loop_turn(loop, 0);
	mgr_loop_turn(loop, -1);
	is_str(trace, "tttt", "no sleep, no arming while a hook has more");
	mgr_hook_del(&one, loop);
	mgr_hook_del(&none, loop);
	mgr_hook_del(&two, loop);
}

/* stderr becomes a pipe between these two. */
static int saved_fd, pipe_fd[2];

static void
catch_begin(void)
{
	saved_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	if (pipe2(pipe_fd, O_CLOEXEC) < 0 || dup2(pipe_fd[1], STDERR_FILENO) < 0)
		bail_out("no pipe");
}

static size_t
catch_end(char *text, size_t n)
{
	size_t got_n = 0;
	ssize_t got;

	dup2(saved_fd, STDERR_FILENO);
	close(saved_fd);
	close(pipe_fd[1]);
	while (got_n < n - 1 && (got = mgr_read(pipe_fd[0], text + got_n, n - 1 - got_n)) > 0)
		got_n += (size_t)got;
	close(pipe_fd[0]);
	text[got_n] = '\0';
	return got_n;
}

static size_t
count(const char *text, char c)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == c;
	return n;
}

static void
test_log(void)
{
	static char text[8192], big[6000], want[64];

	mgr_log_init("mgr-test", MGR_INFO);
	catch_begin();
	mgr_log(MGR_INFO, "it-is", "name=%s n=%d", mgr_log_text("a\n\"\x01\xff\\z", 7), 3);
	mgr_log(MGR_DEBUG, "hidden", "%s", "");
	catch_end(text, sizeof(text));
	snprintf(want, sizeof(want), " mgr-test[%d] info it-is name=", (int)getpid());
	ok(strstr(text, want) != NULL, "program, pid, level, event");
	ok(strstr(text, " name=\"a\\x0a\\x22\\x01\\xff\\x5cz\" n=3\n") != NULL, "foreign bytes escaped");
	ok(count(text, '\n') == 1 && text[10] == 'T' && text[23] == 'Z', "one event, one line");

	memset(big, 'x', sizeof(big) - 1);
	catch_begin();
	mgr_log(MGR_ERR, "big", "%s", big);
	size_t n = catch_end(text, sizeof(text));
	ok(n > 3900 && n <= 4096 && strcmp(text + n - 4, "...\n") == 0, "a long line is cut: %zu", n);
	const char *quoted = mgr_log_text(big, sizeof(big) - 1);
	n = strlen(quoted);
	ok(n <= MGR_LOG_TEXT_MAX + 8 && strcmp(quoted + n - 4, "...\"") == 0, "long text is cut: %zu", n);
	is_str(mgr_log_str(NULL), "\"\"", "NULL");

	is_int(mgr_log_dropped(), 0, "nothing dropped yet");
	catch_begin();
	fcntl(pipe_fd[1], F_SETPIPE_SZ, 4096);
	mgr_log(MGR_ERR, "big", "%s", big);
	for (int i = 0; i < 3; i++)
		mgr_log(MGR_ERR, "lost", "n=%d", i);
	is_int(mgr_log_dropped(), 3, "a full pipe drops and counts, and never blocks");
	catch_end(text, sizeof(text));
	ok(count(text, '\n') == 1 && strstr(text, "lost") == NULL, "no torn line");

	is_int(mgr_log_level_by_name("warn"), MGR_WARN, "level by name");
	is_int(mgr_log_level_by_name("loud"), -1, "unknown level");
}

int
main(void)
{
	is_int(mgr_loop_new(&loop), 0, "loop");
	test_timers();
	test_timer_callbacks();
	test_watch();
	test_signals();
	test_hooks();
	mgr_loop_free(loop);
	mgr_loop_free(NULL);
	test_log();
	return done_testing();
}
