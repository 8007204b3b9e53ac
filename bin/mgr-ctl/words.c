#include "words.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 4096
#define TEXT_MAX (256u * 1024)

void
words_open(struct words_reader *r, const char *text, size_t n)
{
	*r = (struct words_reader){.p = text, .end = text + n, .line = 1};
}

void
words_fini(struct words *w)
{
	mgr_buf_fini(&w->text);
	free(w->at);
	free(w->argv);
	*w = (struct words){0};
}

/* The next byte, counted; -1 at the end. */
static int
take(struct words_reader *r)
{
	if (r->p == r->end)
		return -1;
	if (*r->p == '\n')
		r->line++;
	return (unsigned char)*r->p++;
}

static int
peek(const struct words_reader *r)
{
	return r->p == r->end ? -1 : (unsigned char)*r->p;
}

static bool
is_joint(const struct words_reader *r)
{
	return r->end - r->p >= 2 && r->p[0] == '\\' && r->p[1] == '\n';
}

static void
skip_comment(struct words_reader *r)
{
	while (peek(r) != -1 && peek(r) != '\n')
		take(r);
}

/* Up to the next word of this line: false when the line (or the text) ends first. */
static bool
skip_blanks(struct words_reader *r)
{
	for (;;) {
		int c = peek(r);
		if (is_joint(r)) {
			take(r);
			take(r);
		} else if (c == ' ' || c == '\t' || c == '\r') {
			take(r);
		} else if (c == '#') {
			skip_comment(r);
		} else {
			return c != -1 && c != '\n';
		}
	}
}

/* A word becomes an argument, which a NUL would cut. */
static int
add(struct mgr_buf *to, int c, const char **ret_why)
{
	if (c != '\0')
		return mgr_buf_addc(to, (char)c);
	*ret_why = "it holds a NUL";
	return -EINVAL;
}

static int
single_quoted(struct words_reader *r, struct mgr_buf *to, const char **ret_why)
{
	int c, err = 0;

	while (err == 0 && (c = take(r)) != '\'') {
		if (c == -1) {
			*ret_why = "a ' is not closed";
			return -EINVAL;
		}
		err = add(to, c, ret_why);
	}
	return err;
}

/* Inside "" a backslash is one, but before $ ` " \ and a newline. */
static int
double_quoted(struct words_reader *r, struct mgr_buf *to, const char **ret_why)
{
	int c, err = 0;

	while (err == 0 && (c = take(r)) != '"') {
		if (c == '\\' && peek(r) == '\n') {
			take(r);
			continue;
		}
		if (c == '\\' && peek(r) > 0 && strchr("$`\"\\", peek(r)) != NULL)
			c = take(r);
		if (c == -1) {
			*ret_why = "a \" is not closed";
			return -EINVAL;
		}
		err = add(to, c, ret_why);
	}
	return err;
}

static int
escaped(struct words_reader *r, struct mgr_buf *to, const char **ret_why)
{
	int c = take(r);

	if (c == -1) {
		*ret_why = "nothing follows a \\";
		return -EINVAL;
	}
	return c == '\n' ? 0 : add(to, c, ret_why);
}

static int
one_word(struct words_reader *r, struct mgr_buf *to, const char **ret_why)
{
	int err = 0;

	while (err == 0) {
		int c = peek(r);
		if (c == -1 || c == ' ' || c == '\t' || c == '\r' || c == '\n')
			break;
		take(r);
		if (c == '\'')
			err = single_quoted(r, to, ret_why);
		else if (c == '"')
			err = double_quoted(r, to, ret_why);
		else if (c == '\\')
			err = escaped(r, to, ret_why);
		else
			err = add(to, c, ret_why);
	}
	return err < 0 ? err : mgr_buf_addc(to, '\0');
}

static int
begin_word(struct words *w)
{
	if (w->n == w->cap) {
		size_t cap = w->cap == 0 ? 32 : w->cap * 2;
		size_t *at = reallocarray(w->at, cap, sizeof(*at));
		if (at == NULL)
			return -ENOMEM;
		w->at = at;
		w->cap = cap;
	}
	w->at[w->n++] = mgr_buf_n(&w->text);
	return 0;
}

/* The text does not move any more: offsets become pointers. */
static int
finish(struct words *w)
{
	char **argv = reallocarray(w->argv, w->n + 1, sizeof(*argv));

	if (argv == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < w->n; i++)
		argv[i] = mgr_buf_p(&w->text) + w->at[i];
	argv[w->n] = NULL;
	w->argv = argv;
	return (int)w->n;
}

static int
one_line(struct words_reader *r, struct words *w, unsigned *ret_line, const char **ret_why)
{
	while (skip_blanks(r)) {
		*ret_line = w->n == 0 ? r->line : *ret_line;
		int err = w->n == WORDS_MAX ? -EMSGSIZE : begin_word(w);
		if (err == 0)
			err = one_word(r, &w->text, ret_why);
		if (err == -EMSGSIZE) {
			*ret_why = "the line is too long";
			return -EINVAL;
		}
		if (err < 0)
			return err;
	}
	take(r); /* the newline */
	return 0;
}

int
words_next(struct words_reader *r, struct words *w, unsigned *ret_line, const char **ret_why)
{
	mgr_buf_clear(&w->text, SIZE_MAX);
	w->text.limit = TEXT_MAX;
	w->n = 0;
	while (w->n == 0 && peek(r) != -1) {
		int err = one_line(r, w, ret_line, ret_why);
		if (err < 0)
			return err;
	}
	return finish(w);
}
