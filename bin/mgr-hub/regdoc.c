#include "hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define TEXT_MAX 65536 /* bytes of one argument */

static int
refuse(char *why, size_t why_n, const char *what)
{
	snprintf(why, why_n, "%s", what);
	return -EINVAL;
}

const char *
regdoc_name(const struct mgr_doc *doc)
{
	return mgr_doc_str(doc, "name", "");
}

const char *
regdoc_option(const struct mgr_doc *doc, const char *name, const char *fallback)
{
	const struct mgr_doc *args = mgr_doc_get(doc, "args");
	size_t n = strlen(name);

	for (size_t i = 0; i < mgr_doc_n(args); i++) {
		const char *text = mgr_doc_text(mgr_doc_at(args, i));
		if (text == NULL || strncmp(text, "--", 2) != 0 || strncmp(text + 2, name, n) != 0)
			continue;
		if (text[n + 2] == '=')
			return text + n + 3;
		if (text[n + 2] == '\0' && i + 1 < mgr_doc_n(args))
			return mgr_doc_text(mgr_doc_at(args, i + 1));
	}
	return fallback;
}

int64_t
regdoc_duration(const struct mgr_doc *doc, const char *name, int64_t fallback_ns)
{
	const char *text = doc == NULL ? NULL : regdoc_option(doc, name, NULL);
	int64_t ns;

	return text != NULL && mgr_num_parse_duration(text, &ns) == 0 ? ns : fallback_ns;
}

static bool
are_texts(const struct mgr_doc *list, size_t min)
{
	if (!mgr_doc_is_array(list) || mgr_doc_n(list) < min || mgr_doc_n(list) > HUB_ARG_MAX)
		return false;
	for (size_t i = 0; i < mgr_doc_n(list); i++) {
		const char *text = mgr_doc_text(mgr_doc_at(list, i));
		if (text == NULL || strlen(text) > TEXT_MAX)
			return false;
	}
	return true;
}

static int
check_route(const char *text, size_t *n, char *why, size_t why_n)
{
	char method[MGR_ROUTE_METHOD_MAX], pattern[MGR_ROUTE_PATTERN_MAX + 1];
	const char *what = "bad";

	if (++*n > HUB_ROUTE_MAX)
		return refuse(why, why_n, "more than 64 routes");
	if (mgr_route_parse(text, strlen(text), method, pattern, &what) == 0)
		return 0;
	snprintf(why, why_n, "route '%.300s': %s", text, what);
	return -EINVAL;
}

static int
check_routes(const struct mgr_doc *args, char *why, size_t why_n)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < mgr_doc_n(args) && r == 0; i++) {
		const char *text = mgr_doc_text(mgr_doc_at(args, i));
		if (strncmp(text, "--route=", 8) == 0)
			r = check_route(text + 8, &n, why, why_n);
		else if (strcmp(text, "--route") == 0 && i + 1 < mgr_doc_n(args))
			r = check_route(mgr_doc_text(mgr_doc_at(args, ++i)), &n, why, why_n);
		else if (strcmp(text, "--") == 0)
			r = refuse(why, why_n, "args must not hold --");
	}
	return r;
}

static int
check(const struct mgr_doc *doc, char *why, size_t why_n)
{
	const char *name = regdoc_name(doc), *cwd = mgr_doc_str(doc, "cwd", "");

	if (!mgr_text_is_name(name, strlen(name)))
		return refuse(why, why_n, "name must be 1-64 of A-Z a-z 0-9 _ . - and begin with a letter or digit");
	if (mgr_route_is_reserved(name, strlen(name)))
		return refuse(why, why_n, "this name is reserved");
	if (!are_texts(mgr_doc_get(doc, "args"), 0))
		return refuse(why, why_n, "args must be a list of at most 1024 texts");
	if (!are_texts(mgr_doc_get(doc, "cmd"), 1))
		return refuse(why, why_n, "cmd must be a list of 1 to 1024 texts");
	if (mgr_doc_text(mgr_doc_at(mgr_doc_get(doc, "cmd"), 0))[0] != '/')
		return refuse(why, why_n, "the command must be an absolute path");
	if (cwd[0] != '/' || strlen(cwd) > TEXT_MAX)
		return refuse(why, why_n, "cwd must be an absolute path");
	return check_routes(mgr_doc_get(doc, "args"), why, why_n);
}

/* The known members only, so that two documents that mean the same compare as equal. */
static struct mgr_doc *
copy(const struct mgr_doc *from)
{
	struct mgr_doc *to = mgr_doc_object();

	if (to == NULL)
		return NULL;
	if (mgr_doc_set_str(to, "name", regdoc_name(from)) == 0 &&
	    mgr_doc_set(to, "args", mgr_doc_copy(mgr_doc_get(from, "args"))) == 0 &&
	    mgr_doc_set(to, "cmd", mgr_doc_copy(mgr_doc_get(from, "cmd"))) == 0 &&
	    mgr_doc_set_str(to, "cwd", mgr_doc_str(from, "cwd", "")) == 0)
		return to;
	mgr_doc_free(to);
	return NULL;
}

int
regdoc_read(const char *p, size_t n, struct mgr_doc **ret_doc, char *why, size_t why_n)
{
	struct mgr_doc *doc;
	int r;

	if (n > HUB_DOC_MAX)
		return refuse(why, why_n, "larger than 256 KiB");
	r = mgr_doc_parse(p, n, &doc);
	if (r < 0) {
		snprintf(why, why_n, "%s", r == -ENOMEM ? "out of memory" : "not JSON");
		return r == -ENOMEM ? r : -EINVAL;
	}
	r = mgr_doc_is_object(doc) ? check(doc, why, why_n) : refuse(why, why_n, "not an object");
	struct mgr_doc *known = r == 0 ? copy(doc) : NULL;
	mgr_doc_free(doc);
	if (r < 0)
		return r;
	if (known == NULL) {
		snprintf(why, why_n, "out of memory");
		return -ENOMEM;
	}
	*ret_doc = known;
	return 0;
}
