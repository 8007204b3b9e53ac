/*
 * Metadata: the request's document with its deadline field, the answer's members.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/auto.h"
#include "base/num.h"
#include "tap.h"
#include "wire/meta.h"

static void
test_request(void)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};

	is_int(mgr_meta_begin(&b, 120 * MGR_S), 0, "request: begin");
	is_int(mgr_meta_adds(&b, "method", "POST"), 0, "request: a text");
	is_int(mgr_meta_add(&b, "src", "a\"\xff\n", 4), 0, "request: foreign bytes");
	is_int(mgr_meta_addu(&b, "len", UINT64_MAX), 0, "request: a number");
	is_int(mgr_meta_add_raw(&b, "params", "{\"id\":\"a\"}", 10), 0, "request: JSON");
	is_int(mgr_meta_end(&b), 0, "request: end");
	is_str(mgr_buf_str(&b),
	       "{\"deadline_ms\":120000    ,\"method\":\"POST\",\"src\":\"a\\\"\xc3\xbf\\n\","
	       "\"len\":18446744073709551615,\"params\":{\"id\":\"a\"}}\n", "request: the whole line");
	is_int(mgr_json_check(mgr_buf_p(&b), mgr_buf_n(&b)), 0, "request: is JSON");
	mgr_meta_set_left(mgr_buf_p(&b), mgr_buf_n(&b), 5 * MGR_MS);
	ok(strncmp(mgr_buf_str(&b), "{\"deadline_ms\":5         ,\"method\"", 33) == 0, "request: the time is corrected");
	is_int(mgr_json_check(mgr_buf_p(&b), mgr_buf_n(&b)), 0, "request: is still JSON");
}

static void
test_left(void)
{
	static const struct {
		int64_t ns;
		const char *field;
	} row[] = {
		{0, "0         "}, {-1, "0         "}, {INT64_MIN, "0         "}, {1, "1         "},
		{MGR_MS, "1         "}, {MGR_MS + 1, "2         "}, {INT64_C(9999999999) * MGR_MS, "9999999999"},
		{INT64_MAX, "9999999999"},
	};

	for (size_t i = 0; i < MGR_N(row); i++) {
		MGR_AUTO_BUF struct mgr_buf b = {0};

		mgr_meta_begin(&b, row[i].ns);
		mgr_meta_end(&b);
		ok(strncmp(mgr_buf_str(&b) + 15, row[i].field, 10) == 0, "left: %" PRId64 " ns", row[i].ns);
		mgr_meta_set_left(mgr_buf_p(&b), mgr_buf_n(&b), MGR_S);
		is_str(mgr_buf_str(&b), "{\"deadline_ms\":1000      }\n", "left: and over it");
	}
}

/* A META of another writer stays as it is, whatever it begins with. */
static void
test_foreign(void)
{
	static const char *const row[] = {
		"", "{}", "{\"deadline_ms\":", "{\"deadline_ms\":1000      ", "{\"deadline_ms\":1000}\n",
		"{\"deadline_ms\":5,\"a\":\"bcdef\"}", "{\"deadline_ms\":12345678901,\"a\":1}", "{\"deadline_ms\":          ,\"a\":1}",
		"{\"deadline_ms\":\"12345678\",\"a\":1}", "{\"deadline_ms\":1000     5,\"a\":1}", "{\"deadline_mx\":1000      ,\"a\":1}",
		"{\"deadline_ms\": 1000     ,\"a\":1}", "{\"deadline_ms\":-1        ,\"a\":1}",
		"{\"deadline_ms\":060000    ,\"a\":1}",
	};

	for (size_t i = 0; i < MGR_N(row); i++) {
		size_t n = strlen(row[i]);
		char *copy = malloc(n + 1);

		memcpy(copy, row[i], n + 1);
		mgr_meta_set_left(copy, n, MGR_S);
		is_str(copy, row[i], "foreign: row %zu stays", i);
		free(copy);
	}
}

static void
test_answer_good(void)
{
	static const char text[] = "{\"status\":404,\"headers\":{\"content-type\":\"text/plain\",\"set-cookie\":[\"a=1\",\"b=2\"]},"
				   "\"len\":9007199254740991,\"type\":\"t\",\"message\":\"gone\",\"more\":[1,{}]}";
	struct mgr_meta_answer a;
	const char *why = NULL;

	is_int(mgr_meta_read_answer(text, sizeof(text) - 1, false, &a, &why), 0, "answer: all members");
	is_int(a.status, 404, "answer: status");
	ok(a.has_len && a.len == (UINT64_C(1) << 53) - 1, "answer: len");
	ok(mgr_json_is(&a.message, "gone") && mgr_json_is(&a.type, "t"), "answer: message and type");
	is_int(a.headers.type, MGR_JSON_OBJECT, "answer: headers");
	is_int(mgr_meta_read_answer("", 0, false, &a, &why), 0, "answer: no META");
	ok(a.status == 200 && !a.has_len && a.headers.n == 0 && a.message.n == 0 && a.type.n == 0, "answer: is 200");
	is_int(mgr_meta_read_answer(NULL, 0, true, &a, &why), 0, "answer: no META of ERR");
	is_int(a.status, 500, "answer: is 500");
	is_int(mgr_meta_read_answer(" { } ", 5, true, &a, &why), 0, "answer: an empty object");
	is_int(a.status, 500, "answer: is 500 too");
	is_int(mgr_meta_read_answer("{\"status\":200,\"status\":201}", 27, false, &a, &why), 0, "answer: twice");
	is_int(a.status, 201, "answer: the last wins");
	is_int(mgr_meta_read_answer("{\"st\\u0061tus\":202}", 19, false, &a, &why), 0, "answer: escaped key");
	is_int(a.status, 202, "answer: is the same key");
	ok(why == NULL, "answer: nothing was wrong");
}

static void
test_answer_bad(void)
{
	static const struct {
		const char *text, *why;
	} row[] = {
		{"x", "not JSON"}, {"{\"status\":200", "not JSON"}, {"{}{}", "not JSON"}, {"[]", "JSON object"}, {"17", "JSON object"},
		{"{\"status\":99}", "status"}, {"{\"status\":100}", "status"}, {"{\"status\":199}", "status"},
		{"{\"status\":600}", "status"}, {"{\"status\":1000}", "status"}, {"{\"status\":-200}", "status"},
		{"{\"status\":200.0}", "status"}, {"{\"status\":2e2}", "status"}, {"{\"status\":\"200\"}", "status"},
		{"{\"status\":null}", "status"}, {"{\"status\":18446744073709551816}", "status"},
		{"{\"len\":-1}", "len"}, {"{\"len\":1.5}", "len"}, {"{\"len\":9007199254740992}", "len"}, {"{\"len\":\"1\"}", "len"},
		{"{\"headers\":[]}", "headers"}, {"{\"headers\":\"a\"}", "headers"}, {"{\"headers\":{\"a\":1}}", "header"},
		{"{\"headers\":{\"a\":[\"b\",1]}}", "header"}, {"{\"headers\":{\"a\":[[\"b\"]]}}", "header"},
		{"{\"headers\":{\"a\":{}}}", "header"}, {"{\"headers\":{\"a\":null}}", "header"},
		{"{\"message\":1}", "message"}, {"{\"type\":[]}", "type"},
	};

	for (size_t i = 0; i < MGR_N(row); i++) {
		struct mgr_meta_answer a = {.status = 7};
		const char *why = "";

		is_int(mgr_meta_read_answer(row[i].text, strlen(row[i].text), false, &a, &why), -EINVAL, "answer: %s",
		       row[i].text);
		ok(strstr(why, row[i].why) != NULL && a.status == 7, "answer: because %s", why);
	}
	struct mgr_meta_answer a;
	const char *why;
	is_int(mgr_meta_read_answer("{\"status\":200}", 14, false, &a, &why), 0, "answer: 200 is the least");
	is_int(mgr_meta_read_answer("{\"status\":599}", 14, false, &a, &why), 0, "answer: 599 is the largest");
}

static void
test_full(void)
{
	struct mgr_buf b = {.limit = 40};

	is_int(mgr_meta_begin(&b, 0), 0, "full: begin");
	size_t had = mgr_buf_n(&b);
	is_int(mgr_meta_adds(&b, "key", "a text that does not fit"), -EMSGSIZE, "full: a text");
	is_int(mgr_meta_add_raw(&b, "key", "[0,1,2,3,4,5,6]", 15), -EMSGSIZE, "full: JSON");
	is_int(mgr_meta_addu(&b, "a_long_key", 17), -EMSGSIZE, "full: a number");
	is_int(mgr_meta_add(&b, "k", "\x01\x01", 2), -EMSGSIZE, "full: an escape");
	is_int(mgr_buf_n(&b), had, "full: no half member stays");
	mgr_buf_fini(&b);
}

int
main(void)
{
	test_request();
	test_left();
	test_foreign();
	test_answer_good();
	test_answer_bad();
	test_full();
	return done_testing();
}
