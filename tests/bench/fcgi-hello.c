/*
 * The FastCGI peer of the benchmark: one process, one connection at a time, answers
 * "Hello, BODY!" as text.  The listening socket is fd 0, as the FastCGI specification wants
 * it, so the caller decides how many of these share it.
 */
#include <fcgiapp.h>
#include <stdlib.h>

enum { BODY_MAX = 4096 };

static int
read_body(FCGX_Request *request, char *body)
{
	int n = 0, got;

	while (n < BODY_MAX) {
		got = FCGX_GetStr(body + n, BODY_MAX - n, request->in);
		if (got <= 0)
			break;
		n += got;
	}
	return n;
}

static void
answer(FCGX_Request *request)
{
	char body[BODY_MAX];
	int n;

	n = read_body(request, body);
	/* int with %d: the printf of libfcgi does not know %zu and breaks the answer silently */
	FCGX_FPrintF(request->out, "Content-Type: text/plain\r\nContent-Length: %d\r\n\r\nHello, ",
	    n + 8);
	FCGX_PutStr(body, n, request->out);
	FCGX_PutChar('!', request->out);
}

int
main(void)
{
	FCGX_Request request;

	if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0)
		return EXIT_FAILURE;
	while (FCGX_Accept_r(&request) == 0)
		answer(&request);
	return EXIT_SUCCESS;
}
