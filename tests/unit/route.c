/*
 * Routes: which patterns are taken, which route a request finds, what a 405 allows.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/auto.h"
#include "tap.h"
#include "wire/route.h"

static void
test_parse_good(void)
{
	static const struct {
		const char *text, *method, *pattern;
	} row[] = {
		{"/a", "", "/a"},
		{"GET /a", "GET", "/a"},
		{"/", "", "/"},
		{"PUT /items/{id}", "PUT", "/items/{id}"},
		{"M-SEARCH /{a}/b/{_c9}", "M-SEARCH", "/{a}/b/{_c9}"},
		{"ABCDEFGHIJKLMNO /x", "ABCDEFGHIJKLMNO", "/x"},
		{"/a b", "", "/a b"},
		{"POST /a b", "POST", "/a b"},
		{"/gr\xc3\xbc\xc3\x9f", "", "/gr\xc3\xbc\xc3\x9f"},
		{"/healthy", "", "/healthy"},
		{"/a/health/_x", "", "/a/health/_x"},
		{"/a_", "", "/a_"},
	};

	for (size_t i = 0; i < MGR_N(row); i++) {
		char method[MGR_ROUTE_METHOD_MAX], pattern[MGR_ROUTE_PATTERN_MAX + 1];
		const char *why = "";

		is_int(mgr_route_parse(row[i].text, strlen(row[i].text), method, pattern, &why), 0, "taken: %s %s",
		       row[i].text, why);
		is_str(method, row[i].method, "its method");
		is_str(pattern, row[i].pattern, "its pattern");
	}
}

static void
test_parse_bad(void)
{
	static const struct {
		const char *text, *why;
	} row[] = {
		{"", "begin with '/'"}, {"a", "begin with '/'"}, {"GET a", "begin with '/'"}, {"GET  /a", "begin with '/'"},
		{"GET ", "begin with '/'"}, {" /a", "token"}, {"G(T /a", "token"}, {"get /a", "capital"},
		{"ABCDEFGHIJKLMNOP /a", "longer than 15"}, {"//", "empty segment"}, {"/a/", "empty segment"},
		{"/a//b", "empty segment"}, {"//a", "empty segment"}, {"/a%20b", "'%'"}, {"/a?x", "'%'"}, {"/a#x", "'%'"},
		{"/a\n", "control"}, {"/a\x7f", "control"}, {"/a\xff", "UTF-8"}, {"/{}", "parameter"}, {"/{a", "parameter"},
		{"/a}", "parameter"}, {"/x{a}", "parameter"}, {"/{a}x", "parameter"}, {"/{a}{b}", "parameter"},
		{"/{a b}", "parameter"}, {"/{1a}", "parameter"}, {"/{a-b}", "parameter"}, {"/{{a}}", "parameter"},
		{"/{a}/{a}", "same name"}, {"/_x", "reserved"}, {"/_", "reserved"}, {"POST /__ping__", "reserved"},
		{"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}", "16 parameters"},
	};
	char text[MGR_ROUTE_PATTERN_MAX + 8], method[MGR_ROUTE_METHOD_MAX] = "old", pattern[MGR_ROUTE_PATTERN_MAX + 1];
	const char *why = "";

	for (size_t i = 0; i < MGR_N(row); i++) {
		why = "";
		is_int(mgr_route_parse(row[i].text, strlen(row[i].text), method, pattern, &why), -EINVAL,
		       "refused: row %zu", i);
		ok(strstr(why, row[i].why) != NULL, "because %s", why);
	}
	is_str(method, "old", "a refusal writes nothing");
	is_int(mgr_route_parse("/a\0b", 4, method, pattern, &why), -EINVAL, "refused: NUL in the pattern");
	is_int(mgr_route_parse("G\0T /a", 6, method, pattern, &why), -EINVAL, "refused: NUL in the method");
	memset(text, 'a', sizeof(text));
	memcpy(text, "PUT /", 5);
	is_int(mgr_route_parse(text, 4 + MGR_ROUTE_PATTERN_MAX, method, pattern, &why), 0, "256 bytes are taken");
	is_int(strlen(pattern), MGR_ROUTE_PATTERN_MAX, "all of them");
	is_int(mgr_route_parse(text, 5 + MGR_ROUTE_PATTERN_MAX, method, pattern, &why), -EINVAL, "257 are refused");
	for (const char *const *name = mgr_route_reserved; *name != NULL; name++) {
		int n = snprintf(text, sizeof(text), "POST /%s", *name);
		is_int(mgr_route_parse(text, (size_t)n, method, pattern, &why), -EINVAL, "reserved: %s", *name);
		n = snprintf(text, sizeof(text), "/%s/{x}", *name);
		is_int(mgr_route_parse(text, (size_t)n, method, pattern, &why), -EINVAL, "reserved: below %s", *name);
		ok(mgr_route_is_reserved(*name, strlen(*name)) && !mgr_route_is_reserved(*name, strlen(*name) - 1),
		   "reserved: the whole word");
	}
	ok(mgr_route_is_reserved("_", 1) && !mgr_route_is_reserved("", 0), "reserved: what begins with _");
}

static struct mgr_routes *
table(const char *const *text)
{
	struct mgr_routes *routes = NULL;
	const char *why;

	mgr_routes_new(&routes);
	for (uint32_t owner = 1; *text != NULL; text++, owner++) {
		char method[MGR_ROUTE_METHOD_MAX], pattern[MGR_ROUTE_PATTERN_MAX + 1];
		uint32_t conflict;

		if (mgr_route_parse(*text, strlen(*text), method, pattern, &why) < 0
		    || mgr_routes_add(routes, method, pattern, owner, &conflict) < 0)
			ok(false, "%s is added", *text);
	}
	return routes;
}

/* What a request finds as text: the owner and its parameters, "-" for 404, the methods for 405. */
static void
finds(const struct mgr_routes *routes, const char *method, const char *path, const char *want)
{
	struct mgr_route_match m = {0};
	MGR_AUTO_BUF struct mgr_buf got = {0};

	int r = mgr_routes_find(routes, method, path, strlen(path), &m, &got);
	if (r == -ENOENT)
		mgr_buf_adds(&got, "-");
	if (r == 0)
		mgr_buf_addu(&got, m.owner);
	for (size_t i = 0; r == 0 && i < m.param_n; i++)
		mgr_buf_addf(&got, " %.*s=%.*s", (int)m.param[i].name_n, m.param[i].name, (int)m.param[i].value_n,
			     m.param[i].value);
	is_str(mgr_buf_str(&got), want, "%s %s", method, path);
}

static void
test_find(void)
{
	static const char *const text[] = {
		"GET /items/{id}",      /* 1 */
		"PUT /items/{key}",     /* 2: another name at the same place */
		"GET /items/new",       /* 3 */
		"/any",                 /* 4 */
		"GET /any",             /* 5 */
		"GET /{a}/{b}/c",       /* 6 */
		"GET /x/{b}/d",         /* 7 */
		"POST /x/y/{c}",        /* 8 */
		"GET /",                /* 9 */
		"POST /gr\xc3\xbc\xc3\x9f", /* 10 */
		"POST /a b",            /* 11 */
		"HEAD /items/new",      /* 12 */
		"/free/{x}",            /* 13 */
		"POST /hello",          /* 14 */
		NULL,
	};
	struct mgr_routes *routes = table(text);

	finds(routes, "GET", "/items/42", "1 id=42");
	finds(routes, "PUT", "/items/42", "2 key=42");
	finds(routes, "GET", "/items/new", "3");
	finds(routes, "PUT", "/items/new", "2 key=new");
	finds(routes, "HEAD", "/items/42", "1 id=42");
	finds(routes, "HEAD", "/items/new", "12");
	finds(routes, "DELETE", "/items/42", "GET, HEAD, PUT");
	finds(routes, "DELETE", "/items/new", "GET, HEAD, PUT");
	finds(routes, "POST", "/any", "4");
	finds(routes, "GET", "/any", "5");
	finds(routes, "HEAD", "/any", "5");
	finds(routes, "get", "/any", "4");
	finds(routes, "GET", "/x/y/c", "6 a=x b=y");
	finds(routes, "GET", "/x/y/d", "7 b=y");
	finds(routes, "POST", "/x/y/d", "8 c=d");
	finds(routes, "PUT", "/x/y/d", "POST, GET, HEAD");
	finds(routes, "GET", "/x/y/e", "POST");
	finds(routes, "GET", "/", "9");
	finds(routes, "POST", "/", "GET, HEAD");
	finds(routes, "ANYTHING-AT-ALL-LONG", "/free/1", "13 x=1");
	finds(routes, "POST", "/gr%C3%BC%c3%9f", "10");
	finds(routes, "POST", "/gr\xc3\xbc\xc3\x9f", "10");
	finds(routes, "POST", "/a%20b", "11");
	finds(routes, "POST", "/a+b", "-");
	finds(routes, "POST", "/%68ello", "14");
	finds(routes, "POST", "/hello%00", "-");
	finds(routes, "POST", "/hello%", "-");
	finds(routes, "POST", "/hello%2", "-");
	finds(routes, "POST", "/hello%zz", "-");
	finds(routes, "POST", "/hell", "-");
	finds(routes, "POST", "/hello2", "-");
	finds(routes, "POST", "/Hello", "-");
	finds(routes, "POST", "/hello/", "-");
	finds(routes, "POST", "//hello", "-");
	finds(routes, "GET", "/items/", "-");
	finds(routes, "GET", "/items", "-");
	finds(routes, "GET", "/items/1/2", "-");
	finds(routes, "GET", "/items%2F42", "-");
	finds(routes, "GET", "/items/4%2F2", "1 id=4%2F2");
	finds(routes, "GET", "/items/%zz", "1 id=%zz");
	finds(routes, "GET", "/items/{id}", "1 id={id}");
	finds(routes, "OPTIONS", "*", "-");
	finds(routes, "GET", "", "-");
	finds(routes, "GET", "items", "-");
	mgr_routes_free(routes);
	mgr_routes_free(NULL);
}

static void
test_allow(void)
{
	static const char *const text[] = {"GET /a", NULL};
	struct mgr_routes *routes = table(text);
	MGR_AUTO_BUF struct mgr_buf allow = {0};
	struct mgr_route_match m;

	mgr_buf_adds(&allow, "Allow: ");
	is_int(mgr_routes_find(routes, "PUT", "/a", 2, &m, &allow), -EPERM, "allow: a wrong method");
	is_str(mgr_buf_str(&allow), "Allow: GET, HEAD", "allow: is added to what is there");
	is_int(mgr_routes_find(routes, "PUT", "/a", 2, &m, NULL), -EPERM, "allow: may be left out");
	is_int(mgr_routes_find(routes, "PUT", "/b", 2, &m, &allow), -ENOENT, "allow: no path");
	is_str(mgr_buf_str(&allow), "Allow: GET, HEAD", "allow: nothing is added then");
	mgr_routes_free(routes);
}

static void
test_conflicts(void)
{
	struct mgr_routes *routes = NULL;
	uint32_t other = 99;

	is_int(mgr_routes_new(&routes), 0, "conflict: a table");
	is_int(mgr_routes_add(routes, "GET", "/a/{x}", 1, &other), 0, "conflict: the first");
	is_int(mgr_routes_add(routes, "GET", "/a/{x}", 1, &other), 0, "conflict: the same again is none");
	is_int(mgr_routes_add(routes, "GET", "/a/{y}", 1, &other), 0, "conflict: nor with another parameter name");
	is_int(mgr_routes_add(routes, "PUT", "/a/{x}", 2, &other), 0, "conflict: nor another method");
	is_int(mgr_routes_add(routes, "", "/a/{x}", 2, &other), 0, "conflict: nor any method, which comes last");
	is_int(mgr_routes_add(routes, "GET", "/a/b", 2, &other), 0, "conflict: nor a more specific one");
	is_int(other, 99, "conflict: none was named");
	is_int(mgr_routes_add(routes, "GET", "/a/{z}", 2, &other), -EEXIST, "conflict: the same requests");
	is_int(other, 1, "conflict: the owner is named");
	is_int(mgr_routes_add(routes, "", "/a/{z}", 1, &other), -EEXIST, "conflict: any method twice");
	is_int(other, 2, "conflict: its owner");
	is_int(mgr_routes_add(routes, "GET", "a", 1, &other), -EINVAL, "conflict: no pattern");
	is_int(mgr_routes_add(routes, "GET", "/a/", 1, &other), -EINVAL, "conflict: an empty segment");
	is_int(mgr_routes_add(routes, "GET", "/{a", 1, &other), -EINVAL, "conflict: half a parameter");
	is_int(mgr_routes_add(routes, "GET", "/a{b}", 1, &other), -EINVAL, "conflict: a parameter inside");
	is_int(mgr_routes_add(routes, "ABCDEFGHIJKLMNOP", "/b", 1, &other), -EINVAL, "conflict: a long method");
	is_int(mgr_routes_add(routes, "GET", "/health", 1, &other), 0, "conflict: the caller may own reserved names");
	mgr_routes_free(routes);
}

static void
test_many(void)
{
	enum { N = 10000 };
	struct mgr_routes *routes = NULL;
	bool good = true;
	char text[64];

	mgr_routes_new(&routes);
	for (uint32_t i = 0; i < N; i++) {
		uint32_t other;

		snprintf(text, sizeof(text), "/h%u/{id}/x%u", i, i % 7);
		good &= mgr_routes_add(routes, "POST", text, i, &other) == 0;
	}
	for (uint32_t i = 0; i < N; i++) {
		struct mgr_route_match m;

		int n = snprintf(text, sizeof(text), "/h%u/%u/x%u", i, i + 1, i % 7);
		good &= mgr_routes_find(routes, "POST", text, (size_t)n, &m, NULL) == 0 && m.owner == i
			&& m.param_n == 1 && strtoul(m.param[0].value, NULL, 10) == i + 1;
	}
	ok(good, "%d routes, each is found", N);
	mgr_routes_free(routes);
}

/* The deepest pattern, the most parameters, and a path far deeper than any pattern. */
static void
test_depth(void)
{
	char deep[MGR_ROUTE_PATTERN_MAX + 1], params[MGR_ROUTE_PATTERN_MAX + 1] = "", path[8000];
	struct mgr_routes *routes = NULL;
	struct mgr_route_match m;
	uint32_t other;
	size_t n = 0;

	mgr_routes_new(&routes);
	for (size_t i = 0; i < MGR_ROUTE_PATTERN_MAX; i++)
		deep[i] = i % 2 == 0 ? '/' : 'a';
	deep[MGR_ROUTE_PATTERN_MAX] = '\0';
	for (int i = 0; i < MGR_ROUTE_PARAM_MAX; i++)
		n += (size_t)snprintf(params + n, sizeof(params) - n, "/{p%d}", i);
	is_int(mgr_routes_add(routes, "", deep, 1, &other), 0, "depth: 128 segments");
	is_int(mgr_routes_add(routes, "", params, 2, &other), 0, "depth: 16 parameters");
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 2 == 0 ? '/' : 'a';
	ok(mgr_routes_find(routes, "GET", path, MGR_ROUTE_PATTERN_MAX, &m, NULL) == 0 && m.owner == 1, "depth: found");
	ok(mgr_routes_find(routes, "GET", path, 32, &m, NULL) == 0 && m.param_n == 16
		   && memcmp(m.param[15].name, "p15", 3) == 0, "depth: 16 values");
	is_int(mgr_routes_find(routes, "GET", path, sizeof(path), &m, NULL), -ENOENT, "depth: a deeper path");
	memset(path + 1, 'a', sizeof(path) - 1);
	is_int(mgr_routes_find(routes, "GET", path, sizeof(path), &m, NULL), -ENOENT, "depth: a long segment");
	memcpy(path + 1, "%61", 3);
	is_int(mgr_routes_find(routes, "GET", path, sizeof(path), &m, NULL), -ENOENT, "depth: a long segment with escapes");
	mgr_routes_free(routes);
}

static void
decodes(const char *in, size_t n, bool plus, int r, const char *want)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};

	is_int(mgr_route_decode(in, n, plus, &b), r, "decode %s", in);
	is_str(mgr_buf_str(&b), want, "gives %s", want);
}

static void
test_decode(void)
{
	decodes("", 0, false, 0, "");
	decodes("abc", 3, true, 0, "abc");
	decodes("a+b", 3, false, 0, "a+b");
	decodes("a+b%2b", 6, true, 0, "a b+");
	decodes("%41%2f%C3%a9", 12, false, 0, "A/\xc3\xa9");
	decodes("%2541", 5, false, 0, "%41");
	decodes("%", 1, false, -EINVAL, "");
	decodes("a%4", 3, false, -EINVAL, "");
	decodes("%4g", 3, false, -EINVAL, "");
	decodes("%g4", 3, false, -EINVAL, "");
	decodes("%%41", 4, false, -EINVAL, "");
	decodes("a%00", 4, false, -EINVAL, "");
	decodes("a\0b", 3, false, -EINVAL, "");
	decodes("%ff", 3, false, 0, "\xff");
}

int
main(void)
{
	test_parse_good();
	test_parse_bad();
	test_find();
	test_allow();
	test_conflicts();
	test_many();
	test_depth();
	test_decode();
	return done_testing();
}
