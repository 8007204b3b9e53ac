/*
 * A handler that breaks the rules, one rule for each kind: what mgr-worker must survive.
 *
 *   liar KIND [MS]    behaves as the row KIND says; MS is the pause of drip and slow
 *   liar --list       prints KIND, what the host must make of it, and the row's text:
 *     start    never READY: restart with back-off
 *     garbage  502 to the request, replica killed
 *     refused  502, or abort after the head
 *     hang     504 at the deadline, replica killed
 *     death    502 or one retry; abort after RES+
 *     good     an answer like any other
 *
 * Wherever it has nothing to say it keeps reading, so that it is the host who must act.
 */
#include <signal.h>
#include <time.h>

#include "frame.h"

#define ABANDONED_S 300			/* a liar that nobody killed goes by itself */

struct kind {
	const char *name, *expect, *help;
	const char *text;		/* written as it stands, '@' becomes the request's id */
	size_t text_n;
	const char *meta, *body;	/* sent as the META and BODY of a RES */
	void (*act)(const struct frame *f);
	void (*start)(void);		/* in the place of READY */
};

static struct frame_in in;
static unsigned long pause_ms = 1000;

static void
sleep_pause(void)
{
	struct timespec t = {
		.tv_sec = (time_t)(pause_ms / 1000), .tv_nsec = (long)(pause_ms % 1000) * 1000000,
	};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		continue;
}

static void
put(const char *p, size_t n)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };

	frame_write(&iov, 1);
}

static void
say(const char *type, unsigned long id, const char *meta, const char *body)
{
	frame_send(type, id, meta, body, body == NULL ? 0 : strlen(body));
}

static void
put_text(const char *p, size_t n, unsigned long id)
{
	char digits[24];
	int digits_n = snprintf(digits, sizeof digits, "%lu", id);

	for (const char *at; n > 0; n -= (size_t)(at - p) + 1, p = at + 1) {
		at = memchr(p, '@', n);
		if (at == NULL) {
			put(p, n);
			return;
		}
		put(p, (size_t)(at - p));
		put(digits, (size_t)digits_n);
	}
}

static void
die(void)
{
	kill(getpid(), SIGKILL);
	pause();
}

static void
rest(void)
{
	for (;;)
		pause();
}

static void
start_silent(void)
{
}

static void
start_exit_0(void)
{
	exit(0);
}

static void
start_exit_125(void)
{
	exit(125);
}

static void
start_print(void)
{
	put("debug: x=1\n", 11);
	say("READY", 0, NULL, NULL);
}

static void
start_version(void)
{
	say("READY", 0, "{\"v\":2}", NULL);
}

static void
start_body(void)
{
	say("READY", 0, NULL, "body");
}

static void
start_unasked(void)
{
	say("READY", 0, NULL, NULL);
	say("RES", 1, NULL, "nobody asked");
}

static void
start_never_read(void)
{
	say("READY", 0, NULL, NULL);
	rest();
}

static void
start_die_reading(void)
{
	char first;

	say("READY", 0, NULL, NULL);
	if (read(STDIN_FILENO, &first, 1) == 1)
		die();
}

static void
act_nothing(const struct frame *f)
{
	(void)f;
}

static void
act_drip(const struct frame *f)
{
	char text[64];
	int n = snprintf(text, sizeof text, "RES %lu 0 20\n01234567890123456789", f->id);

	for (int i = 0; i < n; i++) {
		put(text + i, 1);
		sleep_pause();
	}
}

static void
act_slow(const struct frame *f)
{
	sleep_pause();
	say("RES", f->id, NULL, "late but right");
}

static void
act_err(const struct frame *f)
{
	say("ERR", f->id, "{\"status\":503,\"message\":\"not today\"}", NULL);
}

static void
act_unknown_id(const struct frame *f)
{
	say("RES", f->id + 1000000, NULL, "whose?");
}

static void
act_short_body(const struct frame *f)
{
	say("RES+", f->id, "{\"len\":100}", "0123456789");
	say("DATA", f->id, NULL, NULL);
}

static void
act_long_body(const struct frame *f)
{
	say("RES+", f->id, "{\"len\":5}", "012");
	say("DATA", f->id, NULL, "0123456789");
}

static void
act_die(const struct frame *f)
{
	(void)f;
	die();
}

static void
act_die_after_res(const struct frame *f)
{
	say("RES+", f->id, "{\"len\":100}", "0123456789");
	die();
}

static void
act_die_in_frame(const struct frame *f)
{
	put_text("RES @ 0 100\n0123456789", 22, f->id);
	die();
}

static void
act_exit(const struct frame *f)
{
	(void)f;
	exit(0);
}

#define TEXT(s) .text = s, .text_n = sizeof s - 1
#define LONG_LINE "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

#define KIND(n, e, h, ...) { .name = n, .expect = e, .help = h, __VA_ARGS__ }

static const struct kind kinds[] = {
	KIND("header-65", "garbage", "65 bytes, then LF", TEXT(LONG_LINE "\n")),
	KIND("no-lf", "garbage", "65 bytes without LF", TEXT(LONG_LINE)),
	KIND("no-lf-stop", "hang", "half a header, then silence", TEXT("RES @ 0")),
	KIND("negative", "garbage", "MLEN -1", TEXT("RES @ -1 0\n")),
	KIND("negative-body", "garbage", "BLEN -1", TEXT("RES @ 0 -1\n")),
	KIND("plus", "garbage", "BLEN +1", TEXT("RES @ 0 +1\nx")),
	KIND("leading-zeros", "garbage", "BLEN 007", TEXT("RES @ 0 007\n0123456")),
	KIND("zero-id", "garbage", "the id with a zero before it", TEXT("RES 0@ 0 0\n")),
	KIND("digits-20", "garbage", "BLEN of 20 digits", TEXT("RES @ 0 99999999999999999999\n")),
	KIND("tab", "garbage", "tabs for spaces", TEXT("RES\t@\t0\t0\n")),
	KIND("double-space", "garbage", "two spaces", TEXT("RES  @ 0 0\n")),
	KIND("end-space", "garbage", "a space before LF", TEXT("RES @ 0 0 \n")),
	KIND("crlf", "garbage", "CR before LF", TEXT("RES @ 0 0\r\n")),
	KIND("binary", "garbage", "bytes that are no text", TEXT("\0\377\376\1\2\033[2J\n")),
	KIND("bom", "garbage", "a UTF-8 byte order mark", TEXT("\357\273\277RES @ 0 0\n")),
	KIND("lower-case", "garbage", "type in lower case", TEXT("res @ 0 0\n")),
	KIND("type-9", "garbage", "type of nine letters", TEXT("RESPONSES @ 0 0\n")),
	KIND("unknown-type", "garbage", "a type nobody knows", TEXT("HELLO @ 0 0\n")),
	KIND("missing-field", "garbage", "no BLEN", TEXT("RES @ 0\n")),
	KIND("mlen-huge", "garbage", "MLEN 2^31", TEXT("RES @ 2147483648 0\n")),
	KIND("mlen-max-1", "garbage", "MLEN 256 KiB + 1", TEXT("RES @ 262145 0\n")),
	KIND("blen-max-1", "garbage", "BLEN 2^53", TEXT("RES @ 0 9007199254740992\n")),
	KIND("blen-max-then-stop", "hang", "BLEN 2^53-1, ten bytes, then silence",
	     TEXT("RES @ 0 9007199254740991\n0123456789")),
	KIND("blen-huge-then-stop", "hang", "BLEN 1 GiB, ten bytes, then silence",
	     TEXT("RES @ 0 1073741824\n0123456789")),
	KIND("bad-meta-json", "garbage", "META that is not JSON", .meta = "{bad"),
	KIND("meta-array", "garbage", "META that is not an object", .meta = "[1]"),
	KIND("meta-no-lf", "garbage", "META without LF", TEXT("RES @ 2 0\n{}")),
	KIND("never-read", "hang", "READY, then reads nothing", .start = start_never_read),
	KIND("never-write", "hang", "reads and never answers", .act = act_nothing),
	KIND("drip", "hang", "one byte a second", .act = act_drip),
	KIND("answer-id0", "garbage", "answers id 0", TEXT("RES 0 0 0\n")),
	KIND("unknown-id", "garbage", "answers an id never issued", .act = act_unknown_id),
	KIND("unasked", "garbage", "answers before any request", .start = start_unasked),
	KIND("twice", "garbage", "answers twice", TEXT("RES @ 0 0\nRES @ 0 0\n")),
	KIND("data-before-res", "garbage", "DATA before RES", TEXT("DATA @ 0 3\nabc")),
	KIND("res-after-end", "garbage", "DATA behind the end", TEXT("RES @ 0 0\nDATA @ 0 3\nabc")),
	KIND("res-in-res", "garbage", "RES inside a RES+", TEXT("RES+ @ 0 0\nRES @ 0 0\n")),
	KIND("ready-twice", "garbage", "READY for an answer", TEXT("READY 0 0 0\n")),
	KIND("ready-with-body", "start", "READY with a body", .start = start_body),
	KIND("print-before-ready", "start", "prints before READY", .start = start_print),
	KIND("print-between", "garbage", "a right answer, then a print",
	     TEXT("RES @ 0 0\ndebug: x=1\n")),
	KIND("no-ready", "start", "never READY", .start = start_silent, .act = act_nothing),
	KIND("ready-v2", "start", "READY of another version", .start = start_version),
	KIND("exit0", "start", "exits 0 at once", .start = start_exit_0),
	KIND("exit125", "start", "exits 125 at once", .start = start_exit_125),
	KIND("header-crlf", "refused", "a header that smuggles another",
	     .meta = "{\"headers\":{\"x\":\"a\\r\\nSet-Cookie: b\"}}"),
	KIND("header-name", "refused", "CR LF in a header's name",
	     .meta = "{\"headers\":{\"x: a\\r\\ny\":\"b\"}}"),
	KIND("status-99", "refused", "status 99", .meta = "{\"status\":99}"),
	KIND("status-1000", "refused", "status 1000", .meta = "{\"status\":1000}"),
	KIND("status-string", "refused", "status that is no number", .meta = "{\"status\":\"ok\"}"),
	KIND("two-content-length", "refused", "two Content-Length headers",
	     .meta = "{\"headers\":{\"content-length\":[\"5\",\"6\"]}}", .body = "01234"),
	KIND("wrong-content-length", "refused", "Content-Length that is not the body's",
	     .meta = "{\"headers\":{\"content-length\":\"5\"}}", .body = "0123456789"),
	KIND("short-body", "refused", "len 100 and ten bytes", .act = act_short_body),
	KIND("long-body", "refused", "len 5 and thirteen bytes", .act = act_long_body),
	KIND("die-before-res", "death", "SIGKILL before RES", .act = act_die),
	KIND("die-after-res", "death", "SIGKILL after RES+", .act = act_die_after_res),
	KIND("die-in-frame", "death", "SIGKILL inside a RES", .act = act_die_in_frame),
	KIND("die-while-reading", "death", "SIGKILL at the first byte", .start = start_die_reading),
	KIND("exit-at-request", "death", "exits 0 for an answer", .act = act_exit),
	KIND("cookie-list", "good", "two Set-Cookie headers",
	     .meta = "{\"headers\":{\"set-cookie\":[\"a=1\",\"b=2\"]}}"),
	KIND("err", "good", "ERR with a status and a message", .act = act_err),
	KIND("slow", "good", "right, but later", .act = act_slow),
};

static const struct kind *
find(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static int
list(void)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		printf("%s\t%s\t%s\n", kinds[i].name, kinds[i].expect, kinds[i].help);
	return 0;
}

static void
answer(const struct kind *kind, const struct frame *f)
{
	if (kind->act != NULL)
		kind->act(f);
	else if (kind->text != NULL)
		put_text(kind->text, kind->text_n, f->id);
	else
		say("RES", f->id, kind->meta, kind->body);
}

int
main(int argc, char **argv)
{
	const struct kind *kind = argc > 1 ? find(argv[1]) : NULL;
	struct frame f;

	if (argc > 1 && strcmp(argv[1], "--list") == 0)
		return list();
	if (kind == NULL) {
		fprintf(stderr, "usage: liar KIND [MS] | --list\n");
		return 2;
	}
	if (argc > 2)
		pause_ms = strtoul(argv[2], NULL, 10);
	alarm(ABANDONED_S);
	if (kind->start != NULL)
		kind->start();
	else
		say("READY", 0, NULL, NULL);
	while (frame_next(&in, &f) > 0)
		if (strcmp(f.type, "REQ") == 0)
			answer(kind, &f);
	free(in.data);
	return 0;
}
