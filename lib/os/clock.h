/*
 * Time.  Deadlines and intervals are monotonic nanoseconds; the wall clock is for people only.
 */
#ifndef MGR_OS_CLOCK_H
#define MGR_OS_CLOCK_H

#include <stdint.h>

#include "base/num.h"

int64_t mgr_now_ns(void);

/* Wall clock, nanoseconds since 1970. */
int64_t mgr_wall_ns(void);

#define MGR_CLOCK_TEXT_MAX 32

/* RFC 3339 in UTC with milliseconds, "2026-01-02T03:04:05.678Z". */
void mgr_clock_text(char text[static MGR_CLOCK_TEXT_MAX], int64_t wall_ns);

#endif
