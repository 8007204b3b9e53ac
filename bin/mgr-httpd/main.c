/*
 * mgr-httpd: the only program that parses HTTP.  This process is the parent of the ones that serve, or,
 * with CHILD_ENV set by the parent, one of them.
 */
#include <stdlib.h>

#include "httpd.h"

static struct options options;

static bool
is_child(void)
{
	return getenv(CHILD_ENV) != NULL;
}

static int
start(struct mgr_prog *prog, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (options_check(&options) < 0)
		return MGR_EXIT_USAGE;
	return is_child() ? child_start(prog, &options, getenv(CHILD_ENV)) : boss_start(prog, &options);
}

static void
stop(struct mgr_prog *prog, bool urgent)
{
	if (is_child())
		child_stop(urgent);
	else
		boss_stop(prog, urgent);
}

static void
reload(struct mgr_prog *prog)
{
	if (!is_child())
		boss_reload(prog);
}

static void
fini(struct mgr_prog *prog)
{
	if (is_child())
		child_fini();
	else
		boss_fini(prog);
}

int
main(int argc, char **argv)
{
	static const struct mgr_prog_spec spec = {
		.name = "mgr-httpd",
		.operands = "",
		.about = "serves HTTP and calls the handlers behind it",
		.options = options_table,
		.values = &options,
		.start = start,
		.stop = stop,
		.reload = reload,
		.fini = fini,
	};

	return mgr_prog_main(&spec, argc, argv);
}
