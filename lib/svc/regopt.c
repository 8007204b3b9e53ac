#include "svc/regopt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/num.h"
#include "wire/route.h"

#define AT(member) offsetof(struct mgr_regopt, member)

const struct mgr_opt mgr_regopt_table[] = {
	MGR_REGOPT_ROWS(AT)
	MGR_OPT_END,
};

static int
find_mode(const char *name)
{
	for (int i = 0; i < MGR_POOL_MODE_N; i++)
		if (strcmp(mgr_pool_mode_name[i], name) == 0)
			return i;
	return -1;
}

enum mgr_pool_mode
mgr_regopt_mode(const struct mgr_regopt *o)
{
	int mode = find_mode(o->mode);

	mgr_assert(mode >= 0);
	return (enum mgr_pool_mode)mode;
}

static int
check_routes(const struct mgr_regopt *o, char *err, size_t err_n)
{
	char method[MGR_ROUTE_METHOD_MAX], pattern[MGR_ROUTE_PATTERN_MAX + 1];
	const char *why;

	if (o->routes.n > MGR_REGOPT_ROUTES_MAX) {
		snprintf(err, err_n, "more than %d routes", MGR_REGOPT_ROUTES_MAX);
		return -EINVAL;
	}
	for (size_t i = 0; i < o->routes.n; i++) {
		const char *text = o->routes.item[i];
		if (mgr_route_parse(text, strlen(text), method, pattern, &why) < 0) {
			snprintf(err, err_n, "--route \"%.80s\": %s", text, why);
			return -EINVAL;
		}
	}
	return 0;
}

int
mgr_regopt_check(const struct mgr_regopt *o, char *err, size_t err_n)
{
	if (find_mode(o->mode) < 0) {
		snprintf(err, err_n, "--mode takes frame, packet, line, filter, exec or cgi, not \"%.40s\"",
			 o->mode);
		return -EINVAL;
	}
	for (size_t i = 0; i < o->env.n; i++) {
		const char *equals = strchr(o->env.item[i], '=');
		if (equals == NULL || equals == o->env.item[i]) {
			snprintf(err, err_n, "--env takes K=V, not \"%.40s\"", o->env.item[i]);
			return -EINVAL;
		}
	}
	return check_routes(o, err, err_n);
}

struct pick {
	const struct mgr_opt *row;
	const char *last;
	bool given;
	int (*fn)(void *arg, const char *text);
	void *arg;
};

static int
emit(const struct pick *p, const char *text)
{
	char name[64];
	int n = snprintf(name, sizeof(name), "--%s", p->row->name);

	mgr_assert(n > 0 && (size_t)n < sizeof(name));
	int r = p->fn(p->arg, name);
	return r < 0 || text == NULL ? r : p->fn(p->arg, text);
}

static int
pick(void *arg, const struct mgr_opt *row, const char *text, char *err, size_t err_n)
{
	struct pick *p = arg;

	(void)err;
	(void)err_n;
	if (row != p->row)
		return 0;
	if (row->type == MGR_OPT_LIST)
		return emit(p, text);
	p->given = true;
	p->last = text;
	return 0;
}

int
mgr_regopt_canonical(int argc, char *const argv[], int (*fn)(void *arg, const char *text), void *arg)
{
	char err[128];

	for (const struct mgr_opt *row = mgr_regopt_table; row->name != NULL; row++) {
		struct pick p = {.row = row, .fn = fn, .arg = arg};
		int r = mgr_opt_each(mgr_regopt_table, argc, argv, pick, &p, err, sizeof(err));
		if (r >= 0 && p.given)
			r = emit(&p, p.last);
		if (r < 0)
			return r;
	}
	return 0;
}

void
mgr_regopt_conf(const struct mgr_regopt *o, struct mgr_pool_conf *conf)
{
	conf->mode = mgr_regopt_mode(o);
	conf->replicas = (unsigned)o->replicas;
	conf->concurrency_max = (unsigned)o->concurrency;
	conf->pipeline_max = (unsigned)o->pipeline;
	conf->queue_n = o->queue;
	conf->queue_ns = o->queue_time_ns;
	conf->timeout_ns = o->timeout_ns;
	conf->start_ns = o->start_time_ns;
	conf->drain_ns = o->drain_time_ns;
	conf->grace_ns = o->grace_ns;
	conf->body_buffer = o->body_buffer;
}
