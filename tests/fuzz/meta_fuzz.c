/*
 * Metadata and envelope: what was read has the promised form, correcting the time keeps a document
 * a document, and what is written is always JSON.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/auto.h"
#include "base/text.h"
#include "fuzz.h"
#include "wire/envelope.h"
#include "wire/meta.h"

static bool
is_object(const char *p, size_t n)
{
	return mgr_json_check(p, n) == 0 && mgr_json_root(p, n).type == MGR_JSON_OBJECT;
}

static void
read_answer(const char *in, size_t n, bool is_error)
{
	struct mgr_meta_answer a = {.status = 1};
	const char *why = NULL;
	int r = mgr_meta_read_answer(in, n, is_error, &a, &why);

	mgr_assert((r == 0) == (why == NULL));
	if (r < 0) {
		mgr_assert(r == -EINVAL && a.status == 1);
		return;
	}
	mgr_assert(n == 0 || is_object(in, n));
	mgr_assert(a.status >= 200 && a.status <= 599 && a.len < UINT64_C(1) << 53);
	mgr_assert(a.headers.n == 0 || a.headers.type == MGR_JSON_OBJECT);
	mgr_assert(a.message.n == 0 || a.message.type == MGR_JSON_STRING);
	mgr_assert(a.type.n == 0 || a.type.type == MGR_JSON_STRING);
}

static void
set_left(const char *in, size_t n, int64_t left_ns)
{
	char *copy = fuzz_copy(in, n);

	mgr_meta_set_left(copy, n, left_ns);
	/* A document stays one, and what is none does not become one. */
	mgr_assert(mgr_json_check(copy, n) == mgr_json_check(in, n));
	free(copy);
}

static void
write_request(const char *in, size_t n)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};
	int r = mgr_meta_begin(&b, INT64_C(5000000000));

	r = r < 0 ? r : mgr_meta_add(&b, "path", in, n);
	r = r < 0 ? r : mgr_meta_addu(&b, "len", n);
	r = r < 0 ? r : mgr_json_check(in, n) == 0 ? mgr_meta_add_raw(&b, "raw", in, n) : 0;
	r = r < 0 ? r : mgr_meta_end(&b);
	mgr_assert(r == 0 && is_object(mgr_buf_p(&b), mgr_buf_n(&b)));
	mgr_meta_set_left(mgr_buf_p(&b), mgr_buf_n(&b), 1);
	mgr_assert(is_object(mgr_buf_p(&b), mgr_buf_n(&b)));
	mgr_assert(memcmp(mgr_buf_p(&b), "{\"deadline_ms\":1         ,", 26) == 0);
}

static void
envelope(const char *in, size_t n)
{
	MGR_AUTO_BUF struct mgr_buf body = {0}, answer = {0};
	struct mgr_envelope env;

	if (mgr_envelope_read(in, n, &env)) {
		mgr_assert(is_object(in, n) && env.data.n > 0 && (env.type.n > 0 || env.src.n > 0));
		mgr_assert(mgr_envelope_body(&env, &body) == 0);
		mgr_assert(mgr_buf_n(&body) <= n);
	}
	mgr_assert(mgr_envelope_answer(&answer, n % 2 == 0, in, n) == 0);
	mgr_assert(is_object(mgr_buf_p(&answer), mgr_buf_n(&answer)));
	struct mgr_json root = mgr_json_root(mgr_buf_p(&answer), mgr_buf_n(&answer)), message;
	mgr_assert(mgr_json_get(&root, "message", &message));
	mgr_assert(mgr_json_text(&message, &body) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *in = fuzz_copy((const char *)data, n);

	read_answer(in, n, false);
	read_answer(in, n, true);
	set_left(in, n, INT64_C(1234567891));
	set_left(in, n, INT64_MAX);
	if (n < 4096)
		write_request(in, n);
	envelope(in, n);
	free(in);
	return 0;
}
