/*
 * The envelope of POST /{handler}: when a body is one, what the handler gets, what the client gets.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/auto.h"
#include "tap.h"
#include "wire/envelope.h"

static void
test_read(void)
{
	static const struct {
		const char *body, *data, *src; /* data NULL: raw; src NULL: none */
	} row[] = {
		{"{\"type\":\"request\",\"src\":\"client\",\"data\":\"hello world\"}", "hello world", "client"},
		{" \r\n\t{ \"data\" : \"x\" , \"src\" : \"s\" }\n", "x", "s"},
		{"{\"type\":\"request\",\"data\":\"\"}", "", NULL},
		{"{\"src\":\"a\",\"data\":{\"b\": [1, 2]}}", "{\"b\": [1, 2]}", "a"},
		{"{\"src\":\"a\",\"data\":17}", "17", "a"},
		{"{\"src\":\"a\",\"data\":null}", "null", "a"},
		{"{\"src\":\"a\",\"data\":true}", "true", "a"},
		{"{\"src\":\"a\",\"data\":\"\\u00e9\\n\\ud83d\\ude00\"}", "\xc3\xa9\n\xf0\x9f\x98\x80", "a"},
		{"{\"type\":1,\"src\":\"a\",\"data\":1}", "1", "a"},
		{"{\"type\":\"t\",\"src\":1,\"data\":1}", "1", NULL},
		{"{\"src\":\"a\",\"d\\u0061ta\":1}", "1", "a"},
		{"{\"src\":\"a\",\"src\":\"b\",\"data\":1,\"data\":2}", "2", "b"},
		{"{\"more\":{\"data\":5},\"src\":\"a\",\"data\":1}", "1", "a"},
		{"", NULL, NULL}, {" ", NULL, NULL}, {"hello", NULL, NULL}, {"[]", NULL, NULL}, {"{}", NULL, NULL},
		{"{\"data\":1}", NULL, NULL}, {"{\"type\":\"t\",\"src\":\"s\"}", NULL, NULL},
		{"{\"type\":1,\"src\":2,\"data\":3}", NULL, NULL}, {"{\"type\":\"t\",\"data\":3}x", NULL, NULL},
		{"{\"type\":\"t\",\"data\":3", NULL, NULL}, {"[{\"type\":\"t\",\"data\":3}]", NULL, NULL},
		{"{\"x\":{\"type\":\"t\",\"data\":3}}", NULL, NULL}, {"\"{}\"", NULL, NULL},
		{"{\"type\":\"t\",\"src\":\"s\",\"type\":1,\"src\":null,\"data\":1}", NULL, NULL},
	};

	for (size_t i = 0; i < MGR_N(row); i++) {
		MGR_AUTO_BUF struct mgr_buf b = {0};
		struct mgr_envelope env = {0};
		bool is = mgr_envelope_read(row[i].body, strlen(row[i].body), &env);

		is_int(is, row[i].data != NULL, "read: row %zu", i);
		if (!is)
			continue;
		is_int(mgr_envelope_body(&env, &b), 0, "read: its data");
		ok(strcmp(mgr_buf_str(&b), row[i].data) == 0, "read: as the handler gets it");
		ok(row[i].src == NULL ? env.src.n == 0 : mgr_json_is(&env.src, row[i].src), "read: its source");
	}
	ok(!mgr_envelope_read(NULL, 0, &(struct mgr_envelope){0}), "read: no body");
	ok(!mgr_envelope_read("\0{}", 3, &(struct mgr_envelope){0}), "read: a binary body");
}

static void
answers(bool good, const char *text, size_t n, const char *want)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};

	is_int(mgr_envelope_answer(&b, good, text, n), 0, "answer");
	is_str(mgr_buf_str(&b), want, "answer: as the client gets it");
	is_int(mgr_json_check(mgr_buf_p(&b), mgr_buf_n(&b)), 0, "answer: is JSON");
}

static void
test_answer(void)
{
	struct mgr_buf small = {.limit = 32};

	answers(true, "Hello, world!", 13, "{\"status\":\"ok\",\"message\":\"Hello, world!\"}");
	answers(false, "Handler not found: x", 20, "{\"status\":\"error\",\"message\":\"Handler not found: x\"}");
	answers(true, NULL, 0, "{\"status\":\"ok\",\"message\":\"\"}");
	answers(true, "a\"\n\xff\xc3\xa9", 6, "{\"status\":\"ok\",\"message\":\"a\\\"\\n\xef\xbf\xbd\xc3\xa9\"}");
	is_int(mgr_envelope_answer(&small, true, "abcd", 4), 0, "answer: the limit");
	mgr_buf_clear(&small, 0);
	is_int(mgr_envelope_answer(&small, true, "abcde", 5), -EMSGSIZE, "answer: limit + 1");
	is_int(mgr_envelope_answer(&small, true, "\x01\x01", 2), -EMSGSIZE, "answer: an escape past the limit");
	is_int(mgr_buf_n(&small), 0, "answer: nothing stays behind");
	mgr_buf_fini(&small);
}

int
main(void)
{
	test_read();
	test_answer();
	return done_testing();
}
