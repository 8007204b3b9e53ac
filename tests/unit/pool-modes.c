/*
 * The replica pool with programs that do not speak frames, and what they write to stderr.
 */
#include "pool-kit.h"

#include <errno.h>

static void
test_modes(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_LINE, ARGV(T("/bin/sed"), T("-u"), T("s/a/b/g")));
	struct job j;
	struct kit k;

	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "banana\n");
	ok(job_run(&j, 5) && strcmp(job_text(&j), "bbnbnb") == 0, "line mode: %s", job_text(&j));
	job_fini(&j);
	job_init(&j, &k, NULL, "two\nlines");
	is_int(job_try(&j), -EINVAL, "a newline is refused");
	job_fini(&j);
	job_init(&j, &k, NULL, "{\"a\":\n 1}");
	ok(job_run(&j, 5) && strcmp(job_text(&j), "{\"b\":1}") == 0, "JSON is sent compact: %s", job_text(&j));
	job_fini(&j);
	job_init(&j, &k, NULL, "banana");
	j.room = 0;
	job_submit(&j);
	for (int i = 0; i < 20; i++)
		mgr_loop_turn(k.loop, MGR_MS);
	j.room = SIZE_MAX;
	mgr_pool_room(&j.task);
	ok(job_run(&j, 5) && strcmp(job_text(&j), "bbnbnb") == 0, "an owner without room gets it later");
	job_fini(&j);
	kit_close(&k);

	conf = conf_of(MGR_POOL_PACKET, ARGV(T("/bin/cat")));
	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "any\nbytes");
	ok(job_run(&j, 5) && strcmp(job_text(&j), "any\nbytes") == 0 && j.body_n == 9, "packet mode");
	job_fini(&j);
	job_init(&j, &k, NULL, "");
	j.gen_n = 3000000;
	j.task.body_end = false;
	j.drop = true;
	j.task.body_n = 3000000;
	job_submit(&j);
	while (j.done_n == 0 && kit_until(&k, 5, true)) {
		mgr_loop_turn(k.loop, MGR_MS);
		mgr_pool_body(&j.task);
	}
	ok(j.out_n == 3000000 && j.outcome == MGR_OUT_OK, "a large packet, from its file");
	job_fini(&j);
	kit_close(&k);

	conf = conf_of(MGR_POOL_FILTER, ARGV(T("/usr/bin/tr"), T("a-z"), T("A-Z")));
	conf.replicas = 2;
	kit_open(&k, &conf);
	ok(kit_ready_up(&k, 2), "filter: spare copies wait");
	for (int i = 0; i < 5; i++) {
		job_init(&j, &k, NULL, "shout");
		if (!job_run(&j, 5) || strcmp(job_text(&j), "SHOUT") != 0)
			break;
		job_fini(&j);
		if (i == 4)
			ok(true, "filter: five requests, five processes");
	}
	job_init(&j, &k, NULL, "");
	j.gen_n = 5000000;
	j.task.body_end = false;
	j.drop = true;
	job_submit(&j);
	while (j.done_n == 0 && kit_until(&k, 5, true)) {
		mgr_loop_turn(k.loop, MGR_MS);
		mgr_pool_body(&j.task);
	}
	ok(j.out_n == 5000000 && j.outcome == MGR_OUT_OK, "filter: a stream");
	is_int(kit_stats(&k).restarts, 0, "their ends are no deaths");
	job_fini(&j);
	kit_close(&k);
}

static void
test_noise(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_FILTER, SH("echo early; exec cat"));
	struct job j;
	struct kit k;

	kit_open(&k, &conf);
	kit_ready_up(&k, 1);
	for (int i = 0; i < 10; i++)
		mgr_loop_turn(k.loop, 5 * MGR_MS);
	job_init(&j, &k, NULL, "late");
	ok(job_run(&j, 5) && strcmp(job_text(&j), "early\nlate") == 0, "a filter may speak first");
	job_fini(&j);
	kit_close(&k);

	conf = conf_of(MGR_POOL_FILTER, SH("echo early; exit 1"));
	conf.backoff_min_ns = 5 * MGR_MS;
	kit_open(&k, &conf);
	ok(kit_until(&k, 5, k.failed_seen), "one that does not wait for its input fails: %s", k.first_why);
	kit_close(&k);
}

static void
test_exec(void)
{
	struct mgr_pool_conf conf =
		conf_of(MGR_POOL_EXEC, ARGV(path(scripts, "exec-env.sh"), T("{id}"), T("x{id}")));
	const char *meta = "\"method\":\"POST\",\"path\":\"/u/a\",\"qs\":\"a=1&b=2\",\"params\":{\"id\":\"seven\"},"
			   "\"headers\":{\"proxy\":\"evil\",\"x-a\":\"b\",\"content-type\":\"text/x\"}";
	struct job j;
	struct kit k;

	kit_open(&k, &conf);
	is_int(kit_stats(&k).state, MGR_POOL_READY, "exec is ready without a process");
	job_init(&j, &k, meta, "the body");
	ok(job_run(&j, 5) && strstr(job_text(&j), "method=POST\nquery=a=1&b=2\nPARAM_id=seven\nbody:\nthe body") != NULL,
	   "exec: variables and body");
	job_fini(&j);
	job_init(&j, &k, "\"params\":{\"id\":\"-rf\"}", "");
	ok(job_run(&j, 5) && j.outcome == MGR_OUT_BAD_REQUEST, "a parameter like an option is refused: %s", j.message);
	job_fini(&j);
	kit_close(&k);

	setenv("MGR_TEST_SECRET", "secret", 1);
	conf = conf_of(MGR_POOL_EXEC, ARGV(T("/bin/sh"), T("-c"), T("env; echo \"$@\""), T("sh"), T("{id}"), T("x{id}")));
	conf.env = ARGV(T("EXTRA=yes"));
	kit_open(&k, &conf);
	job_init(&j, &k, meta, "");
	job_run(&j, 5);
	ok(strstr(job_text(&j), "HTTP_PROXY") == NULL && strstr(job_text(&j), "SECRET") == NULL &&
		   strstr(job_text(&j), "HTTP_X_A=b\n") != NULL && strstr(job_text(&j), "CONTENT_TYPE=text/x\n") != NULL &&
		   strstr(job_text(&j), "EXTRA=yes\n") != NULL && strstr(job_text(&j), "GATEWAY_INTERFACE=CGI/1.1\n") != NULL,
	   "the environment is the allow-list, never HTTP_PROXY");
	ok(strstr(job_text(&j), "\nseven x{id}\n") != NULL, "{param} fills a whole argument, never a part");
	job_fini(&j);
	kit_close(&k);

	conf = conf_of(MGR_POOL_EXEC, SH("printf 'RES 1 35 0\\n{\"status\":404,\"headers\":{\"a\":\"b\"}}\\n' >&3; echo no"));
	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "");
	ok(job_run(&j, 5) && j.status == 404 && strcmp(job_text(&j), "no\n") == 0, "descriptor 3 sets the status: %u %s",
	   j.status, j.message);
	job_fini(&j);
	kit_close(&k);

	conf = conf_of(MGR_POOL_EXEC, SH("printf 'CALL 1 35 3\\n{\"op\":\"publish\",\"to\":\"x\",\"call\":7}\\narg' >&3;"
					 "read -r t i m b <&3; read -r meta <&3; echo \"$t $meta\""));
	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "");
	ok(job_run(&j, 5) && strcmp(job_text(&j), "RET {\"status\":200,\"call\":7}\n") == 0, "descriptor 3 calls: %s %s",
	   job_text(&j), j.message);
	job_fini(&j);
	kit_close(&k);

	/* The whole group is ended when the client leaves. */
	conf = conf_of(MGR_POOL_EXEC, SH("sleep 30 & echo $!; wait"));
	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "");
	job_submit(&j);
	kit_until(&k, 5, j.out_n > 0);
	pid_t child = (pid_t)strtol(job_text(&j), NULL, 10);
	mgr_pool_cancel(&j.task, "client");
	ok(child > 0 && kit_until(&k, 3, kill(child, 0) < 0 || kit_stats(&k).busy == 0) &&
		   kit_until(&k, 3, kit_stats(&k).busy == 0),
	   "the client left: the group gets TERM");
	job_fini(&j);
	kit_close(&k);

	conf = conf_of(MGR_POOL_EXEC, ARGV(T("/nonexistent/x")));
	kit_open(&k, &conf);
	is_int(kit_stats(&k).state, MGR_POOL_FAILED, "exec: a missing program fails at once: %s", k.first_why);
	kit_close(&k);
}

static void
test_exit_table(void)
{
	static const struct {
		const char *code, *text;
		enum mgr_outcome outcome;
		unsigned status;
	} row[] = {
		{"0", "", MGR_OUT_OK, 200},      {"0", "out", MGR_OUT_OK, 200},    {"64", "", MGR_OUT_ERROR, 400},
		{"65", "", MGR_OUT_ERROR, 422},  {"66", "", MGR_OUT_ERROR, 404},   {"69", "", MGR_OUT_ERROR, 503},
		{"75", "", MGR_OUT_ERROR, 503},  {"77", "", MGR_OUT_ERROR, 403},   {"100", "", MGR_OUT_ERROR, 410},
		{"1", "", MGR_OUT_ERROR, 500},   {"125", "", MGR_OUT_ERROR, 500},  {"KILL", "", MGR_OUT_GONE, 0},
		{"3", "out", MGR_OUT_GONE, 200}, {"TERM", "out", MGR_OUT_GONE, 200},
	};
	static const enum mgr_pool_mode modes[] = {MGR_POOL_EXEC, MGR_POOL_FILTER};

	for (size_t m = 0; m < MGR_N(modes); m++) {
		for (size_t i = 0; i < MGR_N(row); i++) {
			struct mgr_pool_conf conf = conf_of(
				modes[m], ARGV(path(scripts, "exit.sh"), T(row[i].code), T(row[i].text)));
			struct job j;
			struct kit k;

			kit_open(&k, &conf);
			job_init(&j, &k, NULL, "in");
			job_run(&j, 5);
			ok(j.outcome == row[i].outcome && j.status == row[i].status && j.done_n == 1,
			   "%s: exit %s '%s': %u %s", mgr_pool_mode_name[modes[m]], row[i].code, row[i].text, j.status,
			   j.message);
			job_fini(&j);
			kit_close(&k);
		}
	}
}

static void
test_cgi(void)
{
	struct mgr_pool_conf conf = conf_of(MGR_POOL_CGI, ARGV(path(scripts, "cgi-hello.sh")));
	struct job j;
	struct kit k;

	kit_open(&k, &conf);
	job_init(&j, &k, "\"method\":\"PUT\"", "world");
	ok(job_run(&j, 5) && j.status == 201 && strcmp(job_text(&j), "Hello, world!") == 0, "cgi: %u %s", j.status,
	   job_text(&j));
	ok(strstr(j.head_meta, "\"Content-Type\":\"text/plain\"") != NULL && strstr(j.head_meta, "PUT") != NULL,
	   "its header lines: %s", j.head_meta);
	job_fini(&j);
	kit_close(&k);

	conf = conf_of(MGR_POOL_CGI, SH("printf 'Set-Cookie: a\\r\\nset-cookie: b\\r\\nLocation: /x\\r\\n\\r\\n'"));
	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "");
	ok(job_run(&j, 5) && j.status == 302 && strstr(j.head_meta, "[\"a\",\"b\"]") != NULL, "cgi: a redirect, a list: %s",
	   j.head_meta);
	job_fini(&j);
	kit_close(&k);

	conf = conf_of(MGR_POOL_CGI, SH("echo no header; echo"));
	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "");
	ok(job_run(&j, 5) && j.outcome == MGR_OUT_GONE && j.head_n == 0, "cgi: no header: %s", j.message);
	job_fini(&j);
	kit_close(&k);
}

static void
test_stderr(void)
{
	struct mgr_pool_conf conf = conf_of(
		MGR_POOL_EXEC, SH("echo plain >&2; echo '<3>broken \033[2J' >&2; echo '{\"level\":\"warn\",\"msg\":\"x\"}' >&2;"
				  "head -c 20000 /dev/zero | tr '\\0' y >&2; echo >&2;"
				  "i=0; while [ $i -lt 400 ]; do echo flood >&2; i=$((i+1)); done"));
	struct job j;
	struct kit k;

	kit_open(&k, &conf);
	job_init(&j, &k, NULL, "");
	job_run(&j, 5);
	kit_until(&k, 1, kit_logged("lines dropped") > 0);
	ok(kit_logged(" info handler-says handler=hello#0 pid=") > 0 && kit_logged("request=1 text=\"plain\"") == 1,
	   "a stderr line is stamped");
	ok(kit_logged(" error handler-says") == 1 && kit_logged("broken \\x1b[2J") == 1, "a prefix sets the level, bytes are escaped");
	ok(kit_logged(" warn handler-says") == 1 && kit_logged("json={\"level\":\"warn\"") == 1, "a JSON line is kept");
	ok(kit_logged("yyyy") == 1, "a long line is cut");
	ok(kit_logged("\"flood\"") < 300 && kit_logged("lines dropped") >= 1, "a flood is cut and counted");
	job_fini(&j);
	kit_close(&k);
}

int
main(int argc, char **argv)
{
	static const struct kit_test tests[] = {
		{"modes", test_modes}, {"noise", test_noise}, {"exec", test_exec},
		{"exit", test_exit_table}, {"cgi", test_cgi}, {"stderr", test_stderr},
	};

	return kit_main(tests, MGR_N(tests), argc > 1 ? argv[1] : NULL);
}
