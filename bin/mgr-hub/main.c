#include "hub.h"

static const struct mgr_prog_spec spec = {
	.name = "mgr-hub",
	.operands = "",
	.about = "knows who serves which name and route, and starts and watches the workers",
	.options = hub_options,
	.values = &hub_values,
	.start = hub_open,
	.stop = stop_begin,
	.reload = stop_reexec,
	.fini = hub_fini,
};

int
main(int argc, char **argv)
{
	return mgr_prog_main(&spec, argc, argv);
}
