#include "ext/doc.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>

/* A mgr_doc is a json_object under another name, so that nobody else sees json-c. */
static struct json_object *
in(const struct mgr_doc *doc)
{
	return (struct json_object *)(uintptr_t)doc;
}

static struct mgr_doc *
out(struct json_object *obj)
{
	return (struct mgr_doc *)(void *)obj;
}

int
mgr_doc_parse(const char *p, size_t n, struct mgr_doc **ret_doc)
{
	struct json_tokener *tok;
	int r = -EINVAL;

	if (n > MGR_DOC_MAX || n > INT_MAX)
		return -EMSGSIZE;
	tok = json_tokener_new_ex(32);
	if (tok == NULL)
		return -ENOMEM;
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *obj = json_tokener_parse_ex(tok, p, (int)n);
	if (json_tokener_get_error(tok) == json_tokener_continue) /* a bare number ends with the input */
		obj = json_tokener_parse_ex(tok, "\n", 1);
	if (json_tokener_get_error(tok) == json_tokener_success && obj != NULL) {
		size_t end = json_tokener_get_parse_end(tok);
		while (end < n && strchr(" \t\r\n", p[end]) != NULL)
			end++;
		if (end >= n)
			r = 0;
	}
	json_tokener_free(tok);
	if (r < 0)
		json_object_put(obj);
	else
		*ret_doc = out(obj);
	return r;
}

void
mgr_doc_free(struct mgr_doc *doc)
{
	json_object_put(in(doc));
}

struct mgr_doc *
mgr_doc_get(const struct mgr_doc *object, const char *key)
{
	struct json_object *value = NULL;

	if (object == NULL || !json_object_is_type(in(object), json_type_object))
		return NULL;
	json_object_object_get_ex(in(object), key, &value);
	return out(value);
}

const char *
mgr_doc_text(const struct mgr_doc *value)
{
	if (value == NULL || !json_object_is_type(in(value), json_type_string))
		return NULL;
	const char *text = json_object_get_string(in(value));
	/* A NUL inside would make two readers disagree. */
	return strlen(text) == (size_t)json_object_get_string_len(in(value)) ? text : NULL;
}

const char *
mgr_doc_str(const struct mgr_doc *object, const char *key, const char *fallback)
{
	const char *text = mgr_doc_text(mgr_doc_get(object, key));

	return text != NULL ? text : fallback;
}

int64_t
mgr_doc_int(const struct mgr_doc *object, const char *key, int64_t fallback)
{
	struct mgr_doc *value = mgr_doc_get(object, key);

	if (value == NULL || !json_object_is_type(in(value), json_type_int))
		return fallback;
	return json_object_get_int64(in(value));
}

bool
mgr_doc_bool(const struct mgr_doc *object, const char *key, bool fallback)
{
	struct mgr_doc *value = mgr_doc_get(object, key);

	if (value == NULL || !json_object_is_type(in(value), json_type_boolean))
		return fallback;
	return json_object_get_boolean(in(value));
}

bool
mgr_doc_is_array(const struct mgr_doc *doc)
{
	return doc != NULL && json_object_is_type(in(doc), json_type_array);
}

bool
mgr_doc_is_object(const struct mgr_doc *doc)
{
	return doc != NULL && json_object_is_type(in(doc), json_type_object);
}

size_t
mgr_doc_n(const struct mgr_doc *array)
{
	return mgr_doc_is_array(array) ? json_object_array_length(in(array)) : 0;
}

struct mgr_doc *
mgr_doc_at(const struct mgr_doc *array, size_t i)
{
	return i < mgr_doc_n(array) ? out(json_object_array_get_idx(in(array), i)) : NULL;
}

struct mgr_doc *
mgr_doc_object(void)
{
	return out(json_object_new_object());
}

struct mgr_doc *
mgr_doc_array(void)
{
	return out(json_object_new_array());
}

struct mgr_doc *
mgr_doc_string(const char *text)
{
	return text == NULL ? NULL : out(json_object_new_string(text));
}

struct mgr_doc *
mgr_doc_number(int64_t value)
{
	return out(json_object_new_int64(value));
}

int
mgr_doc_set(struct mgr_doc *object, const char *key, struct mgr_doc *value)
{
	if (object == NULL || value == NULL || json_object_object_add(in(object), key, in(value)) != 0) {
		mgr_doc_free(value);
		return -ENOMEM;
	}
	return 0;
}

int
mgr_doc_set_str(struct mgr_doc *object, const char *key, const char *text)
{
	/* NULL is JSON's null. */
	if (text == NULL)
		return json_object_object_add(in(object), key, NULL) == 0 ? 0 : -ENOMEM;
	return mgr_doc_set(object, key, mgr_doc_string(text));
}

int
mgr_doc_set_int(struct mgr_doc *object, const char *key, int64_t value)
{
	return mgr_doc_set(object, key, mgr_doc_number(value));
}

int
mgr_doc_set_bool(struct mgr_doc *object, const char *key, bool value)
{
	return mgr_doc_set(object, key, out(json_object_new_boolean(value)));
}

int
mgr_doc_push(struct mgr_doc *array, struct mgr_doc *value)
{
	if (array == NULL || value == NULL || json_object_array_add(in(array), in(value)) != 0) {
		mgr_doc_free(value);
		return -ENOMEM;
	}
	return 0;
}

struct mgr_doc *
mgr_doc_copy(const struct mgr_doc *doc)
{
	struct json_object *copy = NULL;

	if (doc == NULL || json_object_deep_copy(in(doc), &copy, NULL) != 0)
		return NULL;
	return out(copy);
}

bool
mgr_doc_equal(const struct mgr_doc *a, const struct mgr_doc *b)
{
	return json_object_equal(in(a), in(b)) == 1;
}

int
mgr_doc_print(const struct mgr_doc *doc, bool pretty, struct mgr_buf *b)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
		    (pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN);
	size_t n;
	const char *text = json_object_to_json_string_length(in(doc), flags, &n);

	return text == NULL ? -ENOMEM : mgr_buf_add(b, text, n);
}
