/*
 * Starts a program with a clean table of descriptors, signals and environment (vfork + exec, so the
 * size of the parent does not matter).
 */
#ifndef MGR_OS_SPAWN_H
#define MGR_OS_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define MGR_SPAWN_FD_MAX 8

struct mgr_spawn {
	const char *path;    /* absolute or relative to cwd; NULL = argv[0] */
	char *const *argv;
	char *const *envp;
	const char *cwd;     /* NULL = as it is */
	int fd[MGR_SPAWN_FD_MAX]; /* becomes 0..fd_n-1 in the child; -1 = /dev/null */
	size_t fd_n;         /* at least 3; all other descriptors are closed */
	bool new_group;      /* setpgid(0, 0) */
	bool new_session;    /* setsid() */
	int death_signal;    /* sent when the parent's thread dies; 0 = none */
	bool no_new_privs;
	bool no_core;        /* RLIMIT_CORE 0 */
};

/* 0 with pid and a close-on-exec pidfd, or -errno: also that of a failed chdir or exec. */
int mgr_spawn(const struct mgr_spawn *s, pid_t *ret_pid, int *ret_pidfd);

/* Finds an executable as a shell would (a name with '/' is taken as it stands): 0 with an absolute
 * path of at most n bytes, -ENOENT, -EACCES when found but not executable, -ENAMETOOLONG. */
int mgr_spawn_find(const char *name, char *path, size_t n);

#endif
