#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/file.h"
#include "os/io.h"
#include "os/log.h"

static int
name(struct worker *w, char path[static MGR_PATH_MAX], const char *suffix)
{
	char file[64];

	snprintf(file, sizeof(file), "worker-%d.%s", (int)getpid(), suffix);
	return mgr_paths_join(path, w->prog->runtime_dir, file);
}

static int
make_spool(struct worker *w)
{
	if (w->prog->state_dir[0] == '\0') {
		snprintf(w->spool_dir, sizeof(w->spool_dir), "/tmp");
		return 0;
	}
	int r = mgr_paths_join(w->spool_dir, w->prog->state_dir, "spool");
	return r < 0 ? r : mgr_file_mkdir(w->spool_dir, 0700);
}

/* The lock says to a new hub that we live, and for whom. */
static int
lock(struct worker *w)
{
	pid_t holder = 0;
	char line[80];

	w->lock_fd = mgr_file_lock(w->lock_path, &holder);
	if (w->lock_fd < 0)
		return w->lock_fd;
	int n = snprintf(line, sizeof(line), "%s\n", w->options->name);
	if (lseek(w->lock_fd, 0, SEEK_END) < 0)
		return -errno;
	return mgr_write_all(w->lock_fd, line, (size_t)n);
}

int
files_open(struct worker *w)
{
	int r = name(w, w->lane_path, "lane");

	if (r == 0)
		r = name(w, w->control_path, "sock");
	if (r == 0)
		r = name(w, w->lock_path, "lock");
	if (r == 0)
		r = make_spool(w);
	return r < 0 ? r : lock(w);
}

void
files_close(struct worker *w)
{
	if (w->lock_fd < 0)
		return;
	unlink(w->lock_path);
	mgr_close(&w->lock_fd);
}
