/*
 * Lines of words with the quoting of the shell: ' " and \ mean what they mean there, nothing is expanded, a
 * word that begins with # begins a comment.  A quoted newline belongs to its word; a newline behind \
 * joins two lines.
 */
#ifndef MGR_CTL_WORDS_H
#define MGR_CTL_WORDS_H

#include <stddef.h>

#include "base/buf.h"

struct words {
	char **argv; /* NULL-terminated; valid until the next call */
	size_t n;

	/* private */
	struct mgr_buf text;
	size_t *at;
	size_t cap;
};

struct words_reader {
	const char *p, *end; /* what is left; borrowed */
	unsigned line;       /* of p, from 1 */
};

void words_open(struct words_reader *r, const char *text, size_t n);

/*
 * Reads the next line that has words: their count, 0 at the end, -ENOMEM, or -EINVAL with a sentence.
 * *ret_line is where the words began.
 */
int words_next(struct words_reader *r, struct words *w, unsigned *ret_line, const char **ret_why);

void words_fini(struct words *w);

#endif
