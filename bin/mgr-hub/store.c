#include "hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"

/*
 * STATE/handlers/NAME.json are the stored registrations.  RUNTIME/handlers/NAME.json are those that
 * are not to be stored: a new hub needs them to look after a worker that outlived the last one, and
 * they mean nothing once that worker is gone.
 */

static const char suffix[] = ".json";

static int
dir_path(struct hub *h, bool stored, char path[static MGR_PATH_MAX])
{
	/* Without a home there is no state folder; what is not to be stored works all the same. */
	if (stored && h->prog->state_dir[0] == '\0')
		return -ENOENT;
	return mgr_paths_join(path, stored ? h->prog->state_dir : h->prog->runtime_dir, "handlers");
}

static int
file_path(struct hub *h, bool stored, const char *name, char path[static MGR_PATH_MAX])
{
	char dir[MGR_PATH_MAX], file[HUB_NAME_MAX + sizeof(suffix)];
	int r = dir_path(h, stored, dir);

	snprintf(file, sizeof(file), "%s%s", name, suffix);
	return r < 0 ? r : mgr_paths_join(path, dir, file);
}

static bool
drop_file(struct hub *h, bool stored, const char *name)
{
	char path[MGR_PATH_MAX];

	return file_path(h, stored, name, path) == 0 && unlink(path) == 0;
}

int
store_save(struct hub *h, const struct mgr_doc *doc, bool stored)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};
	char path[MGR_PATH_MAX];
	int r = dir_path(h, stored, path);

	if (r == 0)
		r = mgr_file_mkdir(path, 0700);
	if (r == 0)
		r = file_path(h, stored, regdoc_name(doc), path);
	if (r == 0)
		r = mgr_doc_print(doc, true, &text);
	if (r == 0)
		r = mgr_file_replace(path, mgr_buf_p(&text), mgr_buf_n(&text), 0600);
	if (r == 0 && stored)
		drop_file(h, false, regdoc_name(doc)); /* it would hide the stored one */
	return r;
}

bool
store_remove(struct hub *h, const char *name)
{
	drop_file(h, false, name);
	return drop_file(h, true, name);
}

struct loading {
	struct hub *hub;
	bool stored;
};

/* The document of one file, or NULL with a sentence. */
static struct mgr_doc *
read_file(struct loading *l, const char *file, char *why, size_t why_n)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};
	char dir[MGR_PATH_MAX], path[MGR_PATH_MAX];
	struct mgr_doc *doc;
	int r = dir_path(l->hub, l->stored, dir);

	if (r == 0)
		r = mgr_paths_join(path, dir, file);
	if (r == 0)
		r = mgr_file_read(path, HUB_DOC_MAX, &text);
	if (r < 0) {
		snprintf(why, why_n, "%s", mgr_log_errno(r));
		return NULL;
	}
	if (regdoc_read(mgr_buf_p(&text), mgr_buf_n(&text), &doc, why, why_n) < 0)
		return NULL;
	const char *name = regdoc_name(doc);
	size_t n = strlen(name);
	if (strncmp(file, name, n) == 0 && strcmp(file + n, suffix) == 0)
		return doc;
	snprintf(why, why_n, "the file's name is not that of the registration");
	mgr_doc_free(doc);
	return NULL;
}

/* What is not stored only counts for a worker that still lives. */
static bool
is_wanted(struct loading *l, const struct mgr_doc *doc)
{
	return l->stored ? unit_find(l->hub, regdoc_name(doc), UNIT_KEPT) == NULL
			 : unit_find(l->hub, regdoc_name(doc), UNIT_GUEST) != NULL;
}

/* A survivor of that name becomes the worker of the registration. */
static void
take_in(struct hub *h, struct mgr_doc *doc)
{
	struct unit *guest = unit_find(h, regdoc_name(doc), UNIT_GUEST);
	pid_t pid = guest == NULL ? 0 : guest->pid;
	struct unit *u = unit_new(h, regdoc_name(doc), doc, UNIT_KEPT);

	if (u == NULL || guest == NULL)
		return;
	mgr_child_fini(&guest->child);
	guest->pid = 0;
	unit_free(guest);
	unit_adopt(u, pid);
}

static int
load_one(void *arg, const char *file)
{
	struct loading *l = arg;
	char why[HUB_WHY_MAX] = "";
	struct mgr_doc *doc = read_file(l, file, why, sizeof(why));

	if (doc == NULL) {
		mgr_log(MGR_WARN, "registration-skipped", "file=%s why=%s", mgr_log_str(file), mgr_log_str(why));
		return 0;
	}
	if (is_wanted(l, doc)) {
		take_in(l->hub, doc);
		return 0;
	}
	if (!l->stored)
		drop_file(l->hub, false, regdoc_name(doc));
	mgr_doc_free(doc);
	return 0;
}

int
store_load(struct hub *h)
{
	int r = 0;

	/* Those of living workers win over stored ones of the same name, so they come first. */
	for (int stored = 0; stored <= 1 && r == 0; stored++) {
		struct loading l = {.hub = h, .stored = stored == 1};
		char dir[MGR_PATH_MAX];
		r = dir_path(h, l.stored, dir);
		if (r == 0)
			r = mgr_file_each(dir, suffix, load_one, &l);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

static int
drop_one(void *arg, const char *file)
{
	char path[MGR_PATH_MAX];

	if (mgr_paths_join(path, arg, file) == 0)
		unlink(path);
	return 0;
}

void
store_fini(struct hub *h)
{
	char dir[MGR_PATH_MAX];

	if (dir_path(h, false, dir) < 0)
		return;
	mgr_file_each(dir, suffix, drop_one, dir);
	rmdir(dir);
}
