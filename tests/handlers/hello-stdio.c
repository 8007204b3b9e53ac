/* hello.c that lets requests wait in its pipe: stdio, a flush per frame, pipeline 16. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
ready(const char *meta)
{
	printf("READY 0 %zu 0\n%s\n", strlen(meta) + 1, meta);
	fflush(stdout);
}

static void
answer(unsigned long id, const char *body, size_t body_n)
{
	printf("RES %lu 0 %zu\nHello, ", id, body_n + 8);
	fwrite(body, 1, body_n, stdout);
	putchar('!');
	fflush(stdout);
}

int
main(void)
{
	char kind[16];
	unsigned long id;
	size_t m, b;

	setvbuf(stdin, NULL, _IOFBF, 65536);
	ready("{\"pipeline\":16}");
	while (scanf("%15s %lu %zu %zu", kind, &id, &m, &b) == 4 && getchar() == '\n') {
		char *p = malloc(m + b + 1);

		if (p == NULL || fread(p, 1, m + b, stdin) != m + b)
			return 1;
		if (strcmp(kind, "REQ") == 0)
			answer(id, p + m, b);
		free(p);
	}
	return 0;
}
