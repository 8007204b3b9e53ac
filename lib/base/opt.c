#include "base/opt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/num.h"

static void *
slot(const struct mgr_opt *o, void *values)
{
	return (char *)values + o->offset;
}

static int
set_number(const struct mgr_opt *o, uint64_t value, void *to)
{
	if ((o->min != 0 || o->max != 0) && (value < o->min || value > o->max))
		return -ERANGE;
	if (o->type == MGR_OPT_DURATION)
		*(int64_t *)to = (int64_t)value;
	else
		*(uint64_t *)to = value;
	return 0;
}

static int
add_item(struct mgr_opt_list *list, const char *text)
{
	const char **item = reallocarray(list->item, list->n + 1, sizeof(*item));

	if (item == NULL)
		return -ENOMEM;
	item[list->n++] = text;
	list->item = item;
	return 0;
}

static int
set_value(const struct mgr_opt *o, void *values, const char *text)
{
	uint64_t value = 0;
	int64_t ns;
	int r;

	switch (o->type) {
	case MGR_OPT_FLAG:
		*(bool *)slot(o, values) = true;
		return 0;
	case MGR_OPT_TEXT:
		*(const char **)slot(o, values) = text;
		return 0;
	case MGR_OPT_LIST:
		return add_item(slot(o, values), text);
	case MGR_OPT_UINT:
		r = mgr_num_parse(text, strlen(text), UINT64_MAX, &value);
		break;
	case MGR_OPT_SIZE:
		r = mgr_num_parse_size(text, &value);
		break;
	case MGR_OPT_DURATION:
		r = mgr_num_parse_duration(text, &ns);
		value = r == 0 ? (uint64_t)ns : 0;
		break;
	default:
		return -EINVAL;
	}
	return r < 0 ? r : set_number(o, value, slot(o, values));
}

int
mgr_opt_defaults(const struct mgr_opt *table, void *values)
{
	for (const struct mgr_opt *o = table; o->name != NULL; o++) {
		if (o->fallback == NULL)
			continue;
		int r = set_value(o, values, o->fallback);
		mgr_assert(r != -EINVAL && r != -ERANGE);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
complain(const struct mgr_opt *o, int r, const char *text, char *err, size_t err_n)
{
	static const char *const kind[] = {
		[MGR_OPT_UINT] = "a whole number",
		[MGR_OPT_SIZE] = "a size such as 64k or 10G",
		[MGR_OPT_DURATION] = "a time such as 500ms, 10s or 2m",
	};

	if (r == -ERANGE && (o->min != 0 || o->max != 0))
		snprintf(err, err_n, "--%s %s is out of range (%llu to %llu%s)", o->name, text,
			 (unsigned long long)o->min, (unsigned long long)o->max,
			 o->type == MGR_OPT_DURATION ? " ns" : "");
	else if (r == -ENOMEM)
		snprintf(err, err_n, "out of memory");
	else
		snprintf(err, err_n, "--%s takes %s, not \"%.40s\"", o->name,
			 kind[o->type] != NULL ? kind[o->type] : "a value", text);
	return -EINVAL;
}

int
mgr_opt_set(const struct mgr_opt *table, void *values, const char *name, const char *text, char *err,
	    size_t err_n)
{
	for (const struct mgr_opt *o = table; o->name != NULL; o++) {
		if (strcmp(o->name, name) != 0)
			continue;
		int r = set_value(o, values, text);
		return r < 0 ? complain(o, r, text, err, err_n) : 0;
	}
	snprintf(err, err_n, "unknown option %s", name);
	return -ENOENT;
}

static const struct mgr_opt *
find_long(const struct mgr_opt *table, const char *name, size_t n)
{
	for (const struct mgr_opt *o = table; o->name != NULL; o++)
		if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
			return o;
	return NULL;
}

static const struct mgr_opt *
find_letter(const struct mgr_opt *table, char letter)
{
	for (const struct mgr_opt *o = table; o->name != NULL; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

/* The row that arg names, and the text glued to it ("--x=1", "-x1") or NULL. */
static const struct mgr_opt *
find(const struct mgr_opt *table, const char *arg, const char **ret_glued)
{
	*ret_glued = NULL;
	if (arg[1] == '-') {
		size_t n = strcspn(arg + 2, "=");
		if (arg[2 + n] == '=')
			*ret_glued = arg + 2 + n + 1;
		return find_long(table, arg + 2, n);
	}
	if (arg[2] != '\0')
		*ret_glued = arg + 2;
	return find_letter(table, arg[1]);
}

int
mgr_opt_each(const struct mgr_opt *table, int argc, char *const argv[],
	     int (*fn)(void *arg, const struct mgr_opt *row, const char *text, char *err, size_t err_n),
	     void *arg, char *err, size_t err_n)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
		const char *text, *word = argv[i++];

		if (strcmp(word, "--") == 0)
			break;
		const struct mgr_opt *o = find(table, word, &text);
		if (o == NULL) {
			snprintf(err, err_n, "unknown option %.64s", word);
			return -EINVAL;
		}
		if (o->type == MGR_OPT_FLAG && text != NULL) {
			snprintf(err, err_n, "--%s takes no value", o->name);
			return -EINVAL;
		}
		if (o->type != MGR_OPT_FLAG && text == NULL) {
			if (i >= argc) {
				snprintf(err, err_n, "--%s needs a value (%s)", o->name, o->arg);
				return -EINVAL;
			}
			text = argv[i++];
		}
		int r = fn(arg, o, text, err, err_n);
		if (r < 0)
			return r;
	}
	return i;
}

static int
set_one(void *values, const struct mgr_opt *o, const char *text, char *err, size_t err_n)
{
	int r = set_value(o, values, text);

	return r < 0 ? complain(o, r, text, err, err_n) : 0;
}

int
mgr_opt_parse(const struct mgr_opt *table, void *values, int argc, char *const argv[], char *err,
	      size_t err_n)
{
	return mgr_opt_each(table, argc, argv, set_one, values, err, err_n);
}

void
mgr_opt_fini(const struct mgr_opt *table, void *values)
{
	for (const struct mgr_opt *o = table; o->name != NULL; o++) {
		if (o->type != MGR_OPT_LIST)
			continue;
		struct mgr_opt_list *list = slot(o, values);
		free(list->item);
		*list = (struct mgr_opt_list){0};
	}
}

void
mgr_opt_usage(const struct mgr_opt *table, void *file)
{
	for (const struct mgr_opt *o = table; o->name != NULL; o++) {
		char left[64];

		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
			 o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name, o->arg ? " " : "",
			 o->arg ? o->arg : "");
		fprintf(file, "  %-30s %s%s%s%s\n", left, o->help, o->fallback ? " (" : "",
			o->fallback ? o->fallback : "", o->fallback ? ")" : "");
	}
}
