#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/text.h"
#include "ctl.h"
#include "os/io.h"
#include "os/log.h"

#define TEXT_MAX 2000

void
ctl_complain(const char *fmt, ...)
{
	MGR_AUTO_BUF struct mgr_buf line = {0};
	va_list ap;

	mgr_buf_adds(&line, "mgr-ctl: ");
	va_start(ap, fmt);
	mgr_buf_vaddf(&line, fmt, ap);
	va_end(ap);
	mgr_buf_addc(&line, '\n');
	/* One write, so that lines of several programs on one terminal stay lines. */
	mgr_write_all(STDERR_FILENO, mgr_buf_p(&line), mgr_buf_n(&line));
}

/* mgr_text_escape would also escape quotes and backslashes, which do no harm to a person. */
static void
escape(struct mgr_buf *b, const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n && mgr_buf_n(b) < TEXT_MAX;) {
		size_t len = mgr_text_utf8(s + i, n - i);
		bool plain = len > 1 || (len == 1 && s[i] >= ' ' && s[i] != 0x7f);
		/* U+0080..U+009F are control characters too, and terminals obey them. */
		if (len == 2 && (unsigned char)s[i] == 0xc2 && (unsigned char)s[i + 1] < 0xa0)
			plain = false;
		if (plain)
			mgr_buf_add(b, s + i, len);
		else
			mgr_buf_addf(b, "\\x%02x", (unsigned char)s[i]);
		i += plain ? len : 1;
	}
}

const char *
ctl_text(const char *s)
{
	static struct mgr_buf ring[4];
	static unsigned turn;
	struct mgr_buf *b = &ring[turn++ % MGR_N(ring)];

	mgr_buf_clear(b, TEXT_MAX);
	escape(b, s);
	return mgr_buf_str(b);
}

/* Nobody reads any more: that is the reader's choice and no failure. */
static int
write_failed(int r)
{
	if (r == -EPIPE)
		_exit(MGR_EXIT_OK);
	ctl_complain("cannot write the output: %s", mgr_log_errno(r));
	return MGR_EXIT_FAILED;
}

int
ctl_flush(int status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return write_failed(errno != 0 ? -errno : -EIO);
}

void
ctl_write(const void *p, size_t n)
{
	int r = mgr_write_all(STDOUT_FILENO, p, n);

	if (r < 0)
		_exit(write_failed(r));
}

int
ctl_print_doc(const struct mgr_doc *doc)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};

	if (doc == NULL || mgr_doc_print(doc, true, &text) < 0 || mgr_buf_addc(&text, '\n') < 0) {
		ctl_complain("out of memory");
		return MGR_EXIT_FAILED;
	}
	ctl_write(mgr_buf_p(&text), mgr_buf_n(&text));
	return MGR_EXIT_OK;
}
