#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void
mgr_assert_fail(const char *what, const char *file, int line)
{
	fprintf(stderr, "mgr: assertion failed: %s (%s:%d)\n", what, file, line);
	abort();
}
