#include <string.h>

#include "base/num.h"
#include "base/text.h"
#include "ctl.h"

struct unregister_options {
	struct ctl_common common;
	int64_t timeout_ns;
};

const struct mgr_opt unregister_options[] = {
	{.name = "timeout", .type = MGR_OPT_DURATION, .arg = "TIME", .fallback = "120s",
	 .offset = offsetof(struct unregister_options, timeout_ns), .min = MGR_MS,
	 .max = (uint64_t)(86400 * MGR_S), .help = "how long to wait for the calls in flight"},
	CTL_OPTION_HELP,
	MGR_OPT_END,
};

int
ctl_unregister(const struct ctl_verb *v, int argc, char **argv)
{
	struct unregister_options o = {0};
	char members[128];
	int status = ctl_options(v, &o, &argc, &argv);

	if (status != CTL_NO_OPTIONS)
		return status;
	if (!mgr_text_is_name(argv[0], strlen(argv[0])))
		return ctl_usage_error(v, "\"%s\" is no name of a handler", argv[0]);
	snprintf(members, sizeof(members), ",\"name\":\"%s\"", argv[0]);
	const struct ctl_question q = {.socket = "hub.sock", .verb = "unregister", .members = members,
				       .timeout_ns = o.timeout_ns};
	return ctl_ask_hub(&q, NULL);
}
