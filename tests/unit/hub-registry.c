/*
 * The registry of mgr-hub: what a worker may say, which routes conflict, who is listed.
 * Linked with bin/mgr-hub/{worker,registry,regdoc}.c.
 */
#include "../../bin/mgr-hub/hub.h"

#include <errno.h>

#include "tap.h"

/* A worker from JSON members; the client only has to be there. */
static struct worker *
make(const char *name, const char *routes, bool live)
{
	static struct client client;
	MGR_AUTO_BUF struct mgr_buf b = {0};
	char why[HUB_WHY_MAX] = "";
	struct worker *w = NULL;
	struct mgr_doc *doc;

	mgr_buf_addf(&b, "{\"name\":\"%s\",\"lane\":\"/l\",\"control\":\"/c\",\"state\":\"ready\",\"want\":1,\"ready\":1,"
			 "\"routes\":[%s]}", name, routes);
	if (mgr_doc_parse(mgr_buf_p(&b), mgr_buf_n(&b), &doc) < 0)
		bail_out("test document");
	if (worker_read(doc, &w, why, sizeof(why)) < 0)
		diag("%s: %s", name, why);
	mgr_doc_free(doc);
	if (w != NULL && live)
		w->client = &client;
	return w;
}

#define ROUTE(method, pattern) "{\"method\":\"" method "\",\"pattern\":\"" pattern "\"}"

static void
drain(struct registry *r)
{
	while (!TAILQ_EMPTY(&r->workers)) {
		struct worker *w = TAILQ_FIRST(&r->workers);
		registry_del(r, w);
		worker_free(w);
	}
}

static void
test_conflicts(void)
{
	static const struct {
		const char *name, *routes;
		int result;
		const char *part; /* of the sentence */
	} row[] = {
		{"b", ROUTE("GET", "/items/{key}"), -EEXIST, "GET /items/{id} of 'a'"},
		{"b", ROUTE("PUT", "/items/{key}"), 0, NULL},
		{"b", ROUTE("GET", "/items/new"), 0, NULL},
		{"b", ROUTE("GET", "/items"), 0, NULL},
		{"b", ROUTE("GET", "/free") "," ROUTE("", "/all"), -EEXIST, "/all of 'a'"},
		{"b", ROUTE("POST", "/all"), 0, NULL}, /* more specific than any method */
		{"b", ROUTE("", "/z") "," ROUTE("GET", "/z"), 0, NULL},
		{"a", ROUTE("GET", "/items/{id}") "," ROUTE("", "/all"), 0, NULL},
		{"a", ROUTE("GET", "/items/{id}"), -EEXIST, "other routes"},
		{"c", ROUTE("GET", "/left"), 0, NULL},
	};
	struct registry r;
	char why[HUB_WHY_MAX];

	registry_init(&r);
	registry_add(&r, make("a", ROUTE("GET", "/items/{id}") "," ROUTE("", "/all"), true));
	struct worker *leaving = make("d", ROUTE("GET", "/left"), true);
	leaving->show = SHOW_LEAVING;
	registry_add(&r, leaving);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct worker *w = make(row[i].name, row[i].routes, true);
		int got = registry_check(&r, w, false, why, sizeof(why));
		is_int(got, row[i].result, "row %zu: %s %s", i, row[i].name, row[i].routes);
		if (row[i].part != NULL && got < 0)
			ok(strstr(why, row[i].part) != NULL, "row %zu says: %s", i, why);
		worker_free(w);
	}
	struct worker *next = make("a", ROUTE("GET", "/new"), true);
	is_int(registry_check(&r, next, true, why, sizeof(why)), 0, "the next version of a name may have other routes");
	next->uid = 4711;
	is_int(registry_check(&r, next, false, why, sizeof(why)), -EEXIST, "another uid may not share a name");
	ok(strstr(why, "another user") != NULL, "and is told so: %s", why);
	worker_free(next);
	drain(&r);
}

/* Many names of many routes: the owner that a conflict names is the right one. */
static void
test_owner(void)
{
	struct registry r;
	char name[16], routes[128], want[32], why[HUB_WHY_MAX] = "";

	registry_init(&r);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "n%02d", i);
		snprintf(routes, sizeof(routes), ROUTE("GET", "/n%02d/{x}") "," ROUTE("PUT", "/n%02d"), i, i);
		registry_add(&r, make(name, routes, true));
		if (i % 3 == 0)
			registry_add(&r, make(name, routes, true));
	}
	for (int i = 0; i < 50; i += 7) {
		snprintf(routes, sizeof(routes), ROUTE("PUT", "/n%02d"), i);
		snprintf(want, sizeof(want), "'n%02d'", i);
		struct worker *w = make("other", routes, true);
		ok(registry_check(&r, w, false, why, sizeof(why)) == -EEXIST && strstr(why, want) != NULL, "%s", why);
		worker_free(w);
	}
	drain(&r);
}

static void
test_order(void)
{
	static const char *const names[] = {"b", "a", "c", "a", "b"};
	struct registry r;
	struct worker *w, *last = NULL;
	bool sorted = true;

	registry_init(&r);
	for (size_t i = 0; i < 5; i++) {
		w = make(names[i], ROUTE("GET", "/x"), true);
		snprintf(w->id, sizeof(w->id), "%zu", 9 - i);
		registry_add(&r, w);
	}
	TAILQ_FOREACH(w, &r.workers, link) {
		if (last != NULL && (strcmp(last->name, w->name) > 0 ||
				     (strcmp(last->name, w->name) == 0 && strcmp(last->id, w->id) > 0)))
			sorted = false;
		last = w;
	}
	ok(sorted && r.n == 5, "sorted by name, then id");
	drain(&r);
}

static void
test_lists(void)
{
	struct registry r;
	struct worker *good = make("a", ROUTE("GET", "/a"), true), *bad = make("a", ROUTE("GET", "/a"), true),
		      *ghost = make("a", ROUTE("GET", "/a"), false);

	registry_init(&r);
	registry_add(&r, good);
	registry_add(&r, bad);
	registry_add(&r, ghost);
	bad->state = WORKER_FAILED;
	bad->ready = ghost->ready = 0;
	ok(registry_lists(&r, good) && !registry_lists(&r, bad) && !registry_lists(&r, ghost),
	   "beside a good worker a failed one and a ghost are not listed");
	good->state = WORKER_STARTING;
	good->ready = 0;
	ok(registry_lists(&r, good) && !registry_lists(&r, bad), "a starting one is good");
	good->show = SHOW_TRIAL;
	ok(!registry_lists(&r, good) && registry_lists(&r, bad) && registry_lists(&r, ghost),
	   "one on trial is neither listed nor a reason to hide others");
	bad->state = WORKER_DRAINING;
	ok(!registry_lists(&r, bad), "a draining one is not listed");
	drain(&r);
}

static void
test_documents(void)
{
	static const struct {
		const char *text;
		int result;
	} row[] = {
		{"{\"name\":\"a\",\"args\":[],\"cmd\":[\"/x\"],\"cwd\":\"/\"}", 0},
		{"{\"name\":\"a\",\"args\":[\"--route\",\"GET /a\"],\"cmd\":[\"/x\"],\"cwd\":\"/\",\"more\":1}", 0},
		{"{\"name\":\"a\",\"args\":[\"--route\",\"/a/\\u0001\"],\"cmd\":[\"/x\"],\"cwd\":\"/\"}", -EINVAL},
		{"{\"name\":\"a\",\"args\":[\"--\"],\"cmd\":[\"/x\"],\"cwd\":\"/\"}", -EINVAL},
		{"{\"name\":\"a\",\"args\":[1],\"cmd\":[\"/x\"],\"cwd\":\"/\"}", -EINVAL},
		{"{\"name\":\"a\",\"args\":[],\"cmd\":[],\"cwd\":\"/\"}", -EINVAL},
		{"{\"name\":\"a\",\"args\":[],\"cmd\":[\"x\"],\"cwd\":\"/\"}", -EINVAL},
		{"{\"name\":\"a\\u0000b\",\"args\":[],\"cmd\":[\"/x\"],\"cwd\":\"/\"}", -EINVAL},
		{"{\"name\":\"health\",\"args\":[],\"cmd\":[\"/x\"],\"cwd\":\"/\"}", -EINVAL},
		{"{\"name\":\"a\",\"cmd\":[\"/x\"],\"cwd\":\"/\"}", -EINVAL},
		{"[]", -EINVAL},
		{"", -EINVAL},
	};
	char why[HUB_WHY_MAX];

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct mgr_doc *doc = NULL;
		why[0] = '\0';
		is_int(regdoc_read(row[i].text, strlen(row[i].text), &doc, why, sizeof(why)), row[i].result,
		       "%s %s", row[i].text, why);
		mgr_doc_free(doc);
	}
}

static void
test_ghost(void)
{
	static const char text[] = "{\"name\":\"a\",\"cmd\":[\"/x\"],\"cwd\":\"/\",\"args\":[\"--replicas\",\"3\","
				   "\"--route=GET /a/{b}\",\"--drain-time\",\"250ms\",\"--route\",\"/c\"]}";
	struct mgr_doc *doc;
	char why[HUB_WHY_MAX];

	if (regdoc_read(text, sizeof(text) - 1, &doc, why, sizeof(why)) < 0)
		bail_out(why);
	struct worker *w = worker_from_doc(doc);
	ok(w->want == 3 && w->route_n == 2, "a ghost has the replicas and routes of its registration");
	is_str(w->route[0].pattern, "/a/{b}", "the first route");
	is_str(w->route[1].method, "", "the second one is for any method");
	is_int(regdoc_duration(doc, "drain-time", 1), 250 * MGR_MS, "a duration of the registration");
	is_int(regdoc_duration(doc, "grace", 7), 7, "one that is not given");
	worker_free(w);
	mgr_doc_free(doc);
}

int
main(void)
{
	test_conflicts();
	test_owner();
	test_order();
	test_lists();
	test_documents();
	test_ghost();
	return done_testing();
}
