/*
 * What a probed handler writes on its stdout, frame by frame, against the rules.
 */
#ifndef MGR_CTL_PROBE_READ_H
#define MGR_CTL_PROBE_READ_H

#include "probe.h"

/* Takes n bytes; sets p->broken with the reason at the first one that breaks a rule. */
void probe_read(struct probe *p, const char *text, size_t n);

#endif
