#include "hub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/auto.h"
#include "base/text.h"
#include "os/clock.h"
#include "os/file.h"

#define POKE_NS (2 * MGR_S)

static const char prefix[] = "worker-";

/* The pid in "worker-PID.SUFFIX", or 0. */
static pid_t
pid_of(const char *file, const char *suffix)
{
	size_t n = strlen(file), suffix_n = strlen(suffix), prefix_n = sizeof(prefix) - 1;
	uint64_t pid;

	if (n <= prefix_n + suffix_n || strncmp(file, prefix, prefix_n) != 0)
		return 0;
	if (mgr_num_parse(file + prefix_n, n - prefix_n - suffix_n, INT32_MAX, &pid) < 0)
		return 0;
	return (pid_t)pid;
}

/* "PID\nNAME\n" of a lock file: 0 with the name, "" when it is not there yet. */
static int
read_lock(int fd, pid_t pid, char name[static HUB_NAME_MAX + 1])
{
	char text[MGR_NUM_MAX + HUB_NAME_MAX + 3];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	uint64_t said;

	if (n < 0)
		return -errno;
	text[n] = '\0';
	char *end = strchr(text, '\n');
	if (end == NULL || mgr_num_parse(text, (size_t)(end - text), INT32_MAX, &said) < 0 || (pid_t)said != pid)
		return -EINVAL;
	char *at = end + 1;
	end = strchr(at, '\n');
	size_t name_n = end == NULL ? 0 : (size_t)(end - at);
	if (name_n > 0 && !mgr_text_is_name(at, name_n))
		return -EINVAL;
	snprintf(name, HUB_NAME_MAX + 1, "%.*s", (int)name_n, at);
	return 0;
}

static void
remove_name(struct hub *h, const char *file)
{
	char path[MGR_PATH_MAX];

	if (mgr_paths_join(path, h->prog->runtime_dir, file) == 0)
		unlink(path);
}

static void
adopt_one(struct hub *h, pid_t pid, const char *name)
{
	struct unit *u = unit_new(h, name, NULL, UNIT_GUEST);

	if (u == NULL)
		return;
	if (unit_adopt(u, pid) < 0) {
		unit_free(u);
		return;
	}
	event_add(h, MGR_INFO, "worker-adopted", name, "pid=%d", (int)pid);
}

/* A lock that nobody holds is the trace of a dead worker; it is removed while we hold it. */
static int
look_at_lock(void *arg, const char *file)
{
	struct hub *h = arg;
	char path[MGR_PATH_MAX], name[HUB_NAME_MAX + 1];
	pid_t pid = pid_of(file, ".lock");

	if (pid == 0 || mgr_paths_join(path, h->prog->runtime_dir, file) < 0)
		return 0;
	MGR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlink(path);
	else if (errno == EWOULDBLOCK && read_lock(fd, pid, name) == 0)
		adopt_one(h, pid, name);
	else
		mgr_log(MGR_WARN, "lock-skipped", "file=%s", mgr_log_str(file));
	return 0;
}

/* Sockets without a lock file have no owner: a worker makes its lock first. */
static int
look_at_socket(void *arg, const char *file)
{
	struct hub *h = arg;
	const char *dot = strrchr(file, '.');
	char lock[64], path[MGR_PATH_MAX];
	pid_t pid = dot == NULL ? 0 : pid_of(file, dot);

	if (pid == 0)
		return 0;
	snprintf(lock, sizeof(lock), "%s%d.lock", prefix, (int)pid);
	if (mgr_paths_join(path, h->prog->runtime_dir, lock) == 0 && access(path, F_OK) < 0 && errno == ENOENT)
		remove_name(h, file);
	return 0;
}

int
adopt_scan(struct hub *h)
{
	static const char *const suffixes[] = {".sock", ".lane"};
	int r = mgr_file_each(h->prog->runtime_dir, ".lock", look_at_lock, h);

	for (size_t i = 0; i < MGR_N(suffixes) && r == 0; i++)
		r = mgr_file_each(h->prog->runtime_dir, suffixes[i], look_at_socket, h);
	return r;
}

/* One daemon that is told to look for its hub now instead of at the end of its backoff. */
struct poke {
	LIST_ENTRY(poke) link;
	struct mgr_ctl_client client;
	struct mgr_timer timer; /* its end: answered, gone or too slow */
};

static void
poke_free(struct poke *p)
{
	LIST_REMOVE(p, link);
	mgr_timer_stop(&p->timer);
	mgr_ctl_close(&p->client);
	free(p);
}

static void
on_poke_end(struct mgr_timer *t)
{
	poke_free(MGR_CONTAINER(t, struct poke, timer));
}

static void
on_poke(struct mgr_ctl_client *c, enum mgr_ctl_event event, const struct mgr_ctl_answer *answer)
{
	struct poke *p = MGR_CONTAINER(c, struct poke, client);
	struct hub *h = c->user;

	(void)answer;
	if (event == MGR_CTL_UP && mgr_ctl_ask(c, "rejoin", NULL, NULL, 0, NULL) == 0)
		return;
	if (event != MGR_CTL_PART) /* not here: the client is in use until we return */
		mgr_timer_start(&p->timer, h->loop, 0, on_poke_end);
}

static int
poke_one(void *arg, const char *file)
{
	static const char *const not_them[] = {"hub.sock", "up.sock"};
	struct hub *h = arg;
	char path[MGR_PATH_MAX];

	for (size_t i = 0; i < MGR_N(not_them); i++)
		if (strcmp(file, not_them[i]) == 0)
			return 0;
	struct poke *p = calloc(1, sizeof(*p));
	if (p == NULL || mgr_paths_join(path, h->prog->runtime_dir, file) < 0) {
		free(p);
		return 0;
	}
	p->client.user = h;
	if (mgr_ctl_open(&p->client, h->loop, path, on_poke) < 0) {
		free(p);
		return 0;
	}
	LIST_INSERT_HEAD(&h->pokes, p, link);
	mgr_timer_start(&p->timer, h->loop, mgr_now_ns() + POKE_NS, on_poke_end);
	return 0;
}

void
adopt_poke(struct hub *h)
{
	mgr_file_each(h->prog->runtime_dir, ".sock", poke_one, h);
}

void
adopt_fini(struct hub *h)
{
	while (!LIST_EMPTY(&h->pokes))
		poke_free(LIST_FIRST(&h->pokes));
}

static bool
is_waiting(const struct hub *h)
{
	const struct unit *u;

	TAILQ_FOREACH(u, &h->units, link)
		if (u->awaited)
			return true;
	return false;
}

/* Those that live but do not come: another takes their place, and only then they go. */
static void
give_up(struct hub *h)
{
	struct unit *u, *next;

	for (u = TAILQ_FIRST(&h->units); u != NULL; u = next) {
		next = TAILQ_NEXT(u, link);
		if (!u->awaited)
			continue;
		u->awaited = false;
		event_add(h, MGR_WARN, "worker-silent", u->name, "pid=%d", (int)u->pid);
		if (u->role == UNIT_KEPT)
			register_again(u);
	}
}

void
adopt_step(struct hub *h)
{
	struct client *c;

	if (h->settled)
		return;
	int64_t left_ns = h->started_ns + h->opt->adopt_ns - mgr_now_ns();
	if (is_waiting(h) && left_ns > 0) {
		hub_wake_in(h, left_ns);
		return;
	}
	h->settled = true;
	give_up(h);
	LIST_FOREACH(c, &h->clients, link)
		table_greet(c);
}
