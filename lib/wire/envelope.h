/*
 * The JSON envelope of POST /{handler}: {"type":..,"src":..,"data":..} in, {"status":..,"message":..}
 * out, and the one JSON shape of everything mgr itself has to say.
 */
#ifndef MGR_WIRE_ENVELOPE_H
#define MGR_WIRE_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "wire/json.h"

struct mgr_envelope {
	struct mgr_json type; /* string, or n 0 */
	struct mgr_json src;  /* string, or n 0 */
	struct mgr_json data; /* any value */
};

/* True when the body is a JSON object that has data and also type or src (as strings). */
bool mgr_envelope_read(const char *body, size_t n, struct mgr_envelope *ret);

/* Adds what the handler gets as body: the text of a string, else the JSON text: 0 or -errno. */
int mgr_envelope_body(const struct mgr_envelope *env, struct mgr_buf *b);

/* Adds {"status":"ok"|"error","message":TEXT}: bytes that are not UTF-8 become U+FFFD. */
int mgr_envelope_answer(struct mgr_buf *b, bool ok, const char *text, size_t n);

#endif
