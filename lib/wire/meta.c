#include "wire/meta.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/num.h"

#define PREFIX_N (sizeof(MGR_META_PREFIX) - 1)
#define LEFT_MAX_MS INT64_C(9999999999) /* what the field can hold */
#define LEN_MAX ((INT64_C(1) << 53) - 1)

/* The time that is left in whole ms, rounded up: 0 means that nothing is left. */
static void
format_left(char field[static MGR_META_DEADLINE_W], int64_t left_ns)
{
	char text[MGR_NUM_MAX];
	int64_t ms = left_ns <= 0 ? 0 : left_ns / MGR_MS + (left_ns % MGR_MS != 0);
	size_t n = mgr_num_format(text, (uint64_t)(ms < LEFT_MAX_MS ? ms : LEFT_MAX_MS));

	memset(field, ' ', MGR_META_DEADLINE_W);
	memcpy(field, text, n);
}

int
mgr_meta_begin(struct mgr_buf *b, int64_t left_ns)
{
	char head[PREFIX_N + MGR_META_DEADLINE_W];

	memcpy(head, MGR_META_PREFIX, PREFIX_N);
	format_left(head + PREFIX_N, left_ns);
	return mgr_buf_add(b, head, sizeof(head));
}

/* Adds ,"key": and makes room for the value too, so that most members cost one reservation. */
static int
add_key(struct mgr_buf *b, const char *key, size_t value_n)
{
	size_t n = strlen(key);
	int r = mgr_buf_reserve(b, n + 4 + value_n);

	if (r < 0)
		return r;
	char *at = mgr_buf_tail(b);
	at[0] = ',';
	at[1] = '"';
	memcpy(at + 2, key, n);
	at[n + 2] = '"';
	at[n + 3] = ':';
	mgr_buf_commit(b, n + 4);
	return 0;
}

/* Takes a half written member back. */
static int
settle(struct mgr_buf *b, size_t had, int r)
{
	if (r < 0)
		mgr_buf_cut(b, mgr_buf_n(b) - had);
	return r;
}

int
mgr_meta_add(struct mgr_buf *b, const char *key, const char *p, size_t n)
{
	size_t had = mgr_buf_n(b);
	int r = add_key(b, key, n + 2);

	return settle(b, had, r < 0 ? r : mgr_json_add_bytes(b, p, n, true));
}

int
mgr_meta_adds(struct mgr_buf *b, const char *key, const char *value)
{
	return mgr_meta_add(b, key, value, strlen(value));
}

int
mgr_meta_addu(struct mgr_buf *b, const char *key, uint64_t value)
{
	size_t had = mgr_buf_n(b);
	int r = add_key(b, key, 1);

	return settle(b, had, r < 0 ? r : mgr_buf_addu(b, value));
}

int
mgr_meta_add_raw(struct mgr_buf *b, const char *key, const char *json, size_t n)
{
	size_t had = mgr_buf_n(b);
	int r = add_key(b, key, n);

	return settle(b, had, r < 0 ? r : mgr_buf_add(b, json, n));
}

int
mgr_meta_end(struct mgr_buf *b)
{
	return mgr_buf_add(b, "}\n", 2);
}

/* Digits, then spaces, then the end of the member: only such a field is ours to write. */
static bool
is_field(const char *p)
{
	size_t i = 0;

	while (i < MGR_META_DEADLINE_W && p[i] >= '0' && p[i] <= '9')
		i++;
	if (i == 0 || (i > 1 && p[0] == '0'))
		return false;
	while (i < MGR_META_DEADLINE_W && p[i] == ' ')
		i++;
	return i == MGR_META_DEADLINE_W && (p[i] == ',' || p[i] == '}');
}

void
mgr_meta_set_left(char *meta, size_t n, int64_t left_ns)
{
	if (n <= PREFIX_N + MGR_META_DEADLINE_W || memcmp(meta, MGR_META_PREFIX, PREFIX_N) != 0)
		return;
	if (is_field(meta + PREFIX_N))
		format_left(meta + PREFIX_N, left_ns);
}

/* The readers of an answer's members give what is wrong as a sentence, or NULL. */
static const char *
read_status(const struct mgr_json *value, struct mgr_meta_answer *answer)
{
	int64_t status;

	if (mgr_json_int(value, 200, 599, &status) < 0)
		return "status is not a whole number from 200 to 599";
	answer->status = (unsigned)status;
	return NULL;
}

static const char *
read_len(const struct mgr_json *value, struct mgr_meta_answer *answer)
{
	int64_t len;

	if (mgr_json_int(value, 0, LEN_MAX, &len) < 0)
		return "len is not a byte count";
	answer->has_len = true;
	answer->len = (uint64_t)len;
	return NULL;
}

static bool
is_header_value(const struct mgr_json *value)
{
	struct mgr_json_iter it;
	struct mgr_json item;

	if (value->type == MGR_JSON_STRING)
		return true;
	if (value->type != MGR_JSON_ARRAY)
		return false;
	mgr_json_iter_init(&it, value);
	while (mgr_json_next(&it, NULL, &item))
		if (item.type != MGR_JSON_STRING)
			return false;
	return true;
}

static const char *
read_headers(const struct mgr_json *value, struct mgr_meta_answer *answer)
{
	struct mgr_json_iter it;
	struct mgr_json name, text;

	if (value->type != MGR_JSON_OBJECT)
		return "headers is not an object";
	mgr_json_iter_init(&it, value);
	while (mgr_json_next(&it, &name, &text))
		if (!is_header_value(&text))
			return "a header is not a string or a list of strings";
	answer->headers = *value;
	return NULL;
}

static const char *
read_message(const struct mgr_json *value, struct mgr_meta_answer *answer)
{
	if (value->type != MGR_JSON_STRING)
		return "message is not a string";
	answer->message = *value;
	return NULL;
}

static const char *
read_type(const struct mgr_json *value, struct mgr_meta_answer *answer)
{
	if (value->type != MGR_JSON_STRING)
		return "type is not a string";
	answer->type = *value;
	return NULL;
}

static const struct {
	const char *key;
	const char *(*read)(const struct mgr_json *value, struct mgr_meta_answer *answer);
} members[] = {
	{"status", read_status}, {"headers", read_headers}, {"len", read_len},
	{"message", read_message}, {"type", read_type},
};

static const char *
read_member(const struct mgr_json *key, const struct mgr_json *value, struct mgr_meta_answer *answer)
{
	for (size_t i = 0; i < MGR_N(members); i++)
		if (mgr_json_is(key, members[i].key))
			return members[i].read(value, answer);
	return NULL;
}

int
mgr_meta_read_answer(const char *p, size_t n, bool is_error, struct mgr_meta_answer *ret,
		     const char **ret_why)
{
	struct mgr_meta_answer answer = {.status = is_error ? 500 : 200};
	const char *why = NULL;
	struct mgr_json_iter it;
	struct mgr_json key, value;

	if (n > 0) {
		if (mgr_json_check(p, n) < 0)
			why = "META is not JSON";
		struct mgr_json root = why == NULL ? mgr_json_root(p, n) : (struct mgr_json){0};
		if (why == NULL && root.type != MGR_JSON_OBJECT)
			why = "META is not a JSON object";
		mgr_json_iter_init(&it, &root);
		while (why == NULL && mgr_json_next(&it, &key, &value))
			why = read_member(&key, &value, &answer);
	}
	if (why != NULL) {
		*ret_why = why;
		return -EINVAL;
	}
	*ret = answer;
	return 0;
}
