/*
 * The frame codec of mgr-frame(7), version 1: the same grammar on handler pipes and control
 * sockets.  Incremental and bounded; never does I/O.
 *
 *   TYPE[+] SP ID SP MLEN SP BLEN LF  META  BODY
 */
#ifndef MGR_WIRE_FRAME_H
#define MGR_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define MGR_FRAME_LINE_MAX 64                 /* header line with its LF */
#define MGR_FRAME_META_MAX (256u * 1024)      /* MLEN */
#define MGR_FRAME_BODY_MAX ((UINT64_C(1) << 53) - 1) /* BLEN */

/*  enum, word on the wire */
#define MGR_FRAME_TYPES(row) \
	row(READY) row(REQ) row(DATA) row(RES) row(ERR) row(CALL) row(RET) \
	row(CANCEL) row(PING) row(PONG) row(CREDIT)

enum mgr_frame_type {
#define MGR_FRAME_ENUM(id) MGR_FRAME_##id,
	MGR_FRAME_TYPES(MGR_FRAME_ENUM)
#undef MGR_FRAME_ENUM
	MGR_FRAME_OTHER, /* grammar is right, the word is not known here */
	MGR_FRAME_TYPE_N
};

struct mgr_frame {
	enum mgr_frame_type type;
	bool more; /* "+" */
	uint32_t id;
	uint32_t meta_n; /* with its LF */
	uint64_t body_n;
	char word[9]; /* TYPE as it came, without "+" */
};

/* The word of a type, "?" for OTHER. */
const char *mgr_frame_word(enum mgr_frame_type type);

/* Writes a header line into line and gives its length. */
size_t mgr_frame_head(char line[static MGR_FRAME_LINE_MAX], enum mgr_frame_type type, bool more,
		      uint32_t id, uint32_t meta_n, uint64_t body_n);

/* Adds a whole frame; meta must end in LF or be empty: 0 or -errno of the buffer. */
int mgr_frame_add(struct mgr_buf *b, enum mgr_frame_type type, bool more, uint32_t id,
		  const char *meta, size_t meta_n, const void *body, size_t body_n);

/* Limits that a reader sets before the first feed; 0 = the constants above. */
struct mgr_frame_parser {
	uint32_t meta_max;
	uint64_t body_max;

	/* private */
	int state;
	uint8_t line_n;
	char line[MGR_FRAME_LINE_MAX];
	struct mgr_frame frame;
	struct mgr_buf meta;
	uint64_t body_left;
	const char *why;
};

enum mgr_frame_step {
	MGR_FRAME_MORE,  /* all input was used, nothing complete yet */
	MGR_FRAME_HEAD,  /* frame and META are complete: parser->frame, mgr_frame_meta() */
	MGR_FRAME_BODY,  /* a piece of BODY: *ret_body of *ret_body_n bytes inside the input */
	MGR_FRAME_END,   /* the frame's last byte was consumed */
	MGR_FRAME_BROKEN /* grammar or limit broken (used 0): mgr_frame_why(); stays broken */
};

void mgr_frame_parser_fini(struct mgr_frame_parser *p);

/*
 * Feeds input; takes *ret_used bytes of it and gives one step.  Call again with the rest (also with
 * n 0 after HEAD and BODY: END follows without new input) until it says MORE.  A complete small frame
 * costs HEAD, BODY (if any), END.  Memory grows with bytes received, not with bytes announced.
 */
enum mgr_frame_step mgr_frame_feed(struct mgr_frame_parser *p, const char *in, size_t n, size_t *ret_used,
				   const char **ret_body, size_t *ret_body_n);

/* META of the frame without its LF; borrowed until the next feed; n 0 when there was none. */
const char *mgr_frame_meta(const struct mgr_frame_parser *p, size_t *ret_n);

/* Why it broke, for people; never NULL. */
const char *mgr_frame_why(const struct mgr_frame_parser *p);

/* The bytes of an unfinished or refused header line, as far as they are here (at most 64), to quote them. */
const char *mgr_frame_line(const struct mgr_frame_parser *p, size_t *ret_n);

/* True between frames: end of input is clean here. */
bool mgr_frame_at_border(const struct mgr_frame_parser *p);

#endif
