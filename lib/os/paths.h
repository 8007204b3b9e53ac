/*
 * Where the toolkit keeps its sockets and its state (mgr(7), FILES).
 */
#ifndef MGR_OS_PATHS_H
#define MGR_OS_PATHS_H

#include <stddef.h>

#define MGR_PATH_MAX 256

/* The runtime folder: $MGR_RUNTIME_DIR, else /run/mgr for root, else $XDG_RUNTIME_DIR/mgr; -ENOENT when none is known. */
int mgr_paths_runtime(char path[static MGR_PATH_MAX]);

/* The state folder: $MGR_STATE_DIR, else /var/lib/mgr for root, else $XDG_STATE_HOME/mgr, else ~/.local/state/mgr. */
int mgr_paths_state(char path[static MGR_PATH_MAX]);

/* Joins dir "/" name; -ENAMETOOLONG. */
int mgr_paths_join(char path[static MGR_PATH_MAX], const char *dir, const char *name);

/* The folder that holds the running program (for finding its siblings): 0 or -errno. */
int mgr_paths_self_dir(char path[static MGR_PATH_MAX]);

/* The path of a sibling program: $MGR_BIN_DIR, else the folder of the running program, else PATH. */
int mgr_paths_program(char path[static MGR_PATH_MAX], const char *name);

#endif
