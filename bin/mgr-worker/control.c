#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "config.h"
#include "os/clock.h"

static struct worker *
of(const struct mgr_ctl_conn *c)
{
	return c->server->user;
}

static void
add_stats(struct worker *w, const struct mgr_pool_stats *s, struct mgr_buf *b)
{
	const struct {
		const char *name;
		uint64_t value;
	} number[] = {
		{"want", s->want},         {"ready", s->ready},       {"busy", s->busy},
		{"in_flight", s->in_flight}, {"queued", s->queued},   {"calls", s->calls},
		{"errors", s->errors},     {"timeouts", s->timeouts}, {"restarts", s->restarts},
		{"rejected", s->rejected}, {"rss", s->rss},           {"lanes", w->lane_n},
	};

	mgr_buf_addf(b, "{\"name\":\"%s\",\"state\":\"%s\"", w->options->name, mgr_pool_state_name[s->state]);
	for (size_t i = 0; i < MGR_N(number); i++)
		mgr_buf_addf(b, ",\"%s\":%llu", number[i].name, (unsigned long long)number[i].value);
	mgr_buf_adds(b, ",\"why\":");
	mgr_json_add_string(b, s->why, strnlen(s->why, sizeof(s->why)));
	mgr_buf_adds(b, ",\"replicas\":");
	mgr_pool_list(w->pool, b);
	mgr_buf_addc(b, '}');
}

static void
status(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	struct worker *w = of(c);
	MGR_AUTO_BUF struct mgr_buf meta = {0}, body = {0};
	struct mgr_pool_stats stats;
	char since[MGR_CLOCK_TEXT_MAX];

	mgr_pool_get_stats(w->pool, &stats);
	mgr_clock_text(since, w->since_ns);
	mgr_buf_addf(&meta, "{\"name\":\"mgr-worker\",\"pid\":%d,\"state\":\"%s\",\"since\":\"%s\","
		     "\"version\":\"%s\",\"handler\":\"%s\"}", (int)getpid(),
		     w->leaving ? "draining" : "ready", since, PACKAGE_VERSION, w->options->name);
	add_stats(w, &stats, &body);
	mgr_ctl_reply(c, req->id, mgr_buf_str(&meta), mgr_buf_p(&body), mgr_buf_n(&body));
}

static void
shut_down(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	mgr_ctl_reply(c, req->id, NULL, NULL, 0);
	kill(getpid(), SIGTERM); /* the one way to stop, whoever asks */
}

static void
restart(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	mgr_pool_restart(of(c)->pool);
	mgr_ctl_reply(c, req->id, NULL, NULL, 0);
}

static void
scale(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	struct mgr_json value;
	int64_t n;

	if (!mgr_json_get(&req->args, "replicas", &value) || mgr_json_int(&value, 1, 1024, &n) < 0) {
		mgr_ctl_fail(c, req->id, MGR_OUT_BAD_REQUEST, "replicas must be 1 to 1024");
		return;
	}
	mgr_pool_scale(of(c)->pool, (unsigned)n);
	mgr_ctl_reply(c, req->id, NULL, NULL, 0);
}

static void
rejoin(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	mgr_hub_retry(&of(c)->hub);
	mgr_ctl_reply(c, req->id, NULL, NULL, 0);
}

static const struct mgr_ctl_verb verbs[] = {
	{"status", status, "state, counters and replicas"},
	{"restart", restart, "start new replicas, then drain the old ones"},
	{"reload", restart, "the same as restart"},
	{"rejoin", rejoin, "look for the hub now, not at the next try"},
	{"scale", scale, "change the number of replicas"},
	{"drain", shut_down, "finish what is there, then end"},
	{"shutdown", shut_down, "finish what is there, then end"},
	{0},
};

int
control_open(struct worker *w)
{
	return mgr_ctl_listen(&w->control, w->prog->loop, w->control_path, "mgr-worker", verbs, w);
}

void
control_close(struct worker *w)
{
	mgr_ctl_server_fini(&w->control);
}
