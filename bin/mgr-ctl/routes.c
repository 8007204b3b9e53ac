#include "ctl.h"

static void
print_table(const struct mgr_doc *list)
{
	static const struct ctl_column column[] = {
		{.title = "METHOD"}, {.title = "PATTERN"}, {.title = "NAME"}, {.title = "SSE"}};
	struct ctl_table t;

	ctl_table_init(&t, column, sizeof(column) / sizeof(column[0]));
	for (size_t i = 0; i < mgr_doc_n(list); i++) {
		const struct mgr_doc *one = mgr_doc_at(list, i);
		ctl_table_add(&t, mgr_doc_str(one, "method", "?"));
		ctl_table_add(&t, mgr_doc_str(one, "pattern", "?"));
		ctl_table_add(&t, mgr_doc_str(one, "name", "?"));
		ctl_table_add(&t, mgr_doc_bool(one, "sse", false) ? "yes" : "-");
	}
	ctl_table_print(&t, stdout);
}

int
ctl_routes(const struct ctl_verb *v, int argc, char **argv)
{
	struct list_options o = {0};
	struct mgr_doc *list;
	int status = ctl_options(v, &o, &argc, &argv);

	if (status != CTL_NO_OPTIONS)
		return status;
	status = ctl_ask_list("routes", &list);
	if (status != MGR_EXIT_OK)
		return status;
	if (o.json) {
		status = ctl_print_doc(list);
	} else {
		print_table(list);
		status = ctl_flush(MGR_EXIT_OK);
	}
	mgr_doc_free(list);
	return status;
}
