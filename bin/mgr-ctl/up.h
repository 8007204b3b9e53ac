/*
 * mgr-ctl up: the whole stack in the foreground.  It starts mgr-hub, then mgr-httpd, then what FILE
 * registers; starts again what dies; and stops them in the other direction.
 */
#ifndef MGR_CTL_UP_H
#define MGR_CTL_UP_H

#include "ctl.h"
#include "words.h"

struct up;

/* up_children.c: one program that is kept running */

struct up_child {
	struct up *up;
	const char *name; /* "mgr-hub" */
	char path[MGR_PATH_MAX];
	char **argv;      /* argv[0] is name; owned */
	int argc;
	int64_t stop_ns;  /* it is killed when it takes longer to stop */
	struct mgr_child process;
	struct mgr_timer timer; /* the next start, or the kill */
	bool ready;       /* since its last start */
	bool was_ready;   /* ever */
	unsigned tries;   /* starts that did not last */
	unsigned told;    /* to stop: 1 TERM, 2 TERM again, 3 KILL */
	int64_t started_ns;
};

/* Makes the environment of all children: 0 or -ENOMEM. */
int up_child_environment(struct up *up);
/* Takes the words of its command line: 0 or the exit code, said. */
int up_child_init(struct up_child *c, struct up *up, const char *name, char **words, int n, int64_t stop_ns);
/* Starts it and waits until it is ready, or everything stops. */
void up_child_begin(struct up_child *c);
/* Asks it to stop; urge: again, and in the end it is killed.  False when it does not run. */
bool up_child_stop(struct up_child *c, bool urge);
/* Adds words to its command line for later starts. */
void up_child_append(struct up_child *c, const char *option, const char *value);
void up_child_fini(struct up_child *c);

/* up_notify.c: children say that they are ready */

int up_notify_open(struct up *up); /* 0 or -errno */
void up_notify_close(struct up *up);

/* up_file.c: the registrations of FILE */

struct up_file {
	const char *name;
	char *dir; /* of it, absolute */
	struct up_line {
		struct registration reg;
		unsigned line;
	} *item;
	size_t n, cap;
};

/* Reads and checks all lines: the exit code, said with FILE:LINE. */
int up_file_read(struct up_file *f, const char *name);
/* Registers all, up to the first that fails: its exit code, said. */
int up_file_register(struct up_file *f, struct mgr_loop *loop, const bool *stop);
/* Registers with a new hub what it does not know. */
void up_file_restore(struct up_file *f, struct mgr_loop *loop, const bool *stop);
void up_file_fini(struct up_file *f);

/* up.c */

struct up {
	struct mgr_loop *loop;
	char dir[MGR_PATH_MAX], notify_path[MGR_PATH_MAX];
	char **envp; /* of the children; the array is ours and its first text is */
	struct up_child hub, httpd;
	bool with_http;
	struct up_file file;
	char url[128]; /* "" until mgr-httpd is ready */
	int lock_fd, notify_fd;
	struct mgr_watch notify;
	struct mgr_ctl_server server;
	struct mgr_signal term, interrupt, hangup;
	struct mgr_timer patience; /* for READY */
	int64_t since_wall_ns;
	bool is_ready, stopping, over;
	bool hub_is_new; /* a hub that was started again is ready */
	int status;
};

/* Begins the orderly stop, which ends with this exit code; urge when it has begun already. */
void up_stop(struct up *up, int status, bool urge);
/* A child ended while we stop. */
void up_step(struct up *up);
/* A child said READY. */
void up_child_is_ready(struct up_child *c, const char *listen);

#endif
