#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/rand.h"
#include "base/text.h"
#include "ctl.h"
#include "wire/frame.h"
#include "wire/json.h"
#include "wire/meta.h"

/* "NAME:VALUE" in its two parts, blanks around VALUE dropped: 0 or -EINVAL with a sentence. */
static int
split(const char *text, size_t *ret_name_n, const char **ret_value, size_t *ret_value_n, char *err, size_t err_n)
{
	const char *colon = strchr(text, ':');
	size_t name_n = colon != NULL ? (size_t)(colon - text) : 0;

	if (colon == NULL || !mgr_text_is_token(text, name_n)) {
		snprintf(err, err_n, "a header is NAME:VALUE, not \"%.60s\"", text);
		return -EINVAL;
	}
	const char *value = colon + 1 + strspn(colon + 1, " \t");
	size_t n = strlen(value);
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)value[i] < ' ' && value[i] != '\t') {
			snprintf(err, err_n, "header %.60s: its value holds a control byte", text);
			return -EINVAL;
		}
	}
	*ret_name_n = name_n;
	*ret_value = value;
	*ret_value_n = n;
	return 0;
}

static bool
same_name(const char *a, const char *b, size_t n)
{
	return strncasecmp(a, b, n) == 0 && b[n] == ':';
}

static int
add_value(struct mgr_buf *b, const char *text)
{
	char err[2];
	const char *value;
	size_t name_n, value_n;
	int r = split(text, &name_n, &value, &value_n, err, sizeof(err));

	/* As everywhere in headers: a byte >= 0x80 is the character of its value. */
	return r < 0 ? r : mgr_json_add_bytes(b, value, value_n, false);
}

/* The value of one name: a string, or a list where the name comes several times. */
static int
add_member(const struct mgr_opt_list *list, size_t first, size_t name_n, struct mgr_buf *b)
{
	size_t n = 0;
	int r = mgr_buf_addc(b, '"');

	for (size_t i = 0; i < name_n && r == 0; i++)
		r = mgr_buf_addc(b, (char)tolower((unsigned char)list->item[first][i]));
	for (size_t i = first; i < list->n; i++)
		n += same_name(list->item[first], list->item[i], name_n);
	if (r == 0)
		r = mgr_buf_adds(b, n > 1 ? "\":[" : "\":");
	for (size_t i = first; i < list->n && r == 0; i++) {
		if (!same_name(list->item[first], list->item[i], name_n))
			continue;
		if (i > first)
			r = mgr_buf_addc(b, ',');
		if (r == 0)
			r = add_value(b, list->item[i]);
	}
	return r == 0 && n > 1 ? mgr_buf_addc(b, ']') : r;
}

static bool
came_before(const struct mgr_opt_list *list, size_t at, size_t name_n)
{
	for (size_t i = 0; i < at; i++)
		if (same_name(list->item[at], list->item[i], name_n))
			return true;
	return false;
}

static int
check_type(const char *type, char *err, size_t err_n)
{
	for (size_t i = 0; type[i] != '\0'; i++) {
		if ((unsigned char)type[i] < ' ') {
			snprintf(err, err_n, "--type holds a control byte");
			return -EINVAL;
		}
	}
	return 0;
}

int
head_add(const struct head_options *o, struct mgr_buf *b, char *err, size_t err_n)
{
	const struct mgr_opt_list *list = &o->headers;
	bool comma = o->type != NULL;
	int r = mgr_buf_addc(b, '{');

	if (o->type != NULL) {
		r = check_type(o->type, err, err_n);
		if (r == 0)
			r = mgr_buf_adds(b, "\"content-type\":");
		if (r == 0)
			r = mgr_json_add_bytes(b, o->type, strlen(o->type), false);
	}
	for (size_t i = 0; i < list->n && r == 0; i++) {
		const char *value;
		size_t name_n, value_n;
		r = split(list->item[i], &name_n, &value, &value_n, err, err_n);
		if (r < 0 || came_before(list, i, name_n))
			continue;
		if (o->type != NULL && name_n == 12 && strncasecmp(list->item[i], "content-type", 12) == 0)
			continue; /* --type goes before */
		r = comma ? mgr_buf_addc(b, ',') : 0;
		comma = true;
		if (r == 0)
			r = add_member(list, i, name_n, b);
	}
	if (r == -ENOMEM)
		snprintf(err, err_n, "out of memory");
	return r < 0 ? r : mgr_buf_addc(b, '}');
}

int
head_call(const struct head_options *o, const char *kind, int64_t timeout_ns, uint64_t body_n, struct mgr_buf *meta,
	  char *err, size_t err_n)
{
	MGR_AUTO_BUF struct mgr_buf headers = {0};
	char uuid[37];
	int r = head_add(o, &headers, err, err_n);

	if (r < 0)
		return r;
	mgr_rand_uuid(uuid);
	mgr_meta_begin(meta, timeout_ns);
	mgr_meta_adds(meta, "kind", kind);
	mgr_meta_adds(meta, "src", "ctl");
	mgr_meta_add_raw(meta, "headers", mgr_buf_p(&headers), mgr_buf_n(&headers));
	if (body_n != UINT64_MAX)
		mgr_meta_addu(meta, "len", body_n);
	mgr_meta_addu(meta, "hops", 0);
	mgr_meta_adds(meta, "trace", uuid);
	r = mgr_meta_end(meta);
	if (r == 0 && mgr_buf_n(meta) > MGR_FRAME_META_MAX)
		r = -EMSGSIZE;
	if (r < 0)
		snprintf(err, err_n, r == -EMSGSIZE ? "the headers are too long" : "out of memory");
	return r;
}

void
head_message(const char *meta, size_t meta_n, struct mgr_buf *text)
{
	struct mgr_meta_answer answer;
	const char *why;

	if (mgr_meta_read_answer(meta, meta_n, true, &answer, &why) == 0 && answer.message.n > 0)
		mgr_json_text(&answer.message, text);
}

static void
print_value(const char *name, const struct mgr_json *value)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};

	mgr_json_text(value, &text);
	printf("%s: %s\n", name, ctl_text(mgr_buf_str(&text)));
}

static void
print_header(const struct mgr_json *key, const struct mgr_json *value)
{
	struct mgr_json_iter it;
	struct mgr_json item;
	char name[256];

	if (mgr_json_copy(key, name, sizeof(name)) < 0)
		return;
	if (value->type == MGR_JSON_STRING) {
		print_value(ctl_text(name), value);
		return;
	}
	mgr_json_iter_init(&it, value);
	while (mgr_json_next(&it, NULL, &item))
		print_value(ctl_text(name), &item);
}

void
head_print(unsigned status, const char *meta, size_t meta_n)
{
	struct mgr_meta_answer answer;
	struct mgr_json_iter it;
	struct mgr_json key, value;
	const char *why;

	printf("HTTP/1.1 %u\n", status);
	if (mgr_meta_read_answer(meta, meta_n, status >= 400, &answer, &why) == 0 && answer.headers.n > 0) {
		mgr_json_iter_init(&it, &answer.headers);
		while (mgr_json_next(&it, &key, &value))
			print_header(&key, &value);
	}
	putchar('\n');
	ctl_flush(MGR_EXIT_OK);
}

int
head_exit(enum mgr_outcome outcome, unsigned status)
{
	if (outcome == MGR_OUT_OK)
		return status >= 400 ? MGR_EXIT_FAILED : MGR_EXIT_OK;
	return mgr_outcome_row(outcome)->exit;
}
