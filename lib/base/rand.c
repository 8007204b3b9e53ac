#include "base/rand.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/assert.h"

void
mgr_rand_bytes(void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);
		if (got <= 0)
			continue; /* EINTR only: the pool is ready at boot */
		at += got;
		n -= (size_t)got;
	}
}

uint64_t
mgr_rand(void)
{
	static uint64_t s;

	while (s == 0)
		mgr_rand_bytes(&s, sizeof(s));
	/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators" */
	s ^= s >> 12;
	s ^= s << 25;
	s ^= s >> 27;
	return s * UINT64_C(2685821657736338717);
}

uint64_t
mgr_rand_below(uint64_t n)
{
	return n == 0 ? 0 : mgr_rand() % n;
}

int64_t
mgr_rand_backoff(int64_t base_ns, int64_t max_ns, unsigned tries)
{
	int64_t top = base_ns;

	for (unsigned i = 0; i < tries && top < max_ns; i++)
		top = top > max_ns / 2 ? max_ns : top * 2;
	if (top > max_ns)
		top = max_ns;
	int64_t delay_ns = (int64_t)mgr_rand_below((uint64_t)top + 1);
	return delay_ns < base_ns / 2 ? base_ns / 2 : delay_ns;
}

void
mgr_rand_uuid(char text[static 37])
{
	unsigned char b[16];

	mgr_rand_bytes(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(text, 37,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}
