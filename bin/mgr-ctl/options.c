#include <stdarg.h>
#include <string.h>

#include "ctl.h"

void
ctl_usage(const struct ctl_verb *v, FILE *to)
{
	fprintf(to, "usage: mgr-ctl %s %s%s%s\n%s\n\n", v->name, v->operands,
		v->operands[0] != '\0' && strstr(v->operands, "OPTIONS") == NULL ? " " : "",
		strstr(v->operands, "OPTIONS") == NULL ? "[OPTIONS]" : "", v->help);
	mgr_opt_usage(v->options, to);
}

int
ctl_usage_error(const struct ctl_verb *v, const char *fmt, ...)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};
	va_list ap;

	va_start(ap, fmt);
	mgr_buf_vaddf(&text, fmt, ap);
	va_end(ap);
	ctl_complain("%s: %s; mgr-ctl %s --help tells more", v->name, ctl_text(mgr_buf_str(&text)), v->name);
	return MGR_EXIT_USAGE;
}

/* Moves the operands to the front of word, reads everything else: how many operands, or -EINVAL. */
static int
sort(const struct ctl_verb *v, void *values, int n, char **word, char *err, size_t err_n)
{
	int operand_n = 0, i = 1;

	while (i < n) {
		int got = mgr_opt_parse(v->options, values, n - i + 1, word + i - 1, err, err_n);
		if (got < 0)
			return got;
		i += got - 1;
		bool rest = v->command || (got > 1 && strcmp(word[i - 1], "--") == 0);
		do {
			if (i < n)
				word[operand_n++] = word[i++];
		} while (rest && i < n);
	}
	word[operand_n] = NULL;
	return operand_n;
}

int
ctl_options(const struct ctl_verb *v, void *values, int *argc, char ***argv)
{
	const struct ctl_common *common = values;
	char err[256];
	int r = mgr_opt_defaults(v->options, values);

	if (r < 0) {
		ctl_complain("out of memory");
		return MGR_EXIT_FAILED;
	}
	int n = sort(v, values, *argc, *argv, err, sizeof(err));
	if (n < 0)
		return ctl_usage_error(v, "%s", err);
	if (common->help) {
		ctl_usage(v, stdout);
		return ctl_flush(MGR_EXIT_OK);
	}
	if ((unsigned)n < v->min)
		return ctl_usage_error(v, "%.*s is missing", (int)strcspn(v->operands, " "), v->operands);
	if ((unsigned)n > v->max)
		return ctl_usage_error(v, "unexpected argument \"%.64s\"", (*argv)[v->max]);
	*argc = n;
	return CTL_NO_OPTIONS;
}
