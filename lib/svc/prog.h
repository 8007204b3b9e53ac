/*
 * What every daemon's main does: options, log, loop, signals, runtime folder, exit code.  A main is a
 * table, a spec and one call of mgr_prog_main.
 */
#ifndef MGR_SVC_PROG_H
#define MGR_SVC_PROG_H

#include <stdbool.h>

#include "base/opt.h"
#include "base/outcome.h"
#include "os/loop.h"
#include "os/paths.h"

struct mgr_prog;

struct mgr_prog_spec {
	const char *name;     /* "mgr-hub" */
	const char *operands; /* usage of what follows the options, "" = none */
	const char *about;    /* one line */
	const struct mgr_opt *options;
	void *values;         /* the options' struct; its first member is struct mgr_prog_common */
	/* Starts: 0 or the exit code, having logged why.  argv = operands, argv[argc] NULL. */
	int (*start)(struct mgr_prog *, int argc, char **argv);
	/* TERM or INT: begins an orderly stop, ends it with mgr_prog_quit.  A second signal: urgent. */
	void (*stop)(struct mgr_prog *, bool urgent);
	void (*reload)(struct mgr_prog *); /* HUP; NULL = ignored */
	void (*fini)(struct mgr_prog *);   /* after the loop */
};

struct mgr_prog_common {
	const char *log_level;
	bool help, version;
};

/* The rows of struct mgr_prog_common, to be put at the head of each program's table. */
#define MGR_PROG_OPTIONS \
	{.name = "log-level", .type = MGR_OPT_TEXT, .arg = "LEVEL", .fallback = "info", \
	 .offset = offsetof(struct mgr_prog_common, log_level), .help = "error, warn, info or debug"}, \
	{.name = "help", .letter = 'h', .type = MGR_OPT_FLAG, \
	 .offset = offsetof(struct mgr_prog_common, help), .help = "print this and end"}, \
	{.name = "version", .letter = 'V', .type = MGR_OPT_FLAG, \
	 .offset = offsetof(struct mgr_prog_common, version), .help = "print the version and end"}

struct mgr_prog {
	const struct mgr_prog_spec *spec;
	struct mgr_loop *loop;
	char runtime_dir[MGR_PATH_MAX]; /* made and checked before start */
	char state_dir[MGR_PATH_MAX];
	int argc;
	char **argv; /* of main */
	bool stopping;
	int status;

	/* private */
	struct mgr_signal sig_term, sig_int, sig_hup;
};

/* Runs the program: its exit code. */
int mgr_prog_main(const struct mgr_prog_spec *spec, int argc, char **argv);

/* Ends the loop with this exit code. */
void mgr_prog_quit(struct mgr_prog *p, int status);

/* Tells a supervisor that asked for it (NOTIFY_SOCKET, sd_notify(3)) e.g. "READY=1"; a no-op otherwise. */
void mgr_prog_notify(const char *state);

#endif
