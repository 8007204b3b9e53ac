/*
 * JSON documents as trees (json-c): control messages, listings and configuration, at most 1 MiB,
 * 32 levels, strict.  Bodies of handlers never come here.  The only module that includes json-c.
 */
#ifndef MGR_EXT_DOC_H
#define MGR_EXT_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define MGR_DOC_MAX (64u * 1024 * 1024)

struct mgr_doc; /* a value; owned by its parent, or by whoever made it */

/* Parses exactly one value: 0, -EINVAL, -ENOMEM, -EMSGSIZE. */
int mgr_doc_parse(const char *p, size_t n, struct mgr_doc **ret_doc);
void mgr_doc_free(struct mgr_doc *doc); /* accepts NULL; only for a root */

/* Members; absent or of another type gives the fallback.  Texts are borrowed from the tree. */
struct mgr_doc *mgr_doc_get(const struct mgr_doc *object, const char *key);
const char *mgr_doc_str(const struct mgr_doc *object, const char *key, const char *fallback);
int64_t mgr_doc_int(const struct mgr_doc *object, const char *key, int64_t fallback);
bool mgr_doc_bool(const struct mgr_doc *object, const char *key, bool fallback);
/* A value itself as text (NULL when it is no string) or number. */
const char *mgr_doc_text(const struct mgr_doc *value);

bool mgr_doc_is_array(const struct mgr_doc *doc);
bool mgr_doc_is_object(const struct mgr_doc *doc);
size_t mgr_doc_n(const struct mgr_doc *array); /* 0 when it is none */
struct mgr_doc *mgr_doc_at(const struct mgr_doc *array, size_t i);

/* Making: NULL when memory is out; set and push take the value (also on failure) and accept NULL values as failure. */
struct mgr_doc *mgr_doc_object(void);
struct mgr_doc *mgr_doc_array(void);
struct mgr_doc *mgr_doc_string(const char *text);
struct mgr_doc *mgr_doc_number(int64_t value);
int mgr_doc_set(struct mgr_doc *object, const char *key, struct mgr_doc *value);
int mgr_doc_set_str(struct mgr_doc *object, const char *key, const char *text);
int mgr_doc_set_int(struct mgr_doc *object, const char *key, int64_t value);
int mgr_doc_set_bool(struct mgr_doc *object, const char *key, bool value);
int mgr_doc_push(struct mgr_doc *array, struct mgr_doc *value);
/* A deep copy, NULL when memory is out. */
struct mgr_doc *mgr_doc_copy(const struct mgr_doc *doc);
bool mgr_doc_equal(const struct mgr_doc *a, const struct mgr_doc *b);

/* Adds the text on one line, or indented when pretty: 0 or -ENOMEM. */
int mgr_doc_print(const struct mgr_doc *doc, bool pretty, struct mgr_buf *b);

#endif
