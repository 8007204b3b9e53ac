/*
 * The bottom shelf: buffers and their limits, numbers, options, text, outcomes, random numbers.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/num.h"
#include "base/opt.h"
#include "base/outcome.h"
#include "base/rand.h"
#include "base/text.h"
#include "tap.h"

static void
test_buf_growth(void)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};
	bool same = true;

	is_int(mgr_buf_n(&b), 0, "buf: zero is an empty buffer");
	is_str(mgr_buf_str(&b), "", "buf: an empty one is an empty string");
	is_int(mgr_buf_add(&b, NULL, 0), 0, "buf: nothing can be added from nowhere");
	for (unsigned i = 0; i < 100000; i++)
		same &= mgr_buf_addc(&b, (char)('a' + i % 26)) == 0;
	ok(same && mgr_buf_n(&b) == 100000, "buf: grows byte by byte");
	for (unsigned i = 0; i < 100000; i++) {
		same &= *mgr_buf_p(&b) == (char)('a' + i % 26);
		mgr_buf_take(&b, 1);
	}
	ok(same && mgr_buf_n(&b) == 0, "buf: gives back what was added, in order");
	is_int(b.off, 0, "buf: an emptied buffer starts over");
}

/* A queue that is never empty must move to the front instead of growing for ever. */
static void
test_buf_queue(void)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};
	char block[100];
	bool same = true;

	memset(block, 'x', sizeof(block));
	mgr_buf_add(&b, "0123456789", 10);
	for (int i = 0; i < 10000; i++) {
		same &= mgr_buf_add(&b, block, sizeof(block)) == 0;
		same &= mgr_buf_n(&b) == 110;
		mgr_buf_take(&b, sizeof(block));
	}
	ok(same, "buf: a million bytes pass through a queue that is never empty");
	ok(b.cap <= 1024, "buf: and its memory stays small (%zu)", b.cap);
}

static void
test_buf_cut(void)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};

	mgr_buf_adds(&b, "hello, world");
	mgr_buf_take(&b, 7);
	mgr_buf_cut(&b, 2);
	is_str(mgr_buf_str(&b), "wor", "buf: take from the head, cut from the tail");
	is_int(mgr_buf_addu(&b, UINT64_MAX), 0, "buf: addu");
	is_int(mgr_buf_addf(&b, "-%s-%d", "x", 7), 0, "buf: addf");
	is_str(mgr_buf_str(&b), "wor18446744073709551615-x-7", "buf: both are there");
	is_int(mgr_buf_reserve(&b, SIZE_MAX), -ENOMEM, "buf: an absurd size is refused");
	is_int(mgr_buf_n(&b), 27, "buf: and nothing is lost");
	mgr_buf_clear(&b, 1 << 20);
	ok(b.data != NULL && mgr_buf_n(&b) == 0, "buf: clear keeps small memory");
	mgr_buf_clear(&b, 0);
	ok(b.data == NULL, "buf: clear gives large memory back");
}

static void
test_buf_long_format(void)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};

	is_int(mgr_buf_addf(&b, "%5000d|", 1), 0, "buf: a text longer than the first guess");
	is_int(mgr_buf_n(&b), 5001, "buf: is added whole");
	is_str(mgr_buf_str(&b) + 4999, "1|", "buf: up to its end");
}

static void
test_buf_limit(void)
{
	struct mgr_buf b = {.limit = 10};

	is_int(mgr_buf_add(&b, "01234567890", 11), -EMSGSIZE, "buf: limit + 1 at once is refused");
	is_int(mgr_buf_add(&b, "0123456789", 10), 0, "buf: the limit is taken");
	/* The memory behind is larger than the limit: it must not be filled. */
	is_int(mgr_buf_addc(&b, 'x'), -EMSGSIZE, "buf: limit + 1 is refused in memory that has room");
	is_int(mgr_buf_n(&b), 10, "buf: never holds more than its limit");
	mgr_buf_clear(&b, 1024);
	mgr_buf_add(&b, "0123456789", 10);
	is_str(mgr_buf_str(&b), "0123456789", "buf: the NUL does not count");
	mgr_buf_take(&b, 4);
	is_int(mgr_buf_add(&b, "abcd", 4), 0, "buf: what was taken makes room again");
	is_int(mgr_buf_addc(&b, 'x'), -EMSGSIZE, "buf: and not more");
	mgr_buf_clear(&b, 1024);
	is_int(mgr_buf_addf(&b, "%s", "0123456789"), 0, "buf: addf up to the limit");
	is_int(mgr_buf_addf(&b, "%d", 1), -EMSGSIZE, "buf: addf past the limit");
	is_int(mgr_buf_n(&b), 10, "buf: addf keeps the limit");
	mgr_buf_fini(&b);
	is_int(b.limit, 10, "buf: fini keeps the limit, for the next use");
}

static void
test_num(void)
{
	static const struct {
		const char *text;
		uint64_t max;
		int r;
		uint64_t value;
	} row[] = {
		{"0", 0, 0, 0},
		{"1", 0, -ERANGE, 0},
		{"42", 42, 0, 42},
		{"43", 42, -ERANGE, 0},
		{"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, -ERANGE, 0},
		{"99999999999999999999", UINT64_MAX, -ERANGE, 0},
		{"100000000000000000000", UINT64_MAX, -ERANGE, 0},
		{"", 9, -EINVAL, 0},
		{"007", 9, -EINVAL, 0},
		{"00", 9, -EINVAL, 0},
		{"-1", 9, -EINVAL, 0},
		{"+1", 9, -EINVAL, 0},
		{" 1", 9, -EINVAL, 0},
		{"1 ", 99, -EINVAL, 0},
		{"0x5", 9, -EINVAL, 0},
		{"1\t", 9, -EINVAL, 0},
	};

	for (size_t i = 0; i < MGR_N(row); i++) {
		uint64_t value = 0;

		is_int(mgr_num_parse(row[i].text, strlen(row[i].text), row[i].max, &value), row[i].r,
		       "num: \"%s\"", row[i].text);
		ok(value == row[i].value, "num: and its value");
	}
	for (uint64_t v = 1, i = 0; i < 64; i++, v = v * 2 + 1) {
		char text[MGR_NUM_MAX];
		uint64_t back = 0;

		mgr_num_parse(text, mgr_num_format(text, v), UINT64_MAX, &back);
		if (back != v)
			ok(false, "num: %" PRIu64 " does not come back", v);
	}
	ok(true, "num: formats come back");
}

static void
test_num_units(void)
{
	static const struct {
		const char *text;
		int r;
		uint64_t value;
	} size[] = {
		{"10", 0, 10},          {"64k", 0, 65536},        {"1M", 0, 1 << 20},
		{"10G", 0, UINT64_C(10) << 30}, {"16777215T", 0, UINT64_C(16777215) << 40},
		{"16777216T", -ERANGE, 0}, {"", -EINVAL, 0},      {"k", -EINVAL, 0},
		{"1kB", -EINVAL, 0},    {"-1k", -EINVAL, 0},      {"1 k", -EINVAL, 0},
	}, duration[] = {
		{"250ms", 0, 250000000}, {"10s", 0, UINT64_C(10000000000)}, {"10", 0, UINT64_C(10000000000)},
		{"2m", 0, UINT64_C(120000000000)}, {"1h", 0, UINT64_C(3600000000000)}, {"0", 0, 0},
		{"5us", 0, 5000},       {"5ns", 0, 5},            {"9223372036", 0, UINT64_C(9223372036000000000)},
		{"9223372037", -ERANGE, 0}, {"1.5s", -EINVAL, 0}, {"-1s", -EINVAL, 0}, {"s", -EINVAL, 0},
	};

	for (size_t i = 0; i < MGR_N(size); i++) {
		uint64_t value = 0;

		is_int(mgr_num_parse_size(size[i].text, &value), size[i].r, "num: size \"%s\"", size[i].text);
		ok(value == size[i].value, "num: and its value");
	}
	for (size_t i = 0; i < MGR_N(duration); i++) {
		int64_t ns = 0;

		is_int(mgr_num_parse_duration(duration[i].text, &ns), duration[i].r, "num: duration \"%s\"",
		       duration[i].text);
		is_int(ns, (int64_t)duration[i].value, "num: and its value");
	}
}

struct values {
	bool flag;
	const char *text;
	uint64_t count, bytes;
	int64_t wait_ns;
	struct mgr_opt_list list;
};

static const struct mgr_opt table[] = {
	{"flag", 'f', MGR_OPT_FLAG, NULL, offsetof(struct values, flag), NULL, 0, 0, "a flag"},
	{"text", 't', MGR_OPT_TEXT, "TEXT", offsetof(struct values, text), "none", 0, 0, "a text"},
	{"count", 'n', MGR_OPT_UINT, "N", offsetof(struct values, count), "1", 1, 8, "a number"},
	{"bytes", 0, MGR_OPT_SIZE, "SIZE", offsetof(struct values, bytes), "1M", 0, 0, "a size"},
	{"wait", 'w', MGR_OPT_DURATION, "TIME", offsetof(struct values, wait_ns), "10s", 0, 0, "a time"},
	{"item", 'i', MGR_OPT_LIST, "ITEM", offsetof(struct values, list), NULL, 0, 0, "items"},
	MGR_OPT_END,
};

static int
parse(struct values *v, char *err, const char *const *words)
{
	char *argv[16] = {0};
	int argc = 0;

	*v = (struct values){0};
	mgr_opt_defaults(table, v);
	argv[argc++] = (char *)(uintptr_t)"prog";
	for (; *words != NULL; words++)
		argv[argc++] = (char *)(uintptr_t)*words;
	return mgr_opt_parse(table, v, argc, argv, err, 200);
}

#define PARSE(...) parse(&v, err, (const char *const[]){__VA_ARGS__, NULL})

static void
test_opt(void)
{
	struct values v;
	char err[200] = "";

	is_int(PARSE("x"), 1, "opt: stops at the first operand");
	ok(!v.flag && strcmp(v.text, "none") == 0 && v.count == 1 && v.bytes == 1 << 20
		   && v.wait_ns == 10 * MGR_S, "opt: defaults");
	is_int(PARSE("-f", "-n", "3", "--text=a b", "-w250ms", "--bytes", "2k", "-i", "x", "--item=y",
		     "--", "-f"), 12, "opt: all forms, up to --");
	ok(v.flag && v.count == 3 && strcmp(v.text, "a b") == 0 && v.wait_ns == 250 * MGR_MS
		   && v.bytes == 2048, "opt: and their values");
	ok(v.list.n == 2 && strcmp(v.list.item[0], "x") == 0 && strcmp(v.list.item[1], "y") == 0,
	   "opt: a list keeps its order");
	mgr_opt_fini(table, &v);
	ok(v.list.n == 0 && v.list.item == NULL, "opt: fini frees the list");
	is_int(PARSE("-"), 1, "opt: a lone - is an operand");
	is_int(PARSE("-n1"), 2, "opt: the least value");
	is_int(PARSE("-n8"), 2, "opt: the largest value");
	is_int(PARSE("-n0"), -EINVAL, "opt: below the least");
	is_int(PARSE("-n9"), -EINVAL, "opt: above the largest");
	ok(strstr(err, "1 to 8") != NULL, "opt: the line names the range: %s", err);
	is_int(PARSE("-nx"), -EINVAL, "opt: not a number");
	is_int(PARSE("--nope"), -EINVAL, "opt: unknown name");
	ok(strstr(err, "--nope") != NULL, "opt: the line names it: %s", err);
	is_int(PARSE("-q"), -EINVAL, "opt: unknown letter");
	is_int(PARSE("--flag=1"), -EINVAL, "opt: a flag takes no value");
	is_int(PARSE("--text"), -EINVAL, "opt: a value is missing");
	is_int(mgr_opt_set(table, &v, "count", "5", err, sizeof(err)), 0, "opt: set by name");
	is_int((intmax_t)v.count, 5, "opt: and its value");
	is_int(mgr_opt_set(table, &v, "nope", "5", err, sizeof(err)), -ENOENT, "opt: set an unknown name");
}

static void
test_utf8(void)
{
	static const struct {
		const char *p;
		size_t n, len;
	} row[] = {
		{"a", 1, 1}, {"", 1, 1}, {"\x7f", 1, 1}, {"\x80", 1, 0}, {"\xc3\xa9", 2, 2}, {"\xc3", 1, 0},
		{"\xc0\x80", 2, 0}, {"\xc1\xbf", 2, 0}, {"\xc2\x80", 2, 2}, {"\xe0\xa0\x80", 3, 3},
		{"\xe0\x9f\xbf", 3, 0}, {"\xed\x9f\xbf", 3, 3}, {"\xed\xa0\x80", 3, 0}, {"\xee\x80\x80", 3, 3},
		{"\xef\xbf\xbf", 3, 3}, {"\xe2\x82", 2, 0}, {"\xe2\x82x", 3, 0}, {"\xf0\x90\x80\x80", 4, 4},
		{"\xf0\x8f\xbf\xbf", 4, 0}, {"\xf4\x8f\xbf\xbf", 4, 4}, {"\xf4\x90\x80\x80", 4, 0},
		{"\xf5\x80\x80\x80", 4, 0}, {"\xff", 1, 0}, {"\xf0\x90\x80", 3, 0},
	};

	for (size_t i = 0; i < MGR_N(row); i++)
		is_int(mgr_text_utf8(row[i].p, row[i].n), row[i].len, "text: UTF-8 row %zu", i);
	ok(mgr_text_is_utf8("gr\xc3\xbc\xc3\x9f", 6), "text: a word is UTF-8");
	ok(!mgr_text_is_utf8("gr\xfc\xdf", 4), "text: Latin-1 is not");
	is_int(mgr_text_utf8("a", 0), 0, "text: nothing is no character");
}

static void
test_text(void)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};
	char name[66];

	mgr_text_escape(&b, "a\n\x1b\"\\\x7f\xff\xc3\xa9", 9, 100);
	is_str(mgr_buf_str(&b), "a\\x0a\\x1b\\x22\\x5c\\x7f\\xff\xc3\xa9", "text: escape");
	mgr_buf_clear(&b, 1024);
	mgr_text_escape(&b, "abcdef", 6, 4);
	is_str(mgr_buf_str(&b), "abcd...", "text: a cut is marked");
	mgr_buf_clear(&b, 1024);
	mgr_text_escape(&b, "abcd", 4, 4);
	is_str(mgr_buf_str(&b), "abcd", "text: what fits is not cut");
	memset(name, 'a', sizeof(name));
	ok(mgr_text_is_name(name, 64), "text: a name of 64");
	ok(!mgr_text_is_name(name, 65), "text: not of 65");
	ok(!mgr_text_is_name(name, 0), "text: not of 0");
	ok(mgr_text_is_name("a_b.c-9", 7), "text: all kinds of characters of a name");
	ok(!mgr_text_is_name(".a", 2) && !mgr_text_is_name("-a", 2) && !mgr_text_is_name("_a", 2),
	   "text: a name begins with a letter or digit");
	ok(!mgr_text_is_name("a/b", 3) && !mgr_text_is_name("a\0b", 3) && !mgr_text_is_name("a b", 3),
	   "text: no name");
	ok(mgr_text_is_token("!#$%&'*+-.^_`|~09azAZ", 21), "text: all of a token");
	ok(!mgr_text_is_token("", 0) && !mgr_text_is_token("a b", 3) && !mgr_text_is_token("a\0", 2)
		   && !mgr_text_is_token("a:", 2) && !mgr_text_is_token("\xc3\xa9", 2), "text: no token");
}

static void
test_outcome(void)
{
	for (unsigned i = 0; i < MGR_OUT_N; i++) {
		const struct mgr_outcome_row *row = mgr_outcome_row(i);

		is_int(mgr_outcome_by_name(row->name), i, "outcome: %s is found by its name", row->name);
		ok(row->http >= 200 && row->http < 600 && row->exit < 10, "outcome: and is whole");
	}
	ok(mgr_outcome_row(MGR_OUT_N) == mgr_outcome_row(MGR_OUT_ERROR), "outcome: out of range is error");
	ok(mgr_outcome_row(UINT32_MAX) == mgr_outcome_row(MGR_OUT_ERROR), "outcome: far out of range too");
	is_int(mgr_outcome_by_name("nope"), -1, "outcome: no such name");
	is_int(mgr_outcome_by_status(204), MGR_OUT_OK, "outcome: 204 is ok");
	is_int(mgr_outcome_by_status(405), MGR_OUT_NOT_FOUND, "outcome: 405 is not found");
	is_int(mgr_outcome_by_status(504), MGR_OUT_TIMEOUT, "outcome: 504 is timeout");
	is_int(mgr_outcome_by_status(418), MGR_OUT_ERROR, "outcome: 418 is error");
	is_int(mgr_exit_by_errno(0), 0, "outcome: exit 0");
	is_int(mgr_exit_by_errno(-ENOENT), 3, "outcome: exit of ENOENT");
	is_int(mgr_exit_by_errno(-EEXIST), 8, "outcome: exit of EEXIST");
	is_int(mgr_exit_by_errno(-EDOM), 1, "outcome: exit of anything else");
}

static void
test_rand(void)
{
	char one[37], two[37];
	bool below = true, backoff = true, large = true;
	unsigned seen = 0;
	int64_t most = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t v = mgr_rand_below(7);
		below &= v < 7;
		seen |= 1u << v;
		for (unsigned tries = 0; tries < 12; tries++) {
			int64_t top = 100 * MGR_MS << tries, ns = mgr_rand_backoff(100 * MGR_MS, 30 * MGR_S, tries);
			backoff &= ns >= 50 * MGR_MS && ns <= (top < 30 * MGR_S ? top : 30 * MGR_S);
			most = ns > most ? ns : most;
		}
		int64_t ns = mgr_rand_backoff(100 * MGR_MS, 30 * MGR_S, UINT32_MAX);
		large &= ns >= 50 * MGR_MS && ns <= 30 * MGR_S;
	}
	ok(below && seen == 0x7f, "rand: below stays below and reaches all");
	is_int((intmax_t)mgr_rand_below(0), 0, "rand: below 0");
	ok(backoff, "rand: backoff keeps its bounds at every try");
	ok(most > 15 * MGR_S, "rand: backoff uses its range");
	ok(large, "rand: backoff after ever so many tries");
	mgr_rand_uuid(one);
	mgr_rand_uuid(two);
	ok(strlen(one) == 36 && one[14] == '4' && strchr("89ab", one[19]) != NULL, "rand: uuid %s", one);
	ok(strcmp(one, two) != 0, "rand: another uuid");
}

int
main(void)
{
	test_buf_growth();
	test_buf_queue();
	test_buf_cut();
	test_buf_long_format();
	test_buf_limit();
	test_num();
	test_num_units();
	test_opt();
	test_utf8();
	test_text();
	test_outcome();
	test_rand();
	return done_testing();
}
