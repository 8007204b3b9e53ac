/*
 * The frame parser: input given whole and in pieces of any size must give the same steps, and what
 * was taken is what the writer would have written.
 */
#include <string.h>

#include "base/assert.h"
#include "base/auto.h"
#include "fuzz.h"
#include "wire/frame.h"

struct run {
	struct mgr_frame_parser parser;
	struct mgr_buf log;   /* what was seen, independent of how the input was cut */
	struct mgr_buf again; /* the finished frames, written anew */
	struct mgr_buf body;
	bool known; /* all words so far are in the table */
	bool broken;
};

static void
on_end(struct run *run)
{
	const struct mgr_frame *f = &run->parser.frame;
	size_t meta_n;
	const char *meta = mgr_frame_meta(&run->parser, &meta_n);

	mgr_buf_adds(&run->log, ".");
	run->known &= f->type != MGR_FRAME_OTHER;
	mgr_assert(mgr_buf_n(&run->body) == f->body_n);
	mgr_assert(meta_n + (f->meta_n > 0) == f->meta_n);
	if (run->known)
		mgr_frame_add(&run->again, f->type, f->more, f->id, meta, f->meta_n, run->body.data, (size_t)f->body_n);
	mgr_buf_clear(&run->body, 1024);
}

static void
feed(struct run *run, const char *in, size_t n)
{
	for (;;) {
		size_t used = SIZE_MAX, body_n;
		const char *body;

		enum mgr_frame_step step = mgr_frame_feed(&run->parser, in, n, &used, &body, &body_n);
		mgr_assert(used <= n);
		switch (step) {
		case MGR_FRAME_MORE:
			mgr_assert(used == n);
			return;
		case MGR_FRAME_HEAD:
			mgr_buf_addf(&run->log, "%s%d %u %u %llu:", run->parser.frame.word, run->parser.frame.more,
				     run->parser.frame.id, run->parser.frame.meta_n,
				     (unsigned long long)run->parser.frame.body_n);
			break;
		case MGR_FRAME_BODY:
			mgr_assert(body == in && body_n == used && used > 0);
			mgr_buf_add(&run->log, body, body_n);
			mgr_buf_add(&run->body, body, body_n);
			break;
		case MGR_FRAME_END:
			mgr_assert(used == 0 && mgr_frame_at_border(&run->parser));
			on_end(run);
			break;
		case MGR_FRAME_BROKEN:
			if (!run->broken)
				mgr_buf_addf(&run->log, "BROKEN %s", mgr_frame_why(&run->parser));
			run->broken = true;
			return;
		}
		in += used;
		n -= used;
	}
}

static void
fini(struct run *run)
{
	mgr_frame_parser_fini(&run->parser);
	mgr_buf_fini(&run->log);
	mgr_buf_fini(&run->again);
	mgr_buf_fini(&run->body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *in = (const char *)data;
	struct run whole = {.known = true}, pieces = {.known = true};
	uint64_t seed = fuzz_seed(data, n);

	feed(&whole, in, n);
	for (size_t at = 0; at < n;) {
		size_t piece_n = 1 + fuzz_next(&seed) % (fuzz_next(&seed) % 4 == 0 ? 100 : 5);

		piece_n = piece_n < n - at ? piece_n : n - at;
		/* Memory of its own: nothing may be read behind a piece, or kept of it. */
		char *piece = fuzz_copy(in + at, piece_n);
		feed(&pieces, piece, piece_n);
		free(piece);
		at += piece_n;
	}
	mgr_assert(mgr_buf_n(&whole.log) == mgr_buf_n(&pieces.log));
	mgr_assert(mgr_buf_n(&whole.log) == 0
		   || memcmp(whole.log.data, pieces.log.data, mgr_buf_n(&whole.log)) == 0);
	mgr_assert(mgr_frame_at_border(&whole.parser) == mgr_frame_at_border(&pieces.parser));
	mgr_assert(mgr_buf_n(&whole.again) <= n);
	mgr_assert(mgr_buf_n(&whole.again) == 0 || memcmp(whole.again.data, in, mgr_buf_n(&whole.again)) == 0);
	fini(&whole);
	fini(&pieces);
	return 0;
}
