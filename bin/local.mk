# One program per folder; its header is its floor plan.

bin_PROGRAMS += mgr-hub
mgr_hub_SOURCES = \
	bin/mgr-hub/adopt.c \
	bin/mgr-hub/ask.c \
	bin/mgr-hub/client.c \
	bin/mgr-hub/events.c \
	bin/mgr-hub/hub.c \
	bin/mgr-hub/hub.h \
	bin/mgr-hub/join.c \
	bin/mgr-hub/listing.c \
	bin/mgr-hub/main.c \
	bin/mgr-hub/options.c \
	bin/mgr-hub/ping.c \
	bin/mgr-hub/regdoc.c \
	bin/mgr-hub/register.c \
	bin/mgr-hub/registry.c \
	bin/mgr-hub/stop.c \
	bin/mgr-hub/store.c \
	bin/mgr-hub/supervise.c \
	bin/mgr-hub/table.c \
	bin/mgr-hub/unit.c \
	bin/mgr-hub/unregister.c \
	bin/mgr-hub/verbs.c \
	bin/mgr-hub/worker.c \
	$(NULL)
mgr_hub_LDADD = $(MGR_LIBS)

bin_PROGRAMS += mgr-worker
mgr_worker_SOURCES = \
	bin/mgr-worker/bus.c \
	bin/mgr-worker/control.c \
	bin/mgr-worker/files.c \
	bin/mgr-worker/job.c \
	bin/mgr-worker/job.h \
	bin/mgr-worker/job_task.c \
	bin/mgr-worker/join.c \
	bin/mgr-worker/lanes.c \
	bin/mgr-worker/main.c \
	bin/mgr-worker/worker.h \
	$(NULL)
mgr_worker_LDADD = $(MGR_LIBS)

bin_PROGRAMS += mgr-httpd
mgr_httpd_SOURCES = \
	bin/mgr-httpd/admin.c \
	bin/mgr-httpd/admit.c \
	bin/mgr-httpd/body.c \
	bin/mgr-httpd/boss.c \
	bin/mgr-httpd/child.c \
	bin/mgr-httpd/clocks.c \
	bin/mgr-httpd/endpoint.c \
	bin/mgr-httpd/fields.c \
	bin/mgr-httpd/guard.c \
	bin/mgr-httpd/httpd.h \
	bin/mgr-httpd/linger.c \
	bin/mgr-httpd/listen.c \
	bin/mgr-httpd/log.c \
	bin/mgr-httpd/main.c \
	bin/mgr-httpd/options.c \
	bin/mgr-httpd/options.h \
	bin/mgr-httpd/page.c \
	bin/mgr-httpd/page.h \
	bin/mgr-httpd/reply.c \
	bin/mgr-httpd/route.c \
	bin/mgr-httpd/server.c \
	bin/mgr-httpd/spool.c \
	bin/mgr-httpd/spool.h \
	bin/mgr-httpd/submit.c \
	bin/mgr-httpd/turn.c \
	bin/mgr-httpd/walk.c \
	$(NULL)
mgr_httpd_LDADD = $(MGR_LIBS) $(MHD_LIBS)
mgr_httpd_CFLAGS = $(AM_CFLAGS) $(MHD_CFLAGS)

bin_PROGRAMS += mgr-ctl
mgr_ctl_SOURCES = \
	bin/mgr-ctl/ask.c \
	bin/mgr-ctl/call.c \
	bin/mgr-ctl/ctl.h \
	bin/mgr-ctl/events.c \
	bin/mgr-ctl/head.c \
	bin/mgr-ctl/input.c \
	bin/mgr-ctl/lint.c \
	bin/mgr-ctl/lint.h \
	bin/mgr-ctl/lint_checks.c \
	bin/mgr-ctl/ls.c \
	bin/mgr-ctl/main.c \
	bin/mgr-ctl/options.c \
	bin/mgr-ctl/probe.c \
	bin/mgr-ctl/probe.h \
	bin/mgr-ctl/probe_read.c \
	bin/mgr-ctl/probe_read.h \
	bin/mgr-ctl/register.c \
	bin/mgr-ctl/registration.c \
	bin/mgr-ctl/reply.c \
	bin/mgr-ctl/routes.c \
	bin/mgr-ctl/say.c \
	bin/mgr-ctl/shutdown.c \
	bin/mgr-ctl/status.c \
	bin/mgr-ctl/table.c \
	bin/mgr-ctl/try.c \
	bin/mgr-ctl/try_request.c \
	bin/mgr-ctl/unregister.c \
	bin/mgr-ctl/up.c \
	bin/mgr-ctl/up.h \
	bin/mgr-ctl/up_children.c \
	bin/mgr-ctl/up_file.c \
	bin/mgr-ctl/up_notify.c \
	bin/mgr-ctl/verbs.c \
	bin/mgr-ctl/words.c \
	bin/mgr-ctl/words.h \
	$(NULL)
mgr_ctl_LDADD = $(MGR_LIBS)
