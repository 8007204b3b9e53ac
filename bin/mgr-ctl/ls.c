#include <string.h>

#include "ctl.h"

const struct mgr_opt list_options[] = {
	{.name = "json", .type = MGR_OPT_FLAG, .offset = offsetof(struct list_options, json),
	 .help = "print one JSON document"},
	CTL_OPTION_HELP,
	MGR_OPT_END,
};

const char *
ls_replicas(const struct mgr_doc *handler)
{
	static char text[48];
	const struct mgr_doc *n = mgr_doc_get(handler, "replicas");

	snprintf(text, sizeof(text), "%lld/%lld", (long long)mgr_doc_int(n, "ready", 0),
		 (long long)mgr_doc_int(n, "want", 0));
	return text;
}

static void
add_joined(struct ctl_table *t, const struct mgr_doc *list, const char *between)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};

	for (size_t i = 0; i < mgr_doc_n(list); i++) {
		const char *item = mgr_doc_text(mgr_doc_at(list, i));
		mgr_buf_addf(&text, "%s%s", i == 0 ? "" : between, item == NULL ? "?" : item);
	}
	ctl_table_add(t, mgr_buf_str(&text));
}

static void
print_table(const struct mgr_doc *list)
{
	static const struct ctl_column column[] = {
		{.title = "NAME"}, {.title = "MODE"}, {.title = "READY", .right = true}, {.title = "STATE"},
		{.title = "PID", .right = true}, {.title = "ROUTES"}, {.title = "COMMAND"},
	};
	struct ctl_table t;

	ctl_table_init(&t, column, sizeof(column) / sizeof(column[0]));
	for (size_t i = 0; i < mgr_doc_n(list); i++) {
		const struct mgr_doc *one = mgr_doc_at(list, i);
		int64_t pid = mgr_doc_int(one, "pid", 0);
		ctl_table_add(&t, mgr_doc_str(one, "name", "?"));
		ctl_table_add(&t, mgr_doc_str(one, "mode", "?"));
		ctl_table_add(&t, ls_replicas(one));
		ctl_table_add(&t, mgr_doc_str(one, "state", "?"));
		if (pid > 0)
			ctl_table_addu(&t, pid);
		else
			ctl_table_add(&t, "-");
		add_joined(&t, mgr_doc_get(one, "routes"), ", ");
		add_joined(&t, mgr_doc_get(one, "cmd"), " ");
	}
	ctl_table_print(&t, stdout);
}

/* A handler that is not well says why below the table. */
static void
print_reasons(const struct mgr_doc *list)
{
	for (size_t i = 0; i < mgr_doc_n(list); i++) {
		const struct mgr_doc *one = mgr_doc_at(list, i);
		const char *why = mgr_doc_str(one, "why", "");
		if (why[0] != '\0' && strcmp(mgr_doc_str(one, "state", ""), "ready") != 0)
			printf("%s: %s\n", ctl_text(mgr_doc_str(one, "name", "?")), ctl_text(why));
	}
}

/* What is nobody's business but the programs' own. */
static int
strip(const struct mgr_doc *list, struct mgr_doc **ret_list)
{
	static const char *const keep[] = {"name", "mode", "cmd", "routes", "replicas", "state", "worker_id",
					   "pid", "why"};
	struct mgr_doc *out = mgr_doc_array();
	int r = 0;

	for (size_t i = 0; i < mgr_doc_n(list) && r == 0; i++) {
		struct mgr_doc *one = mgr_doc_object();
		for (size_t k = 0; k < sizeof(keep) / sizeof(keep[0]) && r == 0; k++) {
			const struct mgr_doc *value = mgr_doc_get(mgr_doc_at(list, i), keep[k]);
			r = value == NULL ? mgr_doc_set_str(one, keep[k], NULL) :
					    mgr_doc_set(one, keep[k], mgr_doc_copy(value));
		}
		int r2 = mgr_doc_push(out, one);
		r = r < 0 ? r : r2;
	}
	*ret_list = out;
	return r;
}

int
ls_get(struct mgr_doc **ret_list, struct mgr_doc **ret_raw)
{
	struct mgr_doc *raw;
	int status = ctl_ask_list("ls", &raw);

	if (status != MGR_EXIT_OK)
		return status;
	if (strip(raw, ret_list) < 0) {
		mgr_doc_free(*ret_list);
		mgr_doc_free(raw);
		ctl_complain("out of memory");
		return MGR_EXIT_FAILED;
	}
	*ret_raw = raw;
	return MGR_EXIT_OK;
}

int
ctl_ls(const struct ctl_verb *v, int argc, char **argv)
{
	struct list_options o = {0};
	struct mgr_doc *list, *raw;
	int status = ctl_options(v, &o, &argc, &argv);

	if (status != CTL_NO_OPTIONS)
		return status;
	status = ls_get(&list, &raw);
	if (status != MGR_EXIT_OK)
		return status;
	if (o.json) {
		status = ctl_print_doc(list);
	} else {
		print_table(list);
		print_reasons(list);
		status = ctl_flush(MGR_EXIT_OK);
	}
	mgr_doc_free(list);
	mgr_doc_free(raw);
	return status;
}
