/* Answers "Hello, BODY!".  stdio is enough: cc -o hello hello.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
main(void)
{
	char kind[16];
	unsigned long id;
	size_t m, b;

	puts("READY 0 0 0");
	fflush(stdout);
	while (scanf("%15s %lu %zu %zu", kind, &id, &m, &b) == 4 && getchar() == '\n') {
		char *p = malloc(m + b + 1);

		if (p == NULL || fread(p, 1, m + b, stdin) != m + b)
			return 1;
		if (strcmp(kind, "REQ") == 0) {
			printf("RES %lu 0 %zu\nHello, ", id, b + 8);
			fwrite(p + m, 1, b, stdout);
			putchar('!');
			fflush(stdout);
		}
		free(p);
	}
	return 0;
}
