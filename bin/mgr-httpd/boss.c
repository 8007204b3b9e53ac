/*
 * The parent.  It owns the listeners, so that a child can die, or be replaced, and clients that are
 * on their way wait in the backlog instead of being refused.  It parses nothing of theirs.
 */
#include "httpd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/rand.h"
#include "ipc/ctl.h"
#include "os/child.h"
#include "os/file.h"
#include "os/io.h"
#include "os/log.h"

#define BACKOFF_MIN_NS (100 * MGR_MS)
#define BACKOFF_MAX_NS (30 * MGR_S)
#define STABLE_NS (60 * MGR_S)
#define KILL_NS (5 * MGR_S) /* after the drain */

struct line;

/* A child and its slot of the page. */
struct kid {
	struct line *line; /* NULL = the slot is free */
	bool ready, leaving;
	int64_t born_ns;
	struct mgr_child child;
	struct mgr_watch watch;
};

/* A listener and the child that serves it; during a reload there is a second one. */
struct line {
	int fd;
	struct kid *kid; /* the one that serves, or NULL */
	unsigned tries;
	struct mgr_timer retry;
};

static struct {
	struct mgr_prog *prog;
	const struct options *opt;
	struct page *page;
	int page_fd, lock_fd;
	char lock_path[MGR_PATH_MAX], self_path[MGR_PATH_MAX], url[LISTEN_URL_MAX];
	struct line line[OPTIONS_PROCESSES_MAX];
	size_t line_n;
	struct kid kid[PAGE_SLOTS];
	struct mgr_ctl_server ctl;
	bool announced, stopping;
	struct mgr_timer kill;
} boss = {.page_fd = -1, .lock_fd = -1};

static size_t
count(bool ready_only)
{
	size_t n = 0;

	for (size_t i = 0; i < PAGE_SLOTS; i++)
		if (boss.kid[i].line != NULL && (!ready_only || (boss.kid[i].ready && !boss.kid[i].leaving)))
			n++;
	return n;
}

static size_t
serving(void)
{
	return count(true);
}

static const char *
state(void)
{
	return boss.stopping ? "draining" : boss.announced ? "ready" : "starting";
}

static void
tell(struct kid *kid, enum child_word word)
{
	char c = (char)word;

	if (kid->line != NULL && kid->watch.loop != NULL)
		(void)!send(kid->watch.fd, &c, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
announce(void)
{
	char text[sizeof(boss.url) + 32];

	if (boss.announced || serving() < boss.line_n)
		return;
	boss.announced = true;
	mgr_log(MGR_INFO, "listening", "url=%s processes=%zu", boss.url, boss.line_n);
	snprintf(text, sizeof(text), "READY=1\nX_LISTEN=%s", boss.url);
	mgr_prog_notify(text);
}

static void
became_ready(struct kid *kid)
{
	struct line *line = kid->line;

	kid->ready = true;
	if (line->kid != NULL && line->kid != kid) {
		line->kid->leaving = true;
		tell(line->kid, CHILD_STOP);
	}
	line->kid = kid;
	announce();
}

static void
on_word(struct mgr_watch *w, uint32_t events)
{
	struct kid *kid = MGR_CONTAINER(w, struct kid, watch);
	char c = 0;
	ssize_t n = recv(w->fd, &c, 1, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* its end is told by the child watch */
		int fd = w->fd;
		mgr_watch_stop(w);
		mgr_close(&fd);
		return;
	}
	if (c == CHILD_READY && !kid->ready)
		became_ready(kid);
}

static void spawn_again(struct mgr_timer *t);

static void
restart(struct line *line, bool was_stable)
{
	line->tries = was_stable ? 0 : line->tries + 1;
	int64_t wait_ns = mgr_rand_backoff(BACKOFF_MIN_NS, BACKOFF_MAX_NS, line->tries);
	if (mgr_timer_start(&line->retry, boss.prog->loop, mgr_loop_now(boss.prog->loop) + wait_ns,
			    spawn_again) < 0)
		mgr_prog_quit(boss.prog, MGR_EXIT_FAILED);
}

static void
on_end(struct mgr_child *child, int status)
{
	struct kid *kid = MGR_CONTAINER(child, struct kid, child);
	struct line *line = kid->line;
	bool expected = kid->leaving || boss.stopping, was_ready = kid->ready;
	int64_t age_ns = mgr_loop_now(boss.prog->loop) - kid->born_ns;
	char text[64];

	mgr_log(expected ? MGR_INFO : MGR_WARN, "child-ended", "slot=%zu status=\"%s\"",
		(size_t)(kid - boss.kid), mgr_child_status_text(status, text, sizeof(text)));
	if (kid->watch.loop != NULL) {
		int fd = kid->watch.fd;
		mgr_watch_stop(&kid->watch);
		mgr_close(&fd);
	}
	page_clear(&boss.page->slot[kid - boss.kid]);
	bool serves = line->kid == kid || (line->kid == NULL && !was_ready);
	if (line->kid == kid)
		line->kid = NULL;
	*kid = (struct kid){0};
	if (boss.stopping) {
		if (count(false) == 0)
			mgr_prog_quit(boss.prog, MGR_EXIT_OK);
	} else if (!boss.announced && WIFEXITED(status) && WEXITSTATUS(status) != 0) {
		mgr_prog_quit(boss.prog, WEXITSTATUS(status));
	} else if (serves) {
		restart(line, age_ns >= STABLE_NS);
	}
}

/* Our environment with the word that makes it a child. */
static char **
make_env(char *word)
{
	size_t n = 0;

	while (environ[n] != NULL)
		n++;
	char **env = calloc(n + 2, sizeof(*env));
	if (env == NULL)
		return NULL;
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0)
			env[k++] = environ[i];
	env[k] = word;
	return env;
}

static int
launch(struct kid *kid, int fd)
{
	char word[64];

	snprintf(word, sizeof(word), CHILD_ENV "=%zu", (size_t)(kid - boss.kid));
	char **env = make_env(word);
	if (env == NULL)
		return -ENOMEM;
	struct mgr_spawn s = {.path = boss.self_path, .argv = boss.prog->argv, .envp = env,
			      .fd = {0, 1, 2, [CHILD_FD_LISTEN] = kid->line->fd, [CHILD_FD_PAGE] = boss.page_fd,
				     [CHILD_FD_BOSS] = fd},
			      .fd_n = CHILD_FD_BOSS + 1, .no_core = true};
	int r = mgr_child_start(&kid->child, boss.prog->loop, &s, on_end);
	free(env);
	return r;
}

static int
spawn(struct line *line)
{
	struct kid *kid = boss.kid;
	int pair[2];

	while (kid < boss.kid + PAGE_SLOTS && kid->line != NULL)
		kid++;
	if (kid == boss.kid + PAGE_SLOTS)
		return -EAGAIN;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	*kid = (struct kid){.line = line, .born_ns = mgr_loop_now(boss.prog->loop)};
	page_clear(&boss.page->slot[kid - boss.kid]);
	int r = mgr_watch_start(&kid->watch, boss.prog->loop, pair[0], EPOLLIN, on_word);
	if (r == 0)
		r = launch(kid, pair[1]);
	close(pair[1]);
	if (r < 0) {
		mgr_watch_stop(&kid->watch);
		close(pair[0]);
		*kid = (struct kid){0};
	}
	return r;
}

static void
spawn_again(struct mgr_timer *t)
{
	struct line *line = MGR_CONTAINER(t, struct line, retry);
	int r = spawn(line);

	if (r < 0) {
		mgr_log(MGR_ERR, "child-start", "why=\"%s\"", mgr_log_errno(r));
		restart(line, false);
	}
}

static int
open_lines(void)
{
	int fd[OPTIONS_PROCESSES_MAX], r;
	size_t n = (size_t)boss.opt->processes;

	r = listen_open(boss.opt->listen, n, fd, boss.url);
	if (r < 0)
		return r;
	for (boss.line_n = 0; boss.line_n < n; boss.line_n++)
		boss.line[boss.line_n].fd = fd[boss.line_n];
	return 0;
}

static void
close_lines(void)
{
	for (size_t i = 0; i < boss.line_n; i++) {
		mgr_timer_stop(&boss.line[i].retry);
		mgr_close(&boss.line[i].fd);
	}
}

static int
take_lock(struct mgr_prog *prog)
{
	pid_t pid = 0;
	int r = mgr_paths_join(boss.lock_path, prog->runtime_dir, "httpd.lock");

	if (r == 0)
		r = boss.lock_fd = mgr_file_lock(boss.lock_path, &pid);
	if (r >= 0)
		return 0;
	boss.lock_path[0] = '\0'; /* not ours to remove */
	if (r == -EEXIST)
		mgr_log(MGR_ERR, "already-running", "folder=%s pid=%d", mgr_log_str(prog->runtime_dir), (int)pid);
	else
		mgr_log(MGR_ERR, "lock", "folder=%s why=\"%s\"", mgr_log_str(prog->runtime_dir), mgr_log_errno(r));
	return r == -EEXIST ? MGR_EXIT_CONFLICT : MGR_EXIT_FAILED;
}

static int
find_self(void)
{
	ssize_t n = readlink("/proc/self/exe", boss.self_path, sizeof(boss.self_path) - 1);

	if (n < 0 || n == (ssize_t)sizeof(boss.self_path) - 1)
		return n < 0 ? -errno : -ENAMETOOLONG;
	boss.self_path[n] = '\0';
	return 0;
}

static int
begin(struct mgr_prog *prog)
{
	static const struct boss_view view = {.url = boss.url, .page = &boss.page, .state = state, .serving = serving};
	int r = find_self();

	if (r == 0)
		r = boss.page_fd = page_new(&boss.page);
	if (r >= 0)
		r = admin_listen(&boss.ctl, prog, &view);
	for (size_t i = 0; r >= 0 && i < boss.line_n; i++)
		r = spawn(&boss.line[i]);
	return r;
}

int
boss_start(struct mgr_prog *prog, struct options *opt)
{
	boss.prog = prog;
	boss.opt = opt;
	int status = take_lock(prog);
	if (status != 0)
		return status;
	int r = open_lines();
	if (r < 0) {
		mgr_log(MGR_ERR, "listen", "address=%s why=\"%s\"", mgr_log_str(opt->listen), mgr_log_errno(r));
		return r == -EADDRINUSE ? MGR_EXIT_CONFLICT : r == -EINVAL ? MGR_EXIT_USAGE : MGR_EXIT_FAILED;
	}
	r = begin(prog);
	if (r < 0) {
		mgr_log(MGR_ERR, "start", "why=\"%s\"", mgr_log_errno(r));
		return MGR_EXIT_FAILED;
	}
	return 0;
}

static void
kill_all(struct mgr_timer *t)
{
	(void)t;
	for (size_t i = 0; i < PAGE_SLOTS; i++)
		if (boss.kid[i].line != NULL)
			mgr_child_kill(&boss.kid[i].child, SIGKILL, false);
}

void
boss_stop(struct mgr_prog *prog, bool urgent)
{
	boss.stopping = true;
	close_lines();
	for (size_t i = 0; i < PAGE_SLOTS; i++)
		tell(&boss.kid[i], urgent ? CHILD_URGENT : CHILD_STOP);
	int64_t wait_ns = (urgent ? 0 : boss.opt->drain_ns) + KILL_NS;
	if (count(false) == 0 ||
	    mgr_timer_start(&boss.kill, prog->loop, mgr_loop_now(prog->loop) + wait_ns, kill_all) < 0)
		mgr_prog_quit(prog, MGR_EXIT_OK);
}

/* Fresh processes, of the program as it is on disk now; each old one leaves when its successor serves. */
void
boss_reload(struct mgr_prog *prog)
{
	(void)prog;
	if (boss.stopping)
		return;
	mgr_log(MGR_INFO, "reload", "processes=%zu", boss.line_n);
	for (size_t i = 0; i < boss.line_n; i++) {
		if (boss.line[i].kid == NULL)
			continue; /* a start is due or going on anyway */
		int r = spawn(&boss.line[i]);
		if (r < 0)
			mgr_log(MGR_ERR, "child-start", "why=\"%s\"", mgr_log_errno(r));
	}
}

/* A new hub asks for us: the children hold the connections to it.  SIGURG is ignored by one that has just begun. */
void
boss_rejoin(void)
{
	for (size_t i = 0; i < boss.line_n; i++)
		if (boss.line[i].kid != NULL)
			mgr_child_kill(&boss.line[i].kid->child, SIGURG, false);
}

void
boss_fini(struct mgr_prog *prog)
{
	(void)prog;
	if (boss.ctl.verbs != NULL) {
		admin_drained();
		mgr_ctl_server_fini(&boss.ctl);
	}
	mgr_timer_stop(&boss.kill);
	for (size_t i = 0; i < PAGE_SLOTS; i++)
		if (boss.kid[i].line != NULL) {
			mgr_child_kill(&boss.kid[i].child, SIGTERM, false);
			mgr_child_fini(&boss.kid[i].child);
			mgr_watch_stop(&boss.kid[i].watch);
		}
	close_lines();
	mgr_close(&boss.page_fd);
	if (boss.lock_path[0] != '\0')
		unlink(boss.lock_path);
	mgr_close(&boss.lock_fd);
}
