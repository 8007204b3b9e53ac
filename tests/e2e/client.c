/*
 * HTTP/1.1 load in which no answer is taken on trust: every request carries an x-request-id and
 * a body of its own, and a 200 must bring exactly this id, length and checksum back, as
 * tests/handlers/echo-id answers them.
 *
 *   client [-c CONNECTIONS] [-n REQUESTS] [-t SECONDS] [-r PER_SECOND] [-l LIMIT_MS] [-b BODY_MAX]
 *          [-s SLEEP_MS_MAX] [-m METHOD] [-H 'NAME: VALUE'] PORT PATH
 *
 * -s sends an x-sleep-ms between 0 and SLEEP_MS_MAX, another one each time.  Ends after REQUESTS
 * or SECONDS, or at TERM; requests that are out are waited for.  Prints one JSON object: how each
 * request ended, wrong answers, times.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 1024
#define BUF_N (64 * 1024)
#define BODY_MAX (48 * 1024)
#define SAMPLES_MAX (1u << 20)
#define RECONNECT_NS 5000000
#define MS 1000000
#define S 1000000000

enum state { CLOSED, CONNECTING, IDLE, SENDING, READING };

struct conn {
	int fd;
	enum state state;
	unsigned index;
	uint64_t seq;
	int64_t began_ns;	/* of the request */
	int64_t retry_ns;	/* not before this a new connection */
	bool owes;		/* a request is out */
	char id[48];
	uint64_t fnv;
	size_t body_n;
	char out[BUF_N], in[BUF_N];
	size_t out_n, out_at, in_n;
};

static struct {
	unsigned conns;
	uint64_t requests, rate, sleep_max;
	int64_t time_ns, limit_ns;
	size_t body_max;
	const char *method, *path, *header;
	uint16_t port;
} opt = {
	.conns = 16, .requests = UINT64_MAX, .limit_ns = (int64_t)30 * S, .body_max = 256, .method = "POST",
	.header = "",
};

static struct {
	uint64_t sent, ended, status[600], wrong, malformed, reset, aborted, late, refused, connects;
	int64_t longest_ns;
	char first_wrong[400], first_error[400];
} tally;

static uint32_t *sample_us;
static size_t sample_n;
static struct conn *conns;
static int ep;
static uint64_t random_state;
static volatile sig_atomic_t told_to_stop;

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * S + t.tv_nsec;
}

static uint64_t
draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void
on_term(int number)
{
	(void)number;
	told_to_stop = 1;
}

static void
drop(struct conn *c, int64_t pause_ns)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = CLOSED;
	c->in_n = c->out_n = c->out_at = 0;
	c->retry_ns = now_ns() + pause_ns;
}

static void
watch(const struct conn *c, int op, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = c->index };

	if (epoll_ctl(ep, op, c->fd, &event) < 0) {
		perror("epoll_ctl");
		exit(1);
	}
}

static void
refused(struct conn *c)
{
	tally.refused++;
	drop(c, RECONNECT_NS);
}

static void
open_conn(struct conn *c)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(opt.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		perror("socket");
		exit(1);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	tally.connects++;
	if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
		refused(c);
		return;
	}
	c->state = CONNECTING;
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void
note_time(struct conn *c)
{
	int64_t took_ns = now_ns() - c->began_ns;

	tally.ended++;
	c->owes = false;
	if (took_ns > tally.longest_ns)
		tally.longest_ns = took_ns;
	if (sample_n < SAMPLES_MAX)
		sample_us[sample_n++] = (uint32_t)(took_ns / 1000);
}

/* The request has no whole answer: COUNTER says how it went. */
static void
lose(struct conn *c, uint64_t *counter)
{
	if (c->owes) {
		(*counter)++;
		note_time(c);
	}
	drop(c, 0);
}

static void
flush(struct conn *c)
{
	while (c->out_at < c->out_n) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
			return;
		}
		if (n < 0) {
			lose(c, &tally.reset);
			return;
		}
		c->out_at += (size_t)n;
	}
	if (c->state == SENDING)
		watch(c, EPOLL_CTL_MOD, EPOLLIN);
	c->state = READING;
}

static void
ask(struct conn *c)
{
	uint64_t fnv = 0xcbf29ce484222325;
	size_t n = opt.body_max == 0 ? 0 : (size_t)(draw() % (opt.body_max + 1));
	char *body, pause[48] = "";

	if (opt.sleep_max > 0)
		snprintf(pause, sizeof pause, "X-Sleep-Ms: %llu\r\n",
			 (unsigned long long)(draw() % (opt.sleep_max + 1)));
	snprintf(c->id, sizeof c->id, "%x.%u.%llu", (unsigned)getpid(), c->index, (unsigned long long)c->seq++);
	c->out_n = (size_t)snprintf(c->out, sizeof c->out,
				    "%s %s HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: %s\r\n"
				    "Content-Length: %zu\r\n%s%s%s\r\n", opt.method, opt.path, c->id, n, pause,
				    opt.header, opt.header[0] != '\0' ? "\r\n" : "");
	body = c->out + c->out_n;
	for (size_t i = 0; i < n; i++) {
		body[i] = (char)draw();
		fnv = (fnv ^ (unsigned char)body[i]) * 0x100000001b3;
	}
	c->out_n += n;
	c->out_at = 0;
	c->body_n = n;
	c->fnv = fnv;
	c->began_ns = now_ns();
	c->owes = true;
	c->state = SENDING;
	tally.sent++;
	flush(c);
}

static void
check(const struct conn *c, const char *body, size_t n)
{
	char want[160];
	int want_n = snprintf(want, sizeof want, "{\"id\":\"%s\",\"len\":%zu,\"fnv\":\"%016llx\",", c->id, c->body_n,
			      (unsigned long long)c->fnv);

	if (n > (size_t)want_n && memcmp(body, want, (size_t)want_n) == 0)
		return;
	if (tally.wrong++ == 0)
		snprintf(tally.first_wrong, sizeof tally.first_wrong, "want %s got %.*s", want,
			 (int)(n < 160 ? n : 160), body);
}

/* The Content-Length in a head; SIZE_MAX when there is none. */
static size_t
length_of(const char *head, size_t n, bool *closes)
{
	size_t length = SIZE_MAX;

	for (const char *p = head, *end = head + n, *lf; p < end; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL)
			break;
		if (strncasecmp(p, "content-length:", 15) == 0)
			length = strtoul(p + 15, NULL, 10);
		if (strncasecmp(p, "connection: close", 17) == 0)
			*closes = true;
	}
	return length;
}

/* Looks for a whole answer in the input: false when more must come. */
static bool
parse(struct conn *c)
{
	char *end = memmem(c->in, c->in_n, "\r\n\r\n", 4);
	bool closes = false;
	size_t head_n, length;
	unsigned long status;

	if (end == NULL)
		return false;
	head_n = (size_t)(end - c->in) + 4;
	length = length_of(c->in, head_n, &closes);
	status = c->in_n > 12 && memcmp(c->in, "HTTP/1.1 ", 9) == 0 ? strtoul(c->in + 9, NULL, 10) : 0;
	if (status < 100 || status >= 600 || length > BUF_N - head_n || !c->owes) {
		lose(c, &tally.malformed);
		return true;
	}
	if (c->in_n < head_n + length)
		return false;
	if (status == 200)
		check(c, c->in + head_n, length);
	else if (tally.first_error[0] == '\0')
		snprintf(tally.first_error, sizeof tally.first_error, "%lu %.*s", status,
			 (int)(length < 300 ? length : 300), c->in + head_n);
	tally.status[status]++;
	note_time(c);
	if (c->in_n > head_n + length)
		tally.malformed++;
	c->in_n = 0;
	c->state = IDLE;
	if (closes)
		drop(c, 0);
	return true;
}

static void
take(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_n, BUF_N - 1 - c->in_n, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		lose(c, memmem(c->in, c->in_n, "\r\n\r\n", 4) != NULL ? &tally.aborted : &tally.reset);
		return;
	}
	c->in_n += (size_t)n;
	c->in[c->in_n] = '\0';
	if (!parse(c) && c->in_n >= BUF_N - 1)
		lose(c, &tally.malformed);
}

static void
connected(struct conn *c)
{
	int error = 0;
	socklen_t n = sizeof error;

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error != 0) {
		refused(c);
		return;
	}
	c->state = IDLE;
	watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void
handle(struct conn *c, uint32_t events)
{
	if (c->state == CLOSED)
		return;
	if (c->state == CONNECTING)
		connected(c);
	else if ((events & EPOLLOUT) != 0 && c->out_at < c->out_n)
		flush(c);
	if (c->state != CLOSED && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		take(c);
}

/* How many requests may have been sent by now. */
static uint64_t
allowance(int64_t began_ns, int64_t now)
{
	uint64_t n = opt.requests;

	if (opt.rate > 0) {
		uint64_t due = (uint64_t)(now - began_ns) / 1000 * opt.rate / 1000000 + 1;
		n = due < n ? due : n;
	}
	return n;
}

/* Gives the idle ones work and ends what takes too long: how many requests are out. */
static unsigned
push(bool more, int64_t began_ns)
{
	static unsigned first;
	int64_t now = now_ns();
	uint64_t allowed = more ? allowance(began_ns, now) : 0;
	unsigned out = 0;

	first++;
	for (unsigned i = 0; i < opt.conns; i++) {
		struct conn *c = &conns[(first + i) % opt.conns];

		if (c->owes && now - c->began_ns > opt.limit_ns)
			lose(c, &tally.late);
		if (more && c->state == CLOSED && now >= c->retry_ns)
			open_conn(c);
		if (c->state == IDLE && tally.sent < allowed)
			ask(c);
		out += c->owes;
	}
	return out;
}

static void
run(void)
{
	struct epoll_event event[256];
	int64_t began_ns = now_ns(), end_ns = opt.time_ns > 0 ? began_ns + opt.time_ns : INT64_MAX;

	for (;;) {
		bool more = !told_to_stop && now_ns() < end_ns && tally.sent < opt.requests;
		unsigned out = push(more, began_ns);
		int n;

		if (!more && out == 0)
			return;
		n = epoll_wait(ep, event, 256, opt.rate > 0 ? 1 : 5);
		for (int i = 0; i < n; i++)
			handle(&conns[event[i].data.u32], event[i].events);
	}
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double
percentile(unsigned of_1000)
{
	return sample_n == 0 ? 0 : sample_us[(sample_n - 1) * of_1000 / 1000] / 1000.0;
}

static void
print_text(const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\')
			printf("\\u%04x", byte);
		else
			putchar(byte);
	}
}

static void
report(double seconds)
{
	const char *comma = "";

	qsort(sample_us, sample_n, sizeof *sample_us, compare);
	printf("{\"sent\":%llu,\"ended\":%llu,\"status\":{", (unsigned long long)tally.sent,
	       (unsigned long long)tally.ended);
	for (unsigned i = 0; i < 600; i++) {
		if (tally.status[i] == 0)
			continue;
		printf("%s\"%u\":%llu", comma, i, (unsigned long long)tally.status[i]);
		comma = ",";
	}
	printf("},\"wrong\":%llu,\"malformed\":%llu,\"reset\":%llu,\"aborted\":%llu,\"late\":%llu,"
	       "\"refused\":%llu,\"connects\":%llu,",
	       (unsigned long long)tally.wrong, (unsigned long long)tally.malformed,
	       (unsigned long long)tally.reset, (unsigned long long)tally.aborted, (unsigned long long)tally.late,
	       (unsigned long long)tally.refused, (unsigned long long)tally.connects);
	printf("\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"longest_ms\":%.3f,\"seconds\":%.3f,\"first_wrong\":\"",
	       percentile(500), percentile(990), (double)tally.longest_ns / MS, seconds);
	print_text(tally.first_wrong);
	printf("\",\"first_error\":\"");
	print_text(tally.first_error);
	printf("\"}\n");
}

static void
usage(void)
{
	fprintf(stderr, "usage: client [-c CONNECTIONS] [-n REQUESTS] [-t SECONDS] [-r PER_SECOND] [-l LIMIT_MS]\n"
		"              [-b BODY_MAX] [-s SLEEP_MS_MAX] [-m METHOD] [-H 'NAME: VALUE'] PORT PATH\n");
	exit(2);
}

static uint64_t
number(const char *text, uint64_t max)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n > max)
		usage();
	return n;
}

static void
read_options(int argc, char **argv)
{
	int letter;

	while ((letter = getopt(argc, argv, "c:n:t:r:l:b:s:m:H:")) != -1) {
		switch (letter) {
		case 'c': opt.conns = (unsigned)number(optarg, CONNS_MAX); break;
		case 'n': opt.requests = number(optarg, UINT64_MAX); break;
		case 't': opt.time_ns = (int64_t)number(optarg, 3600) * S; break;
		case 'r': opt.rate = number(optarg, 1000000); break;
		case 'l': opt.limit_ns = (int64_t)number(optarg, 3600000) * MS; break;
		case 'b': opt.body_max = number(optarg, BODY_MAX); break;
		case 's': opt.sleep_max = number(optarg, 3600000); break;
		case 'm': opt.method = optarg; break;
		case 'H': opt.header = optarg; break;
		default: usage();
		}
	}
	if (argc - optind != 2 || strlen(argv[optind + 1]) + strlen(opt.header) + strlen(opt.method) > 8192)
		usage();
	opt.port = (uint16_t)number(argv[optind], 65535);
	opt.path = argv[optind + 1];
	if (opt.conns == 0)
		usage();
}

int
main(int argc, char **argv)
{
	struct sigaction term = { .sa_handler = on_term };
	int64_t began_ns;

	read_options(argc, argv);
	random_state = (uint64_t)now_ns() | 1;
	sigaction(SIGTERM, &term, NULL);
	ep = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc(opt.conns, sizeof *conns);
	sample_us = calloc(SAMPLES_MAX, sizeof *sample_us);
	if (ep < 0 || conns == NULL || sample_us == NULL) {
		perror("client");
		return 1;
	}
	for (unsigned i = 0; i < opt.conns; i++) {
		conns[i].index = i;
		conns[i].fd = -1;
	}
	began_ns = now_ns();
	run();
	report((double)(now_ns() - began_ns) / S);
	for (unsigned i = 0; i < opt.conns; i++)
		drop(&conns[i], 0);
	free(conns);
	free(sample_us);
	close(ep);
	return 0;
}
