/*
 * Sockets: Unix streams with credentials and passed descriptors, TCP listeners.  Every descriptor
 * is close-on-exec and non-blocking.  Results: a descriptor >= 0 or -errno.
 */
#ifndef MGR_OS_SOCK_H
#define MGR_OS_SOCK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Binds and listens with mode 0600 (0660 for a group); a socket file of the same name is replaced: the caller holds the lock. */
int mgr_sock_unix_listen(const char *path, mode_t mode, int backlog);
int mgr_sock_unix_connect(const char *path);
int mgr_sock_accept(int fd);

/* Credentials of the peer at connect time: 0 or -errno. */
int mgr_sock_peer(int fd, pid_t *ret_pid, uid_t *ret_uid);

/* True when the peer is root or runs as our own effective uid. */
bool mgr_sock_peer_is_ours(int fd);

/* Sends n bytes with one descriptor: bytes sent or -errno. */
ssize_t mgr_sock_send_fd(int fd, const void *p, size_t n, int passed);

/* Receives up to n bytes and at most one descriptor (-1 when none came; more than one is -EPROTO, all closed). */
ssize_t mgr_sock_recv_fd(int fd, void *p, size_t n, int *ret_passed);

struct mgr_sock_addr {
	struct sockaddr_storage ss;
	socklen_t n;
};

/* "127.0.0.1:80", "[::1]:80", ":80" (all addresses), "80" (loopback), numeric or "localhost" (127.0.0.1): 0 or -EINVAL. */
int mgr_sock_parse(const char *text, struct mgr_sock_addr *ret_addr);

#define MGR_SOCK_TEXT_MAX 64
void mgr_sock_text(const struct sockaddr *sa, char text[static MGR_SOCK_TEXT_MAX], bool with_port);
bool mgr_sock_is_loopback(const struct sockaddr *sa);

/* Listens with SO_REUSEPORT when share is set. */
int mgr_sock_tcp_listen(const struct mgr_sock_addr *addr, bool share, int backlog);
int mgr_sock_local(int fd, struct mgr_sock_addr *ret_addr);

#endif
