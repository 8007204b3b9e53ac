/*
 * The frame codec: each message cut at each byte, the limits at n and n + 1, and every header line
 * that must be refused.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/auto.h"
#include "tap.h"
#include "wire/frame.h"

/* Feeds a piece and writes what happened to log, one letter or text per step. */
static void
feed(struct mgr_frame_parser *p, const char *in, size_t n, struct mgr_buf *log)
{
	for (;;) {
		size_t used, body_n, meta_n;
		const char *body, *meta;

		switch (mgr_frame_feed(p, in, n, &used, &body, &body_n)) {
		case MGR_FRAME_MORE:
			if (used != n)
				mgr_buf_adds(log, "(MORE without taking all)");
			return;
		case MGR_FRAME_HEAD:
			meta = mgr_frame_meta(p, &meta_n);
			mgr_buf_addf(log, "%s%s %u [%.*s] %llu:", p->frame.word, p->frame.more ? "+" : "",
				     p->frame.id, (int)meta_n, meta, (unsigned long long)p->frame.body_n);
			break;
		case MGR_FRAME_BODY:
			mgr_buf_add(log, body, body_n);
			break;
		case MGR_FRAME_END:
			mgr_buf_adds(log, ".\n");
			break;
		case MGR_FRAME_BROKEN:
			mgr_buf_addf(log, "BROKEN %s\n", mgr_frame_why(p));
			return;
		}
		in += used;
		n -= used;
	}
}

static const struct {
	const char *in, *log;
	size_t n;
} good[] = {
#define ROW(in, log) {in, log, sizeof(in) - 1}
	ROW("READY 0 0 0\n", "READY 0 [] 0:.\n"),
	ROW("REQ 7 64 5\n{\"method\":\"POST\",\"path\":\"/up/a\",\"params\":{\"id\":\"a\"},\"query\":{}}\nhello",
	    "REQ 7 [{\"method\":\"POST\",\"path\":\"/up/a\",\"params\":{\"id\":\"a\"},\"query\":{}}] 5:hello.\n"),
	ROW("RES+ 4294967295 3 0\n{}\nDATA+ 4294967295 0 2\n\n\nDATA 4294967295 0 0\n",
	    "RES+ 4294967295 [{}] 0:.\nDATA+ 4294967295 [] 2:\n\n.\nDATA 4294967295 [] 0:.\n"),
	ROW("ERR 1 3 0\n{}\nCALL 2 3 3\n{}\nabcRET 3 0 1\nx", "ERR 1 [{}] 0:.\nCALL 2 [{}] 3:abc.\nRET 3 [] 1:x.\n"),
	ROW("CANCEL 1 0 0\nPING 0 0 0\nPONG 0 0 0\nCREDIT 1 0 0\n",
	    "CANCEL 1 [] 0:.\nPING 0 [] 0:.\nPONG 0 [] 0:.\nCREDIT 1 [] 0:.\n"),
	ROW("ABCDEFGH 9 0 4\nREQ ABCDEFGH+ 9 0 0\nX 1 0 0\n", "ABCDEFGH 9 [] 4:REQ .\nABCDEFGH+ 9 [] 0:.\nX 1 [] 0:.\n"),
#undef ROW
};

static void
test_cuts(void)
{
	for (size_t i = 0; i < MGR_N(good); i++) {
		bool same = true;

		for (size_t cut = 0; cut <= good[i].n; cut++) {
			MGR_AUTO_BUF struct mgr_buf log = {0};
			struct mgr_frame_parser p = {0};

			feed(&p, good[i].in, cut, &log);
			feed(&p, good[i].in + cut, good[i].n - cut, &log);
			same &= strcmp(mgr_buf_str(&log), good[i].log) == 0 && mgr_frame_at_border(&p);
			if (!same)
				diag("cut %zu: %s", cut, mgr_buf_str(&log));
			mgr_frame_parser_fini(&p);
		}
		ok(same, "message %zu cut at each byte", i);
		MGR_AUTO_BUF struct mgr_buf log = {0};
		struct mgr_frame_parser p = {0};
		for (size_t at = 0; at < good[i].n; at++) {
			char byte = good[i].in[at]; /* its own memory: nothing may be read behind it */
			feed(&p, &byte, 1, &log);
		}
		is_str(mgr_buf_str(&log), good[i].log, "message %zu byte by byte", i);
		mgr_frame_parser_fini(&p);
	}
}

static void
test_border(void)
{
	const char in[] = "RES 1 3 2\n{}\nab";
	struct mgr_frame_parser p = {0};
	MGR_AUTO_BUF struct mgr_buf log = {0};
	bool inside = true;

	ok(mgr_frame_at_border(&p), "a new parser is between frames");
	for (size_t i = 0; i + 2 < sizeof(in); i++) {
		feed(&p, in + i, 1, &log);
		inside &= !mgr_frame_at_border(&p);
	}
	ok(inside, "the end of input is not clean at any byte of a frame");
	feed(&p, "b", 1, &log);
	ok(mgr_frame_at_border(&p), "and is clean after it");
	mgr_frame_parser_fini(&p);
}

/* What a liar sends (RELIABILITY W2, W3), with the byte at which it must be found at the latest. */
static const struct {
	const char *what, *in;
	size_t n, found_at;
} bad[] = {
#define ROW(what, in, found_at) {what, in, sizeof(in) - 1, found_at}
	ROW("65 bytes of line", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 9),
	ROW("65 digits", "RES 11111111111111111111111111111111111111111111111111111111111111", 15),
	ROW("debug text", "debug: x=1", 1),
	ROW("a word of 9", "ABCDEFGHI 1 0 0\n", 9),
	ROW("an empty line", "\n", 1),
	ROW("only +", "+ 1 0 0\n", 1),
	ROW("++", "RES++ 1 0 0\n", 5),
	ROW("lower case", "Res 1 0 0\n", 2),
	ROW("digits in the word", "RES1 1 0 0\n", 4),
	ROW("minus one as id", "RES -1 0 0\n", 5),
	ROW("minus one as MLEN", "RES 1 -1 0\n", 7),
	ROW("minus one as BLEN", "RES 1 0 -1\n", 9),
	ROW("plus one", "RES +1 0 0\n", 5),
	ROW("007", "RES 007 0 0\n", 6),
	ROW("00", "RES 1 00 0\n", 8),
	ROW("BLEN 01", "RES 1 0 01\n", 10),
	ROW("99999999999999999999", "RES 99999999999999999999 0 0\n", 14),
	ROW("id 2^32", "RES 4294967296 0 0\n", 14),
	ROW("MLEN 2^31", "RES 1 2147483648 0\n", 13),
	ROW("MLEN 256 KiB + 1", "RES 1 262145 0\n", 12),
	ROW("BLEN 2^53", "RES 1 0 9007199254740992\n", 24),
	ROW("BLEN 2^64", "RES 1 0 18446744073709551616\n", 25),
	ROW("a tab", "RES\t1 0 0\n", 4),
	ROW("a tab later", "RES 1\t0 0\n", 6),
	ROW("double space", "RES  1 0 0\n", 5),
	ROW("space at the start", " RES 1 0 0\n", 1),
	ROW("space at the end", "RES 1 0 0 \n", 10),
	ROW("CR LF", "RES 1 0 0\r\n", 10),
	ROW("no id", "RES\n", 4),
	ROW("no MLEN", "RES 1\n", 6),
	ROW("no BLEN", "RES 1 0\n", 8),
	ROW("empty BLEN", "RES 1 0 \n", 9),
	ROW("a field too many", "RES 1 0 0 0\n", 10),
	ROW("hex", "RES 0x1 0 0\n", 6),
	ROW("a NUL", "RES 1\0 0 0\n", 6),
	ROW("binary", "\x00\x01\x02\xff", 1),
	ROW("0xff", "\xff\xfe", 1),
	ROW("UTF-8 BOM", "\xef\xbb\xbfRES 1 0 0\n", 1),
	ROW("META without LF", "RES 1 3 0\n{} ", 13),
	ROW("META with LF inside", "RES 1 5 0\n{\n\n}\n", 12),
	ROW("META that ends early", "RES 1 9 0\n{}\nRES 2", 13),
#undef ROW
};

static void
test_bad(void)
{
	for (size_t i = 0; i < MGR_N(bad); i++) {
		MGR_AUTO_BUF struct mgr_buf whole = {0}, bytes = {0};
		struct mgr_frame_parser p = {0};
		size_t at, used, body_n;
		const char *body;

		feed(&p, bad[i].in, bad[i].n, &whole);
		ok(strstr(mgr_buf_str(&whole), "BROKEN") != NULL, "%s: refused", bad[i].what);
		is_int(mgr_frame_feed(&p, "READY 0 0 0\n", 12, &used, &body, &body_n), MGR_FRAME_BROKEN,
		       "%s: stays refused", bad[i].what);
		ok(used == 0 && !mgr_frame_at_border(&p), "%s: takes no more", bad[i].what);
		mgr_frame_parser_fini(&p);
		for (at = 0; at < bad[i].n && strstr(mgr_buf_str(&bytes), "BROKEN") == NULL; at++)
			feed(&p, bad[i].in + at, 1, &bytes);
		is_int(at, bad[i].found_at, "%s: found at once", bad[i].what);
		is_str(mgr_buf_str(&bytes), mgr_buf_str(&whole), "%s: the same answer in pieces", bad[i].what);
		mgr_frame_parser_fini(&p);
	}
}

static void
test_quote(void)
{
	static const char garbage[] = "debug: x=1 and more and more and more and more and more and more, without end";
	struct mgr_frame_parser p = {0};
	MGR_AUTO_BUF struct mgr_buf log = {0};
	size_t n;

	is_str(mgr_frame_why(&p), "nothing is wrong", "why is never NULL");
	feed(&p, garbage, 10, &log);
	const char *line = mgr_frame_line(&p, &n);
	ok(n == 10 && memcmp(line, garbage, 10) == 0, "garbage can be quoted");
	mgr_frame_parser_fini(&p);
	feed(&p, garbage, sizeof(garbage), &log);
	mgr_frame_line(&p, &n);
	is_int(n, MGR_FRAME_LINE_MAX, "and is cut");
	mgr_frame_parser_fini(&p);
	feed(&p, "REQ 1", 5, &log);
	line = mgr_frame_line(&p, &n);
	ok(n == 5 && memcmp(line, "REQ 1", 5) == 0, "an unfinished line can be quoted");
	mgr_frame_parser_fini(&p);
}

static bool
takes(struct mgr_frame_parser *p, const char *in)
{
	MGR_AUTO_BUF struct mgr_buf log = {0};

	feed(p, in, strlen(in), &log);
	bool broken = strstr(mgr_buf_str(&log), "BROKEN") != NULL;
	mgr_frame_parser_fini(p);
	return !broken;
}

static void
test_limits(void)
{
	struct mgr_frame_parser p = {.meta_max = 100, .body_max = 1000}, full = {0};

	ok(takes(&p, "RES 1 100 0\n") && !takes(&p, "RES 1 101 0\n"), "META of n, not of n + 1");
	ok(takes(&p, "RES 1 0 1000\n") && !takes(&p, "RES 1 0 1001\n"), "BODY of n, not of n + 1");
	ok(p.meta_max == 100 && p.body_max == 1000, "fini keeps the limits");
	ok(takes(&full, "RES 1 262144 0\n") && !takes(&full, "RES 1 262145 0\n"), "META of 256 KiB at most");
	ok(takes(&full, "RES 1 0 9007199254740991\n") && !takes(&full, "RES 1 0 9007199254740992\n"),
	   "BODY of 2^53 - 1 at most");
	p = (struct mgr_frame_parser){.meta_max = UINT32_MAX, .body_max = UINT64_MAX};
	ok(!takes(&p, "RES 1 262145 0\n") && !takes(&p, "RES 1 0 9007199254740992\n"),
	   "a reader cannot raise the limits of the protocol");
}

/* 1 GiB or 256 KiB announced, 10 bytes sent: the memory follows the bytes. */
static void
test_no_allocation_by_announcement(void)
{
	struct mgr_frame_parser p = {0};
	MGR_AUTO_BUF struct mgr_buf log = {0};

	feed(&p, "RES 1 262144 1073741824\n0123456789", 34, &log);
	ok(p.meta.cap <= 1024, "announced META takes no memory (%zu)", p.meta.cap);
	mgr_frame_parser_fini(&p);
	mgr_buf_clear(&log, 0);
	feed(&p, "RES 1 3 1073741824\n{}\n0123456789", 32, &log);
	is_str(mgr_buf_str(&log), "RES 1 [{}] 1073741824:0123456789", "a body comes as it arrives");
	ok(p.meta.cap <= 1024, "announced BODY takes no memory");
	mgr_frame_parser_fini(&p);
}

static void
test_large_meta(void)
{
	MGR_AUTO_BUF struct mgr_buf in = {0};
	struct mgr_frame_parser p = {0};
	size_t used, n, body_n;
	const char *body;

	mgr_buf_addf(&in, "REQ 1 %u 0\n{\"a\":\"", MGR_FRAME_META_MAX);
	for (unsigned i = 0; i < MGR_FRAME_META_MAX - 9; i++)
		mgr_buf_addc(&in, 'x');
	mgr_buf_adds(&in, "\"}\n");
	is_int(mgr_frame_feed(&p, mgr_buf_p(&in), mgr_buf_n(&in), &used, &body, &body_n), MGR_FRAME_HEAD,
	       "META of 256 KiB");
	is_int(used, mgr_buf_n(&in), "is taken in one step");
	mgr_frame_meta(&p, &n);
	is_int(n, MGR_FRAME_META_MAX - 1, "and is there without its LF");
	is_int(mgr_frame_feed(&p, "", 0, &used, &body, &body_n), MGR_FRAME_END, "END needs no input");
	mgr_frame_feed(&p, "REQ 2 0 0\n", 10, &used, &body, &body_n);
	ok(p.meta.cap <= 16 * 1024, "the memory of a large META is given back (%zu)", p.meta.cap);
	mgr_frame_meta(&p, &n);
	is_int(n, 0, "no META is empty, not the last one");
	mgr_frame_parser_fini(&p);
}

static void
test_write(void)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};
	struct mgr_buf small = {.limit = 10};
	char line[MGR_FRAME_LINE_MAX];
	bool same = true;

	for (int t = 0; t < MGR_FRAME_OTHER; t++) {
		struct mgr_frame_parser p = {0};
		MGR_AUTO_BUF struct mgr_buf log = {0}, want = {0};
		enum mgr_frame_type type = (enum mgr_frame_type)t;

		mgr_buf_clear(&b, 1024);
		same &= mgr_frame_add(&b, type, t & 1, 7, "{}\n", 3, "body", 4) == 0;
		feed(&p, mgr_buf_p(&b), mgr_buf_n(&b), &log);
		mgr_buf_addf(&want, "%s%s 7 [{}] 4:body.\n", mgr_frame_word(type), t & 1 ? "+" : "");
		same &= p.frame.type == type && strcmp(mgr_buf_str(&log), mgr_buf_str(&want)) == 0;
		mgr_frame_parser_fini(&p);
	}
	ok(same, "each type comes back as it was written");
	size_t n = mgr_frame_head(line, MGR_FRAME_CREDIT, true, UINT32_MAX, MGR_FRAME_META_MAX, MGR_FRAME_BODY_MAX);
	ok(n == 43 && memcmp(line, "CREDIT+ 4294967295 262144 9007199254740991\n", n) == 0, "the longest line");
	is_str(mgr_frame_word(MGR_FRAME_OTHER), "?", "the word of an unknown type");
	is_int(mgr_frame_add(&small, MGR_FRAME_PING, false, 0, NULL, 0, NULL, 0), -EMSGSIZE, "a full buffer");
	is_int(mgr_buf_n(&small), 0, "gets no half frame");
	mgr_buf_fini(&small);
}

int
main(void)
{
	test_cuts();
	test_border();
	test_bad();
	test_quote();
	test_limits();
	test_no_allocation_by_announcement();
	test_large_meta();
	test_write();
	return done_testing();
}
