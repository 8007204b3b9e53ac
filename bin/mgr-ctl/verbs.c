#include <string.h>

#include "ctl.h"

const struct ctl_verb ctl_verbs[] = {
	{.name = "up", .operands = "[OPTIONS OF mgr-httpd]", .fn = ctl_up, .options = up_options,
	 .help = "start the whole stack in the foreground; Ctrl-C drains and stops it"},
	{.name = "register", .operands = "NAME [OPTIONS] -- CMD [ARGS]", .fn = ctl_register,
	 .options = register_options, .help = "start a handler and keep it running"},
	{.name = "unregister", .operands = "NAME", .fn = ctl_unregister, .options = unregister_options,
	 .min = 1, .max = 1, .help = "drain and stop a handler and forget it"},
	{.name = "ls", .operands = "", .fn = ctl_ls, .options = list_options, .help = "list the handlers"},
	{.name = "status", .operands = "", .fn = ctl_status, .options = list_options,
	 .help = "list the programs that run and the handlers with their counters"},
	{.name = "routes", .operands = "", .fn = ctl_routes, .options = list_options,
	 .help = "list which requests go to which handler"},
	{.name = "events", .operands = "", .fn = ctl_events, .options = events_options,
	 .help = "show what happened last, or with -f what happens"},
	{.name = "publish", .operands = "NAME [DATA]", .fn = ctl_publish, .options = call_options, .min = 1,
	 .max = 2, .help = "call a handler and print its answer"},
	{.name = "dispatch", .operands = "NAME [DATA]", .fn = ctl_dispatch, .options = call_options, .min = 1,
	 .max = 2, .help = "call a handler and do not wait for the answer"},
	{.name = "reply", .operands = "[STATUS]", .fn = ctl_reply, .options = reply_options, .max = 1,
	 .help = "set status and headers of the answer, inside a handler of mode exec"},
	{.name = "try", .operands = "CMD [ARGS] [METHOD PATH]", .fn = ctl_try, .options = try_options,
	 .min = 1, .max = CTL_ANY, .command = true, .help = "send one request to a handler, without any daemon"},
	{.name = "lint", .operands = "CMD [ARGS]", .fn = ctl_lint, .options = lint_options, .min = 1,
	 .max = CTL_ANY, .command = true, .help = "check that a handler keeps to the protocol"},
	{.name = "shutdown", .operands = "", .fn = ctl_shutdown, .options = shutdown_options,
	 .help = "drain and stop everything; stored registrations stay"},
	{.name = NULL},
};

const struct ctl_verb *
ctl_verb_find(const char *name)
{
	for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

#define WORD_MAX 16

static unsigned
least(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* How many letters must be changed, added or taken away to make a out of b. */
static unsigned
distance(const char *a, size_t a_n, const char *b, size_t b_n)
{
	unsigned row[WORD_MAX + 1];

	for (size_t j = 0; j <= b_n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= a_n; i++) {
		unsigned corner = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_n; j++) {
			unsigned above = row[j];
			row[j] = least(above + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[b_n];
}

const struct ctl_verb *
ctl_verb_nearest(const char *name)
{
	const struct ctl_verb *best = NULL;
	size_t n = strlen(name);
	unsigned best_d = 0;

	if (n == 0 || n > WORD_MAX)
		return NULL;
	for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
		unsigned d = distance(name, n, v->name, strlen(v->name));
		if (strncmp(v->name, name, n) == 0)
			d = 1; /* the begin of a verb is nearly the verb */
		if (d <= 2 && d < n && (best == NULL || d < best_d)) {
			best = v;
			best_d = d;
		}
	}
	return best;
}
