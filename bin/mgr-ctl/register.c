#include "ctl.h"
#include "os/log.h"

static int
help(const struct ctl_verb *v)
{
	ctl_usage(v, stdout);
	mgr_opt_usage(mgr_regopt_table, stdout);
	return ctl_flush(MGR_EXIT_OK);
}

static int
send_it(struct registration *reg, struct mgr_buf *why)
{
	struct mgr_loop *loop;
	int r = mgr_loop_new(&loop);

	if (r < 0) {
		mgr_buf_adds(why, mgr_log_errno(r));
		return MGR_EXIT_FAILED;
	}
	int status = registration_send(reg, loop, true, why);
	mgr_loop_free(loop);
	return status;
}

int
ctl_register(const struct ctl_verb *v, int argc, char **argv)
{
	MGR_AUTO_BUF struct mgr_buf why = {0};
	struct registration reg;
	bool want_help;
	int status = registration_read(&reg, argc, argv, NULL, &want_help, &why);

	if (want_help) {
		status = help(v);
	} else if (status == MGR_EXIT_USAGE) {
		ctl_usage_error(v, "%s", mgr_buf_str(&why));
	} else if (status == MGR_EXIT_OK) {
		status = send_it(&reg, &why);
		if (status != MGR_EXIT_OK && mgr_buf_n(&why) > 0)
			ctl_complain("%s: %s", reg.name, ctl_text(mgr_buf_str(&why)));
	} else {
		ctl_complain("%s", mgr_buf_str(&why));
	}
	registration_fini(&reg);
	return status;
}
