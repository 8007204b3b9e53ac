/*
 * ZeroMQ as the lane's rival: 64-byte echo between two processes over ipc://, request/reply with
 * one in flight, dealer to dealer with more.
 *
 *	lane-zmq FOLDER IN_FLIGHT SECONDS
 */
#include "lane-stat.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

static void
check(int r)
{
	if (r < 0) {
		fprintf(stderr, "lane-zmq: %s\n", zmq_strerror(zmq_errno()));
		exit(EXIT_FAILURE);
	}
}

static void
echo(void *socket)
{
	char message[STAT_MESSAGE_N];

	for (;;) {
		check(zmq_recv(socket, message, sizeof message, 0));
		check(zmq_send(socket, message, sizeof message, 0));
	}
}

static void
ask(void *socket, int in_flight, double seconds)
{
	char message[STAT_MESSAGE_N] = "ping";
	struct stat_run run;
	int64_t now, before;
	int open = 0, was;

	stat_start(&run, seconds);
	for (now = run.start_ns; now < run.end_ns;) {
		before = now;
		for (; open < in_flight; open++)
			check(zmq_send(socket, message, sizeof message, 0));
		was = open;
		check(zmq_recv(socket, message, sizeof message, 0));
		open--;
		while (open > 0 && zmq_recv(socket, message, sizeof message, ZMQ_DONTWAIT) >= 0)
			open--;
		now = stat_now_ns();
		stat_add(&run, now - before, was - open);
	}
	stat_print(&run);
}

/* Each process makes its own context after the fork: a context has threads. */
static void *
open_socket(int kind, const char *endpoint, int (*join)(void *, const char *))
{
	void *context = zmq_ctx_new();
	void *socket = context != NULL ? zmq_socket(context, kind) : NULL;

	if (socket == NULL)
		exit(EXIT_FAILURE);
	check(join(socket, endpoint));
	return socket;
}

int
main(int argc, char **argv)
{
	pid_t pid;
	char endpoint[128];
	double seconds;
	int in_flight;

	if (argc != 4) {
		fprintf(stderr, "usage: lane-zmq FOLDER IN_FLIGHT SECONDS\n");
		return 2;
	}
	stat_arguments(argv, &in_flight, &seconds);
	snprintf(endpoint, sizeof endpoint, "ipc://%s/zmq-%ld", argv[1], (long)getpid());
	pid = stat_fork();
	if (pid == 0)
		echo(open_socket(in_flight == 1 ? ZMQ_REP : ZMQ_DEALER, endpoint, zmq_bind));
	ask(open_socket(in_flight == 1 ? ZMQ_REQ : ZMQ_DEALER, endpoint, zmq_connect), in_flight,
	    seconds);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return EXIT_SUCCESS;
}
