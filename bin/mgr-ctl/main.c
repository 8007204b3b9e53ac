/*
 * mgr-ctl: one verb per run.  The table of verbs.c says which.
 */
#include <signal.h>
#include <string.h>

#include "config.h"
#include "ctl.h"
#include "os/log.h"

static int
help(FILE *to)
{
	fprintf(to, "usage: mgr-ctl VERB [OPTIONS] ...\n"
		    "       mgr-ctl VERB --help\n"
		    "       mgr-ctl --version\n\n");
	for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++)
		fprintf(to, "  %-12s %s\n", v->name, v->help);
	return to == stdout ? ctl_flush(MGR_EXIT_OK) : MGR_EXIT_USAGE;
}

static bool
is(const char *word, const char *name, const char *letter)
{
	return strcmp(word, name) == 0 || strcmp(word, letter) == 0;
}

static int
unknown(const char *name)
{
	const struct ctl_verb *near = ctl_verb_nearest(name);

	if (name[0] == '-')
		ctl_complain("unknown option %s; mgr-ctl --help lists the verbs", ctl_text(name));
	else if (near != NULL)
		ctl_complain("unknown verb \"%s\"; did you mean \"%s\"?", ctl_text(name), near->name);
	else
		ctl_complain("unknown verb \"%s\"; mgr-ctl --help lists them", ctl_text(name));
	return MGR_EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ignore, NULL); /* a daemon that dies is an answer, not our end */
	mgr_log_init("mgr-ctl", MGR_ERR);
	if (argc < 2)
		return help(stderr);
	if (is(argv[1], "--help", "-h") || strcmp(argv[1], "help") == 0)
		return help(stdout);
	if (is(argv[1], "--version", "-V")) {
		printf("mgr-ctl %s\n", PACKAGE_VERSION);
		return ctl_flush(MGR_EXIT_OK);
	}
	const struct ctl_verb *v = ctl_verb_find(argv[1]);
	return v == NULL ? unknown(argv[1]) : v->fn(v, argc - 1, argv + 1);
}
