#include "hub.h"

struct hub_options hub_values;

#define DURATION(option, text, member, what) \
	{.name = option, .type = MGR_OPT_DURATION, .arg = "TIME", .fallback = text, \
	 .offset = offsetof(struct hub_options, member), .help = what}

const struct mgr_opt hub_options[] = {
	MGR_PROG_OPTIONS,
	DURATION("drain-time", "30s", drain_ns,
		 "how long a worker may finish its calls when its registration does not say"),
	DURATION("grace", "2s", grace_ns, "after that, until it is killed"),
	DURATION("start-time", "10s", start_ns,
		 "until the replicas of a new registration are ready, when it does not say"),
	DURATION("ping-interval", "10s", ping_interval_ns, "between two pings of a worker"),
	DURATION("ping-limit", "2s", ping_limit_ns, "until a ping counts as missed"),
	{.name = "ping-misses", .type = MGR_OPT_UINT, .arg = "N", .fallback = "3", .min = 1, .max = 1000,
	 .offset = offsetof(struct hub_options, ping_misses),
	 .help = "missed pings in a row until a worker is evicted"},
	DURATION("hung", "60s", hung_ns, "until an evicted worker that does not come back is killed"),
	DURATION("adopt", "3s", adopt_ns, "how long to wait for workers that outlived the last hub"),
	DURATION("ready", "5s", ready_ns, "how long READY waits for the stored registrations"),
	DURATION("ack", "1s", ack_ns, "how long a change waits for every mgr-httpd to know it"),
	DURATION("backoff-min", "100ms", backoff_min_ns, "first delay before a worker is started again"),
	DURATION("backoff-max", "30s", backoff_max_ns, "longest delay"),
	DURATION("stable", "2s", stable_ns, "a ready worker this old is started again at once"),
	DURATION("failed-retry", "30s", failed_retry_ns, "delay after 5 deaths in 10 s"),
	MGR_OPT_END,
};
