/*
 * mgr-ctl: what a person or a shell script does.  This is the floor plan.
 *
 * main looks a verb up in the table of verbs.c and calls it; a verb reads its options, does its one
 * job and gives the exit code.  What went wrong is one line on stderr, said where it is decided.
 */
#ifndef MGR_CTL_CTL_H
#define MGR_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/opt.h"
#include "base/outcome.h"
#include "ext/doc.h"
#include "ipc/ctl.h"
#include "os/child.h"
#include "os/loop.h"
#include "os/paths.h"
#include "svc/regopt.h"

/* verbs.c */

struct ctl_verb {
	const char *name;
	const char *operands; /* usage of what follows the options */
	const char *help;     /* one line */
	const struct mgr_opt *options;
	int (*fn)(const struct ctl_verb *, int argc, char **argv);
	unsigned min, max; /* operands */
	bool command;      /* the first operand ends the options: it may be a program with its own */
};

#define CTL_ANY 1000000u /* operands */

extern const struct ctl_verb ctl_verbs[]; /* name NULL at the end */
const struct ctl_verb *ctl_verb_find(const char *name);
/* The verb that looks most like name, or NULL when none does. */
const struct ctl_verb *ctl_verb_nearest(const char *name);

/* options.c: the struct of every verb's options begins with this */

struct ctl_common {
	bool help;
};

#define CTL_OPTION_HELP \
	{.name = "help", .letter = 'h', .type = MGR_OPT_FLAG, .offset = offsetof(struct ctl_common, help), \
	 .help = "print this and end"}

#define CTL_NO_OPTIONS -1 /* no exit code yet: go on */

/* Sets the defaults and reads the options, which may stand between operands: CTL_NO_OPTIONS with the operands
 * alone left in argc and argv, or the exit code. */
int ctl_options(const struct ctl_verb *v, void *values, int *argc, char ***argv);
void ctl_usage(const struct ctl_verb *v, FILE *to);
int ctl_usage_error(const struct ctl_verb *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* say.c: errors and output */

/* One line on stderr, foreign control bytes escaped. */
void ctl_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Writes what waits in stdout: the exit code.  A reader that left ends the program quietly. */
int ctl_flush(int status);
/* Writes to stdout, past stdio; ends the program when nobody reads. */
void ctl_write(const void *p, size_t n);
int ctl_print_doc(const struct mgr_doc *doc);
/* Text of another process for a person: control bytes escaped; for one use, four buffers take turns. */
const char *ctl_text(const char *s);

/* table.c: aligned columns for people */

struct ctl_column {
	const char *title;
	bool right;
};

struct ctl_table {
	const struct ctl_column *column;
	size_t column_n;
	char **cell;
	size_t cell_n, cap;
};

void ctl_table_init(struct ctl_table *t, const struct ctl_column *column, size_t column_n);
void ctl_table_add(struct ctl_table *t, const char *text); /* the next cell, copied and escaped */
void ctl_table_addu(struct ctl_table *t, int64_t value);
void ctl_table_print(struct ctl_table *t, FILE *to); /* and frees it */

/* ask.c: one question to a daemon */

struct ctl_question {
	const char *socket;  /* "hub.sock" */
	const char *verb;
	const char *members; /* of the META, ,"k":v text or NULL */
	const void *body;
	size_t body_n;
	int64_t timeout_ns;
};

/* The path of a socket in the runtime folder: 0 or the exit code, said. */
int ctl_path(char path[static MGR_PATH_MAX], const char *name);
/* Asks; the answer's body is added to *ret_body and its META to *ret_meta (either may be NULL): the exit code,
 * with the reason in why. */
int ctl_ask(struct mgr_loop *loop, const struct ctl_question *q, struct mgr_buf *ret_meta,
	    struct mgr_buf *ret_body, struct mgr_buf *why);
/* The same for the hub with a loop of its own, the reason said. */
int ctl_ask_hub(const struct ctl_question *q, struct mgr_buf *ret_body);
/* The same, and the body read as a JSON array. */
int ctl_ask_list(const char *verb, struct mgr_doc **ret_list);
/* The routing table does not have this name: says whether it exists at all; the exit code. */
int ctl_not_served(struct mgr_loop *loop, const char *name);
/* "mgr-hub is not running ..." */
void ctl_no_hub(struct mgr_buf *why);

/* registration.c: a command line after "register", read and checked */

struct registration {
	char name[65];
	bool replace;
	int64_t timeout_ns; /* enough for the hub to answer */
	struct mgr_buf doc; /* the registration document */
};

extern const struct mgr_opt register_options[]; /* its own; those of a handler are mgr_regopt_table */

/* argv[0] is not looked at.  dir: folder for relative commands and the handler's working directory, NULL = the
 * current one.  0, or the exit code with a sentence in err; *ret_help when the help was asked for. */
int registration_read(struct registration *reg, int argc, char **argv, const char *dir, bool *ret_help,
		      struct mgr_buf *err);
void registration_fini(struct registration *reg);
/* Hands it to the hub: the exit code, the reason in why. */
int registration_send(struct registration *reg, struct mgr_loop *loop, bool store, struct mgr_buf *why);

/* register.c, unregister.c */

int ctl_register(const struct ctl_verb *v, int argc, char **argv);
extern const struct mgr_opt unregister_options[];
int ctl_unregister(const struct ctl_verb *v, int argc, char **argv);

/* ls.c, routes.c, status.c, events.c */

extern const struct mgr_opt list_options[]; /* --json */
struct list_options {
	struct ctl_common common;
	bool json;
};

int ctl_ls(const struct ctl_verb *v, int argc, char **argv);
int ctl_routes(const struct ctl_verb *v, int argc, char **argv);
int ctl_status(const struct ctl_verb *v, int argc, char **argv);
/* The hub's list twice: as it is shown, and as it came: the exit code. */
int ls_get(struct mgr_doc **ret_list, struct mgr_doc **ret_raw);
/* "3/3" and the like out of an object of ls; for one use. */
const char *ls_replicas(const struct mgr_doc *handler);

extern const struct mgr_opt events_options[];
int ctl_events(const struct ctl_verb *v, int argc, char **argv);

/* input.c: the body of a request, from an argument or a descriptor, in pieces */

struct input {
	struct mgr_loop *loop;
	int fd; /* -1 = text alone */
	struct mgr_buf buf;
	bool end, readable;
	int error; /* -errno of the read that failed; the end then */
	uint64_t n; /* bytes in all, or UINT64_MAX: a file that changes meanwhile is cut, or an error */
	uint64_t got_n;
	struct mgr_watch watch;
	void (*ready)(struct input *);
};

int input_text(struct input *in, struct mgr_loop *loop, const char *p, size_t n);
void input_fd(struct input *in, struct mgr_loop *loop, int fd, void (*ready)(struct input *));
/* Makes bytes wait in buf: how many wait, 0 at the end, -EAGAIN when ready() will say so. */
int64_t input_more(struct input *in);
void input_fini(struct input *in);

/* head.c: names and values of a request's and an answer's head */

struct head_options {
	struct mgr_opt_list headers; /* "NAME:VALUE" */
	const char *type;
};

/* Adds a JSON object of lower-case names: 0, or -EINVAL with a sentence. */
int head_add(const struct head_options *o, struct mgr_buf *b, char *err, size_t err_n);
/* Adds the META of a bus call: 0, or -errno with a sentence.  body_n UINT64_MAX = unknown. */
int head_call(const struct head_options *o, const char *kind, int64_t timeout_ns, uint64_t body_n,
	      struct mgr_buf *meta, char *err, size_t err_n);
/* The sentence of an answer's META, or "" (the status in *ret_status stays when it says none). */
void head_message(const char *meta, size_t meta_n, struct mgr_buf *text);
/* Prints status line and headers for people. */
void head_print(unsigned status, const char *meta, size_t meta_n);
/* The exit code of a call that ended so. */
int head_exit(enum mgr_outcome outcome, unsigned status);

/* call.c: publish and dispatch */

extern const struct mgr_opt call_options[];
int ctl_publish(const struct ctl_verb *v, int argc, char **argv);
int ctl_dispatch(const struct ctl_verb *v, int argc, char **argv);

/* reply.c */

extern const struct mgr_opt reply_options[];
int ctl_reply(const struct ctl_verb *v, int argc, char **argv);

/* try.c, try_request.c */

struct try_options {
	struct ctl_common common;
	const char *mode, *route;
	bool include;
	struct head_options head;
	struct mgr_opt_list env;
	int64_t timeout_ns, start_ns;
	const char *log_level;
};

extern const struct mgr_opt try_options[];
int ctl_try(const struct ctl_verb *v, int argc, char **argv);
/* Adds the META of a request: 0, or -EINVAL with a sentence. */
int try_request(const struct try_options *o, const char *method, const char *target, uint64_t body_n,
		struct mgr_buf *meta, char *err, size_t err_n);

/* lint.c, lint_checks.c, probe.c, probe_read.c: see lint.h and probe.h */

extern const struct mgr_opt lint_options[];
int ctl_lint(const struct ctl_verb *v, int argc, char **argv);

/* shutdown.c */

extern const struct mgr_opt shutdown_options[];
int ctl_shutdown(const struct ctl_verb *v, int argc, char **argv);

/* up.c, up_file.c, up_children.c: see up.h */

extern const struct mgr_opt up_options[];
int ctl_up(const struct ctl_verb *v, int argc, char **argv);

#endif
