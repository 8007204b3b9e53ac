#include "wire/frame.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/num.h"

#define WORD_MAX 8
#define META_KEEP (16u * 1024) /* memory that an idle parser may hold on to */

/* Zero padded to the size of mgr_frame.word, so that one comparison of fixed size decides. */
static const char words[][WORD_MAX + 1] = {
#define ROW(id) [MGR_FRAME_##id] = #id,
	MGR_FRAME_TYPES(ROW)
#undef ROW
};

enum state {
	AT_LINE,
	AT_META,
	AT_BODY,
	AT_BROKEN
};

const char *
mgr_frame_word(enum mgr_frame_type type)
{
	return (unsigned)type < MGR_FRAME_OTHER ? words[type] : "?";
}

size_t
mgr_frame_head(char line[static MGR_FRAME_LINE_MAX], enum mgr_frame_type type, bool more, uint32_t id,
	       uint32_t meta_n, uint64_t body_n)
{
	mgr_assert((unsigned)type < MGR_FRAME_OTHER);
	size_t n = strlen(words[type]);
	memcpy(line, words[type], n);
	if (more)
		line[n++] = '+';
	line[n++] = ' ';
	n += mgr_num_format(line + n, id);
	line[n++] = ' ';
	n += mgr_num_format(line + n, meta_n);
	line[n++] = ' ';
	n += mgr_num_format(line + n, body_n);
	line[n++] = '\n';
	return n;
}

int
mgr_frame_add(struct mgr_buf *b, enum mgr_frame_type type, bool more, uint32_t id, const char *meta,
	      size_t meta_n, const void *body, size_t body_n)
{
	char line[MGR_FRAME_LINE_MAX];

	mgr_assert(meta_n == 0 || meta[meta_n - 1] == '\n');
	if (meta_n > MGR_FRAME_META_MAX || body_n > MGR_FRAME_BODY_MAX)
		return -EMSGSIZE;
	size_t line_n = mgr_frame_head(line, type, more, id, (uint32_t)meta_n, body_n);
	int r = mgr_buf_reserve(b, line_n + meta_n + body_n);
	if (r < 0)
		return r;
	char *at = mgr_buf_tail(b);
	memcpy(at, line, line_n);
	if (meta_n > 0)
		memcpy(at + line_n, meta, meta_n);
	if (body_n > 0)
		memcpy(at + line_n + meta_n, body, body_n);
	mgr_buf_commit(b, line_n + meta_n + body_n);
	return 0;
}

void
mgr_frame_parser_fini(struct mgr_frame_parser *p)
{
	mgr_buf_fini(&p->meta);
	*p = (struct mgr_frame_parser){.meta_max = p->meta_max, .body_max = p->body_max};
}

/*
 * The readers of a header line answer 1 (taken), 0 (not all here yet) or -errno.  Each refuses at the
 * first byte that no valid line could have there: garbage is found without waiting for its LF, and
 * the verdict does not depend on how the input was cut.
 */
static int
take_word(const char *p, size_t n, size_t *at, struct mgr_frame *f)
{
	size_t i = 0;

	while (i < n && i < WORD_MAX && p[i] >= 'A' && p[i] <= 'Z')
		i++;
	if (i == n)
		return 0;
	size_t word_n = i;
	bool more = p[i] == '+';
	if (more && word_n > 0 && ++i == n)
		return 0;
	if (word_n == 0 || p[i] != ' ')
		return -EINVAL;
	memset(f->word, 0, sizeof(f->word));
	memcpy(f->word, p, word_n);
	f->more = more;
	*at = i + 1;
	return 1;
}

static int
take_number(const char *p, size_t n, size_t *at, char stop, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	size_t i = *at;

	for (; i < n && p[i] >= '0' && p[i] <= '9'; i++) {
		if (i > *at && value == 0)
			return -EINVAL;
		value = value * 10 + (unsigned)(p[i] - '0'); /* max < 2^60: cannot wrap */
		if (value > max)
			return -ERANGE;
	}
	if (i == n)
		return 0;
	if (i == *at || p[i] != stop)
		return -EINVAL;
	*at = i + 1;
	*ret_value = value;
	return 1;
}

enum field { ID, MLEN, BLEN, FIELD_N };

static const struct {
	const char *bad, *large;
	char stop;
} fields[FIELD_N] = {
	[ID] = {"the frame header has no valid id", "the id in the frame header is too large", ' '},
	[MLEN] = {"the frame header has no valid META length", "META is too long", ' '},
	[BLEN] = {"the frame header has no valid BODY length", "BODY is too long", '\n'},
};

static enum mgr_frame_type
type_of(const char word[static WORD_MAX])
{
	for (unsigned i = 0; i < MGR_N(words); i++)
		if (memcmp(words[i], word, WORD_MAX) == 0)
			return (enum mgr_frame_type)i;
	return MGR_FRAME_OTHER;
}

/* Reads a header line from the start of the n bytes: its length, 0 for not yet, -errno with p->why. */
static int
take_line(struct mgr_frame_parser *p, const char *line, size_t n)
{
	const uint64_t max[FIELD_N] = {
		[ID] = UINT32_MAX,
		[MLEN] = p->meta_max - 1u < MGR_FRAME_META_MAX ? p->meta_max : MGR_FRAME_META_MAX,
		[BLEN] = p->body_max - 1u < MGR_FRAME_BODY_MAX ? p->body_max : MGR_FRAME_BODY_MAX,
	};
	struct mgr_frame f = {0};
	uint64_t value[FIELD_N];
	size_t at = 0;

	int r = take_word(line, n, &at, &f);
	if (r < 0)
		p->why = "this is not the beginning of a frame";
	for (unsigned i = 0; i < FIELD_N && r > 0; i++) {
		r = take_number(line, n, &at, fields[i].stop, max[i], &value[i]);
		if (r < 0)
			p->why = r == -ERANGE ? fields[i].large : fields[i].bad;
	}
	if (r <= 0)
		return r;
	f.type = type_of(f.word);
	f.id = (uint32_t)value[ID];
	f.meta_n = (uint32_t)value[MLEN];
	f.body_n = value[BLEN];
	p->frame = f;
	return (int)at;
}

static enum mgr_frame_step
fail(struct mgr_frame_parser *p, const char *why, size_t *ret_used)
{
	p->state = AT_BROKEN;
	p->why = why;
	*ret_used = 0;
	return MGR_FRAME_BROKEN;
}

/* Keeps what is here of an unfinished or broken line: to go on with it, or to quote it. */
static void
keep_line(struct mgr_frame_parser *p, const char *in, size_t n)
{
	size_t room = sizeof(p->line) - p->line_n;
	size_t take = n < room ? n : room;

	if (take > 0)
		memcpy(p->line + p->line_n, in, take);
	p->line_n = (uint8_t)(p->line_n + take);
}

static enum mgr_frame_step
feed_line(struct mgr_frame_parser *p, const char *in, size_t n, size_t *ret_used)
{
	size_t had = p->line_n;
	int r;

	if (had == 0) {
		r = take_line(p, in, n);
		if (r <= 0)
			keep_line(p, in, n);
	} else {
		keep_line(p, in, n);
		r = take_line(p, p->line, p->line_n);
	}
	if (r < 0)
		return fail(p, p->why, ret_used);
	if (r == 0) {
		/* The grammar itself bounds a line to 45 bytes. */
		mgr_assert(p->line_n < sizeof(p->line));
		*ret_used = n;
		return MGR_FRAME_MORE;
	}
	*ret_used = (size_t)r - had;
	p->line_n = 0;
	p->body_left = p->frame.body_n;
	mgr_buf_clear(&p->meta, META_KEEP);
	p->state = p->frame.meta_n > 0 ? AT_META : AT_BODY;
	return MGR_FRAME_HEAD;
}

static enum mgr_frame_step
feed_meta(struct mgr_frame_parser *p, const char *in, size_t n, size_t *ret_used)
{
	size_t left = p->frame.meta_n - mgr_buf_n(&p->meta);
	size_t take = n < left ? n : left;

	if (take == 0)
		return MGR_FRAME_MORE;
	const char *lf = memchr(in, '\n', take);
	if (lf != NULL && (size_t)(lf - in) != left - 1)
		return fail(p, "META has a line feed before its end", ret_used);
	if (lf == NULL && take == left)
		return fail(p, "META does not end with a line feed", ret_used);
	if (mgr_buf_add(&p->meta, in, take) < 0)
		return fail(p, "out of memory", ret_used);
	*ret_used += take;
	if (take < left)
		return MGR_FRAME_MORE;
	p->state = AT_BODY;
	return MGR_FRAME_HEAD;
}

static enum mgr_frame_step
feed_body(struct mgr_frame_parser *p, const char *in, size_t n, size_t *ret_used, const char **ret_body,
	  size_t *ret_body_n)
{
	if (p->body_left == 0) {
		p->state = AT_LINE;
		return MGR_FRAME_END;
	}
	if (n == 0)
		return MGR_FRAME_MORE;
	size_t take = n < p->body_left ? n : (size_t)p->body_left;
	p->body_left -= take;
	*ret_used = take;
	*ret_body = in;
	*ret_body_n = take;
	return MGR_FRAME_BODY;
}

enum mgr_frame_step
mgr_frame_feed(struct mgr_frame_parser *p, const char *in, size_t n, size_t *ret_used,
	       const char **ret_body, size_t *ret_body_n)
{
	enum mgr_frame_step step;

	*ret_used = 0;
	switch ((enum state)p->state) {
	case AT_LINE:
		if (n == 0)
			return MGR_FRAME_MORE;
		step = feed_line(p, in, n, ret_used);
		if (step != MGR_FRAME_HEAD || p->state != AT_META)
			return step;
		return feed_meta(p, in + *ret_used, n - *ret_used, ret_used);
	case AT_META:
		return feed_meta(p, in, n, ret_used);
	case AT_BODY:
		return feed_body(p, in, n, ret_used, ret_body, ret_body_n);
	case AT_BROKEN:
		break;
	}
	return MGR_FRAME_BROKEN;
}

const char *
mgr_frame_meta(const struct mgr_frame_parser *p, size_t *ret_n)
{
	size_t n = mgr_buf_n(&p->meta);

	*ret_n = n > 0 ? n - 1 : 0;
	return n > 0 ? mgr_buf_p(&p->meta) : "";
}

const char *
mgr_frame_why(const struct mgr_frame_parser *p)
{
	return p->why != NULL ? p->why : "nothing is wrong";
}

const char *
mgr_frame_line(const struct mgr_frame_parser *p, size_t *ret_n)
{
	*ret_n = p->line_n;
	return p->line;
}

bool
mgr_frame_at_border(const struct mgr_frame_parser *p)
{
	return p->state == AT_LINE && p->line_n == 0;
}
