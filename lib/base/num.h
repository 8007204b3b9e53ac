/*
 * Decimal numbers as the wire writes them: no sign, no leading zeros, no white space.
 */
#ifndef MGR_BASE_NUM_H
#define MGR_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MGR_NUM_MAX 20 /* digits of 2^64-1 */

/* Writes the digits of value (no NUL) and gives their count. */
size_t mgr_num_format(char text[static MGR_NUM_MAX], uint64_t value);

/* Reads all n bytes as a decimal <= max: 0, -EINVAL for bad grammar, -ERANGE when too large. */
int mgr_num_parse(const char *p, size_t n, uint64_t max, uint64_t *ret_value);

/* Reads a size such as "64k", "10G" (powers of 1024): 0, -EINVAL, -ERANGE. */
int mgr_num_parse_size(const char *text, uint64_t *ret_value);

/* Reads a duration such as "250ms", "10s", "2m", "1h"; a bare number is seconds: 0, -EINVAL, -ERANGE. */
int mgr_num_parse_duration(const char *text, int64_t *ret_ns);

#define MGR_US INT64_C(1000)
#define MGR_MS INT64_C(1000000)
#define MGR_S INT64_C(1000000000)

#endif
