/*
 * reply: a shell script of mode exec says status and headers of its answer with one frame on descriptor 3.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/num.h"
#include "ctl.h"
#include "os/io.h"
#include "os/log.h"
#include "wire/frame.h"

#define REPLY_FD 3

struct reply_options {
	struct ctl_common common;
	struct head_options head;
};

const struct mgr_opt reply_options[] = {
	{.name = "header", .letter = 'H', .type = MGR_OPT_LIST, .arg = "NAME:VALUE",
	 .offset = offsetof(struct reply_options, head.headers), .help = "a header of the answer; may be repeated"},
	{.name = "type", .type = MGR_OPT_TEXT, .arg = "TYPE", .offset = offsetof(struct reply_options, head.type),
	 .help = "content type of the answer"},
	CTL_OPTION_HELP,
	MGR_OPT_END,
};

static bool
is_writable(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

static int
send_head(uint64_t status, const struct mgr_buf *headers)
{
	MGR_AUTO_BUF struct mgr_buf meta = {0}, frame = {0};
	int r = mgr_buf_addf(&meta, "{\"status\":%llu", (unsigned long long)status);

	if (r == 0 && mgr_buf_n(headers) > 2) /* more than {} */
		r = mgr_buf_addf(&meta, ",\"headers\":%.*s", (int)mgr_buf_n(headers), mgr_buf_p(headers));
	if (r == 0)
		r = mgr_buf_adds(&meta, "}\n");
	if (r == 0 && mgr_buf_n(&meta) > MGR_FRAME_META_MAX)
		r = -EMSGSIZE;
	if (r == 0)
		r = mgr_frame_add(&frame, MGR_FRAME_RES, false, 1, mgr_buf_p(&meta), mgr_buf_n(&meta), NULL, 0);
	return r < 0 ? r : mgr_write_all(REPLY_FD, mgr_buf_p(&frame), mgr_buf_n(&frame));
}

int
ctl_reply(const struct ctl_verb *v, int argc, char **argv)
{
	MGR_AUTO_BUF struct mgr_buf headers = {0};
	static struct reply_options o;
	uint64_t status = 200;
	char err[256];
	int r = ctl_options(v, &o, &argc, &argv);

	if (r != CTL_NO_OPTIONS)
		return r;
	if (argc > 0 && (mgr_num_parse(argv[0], strlen(argv[0]), 599, &status) < 0 || status < 200))
		return ctl_usage_error(v, "STATUS is 200 to 599, not \"%s\"", argv[0]);
	if (head_add(&o.head, &headers, err, sizeof(err)) < 0)
		return ctl_usage_error(v, "%s", err);
	if (!is_writable(REPLY_FD))
		return ctl_usage_error(v, "descriptor %d is not open: this works inside a handler of mode exec",
				       REPLY_FD);
	r = send_head(status, &headers);
	if (r == 0)
		return MGR_EXIT_OK;
	ctl_complain("cannot write the reply: %s", mgr_log_errno(r));
	return (int)mgr_exit_by_errno(r);
}
