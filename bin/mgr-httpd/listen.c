#include "httpd.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "os/io.h"

#define BACKLOG 4096

/* With SO_REUSEPORT a second server on the same port would go unnoticed: a plain bind tells. */
static int
probe(const struct mgr_sock_addr *addr)
{
	int fd = mgr_sock_tcp_listen(addr, false, BACKLOG);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int
listen_open(const char *address, size_t n, int *ret_fd, char url[static LISTEN_URL_MAX])
{
	struct mgr_sock_addr addr;
	char text[MGR_SOCK_TEXT_MAX];
	size_t i;
	int r = mgr_sock_parse(address, &addr);

	if (r == 0 && n > 1)
		r = probe(&addr);
	for (i = 0; r == 0 && i < n; i++) {
		ret_fd[i] = mgr_sock_tcp_listen(&addr, n > 1, BACKLOG);
		r = ret_fd[i] < 0 ? ret_fd[i] : mgr_sock_local(ret_fd[i], &addr); /* the port that 0 became */
	}
	if (r < 0) {
		while (i-- > 0)
			mgr_close(&ret_fd[i]);
		return r;
	}
	mgr_sock_text((const struct sockaddr *)&addr.ss, text, true);
	snprintf(url, LISTEN_URL_MAX, "http://%s", text);
	return 0;
}
