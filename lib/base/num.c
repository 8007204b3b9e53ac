#include "base/num.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

size_t
mgr_num_format(char text[static MGR_NUM_MAX], uint64_t value)
{
	char back[MGR_NUM_MAX];
	size_t n = 0;

	do {
		back[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	for (size_t i = 0; i < n; i++)
		text[i] = back[n - 1 - i];
	return n;
}

int
mgr_num_parse(const char *p, size_t n, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (n == 0 || (n > 1 && p[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9')
			return -EINVAL;
	if (n > MGR_NUM_MAX)
		return -ERANGE;
	for (size_t i = 0; i < n; i++) {
		unsigned digit = (unsigned)(p[i] - '0');
		if (value > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	if (value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int
parse_unit(const char *text, const struct unit *unit, size_t unit_n, uint64_t max, uint64_t *ret)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t value;
	int r = mgr_num_parse(text, digits, UINT64_MAX, &value);

	if (r < 0)
		return r;
	for (size_t i = 0; i < unit_n; i++) {
		if (strcmp(text + digits, unit[i].name) != 0)
			continue;
		if (value > max / unit[i].factor)
			return -ERANGE;
		*ret = value * unit[i].factor;
		return 0;
	}
	return -EINVAL;
}

int
mgr_num_parse_size(const char *text, uint64_t *ret_value)
{
	static const struct unit unit[] = {
		{"", 1},        {"k", 1u << 10},         {"K", 1u << 10},
		{"M", 1u << 20}, {"G", UINT64_C(1) << 30}, {"T", UINT64_C(1) << 40},
	};

	return parse_unit(text, unit, MGR_N(unit), UINT64_MAX, ret_value);
}

int
mgr_num_parse_duration(const char *text, int64_t *ret_ns)
{
	static const struct unit unit[] = {
		{"ns", 1},           {"us", MGR_US},      {"ms", MGR_MS},       {"", MGR_S},
		{"s", MGR_S},        {"m", 60 * MGR_S},   {"h", 3600 * MGR_S},  {"d", 86400 * MGR_S},
	};
	uint64_t ns;
	int r = parse_unit(text, unit, MGR_N(unit), INT64_MAX, &ns);

	if (r == 0)
		*ret_ns = (int64_t)ns;
	return r;
}
