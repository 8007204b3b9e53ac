/*
 * The metadata of requests and answers (mgr-frame(7)): written by callers, read by mgr-worker and
 * mgr-httpd.  One line of JSON ended by LF.
 *
 * A request's META begins with a fixed prefix that holds deadline_ms in a field of fixed width, so
 * that a worker can correct the time that is left without writing the document again.
 */
#ifndef MGR_WIRE_META_H
#define MGR_WIRE_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/json.h"

#define MGR_META_PREFIX "{\"deadline_ms\":"
#define MGR_META_DEADLINE_W 10 /* digits, padded with spaces */

/* Begins a request's META: prefix and deadline (ms, rounded up).  Then add ,"key":value members and
 * mgr_meta_end.  A member that fails is not there at all. */
int mgr_meta_begin(struct mgr_buf *b, int64_t left_ns);
int mgr_meta_add(struct mgr_buf *b, const char *key, const char *p, size_t n); /* string; as mgr_json_add_bytes, keep_utf8 */
int mgr_meta_adds(struct mgr_buf *b, const char *key, const char *value);
int mgr_meta_addu(struct mgr_buf *b, const char *key, uint64_t value);
int mgr_meta_add_raw(struct mgr_buf *b, const char *key, const char *json, size_t n);
int mgr_meta_end(struct mgr_buf *b);

/* Writes the time that is left into a META that began with the prefix; others stay as they are. */
void mgr_meta_set_left(char *meta, size_t n, int64_t left_ns);

/* What an answer's META says.  Strings are raw JSON slices inside the text. */
struct mgr_meta_answer {
	unsigned status;     /* 200 (ERR: 500) when absent */
	bool has_len;
	uint64_t len;
	struct mgr_json headers; /* object, or n 0 */
	struct mgr_json message; /* string, or n 0 */
	struct mgr_json type;    /* string, or n 0 */
};

/*
 * Reads RES (is_error false) or ERR META of n bytes without LF: 0, or -EINVAL with a sentence: not a
 * JSON object, status not 100..599 whole (1xx refused too), len bad, headers not an object of strings or
 * lists of strings, message or type not a string.
 */
int mgr_meta_read_answer(const char *p, size_t n, bool is_error, struct mgr_meta_answer *ret,
			 const char **ret_why);

#endif
