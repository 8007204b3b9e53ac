#include "os/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/spawn.h"

/* $name "/" tail: 1 when the variable is set, 0 when not, -EINVAL for a relative folder. */
static int
from_env(char path[static MGR_PATH_MAX], const char *name, const char *tail)
{
	const char *dir = getenv(name);

	if (dir == NULL || dir[0] == '\0')
		return 0;
	if (dir[0] != '/')
		return -EINVAL;
	int r = mgr_paths_join(path, dir, tail);
	return r < 0 ? r : 1;
}

struct place {
	const char *env, *tail;
};

/* The program's own variable, root's fixed folder, then the user's variables. */
static int
choose(char path[static MGR_PATH_MAX], const char *env, const char *root, const struct place *place)
{
	int r = from_env(path, env, "");

	if (r == 0 && geteuid() == 0)
		return mgr_paths_join(path, root, "");
	for (; r == 0 && place->env != NULL; place++)
		r = from_env(path, place->env, place->tail);
	if (r == 0)
		return -ENOENT;
	return r < 0 ? r : 0;
}

int
mgr_paths_runtime(char path[static MGR_PATH_MAX])
{
	static const struct place place[] = {{"XDG_RUNTIME_DIR", "mgr"}, {NULL, NULL}};

	return choose(path, "MGR_RUNTIME_DIR", "/run/mgr", place);
}

int
mgr_paths_state(char path[static MGR_PATH_MAX])
{
	static const struct place place[] = {
		{"XDG_STATE_HOME", "mgr"}, {"HOME", ".local/state/mgr"}, {NULL, NULL}};

	return choose(path, "MGR_STATE_DIR", "/var/lib/mgr", place);
}

int
mgr_paths_join(char path[static MGR_PATH_MAX], const char *dir, const char *name)
{
	size_t dir_n = strlen(dir), name_n = strlen(name);

	while (dir_n > 1 && dir[dir_n - 1] == '/')
		dir_n--;
	size_t slash_n = dir_n > 0 && name_n > 0 && dir[dir_n - 1] != '/';
	if (dir_n >= MGR_PATH_MAX || name_n >= MGR_PATH_MAX - dir_n - slash_n)
		return -ENAMETOOLONG;
	memmove(path, dir, dir_n); /* dir may be path itself */
	memcpy(path + dir_n, "/", slash_n);
	memcpy(path + dir_n + slash_n, name, name_n + 1);
	return 0;
}

int
mgr_paths_self_dir(char path[static MGR_PATH_MAX])
{
	char self[MGR_PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self));

	if (n < 0)
		return -errno;
	if (n == (ssize_t)sizeof(self))
		return -ENAMETOOLONG;
	self[n] = '\0';
	/* A replaced program ends in " (deleted)", but its folder is still the right one. */
	char *slash = strrchr(self, '/');
	if (slash == NULL)
		return -ENOENT;
	slash[slash == self ? 1 : 0] = '\0';
	return mgr_paths_join(path, self, "");
}

int
mgr_paths_program(char path[static MGR_PATH_MAX], const char *name)
{
	char full[MGR_PATH_MAX];
	int r = from_env(full, "MGR_BIN_DIR", name);

	if (r < 0)
		return r;
	/* A folder that somebody named decides: another build of the program would surprise him. */
	if (r > 0)
		return mgr_spawn_find(full, path, MGR_PATH_MAX);
	r = mgr_paths_self_dir(full);
	if (r == 0)
		r = mgr_paths_join(full, full, name);
	if (r == 0)
		r = mgr_spawn_find(full, path, MGR_PATH_MAX);
	return r == 0 ? 0 : mgr_spawn_find(name, path, MGR_PATH_MAX);
}
