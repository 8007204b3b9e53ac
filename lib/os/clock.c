#include "os/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t
now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * MGR_S + ts.tv_nsec;
}

int64_t
mgr_now_ns(void)
{
	return now(CLOCK_MONOTONIC);
}

int64_t
mgr_wall_ns(void)
{
	return now(CLOCK_REALTIME);
}

void
mgr_clock_text(char text[static MGR_CLOCK_TEXT_MAX], int64_t wall_ns)
{
	time_t s = (time_t)(wall_ns / MGR_S);
	struct tm tm;
	char day[24];

	gmtime_r(&s, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, MGR_CLOCK_TEXT_MAX, "%s.%03dZ", day, (int)(wall_ns % MGR_S / MGR_MS));
}
