/*
 * The option table.  One row per option gives its name, letter, argument, type, default and help;
 * parsing, usage text, environment and the manual test all read the same row.
 */
#ifndef MGR_BASE_OPT_H
#define MGR_BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mgr_opt_type {
	MGR_OPT_FLAG,     /* bool */
	MGR_OPT_TEXT,     /* const char *, borrowed from argv */
	MGR_OPT_UINT,     /* uint64_t, min..max */
	MGR_OPT_SIZE,     /* uint64_t bytes, suffixes k M G T */
	MGR_OPT_DURATION, /* int64_t ns, suffixes ms s m h; bare = seconds */
	MGR_OPT_LIST,     /* struct mgr_opt_list, may be given several times */
};

struct mgr_opt_list {
	const char **item; /* borrowed texts; the array is the list's */
	size_t n;
};

struct mgr_opt {
	const char *name;     /* long name without "--" */
	char letter;          /* short name or 0 */
	enum mgr_opt_type type;
	const char *arg;      /* name of the argument in the usage, NULL for a flag */
	size_t offset;        /* of the value in the caller's struct */
	const char *fallback; /* default as text, NULL = leave as it is */
	uint64_t min, max;    /* for numbers: both 0 = any */
	const char *help;
};

#define MGR_OPT_END {0}

/* Sets every row's default: 0 or -errno (a broken table is an assertion). */
int mgr_opt_defaults(const struct mgr_opt *table, void *values);

/*
 * Parses argv[1..] up to the first operand or "--": the index of the first operand, or -EINVAL
 * with one line for people in err.  Accepts --name VALUE, --name=VALUE, -l VALUE, -lVALUE.
 */
int mgr_opt_parse(const struct mgr_opt *table, void *values, int argc, char *const argv[], char *err,
		  size_t err_n);

/* The walk under it: fn gets every option with its text (NULL for a flag); its first negative result ends the walk. */
int mgr_opt_each(const struct mgr_opt *table, int argc, char *const argv[],
		 int (*fn)(void *arg, const struct mgr_opt *row, const char *text, char *err, size_t err_n),
		 void *arg, char *err, size_t err_n);

/* Sets one option by name from text, as the parser does: 0, -ENOENT for an unknown name, -EINVAL. */
int mgr_opt_set(const struct mgr_opt *table, void *values, const char *name, const char *text, char *err,
		size_t err_n);

/* Frees what the values hold. */
void mgr_opt_fini(const struct mgr_opt *table, void *values);

/* Prints the rows as usage text to a FILE that is given as void to keep stdio out of this header. */
void mgr_opt_usage(const struct mgr_opt *table, void *file);

#endif
