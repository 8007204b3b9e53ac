#include "hub.h"

#include <errno.h>
#include <unistd.h>

void
stop_begin(struct mgr_prog *p, bool urgent)
{
	struct hub *h = &the_hub;
	struct unit *u, *next;

	(void)p;
	event_add(h, MGR_INFO, "hub-stopping", "", "workers=%zu urgent=%d", h->registry.n, urgent);
	h->stopping = true;
	asks_fini(h, "the hub is stopping");
	for (u = TAILQ_FIRST(&h->units); u != NULL; u = next) {
		next = TAILQ_NEXT(u, link);
		unit_end(u, urgent);
	}
	hub_wake(h);
}

void
stop_step(struct hub *h)
{
	if (h->stopping && TAILQ_EMPTY(&h->units))
		mgr_prog_quit(h->prog, MGR_EXIT_OK);
}

/*
 * The new program takes the place of this one in the same process, so its children stay its
 * children.  Nothing is torn down before: every descriptor closes on exec, and if that fails
 * we go on as if nothing had been asked.
 */
void
stop_reexec(struct mgr_prog *p)
{
	struct hub *h = &the_hub;
	struct unit *u, *next;
	char program[MGR_PATH_MAX];
	int r = h->stopping ? -EBUSY : mgr_paths_program(program, "mgr-hub");

	if (r == 0) {
		event_add(h, MGR_INFO, "hub-reexec", "", "program=%s", mgr_log_str(program));
		asks_fini(h, "the hub is being restarted");
		for (u = TAILQ_FIRST(&h->units); u != NULL; u = next) {
			next = TAILQ_NEXT(u, link);
			if (u->role == UNIT_TRIAL)
				unit_end(u, false);
		}
		execv(program, p->argv);
		r = -errno;
	}
	mgr_log(MGR_ERR, "reexec-failed", "why=%s", mgr_log_str(mgr_log_errno(r)));
}
