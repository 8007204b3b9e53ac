#include "os/loop.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "os/loop_priv.h"

static void
put(struct mgr_loop *loop, size_t i, struct mgr_timer *t)
{
	loop->heap[i] = t;
	t->index = i;
}

static void
sift_up(struct mgr_loop *loop, size_t i)
{
	struct mgr_timer *t = loop->heap[i];

	while (i > 0 && loop->heap[(i - 1) / 2]->at_ns > t->at_ns) {
		put(loop, i, loop->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(loop, i, t);
}

static void
sift_down(struct mgr_loop *loop, size_t i)
{
	struct mgr_timer *t = loop->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= loop->heap_n)
			break;
		if (child + 1 < loop->heap_n && loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns)
			child++;
		if (loop->heap[child]->at_ns >= t->at_ns)
			break;
		put(loop, i, loop->heap[child]);
		i = child;
	}
	put(loop, i, t);
}

static int
grow(struct mgr_loop *loop)
{
	size_t cap = loop->heap_cap == 0 ? 16 : loop->heap_cap * 2;
	struct mgr_timer **heap = reallocarray(loop->heap, cap, sizeof(*heap));

	if (heap == NULL)
		return -ENOMEM;
	loop->heap = heap;
	loop->heap_cap = cap;
	return 0;
}

int
mgr_timer_start(struct mgr_timer *t, struct mgr_loop *loop, int64_t at_ns, void (*fn)(struct mgr_timer *))
{
	mgr_timer_stop(t);
	if (loop->heap_n == loop->heap_cap) {
		int r = grow(loop);
		if (r < 0)
			return r;
	}
	/* "Now" from a timer's callback means the next turn, or the turn would never end. */
	t->at_ns = loop->in_timers && at_ns <= loop->now_ns ? loop->now_ns + 1 : at_ns;
	t->fn = fn;
	t->loop = loop;
	put(loop, loop->heap_n++, t);
	sift_up(loop, t->index);
	return 0;
}

void
mgr_timer_stop(struct mgr_timer *t)
{
	struct mgr_loop *loop = t->loop;

	if (loop == NULL)
		return;
	mgr_assert(t->index < loop->heap_n && loop->heap[t->index] == t);
	size_t i = t->index;
	struct mgr_timer *last = loop->heap[--loop->heap_n];
	t->loop = NULL;
	if (last == t)
		return;
	put(loop, i, last);
	sift_up(loop, i);
	sift_down(loop, last->index);
}

void
mgr_loop_run_timers(struct mgr_loop *loop)
{
	loop->in_timers = true;
	while (loop->heap_n > 0 && loop->heap[0]->at_ns <= loop->now_ns) {
		struct mgr_timer *t = loop->heap[0];
		mgr_timer_stop(t);
		t->fn(t);
	}
	loop->in_timers = false;
}
