#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "base/text.h"
#include "ctl.h"
#include "os/log.h"
#include "os/spawn.h"
#include "wire/route.h"

/* Beside the start: the old worker of a replaced name drains, every mgr-httpd learns the routes. */
#define SLACK_NS (60 * MGR_S)

/* The options of "register" that are not stored; those of mgr_regopt_table are. */
struct own_options {
	struct ctl_common common;
	bool replace;
};

const struct mgr_opt register_options[] = {
	{.name = "replace", .type = MGR_OPT_FLAG, .offset = offsetof(struct own_options, replace),
	 .help = "take the place of a handler of this name"},
	CTL_OPTION_HELP,
	MGR_OPT_END,
};

/* A command line being taken apart. */
struct reading {
	struct own_options own;
	char **stored; /* the options that go into the document; [0] is not looked at */
	int stored_n;
};

static int
fail(struct mgr_buf *err, int status, const char *text)
{
	mgr_buf_adds(err, text);
	return status;
}

static bool
is_own(const char *word)
{
	return strcmp(word, "--replace") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Sorts our own flags out of n words; where a word is the value of an option before it does not matter,
 * as no option of a handler takes such a value. */
static int
split_options(struct reading *rd, int n, char **word, struct mgr_buf *err)
{
	char text[256];
	char *own[2] = {NULL, NULL};

	for (int i = 0; i < n; i++) {
		if (!is_own(word[i])) {
			rd->stored[rd->stored_n++] = word[i];
			continue;
		}
		own[1] = word[i];
		if (mgr_opt_parse(register_options, &rd->own, 2, own, text, sizeof(text)) < 0)
			return fail(err, MGR_EXIT_USAGE, text);
	}
	return MGR_EXIT_OK;
}

static int
take_name(struct registration *reg, const char *name, struct mgr_buf *err)
{
	if (!mgr_text_is_name(name, strlen(name))) {
		mgr_buf_addf(err, "\"%s\" is no name: 1-64 of A-Z a-z 0-9 _ . -, the first a letter or digit",
			     ctl_text(name));
		return MGR_EXIT_USAGE;
	}
	if (mgr_route_is_reserved(name, strlen(name))) {
		mgr_buf_addf(err, "the name \"%s\" is reserved", name);
		return MGR_EXIT_USAGE;
	}
	memcpy(reg->name, name, strlen(name) + 1);
	return MGR_EXIT_OK;
}

/*
 * NAME stands before or behind the options.  Takes it out of stored[1..]: what is left are options.
 */
static int
find_name(struct registration *reg, struct reading *rd, struct mgr_buf *err)
{
	struct mgr_regopt scratch = {0};
	char text[256];
	int at = mgr_opt_parse(mgr_regopt_table, &scratch, rd->stored_n, rd->stored, text, sizeof(text));

	mgr_opt_fini(mgr_regopt_table, &scratch);
	if (at < 0)
		return fail(err, MGR_EXIT_USAGE, text);
	if (at >= rd->stored_n)
		return fail(err, MGR_EXIT_USAGE, "NAME is missing");
	int status = take_name(reg, rd->stored[at], err);
	for (; at + 1 < rd->stored_n; at++)
		rd->stored[at] = rd->stored[at + 1];
	rd->stored[--rd->stored_n] = NULL;
	return status;
}

static int
check_options(struct registration *reg, const struct reading *rd, struct mgr_buf *err)
{
	struct mgr_regopt o = {0};
	char text[256];
	int status = MGR_EXIT_OK;

	if (mgr_opt_defaults(mgr_regopt_table, &o) < 0)
		return fail(err, MGR_EXIT_FAILED, "out of memory");
	int at = mgr_opt_parse(mgr_regopt_table, &o, rd->stored_n, rd->stored, text, sizeof(text));
	if (at < 0 || mgr_regopt_check(&o, text, sizeof(text)) < 0)
		status = fail(err, MGR_EXIT_USAGE, text);
	else if (at < rd->stored_n) {
		mgr_buf_addf(err, "unexpected argument \"%s\"; the command stands behind --",
			     ctl_text(rd->stored[at]));
		status = MGR_EXIT_USAGE;
	}
	reg->timeout_ns = o.start_time_ns + o.drain_time_ns + o.grace_ns + SLACK_NS;
	mgr_opt_fini(mgr_regopt_table, &o);
	return status;
}

static int
push(void *arg, const char *text)
{
	if (!mgr_text_is_utf8(text, strlen(text)))
		return -EINVAL; /* JSON cannot carry it */
	return mgr_doc_push(arg, mgr_doc_string(text));
}

/* A relative path below a folder, without its "./": 0 or -errno. */
static int
join(const char *dir, const char *name, char path[static PATH_MAX])
{
	char cwd[PATH_MAX];

	if (dir == NULL && getcwd(cwd, sizeof(cwd)) == NULL)
		return -errno;
	while (strncmp(name, "./", 2) == 0)
		name += 2 + strspn(name + 2, "/");
	int n = snprintf(path, PATH_MAX, "%s/%s", dir != NULL ? dir : cwd, name);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* The program of a command, absolute: 0 or the exit code. */
static int
find_program(const char *name, const char *dir, char path[static PATH_MAX], struct mgr_buf *err)
{
	char joined[PATH_MAX];
	bool is_relative = name[0] != '/' && strchr(name, '/') != NULL;
	int r = is_relative ? join(dir, name, joined) : 0;

	if (r == 0)
		r = mgr_spawn_find(is_relative ? joined : name, path, PATH_MAX);
	if (r == 0)
		return MGR_EXIT_OK;
	mgr_buf_addf(err, "%s: %s", ctl_text(name), r == -ENOENT ? "command not found" :
		     r == -EACCES ? "not an executable file" : mgr_log_errno(r));
	return (int)mgr_exit_by_errno(r);
}

static int
add_list(struct mgr_doc *doc, const char *key, struct mgr_doc **ret_list)
{
	*ret_list = mgr_doc_array();
	return mgr_doc_set(doc, key, *ret_list);
}

static int
fill_document(struct mgr_doc *doc, const struct registration *reg, const struct reading *rd, char **cmd,
	      const char *path, const char *cwd)
{
	struct mgr_doc *args, *list;
	int r = mgr_doc_set_str(doc, "name", reg->name);

	if (r == 0)
		r = add_list(doc, "args", &args);
	if (r == 0)
		r = mgr_regopt_canonical(rd->stored_n, rd->stored, push, args);
	if (r == 0)
		r = add_list(doc, "cmd", &list);
	if (r == 0)
		r = push(list, path);
	for (char **word = cmd + 1; r == 0 && *word != NULL; word++)
		r = push(list, *word);
	if (r == 0)
		r = mgr_text_is_utf8(cwd, strlen(cwd)) ? mgr_doc_set_str(doc, "cwd", cwd) : -EINVAL;
	return r;
}

static int
add_document(struct registration *reg, const struct reading *rd, char **cmd, const char *dir, struct mgr_buf *err)
{
	char path[PATH_MAX], cwd[PATH_MAX];
	int status = find_program(cmd[0], dir, path, err);

	if (status != MGR_EXIT_OK)
		return status;
	if (dir == NULL && getcwd(cwd, sizeof(cwd)) == NULL)
		return fail(err, MGR_EXIT_FAILED, "the current folder has no path");
	struct mgr_doc *doc = mgr_doc_object();
	int r = fill_document(doc, reg, rd, cmd, path, dir != NULL ? dir : cwd);
	if (r == 0)
		r = mgr_doc_print(doc, false, &reg->doc);
	mgr_doc_free(doc);
	if (r == -EINVAL)
		return fail(err, MGR_EXIT_USAGE, "the command line and the folder must be UTF-8");
	return r < 0 ? fail(err, MGR_EXIT_FAILED, "out of memory") : MGR_EXIT_OK;
}

static int
find_end(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return i;
	return argc;
}

static int
read_rest(struct registration *reg, struct reading *rd, char **cmd, const char *dir, struct mgr_buf *err)
{
	int status = find_name(reg, rd, err);

	if (status == MGR_EXIT_OK)
		status = check_options(reg, rd, err);
	if (status == MGR_EXIT_OK && cmd == NULL)
		status = fail(err, MGR_EXIT_USAGE, "no command: NAME [OPTIONS] -- CMD [ARGS]");
	return status == MGR_EXIT_OK ? add_document(reg, rd, cmd, dir, err) : status;
}

int
registration_read(struct registration *reg, int argc, char **argv, const char *dir, bool *ret_help,
		  struct mgr_buf *err)
{
	struct reading rd = {0};
	int end = find_end(argc, argv);

	*reg = (struct registration){0};
	rd.stored = calloc((size_t)argc + 2, sizeof(*rd.stored));
	if (rd.stored == NULL)
		return fail(err, MGR_EXIT_FAILED, "out of memory");
	rd.stored_n = 1;
	int status = split_options(&rd, end - 1, argv + 1, err);
	*ret_help = rd.own.common.help;
	reg->replace = rd.own.replace;
	if (status == MGR_EXIT_OK && !*ret_help)
		status = read_rest(reg, &rd, end + 1 < argc ? argv + end + 1 : NULL, dir, err);
	free(rd.stored);
	return status;
}

void
registration_fini(struct registration *reg)
{
	mgr_buf_fini(&reg->doc);
}

int
registration_send(struct registration *reg, struct mgr_loop *loop, bool store, struct mgr_buf *why)
{
	char members[64];
	const struct ctl_question q = {
		.socket = "hub.sock", .verb = "register", .members = members,
		.body = mgr_buf_p(&reg->doc), .body_n = mgr_buf_n(&reg->doc), .timeout_ns = reg->timeout_ns};

	snprintf(members, sizeof(members), ",\"replace\":%s,\"store\":%s", reg->replace ? "true" : "false",
		 store ? "true" : "false");
	return ctl_ask(loop, &q, NULL, NULL, why);
}
