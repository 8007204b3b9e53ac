/*
 * What the lane programs of the benchmark share: the clock, the sample store and the line that
 * they print.  Each program is called KIND IN_FLIGHT SECONDS and prints one line:
 * p50 ns, p99 ns of a turn (a round trip when one is in flight), round trips per second.
 * BENCH_CPUS="A,B" in the environment pins the asking process to A and the echoing one to B.
 */
#ifndef BENCH_LANE_STAT_H
#define BENCH_LANE_STAT_H

#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { STAT_MESSAGE_N = 64, STAT_SAMPLES_MAX = 1 << 20, STAT_IN_FLIGHT_MAX = 64 };

struct stat_run {
	int64_t start_ns;
	int64_t end_ns;
	int64_t trips;
	uint32_t *sample;	/* ns of each turn, as far as they fit */
	size_t samples_n;
};

static inline int64_t
stat_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Starts the clock; exits when there is no memory, as these are throw-away programs. */
static inline void
stat_start(struct stat_run *run, double seconds)
{
	*run = (struct stat_run){ 0 };
	run->sample = calloc(STAT_SAMPLES_MAX, sizeof *run->sample);
	if (run->sample == NULL)
		exit(EXIT_FAILURE);
	run->start_ns = stat_now_ns();
	run->end_ns = run->start_ns + (int64_t)(seconds * 1e9);
}

/* Counts one turn that brought n answers. */
static inline void
stat_add(struct stat_run *run, int64_t took_ns, int n)
{
	run->trips += n;
	if (run->samples_n < STAT_SAMPLES_MAX)
		run->sample[run->samples_n++] = took_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)took_ns;
}

static inline int
stat_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static inline void
stat_print(struct stat_run *run)
{
	double took_s = (double)(stat_now_ns() - run->start_ns) / 1e9;
	size_t n = run->samples_n;

	qsort(run->sample, n, sizeof *run->sample, stat_compare);
	printf("%u %u %.0f\n", n > 0 ? run->sample[n / 2] : 0, n > 0 ? run->sample[n * 99 / 100] : 0,
	    (double)run->trips / took_s);
	free(run->sample);
}

/* The two numbers of the command line; exits with 2 when they make no sense. */
static inline void
stat_arguments(char **argv, int *ret_in_flight, double *ret_seconds)
{
	long in_flight = strtol(argv[2], NULL, 10);
	double seconds = strtod(argv[3], NULL);

	if (in_flight < 1 || in_flight > STAT_IN_FLIGHT_MAX || seconds <= 0 || seconds > 60)
		exit(2);
	*ret_in_flight = (int)in_flight;
	*ret_seconds = seconds;
}

static inline void
stat_pin(int which)
{
	const char *cpus = getenv("BENCH_CPUS");
	unsigned cpu[2];
	cpu_set_t set;

	if (cpus == NULL || sscanf(cpus, "%u,%u", &cpu[0], &cpu[1]) != 2)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu[which], &set);
	if (sched_setaffinity(0, sizeof set, &set) < 0)
		exit(EXIT_FAILURE);
}

/* fork() into the asking side (pid of the other) and the echoing side (0), which dies with it. */
static inline pid_t
stat_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		exit(EXIT_FAILURE);
	if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
		_exit(EXIT_FAILURE);
	stat_pin(pid == 0);
	return pid;
}

#endif
