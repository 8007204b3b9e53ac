/*
 * Runs a fuzz target without libFuzzer: TARGET [-t SECONDS] [-s SEED] FILE|DIR...  Each file is one input;
 * with -t they are then mutated until the time is over.  A finding stops the program, and the input that
 * made it is in the file that was named on stderr.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX 65536

/* What the sanitizers call before they end the process, when there are any. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

struct input {
	uint8_t *p;
	size_t n;
};

static struct input *corpus;
static size_t corpus_n;

static uint8_t current[INPUT_MAX]; /* what the target is working on, for the crash file */
static size_t current_n;
static const char crash_file[] = "fuzz-crash.bin";

/* Async-signal-safe. */
static void
save_current(void)
{
	static const char said[] = "\n# the input is in fuzz-crash.bin\n";
	int fd = open(crash_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, current, current_n) < 0 || write(STDERR_FILENO, said, sizeof(said) - 1) < 0)
		return;
	close(fd);
}

static void
on_signal(int number)
{
	save_current();
	signal(number, SIG_DFL);
	raise(number);
}

static void
catch_crashes(void)
{
	static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
	struct sigaction action = {.sa_handler = on_signal};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(save_current);
}

static void
run(const uint8_t *p, size_t n)
{
	if (n > 0)
		memcpy(current, p, n);
	current_n = n;
	alarm(10); /* an input that takes that long is a finding */
	LLVMFuzzerTestOneInput(current, n);
	alarm(0);
}

static bool
load_file(const char *path)
{
	FILE *f = fopen(path, "rbe");

	if (f == NULL)
		return false;
	size_t n = fread(current, 1, INPUT_MAX, f);
	struct input *more = reallocarray(corpus, corpus_n + 1, sizeof(*more));
	if (more == NULL)
		abort();
	corpus = more;
	corpus[corpus_n++] = (struct input){(uint8_t *)fuzz_copy((const char *)current, n), n};
	fclose(f);
	return true;
}

static bool
load(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool good = true;

	if (dir == NULL)
		return load_file(path);
	while ((entry = readdir(dir)) != NULL) {
		char file[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		good &= load_file(file);
	}
	closedir(dir);
	return good;
}

static void
insert(struct input *in, size_t at, const uint8_t *p, size_t n)
{
	if (n > INPUT_MAX - in->n)
		return;
	memmove(in->p + at + n, in->p + at, in->n - at);
	memmove(in->p + at, p, n);
	in->n += n;
}

static void
mutate_once(struct input *in, uint64_t *seed)
{
	static const char tokens[] = "{}[]\",:\\/?%+0123456789\n eE.-_u";
	size_t at = in->n > 0 ? fuzz_next(seed) % in->n : 0, n = 1 + fuzz_next(seed) % 8;
	const struct input *other = &corpus[fuzz_next(seed) % corpus_n];
	uint8_t byte = (uint8_t)tokens[fuzz_next(seed) % (sizeof(tokens) - 1)];
	uint8_t part[64];

	n = n < in->n - at ? n : in->n - at;
	switch (fuzz_next(seed) % 7) {
	case 0:
		if (in->n > 0)
			in->p[at] ^= (uint8_t)(1u << fuzz_next(seed) % 8);
		break;
	case 1:
		if (in->n > 0)
			in->p[at] = byte;
		break;
	case 2:
		insert(in, at, &byte, 1);
		break;
	case 3:
		memmove(in->p + at, in->p + at + n, in->n - at - n);
		in->n -= n;
		break;
	case 4:
		memcpy(part, in->p + at, n);
		insert(in, at, part, n);
		break;
	case 5:
		if (other->n > 0) {
			size_t from = fuzz_next(seed) % other->n, left = other->n - from;
			size_t part_n = left < sizeof(part) ? left : sizeof(part);

			memcpy(part, other->p + from, part_n);
			insert(in, at, part, part_n);
		}
		break;
	default:
		byte = (uint8_t)fuzz_next(seed);
		insert(in, at, &byte, 1);
	}
}

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t
mutate_for(unsigned long seconds, uint64_t seed)
{
	uint64_t until_ms = now_ms() + seconds * 1000, runs = 0;
	struct input in = {malloc(INPUT_MAX), 0};

	if (in.p == NULL)
		abort();
	while (now_ms() < until_ms) {
		const struct input *from = &corpus[fuzz_next(&seed) % corpus_n];
		unsigned times = 1 + (unsigned)(fuzz_next(&seed) % 8);

		in.n = from->n;
		memcpy(in.p, from->p, from->n);
		for (unsigned i = 0; i < times; i++)
			mutate_once(&in, &seed);
		run(in.p, in.n);
		runs++;
	}
	free(in.p);
	return runs;
}

int
main(int argc, char *argv[])
{
	unsigned long seconds = 0;
	uint64_t seed = 1;
	int option;

	while ((option = getopt(argc, argv, "t:s:")) != -1) {
		if (option == '?') {
			fprintf(stderr, "usage: %s [-t SECONDS] [-s SEED] FILE|DIR...\n", argv[0]);
			return 2;
		}
		if (option == 't')
			seconds = strtoul(optarg, NULL, 10);
		else
			seed = strtoull(optarg, NULL, 10) | 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	catch_crashes();
	printf("1..%d\n", seconds > 0 ? 2 : 1);
	bool good = true;
	for (int i = optind; i < argc; i++)
		good &= load(argv[i]);
	good &= corpus_n > 0;
	for (size_t i = 0; i < corpus_n; i++)
		run(corpus[i].p, corpus[i].n);
	printf("%sok 1 - %zu inputs of the corpus\n", good ? "" : "not ", corpus_n);
	if (seconds > 0 && corpus_n == 0)
		printf("not ok 2 - nothing to mutate\n");
	else if (seconds > 0)
		printf("ok 2 - %" PRIu64 " mutated inputs in %lu s, seed %" PRIu64 "\n", mutate_for(seconds, seed),
		       seconds, seed);
	for (size_t i = 0; i < corpus_n; i++)
		free(corpus[i].p);
	free(corpus);
	return good ? 0 : 1;
}
