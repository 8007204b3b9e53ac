/*
 * JSON without a tree (RFC 8259): a checker, a cursor over the members of an object or array, and a
 * writer.  Nothing is allocated but by the buffers that the caller gives.  For documents that come
 * from handlers and clients; control messages may use ext/doc.h.
 */
#ifndef MGR_WIRE_JSON_H
#define MGR_WIRE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define MGR_JSON_DEPTH_MAX 32

/* 0 when the n bytes are exactly one JSON value (white space around allowed), strict: UTF-8, no
 * control bytes in strings, no lone surrogates, depth <= MGR_JSON_DEPTH_MAX; -EINVAL otherwise. */
int mgr_json_check(const char *p, size_t n);

enum mgr_json_type { MGR_JSON_NULL, MGR_JSON_BOOL, MGR_JSON_NUMBER, MGR_JSON_STRING, MGR_JSON_ARRAY, MGR_JSON_OBJECT };

struct mgr_json {
	enum mgr_json_type type;
	const char *p; /* raw text, quotes and brackets included */
	size_t n;
};

/* The value of a checked document (mgr_json_check must have said 0). */
struct mgr_json mgr_json_root(const char *p, size_t n);

struct mgr_json_iter {
	const char *p, *end;
};

/* Iterates the members of an object or the items of an array (key is empty there, and ret_key may be
 * NULL): false at the end. */
void mgr_json_iter_init(struct mgr_json_iter *it, const struct mgr_json *of);
bool mgr_json_next(struct mgr_json_iter *it, struct mgr_json *ret_key, struct mgr_json *ret_value);

/* The member of an object by its (plain ASCII, unescaped) key: false when absent; the last of duplicates wins. */
bool mgr_json_get(const struct mgr_json *object, const char *key, struct mgr_json *ret_value);

/* Compares a string value with plain text. */
bool mgr_json_is(const struct mgr_json *string, const char *text);

/* Adds the unescaped UTF-8 bytes of a string (\u0000 included as NUL): 0, -EINVAL when not a string, -errno. */
int mgr_json_text(const struct mgr_json *string, struct mgr_buf *b);

/* As mgr_json_text into a fixed buffer with a NUL: -ERANGE when too long or holding a NUL. */
int mgr_json_copy(const struct mgr_json *string, char *to, size_t to_n);

/* Whole numbers only (1e3 and 1.0 are not): 0, -EINVAL, -ERANGE. */
int mgr_json_int(const struct mgr_json *number, int64_t min, int64_t max, int64_t *ret_value);
int mgr_json_bool(const struct mgr_json *value, bool *ret_value);

/* Writer: adds a quoted, escaped string.  Input that is not UTF-8 becomes U+FFFD. */
int mgr_json_add_string(struct mgr_buf *b, const char *p, size_t n);

/* The same, but any byte that is not part of well-formed UTF-8 when keep_utf8, or any byte >= 0x80
 * otherwise, becomes the character U+0080..U+00FF of its value (mgr-frame(7), request metadata). */
int mgr_json_add_bytes(struct mgr_buf *b, const char *p, size_t n, bool keep_utf8);

/* Adds the document with all white space outside strings removed (one line): 0 or -EINVAL, -errno. */
int mgr_json_add_compact(struct mgr_buf *b, const char *p, size_t n);

#endif
