/*
 * Foreign text made safe for people: UTF-8 checked, control bytes escaped, length capped.
 */
#ifndef MGR_BASE_TEXT_H
#define MGR_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Length of the UTF-8 character at p (1..4) when well formed (RFC 3629), else 0. */
size_t mgr_text_utf8(const char *p, size_t n);

bool mgr_text_is_utf8(const char *p, size_t n);

/* Adds at most max bytes of p, printable: < 0x20, 0x7f, '\\', '"' and what is not UTF-8 as \xHH; "..." marks a cut. */
int mgr_text_escape(struct mgr_buf *b, const char *p, size_t n, size_t max);

/* True for a handler name: 1-64 of [A-Za-z0-9_.-], the first a letter or digit. */
bool mgr_text_is_name(const char *p, size_t n);

/* True for an RFC 9110 5.6.2 token. */
bool mgr_text_is_token(const char *p, size_t n);

#endif
