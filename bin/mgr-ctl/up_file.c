#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "os/file.h"
#include "os/log.h"
#include "up.h"

#define FILE_MAX (4u * 1024 * 1024)

static int
complain(const struct up_file *f, unsigned line, int status, const char *text)
{
	ctl_complain("%s:%u: %s", ctl_text(f->name), line, ctl_text(text));
	return status;
}

static struct up_line *
add_line(struct up_file *f)
{
	if (f->n == f->cap) {
		size_t cap = f->cap == 0 ? 16 : f->cap * 2;
		struct up_line *item = reallocarray(f->item, cap, sizeof(*item));
		if (item == NULL)
			return NULL;
		f->item = item;
		f->cap = cap;
	}
	f->item[f->n] = (struct up_line){0};
	return &f->item[f->n++];
}

/* The words of one line, as they would stand behind "mgr-ctl register". */
static int
read_line(struct up_file *f, const struct words *w, unsigned line)
{
	MGR_AUTO_BUF struct mgr_buf why = {0};
	struct up_line *one = add_line(f);
	char **argv = calloc(w->n + 2, sizeof(*argv));
	bool help = false;

	if (one == NULL || argv == NULL) {
		free(argv);
		return complain(f, line, MGR_EXIT_FAILED, "out of memory");
	}
	argv[0] = (char *)(uintptr_t)"register";
	memcpy(argv + 1, w->argv, w->n * sizeof(*argv));
	int status = registration_read(&one->reg, (int)w->n + 1, argv, f->dir, &help, &why);
	free(argv);
	if (help)
		return complain(f, line, MGR_EXIT_USAGE, "--help has no place here");
	if (status != MGR_EXIT_OK)
		return complain(f, line, status, mgr_buf_str(&why));
	one->line = line;
	one->reg.replace = true; /* what stands here wins over what is stored */
	for (size_t i = 0; i + 1 < f->n; i++)
		if (strcmp(f->item[i].reg.name, one->reg.name) == 0)
			return complain(f, line, MGR_EXIT_CONFLICT, "this name stands on an earlier line too");
	return MGR_EXIT_OK;
}

static int
read_lines(struct up_file *f, const char *text, size_t n)
{
	struct words_reader reader;
	struct words w = {0};
	unsigned line = 1;
	const char *why = "out of memory";
	int status = MGR_EXIT_OK, got;

	words_open(&reader, text, n);
	while (status == MGR_EXIT_OK && (got = words_next(&reader, &w, &line, &why)) != 0)
		status = got < 0 ? complain(f, line, got == -EINVAL ? MGR_EXIT_USAGE : MGR_EXIT_FAILED, why) :
				   read_line(f, &w, line);
	words_fini(&w);
	return status;
}

/* The folder of a file as an absolute path, NULL when it cannot be told. */
static char *
folder_of(const char *name)
{
	char path[PATH_MAX];
	const char *slash = strrchr(name, '/');
	size_t n = slash == NULL ? 0 : slash == name ? 1 : (size_t)(slash - name);

	if (n >= sizeof(path))
		return NULL;
	memcpy(path, n == 0 ? "." : name, n == 0 ? 1 : n);
	path[n == 0 ? 1 : n] = '\0';
	return realpath(path, NULL);
}

int
up_file_read(struct up_file *f, const char *name)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};
	MGR_AUTO_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : mgr_file_read_fd(fd, FILE_MAX, &text);

	f->name = name;
	f->dir = folder_of(name);
	if (r == 0 && f->dir == NULL)
		r = -errno;
	if (r < 0) {
		ctl_complain("%s: %s", ctl_text(name), mgr_log_errno(r));
		return (int)mgr_exit_by_errno(r);
	}
	return read_lines(f, mgr_buf_p(&text), mgr_buf_n(&text));
}

int
up_file_register(struct up_file *f, struct mgr_loop *loop, const bool *stop)
{
	int status = MGR_EXIT_OK;

	for (size_t i = 0; i < f->n && !*stop && status == MGR_EXIT_OK; i++) {
		MGR_AUTO_BUF struct mgr_buf why = {0};
		struct up_line *one = &f->item[i];
		status = registration_send(&one->reg, loop, false, &why);
		if (status != MGR_EXIT_OK && !*stop)
			ctl_complain("%s:%u: %s: %s", ctl_text(f->name), one->line, one->reg.name,
				     ctl_text(mgr_buf_str(&why)));
	}
	return status;
}

void
up_file_restore(struct up_file *f, struct mgr_loop *loop, const bool *stop)
{
	for (size_t i = 0; i < f->n && !*stop; i++) {
		MGR_AUTO_BUF struct mgr_buf why = {0};
		struct up_line *one = &f->item[i];
		one->reg.replace = false; /* somebody may have replaced it meanwhile, and meant it */
		int status = registration_send(&one->reg, loop, false, &why);
		if (status != MGR_EXIT_OK && status != MGR_EXIT_CONFLICT && !*stop)
			mgr_log(MGR_WARN, "not-restored", "name=%s why=%s", one->reg.name,
				mgr_log_str(mgr_buf_str(&why)));
	}
}

void
up_file_fini(struct up_file *f)
{
	for (size_t i = 0; i < f->n; i++)
		registration_fini(&f->item[i].reg);
	free(f->item);
	free(f->dir);
	*f = (struct up_file){0};
}
