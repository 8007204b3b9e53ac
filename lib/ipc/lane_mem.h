/*
 * The memory of a lane: each side makes one sealed half, passes its descriptor and maps the
 * other's half read-only.  Nothing has a name, and after the seals nobody can resize a half
 * or map it writable again, its maker included.
 */
#ifndef MGR_IPC_LANE_MEM_H
#define MGR_IPC_LANE_MEM_H

#include <stddef.h>

#include "ipc/lane.h"

/* Makes a half: a descriptor to pass and then close, and its only writable mapping, of which
 * *ret_n is the size.  -EINVAL: conf, else the errno of the system. */
int mgr_lane_mem_make(const struct mgr_lane_conf *conf, int *ret_fd, void **ret_map,
	size_t *ret_n);

/* Checks a descriptor that the peer passed (seals, size, a file of plain pages) and maps it
 * read-only; fd stays the owner's.  The mapping has mgr_lane_half_size bytes.
 * -EPROTO: not a half of this conf. */
int mgr_lane_mem_take(int fd, const struct mgr_lane_conf *conf, const void **ret_map);

/* Unmaps a half of either kind; NULL is fine. */
void mgr_lane_mem_drop(const void *map, size_t n);

#endif
