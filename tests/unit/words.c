/*
 * The lines of mgr-ctl up -f: words with the quoting of the shell.
 */
#include <errno.h>

#include "../../bin/mgr-ctl/words.h"
#include "tap.h"

/* The words of all lines, "|" between words and "/" behind a line. */
static const char *
flat(const char *text, size_t n)
{
	static char out[4096];
	struct words_reader r;
	struct words w = {0};
	unsigned line = 0;
	const char *why = "?";
	size_t at = 0;
	int got;

	out[0] = '\0';
	words_open(&r, text, n);
	while ((got = words_next(&r, &w, &line, &why)) > 0) {
		for (int i = 0; i < got; i++)
			at += (size_t)snprintf(out + at, sizeof(out) - at, "%s%s", i > 0 ? "|" : "", w.argv[i]);
		at += (size_t)snprintf(out + at, sizeof(out) - at, "/");
		if (w.argv[got] != NULL)
			at += (size_t)snprintf(out + at, sizeof(out) - at, "no NULL");
	}
	if (got < 0)
		snprintf(out + at, sizeof(out) - at, "%s at %u", got == -EINVAL ? why : "error", line);
	words_fini(&w);
	return out;
}

static const struct {
	const char *text, *want;
} rows[] = {
	{"", ""},
	{"\n \t\n\r\n", ""},
	{"a", "a/"},
	{"a b\n", "a|b/"},
	{"  a\t b \r\nc\n", "a|b/c/"},
	{"# all of it\n", ""},
	{"a #b c\nd", "a/d/"},
	{"a#b c", "a#b|c/"},
	{"'#a' \\#b", "#a|#b/"},
	{"#\n#\n\na", "a/"},
	{"'a b' \"c d\" e\\ f", "a b|c d|e f/"},
	{"a'b'\"c\"d", "abcd/"},
	{"'' \"\"", "|/"},
	{"'a\\b' 'a\"b'", "a\\b|a\"b/"},
	{"\"a\\\"b\" \"a\\\\b\" \"\\$x\" \"\\`\" \"\\n\" \"a'b\"", "a\"b|a\\b|$x|`|\\n|a'b/"},
	{"$HOME `x` $(y) * ? ~ a;b a&b a>b {x,y} !x", "$HOME|`x`|$(y)|*|?|~|a;b|a&b|a>b|{x,y}|!x/"},
	{"a \\\n b\nc", "a|b/c/"},
	{"a\\\nb", "ab/"},
	{"\"a\\\nb\"", "ab/"},
	{"'a\nb' c", "a\nb|c/"},
	{"# a comment \\\nb", "b/"},
	{"hello -n 3 -- ./hello.py", "hello|-n|3|--|./hello.py/"},
	{"items --route 'GET /items/{id}' -- x", "items|--route|GET /items/{id}|--|x/"},
	{"\xc3\xbc \xff", "\xc3\xbc|\xff/"},
	{"a 'b", "a ' is not closed at 1"},
	{"a\n\nb \"c\nd", "a/a \" is not closed at 3"},
	{"a \\", "nothing follows a \\ at 1"},
	{"'", "a ' is not closed at 1"},
	{"\"\\", "a \" is not closed at 1"},
};

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_str(flat(rows[i].text, strlen(rows[i].text)), rows[i].want, "row %zu", i);
}

/* Whatever the text is cut to, reading ends and stays inside (the sanitizers watch). */
static void
test_cut(void)
{
	bool good = true;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = strlen(rows[i].text);
		for (size_t cut = 0; cut <= n; cut++) {
			char *copy = malloc(cut == 0 ? 1 : cut);
			if (copy == NULL)
				bail_out("out of memory");
			memcpy(copy, rows[i].text, cut);
			good = flat(copy, cut) != NULL && good;
			free(copy);
		}
	}
	ok(good, "every row cut at every byte");
}

static void
test_lines(void)
{
	static const char text[] = "\n# x\na \\\n b\n'c\nd' e\n\nf\n";
	static const unsigned want[] = {3, 5, 8};
	struct words_reader r;
	struct words w = {0};
	unsigned line = 0;
	const char *why;

	words_open(&r, text, sizeof(text) - 1);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		ok(words_next(&r, &w, &line, &why) > 0, "a line");
		is_int(line, want[i], "its number");
	}
	is_int(words_next(&r, &w, &line, &why), 0, "the end");
	is_int(words_next(&r, &w, &line, &why), 0, "and again");
	words_fini(&w);
}

static void
test_limits(void)
{
	size_t n = 600 * 1024;
	char *text = malloc(n);

	if (text == NULL)
		bail_out("out of memory");
	memset(text, 'a', n);
	ok(strstr(flat(text, n), "too long") != NULL, "a word without end");
	for (size_t i = 0; i < n; i += 2)
		text[i] = ' ';
	ok(strstr(flat(text, n), "too long") != NULL, "words without end");
	free(text);
	is_str(flat("a\0b", 3), "it holds a NUL at 1", "a NUL");
	is_str(flat("'a\0b'", 5), "it holds a NUL at 1", "a quoted NUL");
}

int
main(void)
{
	test_rows();
	test_cut();
	test_lines();
	test_limits();
	return done_testing();
}
