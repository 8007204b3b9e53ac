#include "svc/pool_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

/* What a handler inherits; everything else, secrets above all, stays here. */
static const char *const allowed[] = {"PATH",     "HOME", "USER", "LOGNAME", "LANG",
				      "TZ",       "TMPDIR", "SHELL"};

static bool
is_allowed(const char *entry)
{
	const char *eq = strchr(entry, '=');

	if (eq == NULL)
		return false;
	size_t n = (size_t)(eq - entry);
	if (n > 3 && strncmp(entry, "LC_", 3) == 0)
		return true;
	for (size_t i = 0; i < MGR_N(allowed); i++)
		if (strlen(allowed[i]) == n && memcmp(allowed[i], entry, n) == 0)
			return true;
	return false;
}

struct list {
	char **item;
	size_t n, cap;
	int err;
};

static void
add(struct list *l, char *entry)
{
	if (entry == NULL || l->n == l->cap) {
		free(entry);
		l->err = -ENOMEM;
		return;
	}
	l->item[l->n++] = entry;
}

__attribute__((format(printf, 2, 3))) static void
addf(struct list *l, const char *fmt, ...)
{
	char *entry;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&entry, fmt, ap);
	va_end(ap);
	add(l, n < 0 ? NULL : entry);
}

static void
add_own(struct list *l, const struct mgr_pool_conf *conf)
{
	addf(l, "MGR_PROTOCOL=1");
	addf(l, "MGR_NAME=%s", conf->name);
	addf(l, "MGR_ROUTES=%s", conf->routes != NULL ? conf->routes : "");
	addf(l, "MGR_CONCURRENCY=%u", conf->concurrency_max);
	addf(l, "MGR_TIMEOUT_MS=%lld", (long long)(conf->timeout_ns / MGR_MS));
	if (conf->runtime_dir != NULL)
		addf(l, "MGR_RUNTIME_DIR=%s", conf->runtime_dir);
	if (conf->state_dir != NULL)
		addf(l, "MGR_STATE_DIR=%s", conf->state_dir);
}

static size_t
count(char *const *entries)
{
	size_t n = 0;

	while (entries != NULL && entries[n] != NULL)
		n++;
	return n;
}

/* Later entries win where a name comes twice, so the registration's go last. */
static void
drop_doubles(struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		size_t n = strcspn(l->item[i], "=") + 1;
		for (size_t j = i + 1; j < l->n; j++) {
			if (strncmp(l->item[i], l->item[j], n) != 0)
				continue;
			free(l->item[i]);
			l->item[i] = l->item[j];
			l->item[j] = l->item[--l->n];
			j--;
		}
	}
}

int
mgr_env_make(struct mgr_pool *pool)
{
	struct list l = {.cap = count(environ) + count(pool->conf.env) + 16};

	l.item = calloc(l.cap + 2, sizeof(*l.item));
	if (l.item == NULL)
		return -ENOMEM;
	pool->envp = l.item;
	for (char **e = environ; e != NULL && *e != NULL; e++)
		if (is_allowed(*e))
			add(&l, strdup(*e));
	add_own(&l, &pool->conf);
	for (size_t i = 0; i < count(pool->conf.env); i++)
		if (strncmp(pool->conf.env[i], "HTTP_PROXY=", 11) != 0)
			add(&l, strdup(pool->conf.env[i]));
	drop_doubles(&l);
	/* Not from the heap: see mgr_env_fini. */
	l.item[l.n] = pool->env_replica;
	l.item[l.n + 1] = NULL;
	return l.err;
}

void
mgr_env_set_replica(struct mgr_pool *pool, unsigned index)
{
	snprintf(pool->env_replica, sizeof(pool->env_replica), "MGR_REPLICA=%u", index);
}

void
mgr_env_fini(struct mgr_pool *pool)
{
	for (size_t i = 0; pool->envp != NULL && pool->envp[i] != NULL; i++)
		if (pool->envp[i] != pool->env_replica)
			free(pool->envp[i]);
	free(pool->envp);
	pool->envp = NULL;
}
