#include "base/outcome.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

static const struct mgr_outcome_row rows[] = {
#define ROW(id, name, http, exit, text) [MGR_OUT_##id] = {name, http, exit, text},
	MGR_OUTCOMES(ROW)
#undef ROW
};

const struct mgr_outcome_row *
mgr_outcome_row(unsigned outcome)
{
	return &rows[outcome < MGR_OUT_N ? outcome : MGR_OUT_ERROR];
}

int
mgr_outcome_by_name(const char *name)
{
	for (int i = 0; i < MGR_OUT_N; i++)
		if (strcmp(rows[i].name, name) == 0)
			return i;
	return -1;
}

enum mgr_outcome
mgr_outcome_by_status(unsigned status)
{
	if (status < 400)
		return MGR_OUT_OK;
	switch (status) {
	case 404:
	case 405:
		return MGR_OUT_NOT_FOUND;
	case 401:
	case 403:
		return MGR_OUT_DENIED;
	case 409:
		return MGR_OUT_CONFLICT;
	case 429:
		return MGR_OUT_BUSY;
	case 503:
		return MGR_OUT_UNAVAILABLE;
	case 502:
		return MGR_OUT_GONE;
	case 504:
		return MGR_OUT_TIMEOUT;
	case 508:
		return MGR_OUT_LOOP;
	default:
		return MGR_OUT_ERROR;
	}
}

static const struct {
	int error;
	enum mgr_exit exit;
} exits[] = {
	{ENOENT, MGR_EXIT_NOT_FOUND},      {EAGAIN, MGR_EXIT_BUSY},
	{EBUSY, MGR_EXIT_BUSY},            {ECONNREFUSED, MGR_EXIT_UNAVAILABLE},
	{ECONNRESET, MGR_EXIT_UNAVAILABLE}, {EPIPE, MGR_EXIT_UNAVAILABLE},
	{ETIMEDOUT, MGR_EXIT_TIMEOUT},     {EACCES, MGR_EXIT_DENIED},
	{EPERM, MGR_EXIT_DENIED},          {EEXIST, MGR_EXIT_CONFLICT},
	{EADDRINUSE, MGR_EXIT_CONFLICT},   {EINVAL, MGR_EXIT_USAGE},
	{EBADMSG, MGR_EXIT_CORRUPT},
};

enum mgr_exit
mgr_exit_by_errno(int r)
{
	if (r == 0)
		return MGR_EXIT_OK;
	for (size_t i = 0; i < MGR_N(exits); i++)
		if (exits[i].error == -r)
			return exits[i].exit;
	return MGR_EXIT_FAILED;
}
