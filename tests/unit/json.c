/*
 * The JSON codec: what the checker takes and refuses, the cursor, the values, the writers.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/auto.h"
#include "base/text.h"
#include "tap.h"
#include "wire/json.h"

static int
check(const char *text)
{
	/* Its own memory, so that reading past the end is seen. */
	size_t n = strlen(text);
	char *p = malloc(n + (n == 0));

	memcpy(p, text, n);
	int r = mgr_json_check(p, n);
	free(p);
	return r;
}

static void
test_check_good(void)
{
	static const char *const good[] = {
		"{}", "[]", "0", "-0", "1", "-1.5e+10", "1E5", "1e-5", "0.0", "123456789012345678901234567890",
		"\"\"", "\"a\"", "true", "false", "null", " null ", "\t\r\n{}\n", "[1,2,3]", "[ 1 , 2 ]", "[[],{}]",
		"{\"a\":1}", "{ \"a\" : 1 , \"b\" : [ ] }", "{\"a\":1,\"a\":2}", "{\"\":0}", "[[[[[[]]]]]]",
		"{\"a\":{\"b\":{\"c\":[1,{\"d\":null}]}}}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u0000\"",
		"\"\\ud83d\\ude00\"", "\"\\uD83D\\uDE00\"", "\"gr\xc3\xbc\xc3\x9f\"", "\"\xf0\x9f\x98\x80\"", "\"\x7f\"",
		"\"01234567890123456789012345678901234567890123456789\"", "[true,false,null]", "[\"]\",\"}\",\"\\\"\"]",
	};

	for (size_t i = 0; i < MGR_N(good); i++)
		is_int(check(good[i]), 0, "good row %zu", i);
}

static void
test_check_bad(void)
{
	static const char *const bad[] = {
		"", " ", "{", "}", "[", "]", "{]", "[}", "[1,]", "[,1]", "[1 2]", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
		"{a:1}", "{1:1}", "{'a':1}", "[1],", "1 2", "{} {}", "01", "-", "-01", "+1", ".5", "1.", "1.e5", "1e", "1e+",
		"0x1", "NaN", "Infinity", "nul", "nulll", "True", "tru", "\"", "\"a", "\"\\\"", "\"\\x41\"", "\"\\u12\"",
		"\"\\u12g4\"", "\"\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\\ud800\\ud800\"",
		"\"a\nb\"", "\"a\tb\"", "\"a\x01\"", "\"\x1f\"", "\"\xff\"", "\"\xc3\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
		"\"\xf4\x90\x80\x80\"", "\xef\xbb\xbf{}", "// c\n1", "/**/1", "[1]]", "{\"a\":1}}", "\"a\"b", "[\"a\" \"b\"]",
		"{\"a\" 1}", "{\"a\"::1}", "{\"a\":1 \"b\":2}", "{\"a\":1,,\"b\":2}", "\v1", "1\f", "\"0123456\n\"", "\"\\",
	};

	for (size_t i = 0; i < MGR_N(bad); i++)
		is_int(check(bad[i]), -EINVAL, "bad row %zu", i);
	is_int(mgr_json_check("1\0", 2), -EINVAL, "bad: a NUL behind");
	is_int(mgr_json_check("\"\0\"", 3), -EINVAL, "bad: a NUL in a string");
	is_int(mgr_json_check("\"\\\0\"", 4), -EINVAL, "bad: an escaped NUL byte");
	is_int(mgr_json_check(NULL, 0), -EINVAL, "bad: nothing");
}

static void
test_depth(void)
{
	char text[4 * MGR_JSON_DEPTH_MAX + 16] = "";
	size_t n = MGR_JSON_DEPTH_MAX;

	memset(text, '[', n);
	memset(text + n, ']', n);
	is_int(mgr_json_check(text, 2 * n), 0, "depth n");
	memset(text, '[', n + 1);
	memset(text + n + 1, ']', n + 1);
	is_int(mgr_json_check(text, 2 * n + 2), -EINVAL, "depth n + 1");
	memset(text, '[', sizeof(text));
	is_int(mgr_json_check(text, sizeof(text)), -EINVAL, "a tower of brackets");
}

/* Any prefix of a document that is no document itself must be refused; a control byte at each place too. */
static void
test_cuts(void)
{
	static const char text[] = "{\"key\":[1.5e+7,\"plain text of some length \\u00e9 \xc3\xa9\",true,{\"a\":null}]}";
	char copy[sizeof(text)];
	bool refused = true;

	for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
		char *p = malloc(cut + 1);

		memcpy(p, text, cut);
		refused &= mgr_json_check(p, cut) == -EINVAL;
		free(p);
	}
	ok(refused, "cut at each byte: refused");
	for (size_t at = 0; at < sizeof(text) - 1; at++) {
		memcpy(copy, text, sizeof(text));
		copy[at] = '\x02';
		refused &= mgr_json_check(copy, sizeof(text) - 1) == -EINVAL;
	}
	ok(refused, "a control byte at each place: refused");
	is_int(check(text), 0, "and the whole is good");
}

/* The fast look over eight bytes at once agrees with the rule for one byte, at each place of a word. */
static void
test_each_byte(void)
{
	bool same = true;

	for (unsigned c = 0; c < 256; c++) {
		bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

		for (size_t at = 1; at < 26; at++) {
			char text[28];

			memset(text, 'a', sizeof(text));
			text[0] = text[27] = '"';
			text[at] = (char)c;
			same &= (mgr_json_check(text, sizeof(text)) == 0) == plain;
		}
	}
	ok(same, "each byte at each place of a string");
}

static void
test_cursor(void)
{
	static const char text[] = " { \"a\" : 1 , \"b\":[ \"x,]\\\"\" , {\"c\":2} ,3 ], \"d\" : {} , \"a\":true } ";
	struct mgr_json root = mgr_json_root(text, sizeof(text) - 1), key, value, item;
	struct mgr_json_iter it;
	MGR_AUTO_BUF struct mgr_buf log = {0};

	is_int(root.type, MGR_JSON_OBJECT, "cursor: the root's type");
	ok(root.p[0] == '{' && root.p[root.n - 1] == '}', "cursor: the root without white space");
	mgr_json_iter_init(&it, &root);
	while (mgr_json_next(&it, &key, &value))
		mgr_buf_addf(&log, "%.*s=%.*s;", (int)key.n, key.p, (int)value.n, value.p);
	is_str(mgr_buf_str(&log), "\"a\"=1;\"b\"=[ \"x,]\\\"\" , {\"c\":2} ,3 ];\"d\"={};\"a\"=true;", "cursor: members");
	ok(mgr_json_get(&root, "b", &value), "cursor: get");
	mgr_buf_clear(&log, 1024);
	mgr_json_iter_init(&it, &value);
	while (mgr_json_next(&it, &key, &item))
		mgr_buf_addf(&log, "%d/%zu:%.*s;", (int)item.type, key.n, (int)item.n, item.p);
	is_str(mgr_buf_str(&log), "3/0:\"x,]\\\"\";5/0:{\"c\":2};2/0:3;", "cursor: items");
	ok(mgr_json_get(&root, "a", &value) && value.type == MGR_JSON_BOOL, "cursor: the last of duplicates wins");
	ok(mgr_json_get(&root, "d", &value) && value.n == 2, "cursor: an empty object");
	mgr_json_iter_init(&it, &value);
	ok(!mgr_json_next(&it, NULL, &item), "cursor: has no members");
	ok(!mgr_json_get(&root, "c", &value), "cursor: inner members are not ours");
	ok(!mgr_json_get(&value, "x", &value), "cursor: an empty object has none");
	root = mgr_json_root("17", 2);
	mgr_json_iter_init(&it, &root);
	ok(!mgr_json_next(&it, &key, &value) && !mgr_json_get(&root, "a", &value), "cursor: a number has no members");
	root = mgr_json_root("{\"st\\u0061tus\":5}", 17);
	ok(mgr_json_get(&root, "status", &value), "cursor: an escaped key is the same key");
}

static void
is_text(const char *json, int r, const char *want, size_t want_n)
{
	struct mgr_json root = mgr_json_root(json, strlen(json));
	struct mgr_buf b = {0};

	mgr_buf_adds(&b, ">");
	is_int(mgr_json_text(&root, &b), r, "text of %s", json);
	ok(mgr_buf_n(&b) == 1 + want_n && memcmp(mgr_buf_p(&b) + 1, want, want_n) == 0, "and its bytes");
	mgr_buf_fini(&b);
}

static void
test_text(void)
{
	struct mgr_json s = mgr_json_root("\"abc\\u0000\"", 11), t = mgr_json_root("\"abcd\"", 6);
	struct mgr_buf small = {.limit = 4};
	char to[5];

	is_text("\"\"", 0, "", 0);
	is_text("\"plain\"", 0, "plain", 5);
	is_text("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 0, "\"\\/\b\f\n\r\t", 8);
	is_text("\"a\\u0000b\"", 0, "a\0b", 3);
	is_text("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00.\"", 0, "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.", 11);
	is_text("\"\\u007f\\u0080\\u07ff\\u0800\\uffff\\ud800\\udc00\\udbff\\udfff\"", 0,
		"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 19);
	is_text("17", -EINVAL, "", 0);
	is_text("null", -EINVAL, "", 0);
	is_int(mgr_json_copy(&s, to, sizeof(to)), -ERANGE, "copy: a NUL is refused");
	is_int(mgr_json_copy(&t, to, 5), 0, "copy: n fits");
	is_str(to, "abcd", "copy: with its NUL");
	is_int(mgr_json_copy(&t, to, 4), -ERANGE, "copy: n + 1 does not");
	is_int(mgr_json_copy(&t, to, 0), -ERANGE, "copy: into nothing");
	s = mgr_json_root("[]", 2);
	is_int(mgr_json_copy(&s, to, 5), -EINVAL, "copy: not a string");
	s = mgr_json_root("\"ab\\u0063\\u0064\"", 16);
	is_int(mgr_json_text(&s, &small), 0, "text: the limit counts decoded bytes");
	mgr_buf_clear(&small, 0);
	s = mgr_json_root("\"ab\\nde\"", 8);
	is_int(mgr_json_text(&s, &small), -EMSGSIZE, "text: past the limit");
	is_int(mgr_buf_n(&small), 0, "text: leaves nothing behind");
	mgr_buf_fini(&small);
}

static void
test_is(void)
{
	struct mgr_json s = mgr_json_root("\"a\\u0062c\"", 10), plain = mgr_json_root("\"abc\"", 5),
			nul = mgr_json_root("\"a\\u0000\"", 9), n = mgr_json_root("1", 1);

	ok(mgr_json_is(&s, "abc") && mgr_json_is(&plain, "abc"), "is: the same");
	ok(!mgr_json_is(&plain, "ab") && !mgr_json_is(&plain, "abcd") && !mgr_json_is(&plain, ""), "is: not the same");
	ok(!mgr_json_is(&nul, "a"), "is: a NUL is not an end");
	ok(!mgr_json_is(&n, "1"), "is: a number is no string");
}

static void
test_numbers(void)
{
	static const struct {
		const char *text;
		int64_t min, max;
		int r;
		int64_t value;
	} row[] = {
		{"0", 0, 0, 0, 0}, {"-0", 0, 0, 0, 0}, {"42", 0, 42, 0, 42}, {"43", 0, 42, -ERANGE, 7},
		{"-1", 0, 42, -ERANGE, 7}, {"-1", -1, 42, 0, -1},
		{"9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX},
		{"-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN},
		{"9223372036854775808", INT64_MIN, INT64_MAX, -ERANGE, 7},
		{"-9223372036854775809", INT64_MIN, INT64_MAX, -ERANGE, 7},
		{"1.0", 0, 9, -EINVAL, 7}, {"1e3", 0, 9999, -EINVAL, 7}, {"\"1\"", 0, 9, -EINVAL, 7}, {"true", 0, 9, -EINVAL, 7},
	};
	bool flag = false;

	for (size_t i = 0; i < MGR_N(row); i++) {
		struct mgr_json v = mgr_json_root(row[i].text, strlen(row[i].text));
		int64_t value = 7;

		is_int(mgr_json_int(&v, row[i].min, row[i].max, &value), row[i].r, "int: %s", row[i].text);
		is_int(value, row[i].value, "int: and its value");
	}
	struct mgr_json v = mgr_json_root("true", 4), none = {0};
	ok(mgr_json_bool(&v, &flag) == 0 && flag, "bool: true");
	v = mgr_json_root("false", 5);
	ok(mgr_json_bool(&v, &flag) == 0 && !flag, "bool: false");
	v = mgr_json_root("0", 1);
	is_int(mgr_json_bool(&v, &flag), -EINVAL, "bool: a number is none");
	ok(mgr_json_int(&none, 0, 9, &(int64_t){0}) == -EINVAL && mgr_json_bool(&none, &flag) == -EINVAL
		   && !mgr_json_is(&none, ""), "an absent value is nothing");
}

enum writer { STRING, KEEP, BYTES };

static void
writes(enum writer how, const char *p, size_t n, const char *want)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};

	int r = how == STRING ? mgr_json_add_string(&b, p, n) : mgr_json_add_bytes(&b, p, n, how == KEEP);
	is_int(r, 0, "write");
	is_str(mgr_buf_str(&b), want, "written by %d", (int)how);
	is_int(mgr_json_check(mgr_buf_p(&b), mgr_buf_n(&b)), 0, "and is JSON");
}

static void
test_write(void)
{
	struct mgr_buf small = {.limit = 6};

	writes(STRING, "", 0, "\"\"");
	writes(STRING, "plain text", 10, "\"plain text\"");
	writes(STRING, "\"\\/\b\f\n\r\t\x01\x1f\x7f\0", 12, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000\"");
	writes(STRING, "gr\xc3\xbc\xc3\x9f", 6, "\"gr\xc3\xbc\xc3\x9f\"");
	writes(STRING, "a\xff" "b\xc3", 4, "\"a\xef\xbf\xbd" "b\xef\xbf\xbd\"");
	writes(STRING, "\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	writes(KEEP, "\xc3\xa9\xff\x80", 4, "\"\xc3\xa9\xc3\xbf\xc2\x80\"");
	writes(BYTES, "\xc3\xa9\xff\x80", 4, "\"\xc3\x83\xc2\xa9\xc3\xbf\xc2\x80\"");
	writes(BYTES, "a\nb", 3, "\"a\\nb\"");
	is_int(mgr_json_add_string(&small, "abcd", 4), 0, "write: the limit");
	mgr_buf_clear(&small, 0);
	is_int(mgr_json_add_string(&small, "abcde", 5), -EMSGSIZE, "write: limit + 1");
	is_int(mgr_buf_n(&small), 0, "write: leaves nothing behind");
	mgr_buf_fini(&small);
}

static void
test_compact(void)
{
	static const char text[] = " {\n \"a b\" : [ 1 ,\t2 , \" \\\" \" ] ,\r\n \"c\":\"\xc3\xa9 \\\\\" , \"d\" : true }\n";
	MGR_AUTO_BUF struct mgr_buf b = {0};

	mgr_buf_adds(&b, ">");
	is_int(mgr_json_add_compact(&b, text, sizeof(text) - 1), 0, "compact");
	is_str(mgr_buf_str(&b), ">{\"a b\":[1,2,\" \\\" \"],\"c\":\"\xc3\xa9 \\\\\",\"d\":true}", "compact: white space is gone");
	is_int(mgr_json_add_compact(&b, "{\"a\": ", 6), -EINVAL, "compact: not JSON");
	is_int(mgr_json_add_compact(&b, NULL, 0), -EINVAL, "compact: nothing");
	is_int(mgr_buf_n(&b), 42, "compact: leaves nothing behind");
}

int
main(void)
{
	test_check_good();
	test_check_bad();
	test_depth();
	test_cuts();
	test_each_byte();
	test_cursor();
	test_text();
	test_is();
	test_numbers();
	test_write();
	test_compact();
	return done_testing();
}
