/*
 * Random numbers: mgr_rand for jitter (fast, seeded once), mgr_rand_bytes for identifiers that must
 * not be guessed (getrandom(2)).
 */
#ifndef MGR_BASE_RAND_H
#define MGR_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

uint64_t mgr_rand(void);

/* Uniform in 0..n-1; 0 for n 0. */
uint64_t mgr_rand_below(uint64_t n);

void mgr_rand_bytes(void *p, size_t n);

/* Full jitter backoff: uniform in 0..min(base << tries, max), never less than base / 2. */
int64_t mgr_rand_backoff(int64_t base_ns, int64_t max_ns, unsigned tries);

/* Writes a random RFC 9562 UUID version 4 with its NUL. */
void mgr_rand_uuid(char text[static 37]);

#endif
