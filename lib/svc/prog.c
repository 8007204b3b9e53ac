#include "svc/prog.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "config.h"
#include "os/file.h"
#include "os/io.h"
#include "os/log.h"

void
mgr_prog_quit(struct mgr_prog *p, int status)
{
	p->status = status;
	mgr_loop_stop(p->loop);
}

void
mgr_prog_notify(const char *state)
{
	const char *path = secure_getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(sa.sun_path))
		return;
	memcpy(sa.sun_path, path, strlen(path));
	if (sa.sun_path[0] == '@')
		sa.sun_path[0] = '\0';
	socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&sa, n);
	close(fd);
}

static void
asked_to_stop(struct mgr_signal *s)
{
	struct mgr_prog *p = s->signo == SIGTERM ? MGR_CONTAINER(s, struct mgr_prog, sig_term)
						 : MGR_CONTAINER(s, struct mgr_prog, sig_int);
	bool urgent = p->stopping;

	p->stopping = true;
	mgr_log(MGR_INFO, "stopping", "signal=%d urgent=%d", s->signo, urgent);
	mgr_prog_notify("STOPPING=1");
	p->spec->stop(p, urgent);
}

static void
asked_to_reload(struct mgr_signal *s)
{
	struct mgr_prog *p = MGR_CONTAINER(s, struct mgr_prog, sig_hup);

	if (p->spec->reload != NULL)
		p->spec->reload(p);
}

static void
usage(const struct mgr_prog_spec *spec, FILE *to)
{
	fprintf(to, "usage: %s [OPTIONS]%s%s\n%s\n\n", spec->name, spec->operands[0] ? " " : "",
		spec->operands, spec->about);
	mgr_opt_usage(spec->options, to);
}

/* Reads the command line: -1 = go on, else the exit code. */
static int
read_options(const struct mgr_prog_spec *spec, int argc, char **argv, int *ret_first)
{
	const struct mgr_prog_common *common = spec->values;
	char err[256];

	if (mgr_opt_defaults(spec->options, spec->values) < 0)
		return MGR_EXIT_FAILED;
	int first = mgr_opt_parse(spec->options, spec->values, argc, argv, err, sizeof(err));
	if (first < 0) {
		fprintf(stderr, "%s: %s\n%s --help lists what it takes\n", spec->name, err, spec->name);
		return MGR_EXIT_USAGE;
	}
	if (common->help) {
		usage(spec, stdout);
		return MGR_EXIT_OK;
	}
	if (common->version) {
		printf("%s %s\n", spec->name, PACKAGE_VERSION);
		return MGR_EXIT_OK;
	}
	int level = mgr_log_level_by_name(common->log_level);
	if (level < 0) {
		fprintf(stderr, "%s: --log-level takes error, warn, info or debug\n", spec->name);
		return MGR_EXIT_USAGE;
	}
	if (spec->operands[0] == '\0' && first < argc) {
		fprintf(stderr, "%s: unexpected argument \"%.64s\"\n", spec->name, argv[first]);
		return MGR_EXIT_USAGE;
	}
	mgr_log_init(spec->name, (enum mgr_log_level)level);
	*ret_first = first;
	return -1;
}

static int
make_folders(struct mgr_prog *p)
{
	int r = mgr_paths_runtime(p->runtime_dir);

	if (r == 0)
		r = mgr_file_mkdir(p->runtime_dir, 0700);
	if (r < 0) {
		mgr_log(MGR_ERR, "runtime-folder", "path=%s why=\"%s\"", mgr_log_str(p->runtime_dir),
			mgr_log_errno(r));
		return r;
	}
	r = mgr_paths_state(p->state_dir);
	if (r < 0)
		p->state_dir[0] = '\0'; /* only some need it: they say so */
	return 0;
}

static int
start(struct mgr_prog *p, int argc, char **argv)
{
	int r = mgr_loop_new(&p->loop);

	if (r == 0)
		r = mgr_signal_start(&p->sig_term, p->loop, SIGTERM, asked_to_stop);
	if (r == 0)
		r = mgr_signal_start(&p->sig_int, p->loop, SIGINT, asked_to_stop);
	if (r == 0)
		r = mgr_signal_start(&p->sig_hup, p->loop, SIGHUP, asked_to_reload);
	if (r < 0) {
		mgr_log(MGR_ERR, "start", "why=\"%s\"", mgr_log_errno(r));
		return MGR_EXIT_FAILED;
	}
	int status = p->spec->start(p, argc, argv);
	if (status == 0) {
		r = mgr_loop_run(p->loop);
		status = r < 0 ? MGR_EXIT_FAILED : p->status;
	}
	p->spec->fini(p);
	mgr_signal_stop(&p->sig_term);
	mgr_signal_stop(&p->sig_int);
	mgr_signal_stop(&p->sig_hup);
	return status;
}

int
mgr_prog_main(const struct mgr_prog_spec *spec, int argc, char **argv)
{
	struct mgr_prog p = {.spec = spec, .argc = argc, .argv = argv};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	int first = argc, status = read_options(spec, argc, argv, &first);

	if (status >= 0) {
		mgr_opt_fini(spec->options, spec->values);
		return status;
	}
	sigaction(SIGPIPE, &ignore, NULL);
	/* Secrets never reach a core file or a tracer of another user. */
	prctl(PR_SET_DUMPABLE, 0);
	status = make_folders(&p) < 0 ? MGR_EXIT_FAILED : start(&p, argc - first, argv + first);
	mgr_loop_free(p.loop);
	mgr_opt_fini(spec->options, spec->values);
	return status;
}
