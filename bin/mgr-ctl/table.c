#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ctl.h"

#define GAP 2

void
ctl_table_init(struct ctl_table *t, const struct ctl_column *column, size_t column_n)
{
	*t = (struct ctl_table){.column = column, .column_n = column_n};
}

void
ctl_table_add(struct ctl_table *t, const char *text)
{
	if (t->cell_n == t->cap) {
		size_t cap = t->cap == 0 ? 64 : t->cap * 2;
		char **cell = reallocarray(t->cell, cap, sizeof(*cell));
		if (cell == NULL)
			return;
		t->cell = cell;
		t->cap = cap;
	}
	t->cell[t->cell_n++] = strdup(ctl_text(text));
}

void
ctl_table_addu(struct ctl_table *t, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	ctl_table_add(t, text);
}

static const char *
cell(const struct ctl_table *t, size_t row, size_t column)
{
	size_t i = row * t->column_n + column;
	const char *text = i < t->cell_n ? t->cell[i] : NULL;

	return text != NULL ? text : "";
}

/* Characters, not bytes. */
static size_t
width(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static size_t
widest(const struct ctl_table *t, size_t row_n, size_t column)
{
	size_t w = width(t->column[column].title);

	for (size_t row = 0; row < row_n; row++) {
		size_t mine = width(cell(t, row, column));
		w = mine > w ? mine : w;
	}
	return w;
}

static void
put(FILE *to, const struct ctl_column *column, const char *text, size_t w, bool last)
{
	int pad = (int)(w - width(text));

	if (column->right)
		fprintf(to, "%*s%s%*s", pad, "", text, last ? 0 : GAP, "");
	else
		fprintf(to, "%s%*s", text, last ? 0 : pad + GAP, "");
}

void
ctl_table_print(struct ctl_table *t, FILE *to)
{
	size_t row_n = (t->cell_n + t->column_n - 1) / t->column_n;
	size_t *w = calloc(t->column_n, sizeof(*w));

	for (size_t i = 0; w != NULL && i < t->column_n; i++)
		w[i] = widest(t, row_n, i);
	for (size_t row = 0; w != NULL && row <= row_n; row++) {
		for (size_t i = 0; i < t->column_n; i++)
			put(to, &t->column[i], row == 0 ? t->column[i].title : cell(t, row - 1, i), w[i],
			    i + 1 == t->column_n);
		fputc('\n', to);
	}
	free(w);
	for (size_t i = 0; i < t->cell_n; i++)
		free(t->cell[i]);
	free(t->cell);
	*t = (struct ctl_table){0};
}
