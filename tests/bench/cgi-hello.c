/*
 * A CGI program in C for the fcgiwrap peer: a process for each request, answers "Hello, BODY!".
 */
#include <stdio.h>
#include <stdlib.h>

enum { BODY_MAX = 4096 };

int
main(void)
{
	char body[BODY_MAX];
	size_t n;

	n = fread(body, 1, sizeof body, stdin);
	printf("Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\nHello, ", n + 8);
	fwrite(body, 1, n, stdout);
	putchar('!');
	return ferror(stdout) || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
