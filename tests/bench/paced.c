/*
 * An HTTP client that sends one POST at each tick over one kept connection and measures the time
 * from the first byte sent to the last byte of the answer.  wrk only knows "flat out".
 *
 *	paced RATE_PER_S COUNT BODY_BYTES ADDR PORT PATH
 *
 * Prints one line: p50 us, p99 us, answers with status 2xx, other answers, reconnects.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { COUNT_MAX = 1000000, BODY_MAX = 65536, ANSWER_MAX = 1 << 20, WAIT_S = 10 };

struct client {
	struct sockaddr_in addr;
	int fd;			/* -1: not connected */
	int64_t connects;
	char *request;
	size_t request_n;
	char *answer;
	size_t answer_n;
};

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
sleep_until(int64_t at_ns)
{
	struct timespec t = { .tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static int
client_connect(struct client *c)
{
	struct timeval wait = { .tv_sec = WAIT_S };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	c->connects++;
	if (connect(c->fd, (const struct sockaddr *)&c->addr, sizeof c->addr) < 0)
		return -errno;
	return 0;
}

static void
client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static int
send_request(const struct client *c)
{
	size_t at = 0;
	ssize_t n;

	while (at < c->request_n) {
		n = send(c->fd, c->request + at, c->request_n - at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return 0;
}

/* Value of a header in the head that ends at head_n, or NULL. */
static const char *
find_header(const char *head, size_t head_n, const char *name)
{
	const char *line = head, *end = head + head_n;
	size_t name_n = strlen(name);

	while (line != NULL && (size_t)(end - line) > name_n) {
		if (strncasecmp(line, name, name_n) == 0 && line[name_n] == ':')
			return line + name_n + 1;
		line = memchr(line, '\n', (size_t)(end - line));
		if (line != NULL)
			line++;
	}
	return NULL;
}

/* The answer is whole: by its length, or by the last chunk. */
static bool
is_whole(const struct client *c)
{
	static const char last_chunk[] = "0\r\n\r\n";
	const char *end = memmem(c->answer, c->answer_n, "\r\n\r\n", 4);
	const char *value;
	size_t head_n, body_n;

	if (end == NULL)
		return false;
	head_n = (size_t)(end - c->answer) + 4;
	body_n = c->answer_n - head_n;
	value = find_header(c->answer, head_n, "Content-Length");
	if (value != NULL)
		return body_n >= strtoull(value, NULL, 10);
	return body_n >= 5 && memcmp(c->answer + c->answer_n - 5, last_chunk, 5) == 0;
}

static int
read_answer(struct client *c)
{
	ssize_t n;

	c->answer_n = 0;
	while (!is_whole(c)) {
		if (c->answer_n == ANSWER_MAX)
			return -EMSGSIZE;
		n = recv(c->fd, c->answer + c->answer_n, ANSWER_MAX - c->answer_n, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ECONNRESET;
		c->answer_n += (size_t)n;
		c->answer[c->answer_n] = '\0';
	}
	return 0;
}

/* One request; a kept connection that the server has closed meanwhile is opened again once. */
static int
exchange(struct client *c)
{
	int r = -ECONNRESET, round;

	for (round = 0; round < 2 && r < 0; round++) {
		if (c->fd < 0 && (r = client_connect(c)) < 0)
			return r;
		r = send_request(c);
		if (r == 0)
			r = read_answer(c);
		if (r < 0)
			client_close(c);
	}
	if (r < 0)
		return r;
	if (find_header(c->answer, c->answer_n, "Connection") != NULL &&
	    memmem(c->answer, c->answer_n, "onnection: close", 16) != NULL)
		client_close(c);
	return c->answer_n > 9 && c->answer[9] == '2' ? 1 : 0;
}

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int
run(struct client *c, long rate_per_s, long count)
{
	int64_t *took = calloc((size_t)count, sizeof *took);
	int64_t period = 1000000000 / rate_per_s, tick = now_ns() + period, start;
	long i, good = 0, bad = 0;
	int r;

	if (took == NULL)
		return -ENOMEM;
	for (i = 0; i < count; i++, tick += period) {
		sleep_until(tick);
		start = now_ns();
		r = exchange(c);
		if (r == 1)
			took[good++] = now_ns() - start;
		else
			bad++;
	}
	qsort(took, (size_t)good, sizeof *took, compare);
	printf("%.1f %.1f %ld %ld %" PRId64 "\n",
	    good > 0 ? (double)took[good / 2] / 1e3 : 0.0,
	    good > 0 ? (double)took[good * 99 / 100] / 1e3 : 0.0, good, bad, c->connects - 1);
	free(took);
	return 0;
}

static int
prepare(struct client *c, char **argv, size_t body_n)
{
	unsigned long port = strtoul(argv[5], NULL, 10);
	char *body;
	int n;

	c->addr.sin_family = AF_INET;
	c->addr.sin_port = htons((uint16_t)port);
	if (port == 0 || port > UINT16_MAX || inet_pton(AF_INET, argv[4], &c->addr.sin_addr) != 1)
		return -EINVAL;
	body = calloc(1, body_n + 1);
	c->answer = malloc(ANSWER_MAX + 1);
	if (body == NULL || c->answer == NULL)
		return -ENOMEM;
	memset(body, 'x', body_n);
	n = asprintf(&c->request, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: text/plain\r\n"
	    "Content-Length: %zu\r\n\r\n%s", argv[6], body_n, body);
	free(body);
	if (n < 0)
		return -ENOMEM;
	c->request_n = (size_t)n;
	return 0;
}

int
main(int argc, char **argv)
{
	struct client c = { .fd = -1 };
	long rate_per_s, count, body_n;
	int r = -EINVAL;

	if (argc == 7) {
		rate_per_s = strtol(argv[1], NULL, 10);
		count = strtol(argv[2], NULL, 10);
		body_n = strtol(argv[3], NULL, 10);
		if (rate_per_s > 0 && count > 0 && count <= COUNT_MAX && body_n >= 0 &&
		    body_n <= BODY_MAX)
			r = prepare(&c, argv, (size_t)body_n);
	}
	if (r == -EINVAL) {
		fprintf(stderr, "usage: paced RATE_PER_S COUNT BODY_BYTES ADDR PORT PATH\n");
		return 2;
	}
	if (r == 0)
		r = run(&c, rate_per_s, count);
	client_close(&c);
	free(c.request);
	free(c.answer);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
