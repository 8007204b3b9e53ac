/*
 * lint: does a handler keep to the protocol?  One line per check.  A handler that failed one is started
 * again for the next.
 */
#include "lint.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/auto.h"
#include "base/num.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/spawn.h"

const struct mgr_opt lint_options[] = {
	{.name = "start-time", .type = MGR_OPT_DURATION, .arg = "TIME", .fallback = "10s",
	 .offset = offsetof(struct lint_options, start_ns), .min = MGR_MS, .max = (uint64_t)(3600 * MGR_S),
	 .help = "time until READY"},
	{.name = "timeout", .type = MGR_OPT_DURATION, .arg = "TIME", .fallback = "10s",
	 .offset = offsetof(struct lint_options, timeout_ns), .min = MGR_MS, .max = (uint64_t)(3600 * MGR_S),
	 .help = "time for one answer, and for the end after EOF"},
	{.name = "json", .type = MGR_OPT_FLAG, .offset = offsetof(struct lint_options, json),
	 .help = "print one JSON document"},
	CTL_OPTION_HELP,
	MGR_OPT_END,
};

static int
add_result(struct mgr_doc *list, const char *check, bool good, const char *why)
{
	struct mgr_doc *one = mgr_doc_object();
	int r = mgr_doc_set_str(one, "check", check);

	if (r == 0)
		r = mgr_doc_set_bool(one, "ok", good);
	if (r == 0)
		r = mgr_doc_set_str(one, "why", why[0] != '\0' ? why : NULL);
	int r2 = mgr_doc_push(list, one);
	return r < 0 ? r : r2;
}

static void
say(struct lint *l, const char *check, bool good, const char *why)
{
	if (!good)
		l->failed++;
	if (l->list != NULL) {
		add_result(l->list, check, good, why);
		return;
	}
	printf("%s - %s%s%s\n", good ? "ok" : "not ok", check, why[0] == '\0' ? "" : good ? " # SKIP " : ": ",
	       ctl_text(why));
	ctl_flush(MGR_EXIT_OK);
}

/* A process that is READY, or why there is none. */
static bool
be_ready(struct lint *l)
{
	struct probe *p = &l->probe;

	if (p->pid > 0 && p->ready && !p->broken && p->in >= 0 && mgr_frame_at_border(&p->parser)) {
		p->request_n = 0;
		p->done_n = 0;
		return true;
	}
	probe_stop(p);
	int r = probe_start(p);
	if (r < 0) {
		lint_fail(l, "it cannot be started: %s", mgr_log_errno(r));
		return false;
	}
	int64_t end_ns = mgr_now_ns() + l->o.start_ns;
	while (!p->ready && probe_turn(p, end_ns))
		continue;
	return p->ready && !p->broken ? true : !lint_gone(l, "READY");
}

static void
run_check(struct lint *l, const struct lint_check *check)
{
	l->why[0] = '\0';
	l->skipped = false;
	bool good = be_ready(l) && check->fn(l);
	if (l->probe.broken && l->stray[0] == '\0')
		snprintf(l->stray, sizeof(l->stray), "%s", l->probe.why);
	say(l, check->name, good || l->skipped, l->why);
	if (!good && !l->skipped)
		probe_stop(&l->probe); /* the next check begins with a new one */
}

static int
run_all(struct lint *l)
{
	for (const struct lint_check *c = lint_checks; c->name != NULL; c++) {
		run_check(l, c);
		if (l->failed > 0 && c == lint_checks)
			break; /* without READY nothing else can be asked */
	}
	probe_stop(&l->probe);
	say(l, "nothing but frames on stdout, each where it may stand", l->stray[0] == '\0', l->stray);
	if (l->list != NULL)
		ctl_print_doc(l->list);
	return l->failed > 0 ? MGR_EXIT_FAILED : MGR_EXIT_OK;
}

static int
find_program(char **argv, char path[static PATH_MAX])
{
	int r = mgr_spawn_find(argv[0], path, PATH_MAX);

	if (r == 0)
		return MGR_EXIT_OK;
	ctl_complain("%s: %s", ctl_text(argv[0]), r == -ENOENT ? "command not found" :
		     r == -EACCES ? "not an executable file" : mgr_log_errno(r));
	return (int)mgr_exit_by_errno(r);
}

/* The environment of the handshake in front of ours. */
static char **
make_environment(void)
{
	static const char *const own[] = {"MGR_PROTOCOL=1", "MGR_NAME=lint", "MGR_ROUTES=POST /lint\n", "MGR_REPLICA=0",
					  "MGR_CONCURRENCY=16", "MGR_TIMEOUT_MS=60000"};
	size_t n = 0, k = 0;

	while (environ[n] != NULL)
		n++;
	char **envp = calloc(n + MGR_N(own) + 1, sizeof(*envp));
	if (envp == NULL)
		return NULL;
	for (size_t i = 0; i < MGR_N(own); i++)
		envp[k++] = (char *)(uintptr_t)own[i];
	for (size_t i = 0; i < n; i++) {
		bool ours = false;
		for (size_t j = 0; j < MGR_N(own); j++)
			ours = ours || strncmp(environ[i], own[j], strcspn(own[j], "=") + 1) == 0;
		if (!ours)
			envp[k++] = environ[i];
	}
	return envp;
}

int
ctl_lint(const struct ctl_verb *v, int argc, char **argv)
{
	static struct lint l = {.probe = {.pidfd = -1, .in = -1, .out = -1}};
	char path[PATH_MAX];
	int status = ctl_options(v, &l.o, &argc, &argv);

	if (status != CTL_NO_OPTIONS)
		return status;
	status = find_program(argv, path);
	if (status != MGR_EXIT_OK)
		return status;
	char **envp = make_environment();
	if (l.o.json)
		l.list = mgr_doc_array();
	if (envp == NULL || (l.o.json && l.list == NULL)) {
		free(envp);
		ctl_complain("out of memory");
		return MGR_EXIT_FAILED;
	}
	argv[0] = path;
	l.probe.path = path;
	l.probe.argv = argv;
	l.probe.envp = envp;
	status = run_all(&l);
	mgr_doc_free(l.list);
	free(envp);
	return status;
}
