/*
 * Scratch variables that clean up after themselves at the end of their scope.
 */
#ifndef MGR_BASE_AUTO_H
#define MGR_BASE_AUTO_H

#include <stdlib.h>
#include <unistd.h>

static inline void
mgr_auto_free_(void *p)
{
	free(*(void **)p);
}

static inline void
mgr_auto_close_(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define MGR_AUTO_FREE __attribute__((cleanup(mgr_auto_free_)))
#define MGR_AUTO_CLOSE __attribute__((cleanup(mgr_auto_close_)))

#endif
