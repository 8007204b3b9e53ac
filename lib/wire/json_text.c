#include "wire/json.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "wire/json_priv.h"

/* The inside of a string that is still to be decoded. */
struct inside {
	const char *p, *end;
	char hold[4];
};

static bool
enter(struct inside *in, const struct mgr_json *string)
{
	if (string->type != MGR_JSON_STRING || string->n < 2)
		return false;
	in->p = string->p + 1;
	in->end = string->p + string->n - 1;
	return true;
}

static size_t
encode(char to[static 4], uint32_t code)
{
	if (code < 0x80) {
		to[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		to[0] = (char)(0xc0 | code >> 6);
		to[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		to[0] = (char)(0xe0 | code >> 12);
		to[1] = (char)(0x80 | (code >> 6 & 0x3f));
		to[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | code >> 18);
	to[1] = (char)(0x80 | (code >> 12 & 0x3f));
	to[2] = (char)(0x80 | (code >> 6 & 0x3f));
	to[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* The next decoded bytes, borrowed: a run up to the next escape, or one escape.  0 at the end. */
static size_t
next_piece(struct inside *in, const char **ret_piece)
{
	size_t left = (size_t)(in->end - in->p);
	uint32_t code;

	if (left == 0)
		return 0;
	size_t len = mgr_json_escape(in->p, left, &code);
	if (len > 0) {
		in->p += len;
		*ret_piece = in->hold;
		return encode(in->hold, code);
	}
	const char *slash = memchr(in->p + 1, '\\', left - 1);
	*ret_piece = in->p;
	in->p = slash != NULL ? slash : in->end;
	return (size_t)(in->p - *ret_piece);
}

bool
mgr_json_is(const struct mgr_json *string, const char *text)
{
	size_t left = strlen(text), n;
	struct inside in;
	const char *piece;

	if (!enter(&in, string))
		return false;
	while ((n = next_piece(&in, &piece)) > 0) {
		if (n > left || memcmp(piece, text, n) != 0)
			return false;
		text += n;
		left -= n;
	}
	return left == 0;
}

int
mgr_json_text(const struct mgr_json *string, struct mgr_buf *b)
{
	size_t had = mgr_buf_n(b), n;
	struct inside in;
	const char *piece;
	int r = 0;

	if (!enter(&in, string))
		return -EINVAL;
	while (r == 0 && (n = next_piece(&in, &piece)) > 0)
		r = mgr_buf_add(b, piece, n);
	if (r < 0)
		mgr_buf_cut(b, mgr_buf_n(b) - had);
	return r;
}

int
mgr_json_copy(const struct mgr_json *string, char *to, size_t to_n)
{
	size_t at = 0, n;
	struct inside in;
	const char *piece;

	if (!enter(&in, string))
		return -EINVAL;
	while ((n = next_piece(&in, &piece)) > 0) {
		if (n >= to_n - at || memchr(piece, '\0', n) != NULL)
			return -ERANGE;
		memcpy(to + at, piece, n);
		at += n;
	}
	if (at >= to_n)
		return -ERANGE;
	to[at] = '\0';
	return 0;
}

int
mgr_json_int(const struct mgr_json *number, int64_t min, int64_t max, int64_t *ret_value)
{
	uint64_t size;

	if (number->type != MGR_JSON_NUMBER || number->n == 0)
		return -EINVAL;
	bool minus = number->p[0] == '-';
	uint64_t most = minus ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
	int r = mgr_num_parse(number->p + minus, number->n - minus, most, &size);
	if (r < 0)
		return r;
	int64_t value = minus ? (int64_t)(0 - size) : (int64_t)size;
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int
mgr_json_bool(const struct mgr_json *value, bool *ret_value)
{
	if (value->type != MGR_JSON_BOOL || value->n == 0)
		return -EINVAL;
	*ret_value = value->p[0] == 't';
	return 0;
}
