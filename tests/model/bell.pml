/*
 * Model 2: the bell and the coalescing of hints on x86, that is with store
 * buffers: a store goes into a queue of its side and reaches memory later, a
 * load reads memory, a fence waits until the queue is empty. One slot; an event
 * of a side is a store to its word of that slot and a hint. Nobody reads his own
 * half, so no load has to look into its own queue.
 *
 * Options (-D): EVENTS_A, EVENTS_B; EPOCHS (a bell's epoch counts modulo this);
 * EAGER (a side sleeps only when its own events are all sent).
 * Broken on purpose: NO_F1, NO_F2, NO_F3, NO_F4 (a fence is left out),
 * BAD_LOOK_FIRST (looks at the slot before its tail is stored), BAD_ARM_LATE
 * (looks at the ring before arming), BAD_EMPTY_LATE (the descriptor is emptied
 * after the last look), EPOCHS=4 (wraps).
 */
#ifndef EVENTS_A
#define EVENTS_A	2
#endif
#ifndef EVENTS_B
#define EVENTS_B	0
#endif
#ifndef EPOCHS
#define EPOCHS		128
#endif

/* Addresses of the words of a half. */
#define HEAD	0
#define TAIL	1
#define BELL	2
#define WORD	3

/* mem[side * 4 + address] */
byte mem[8];
bit edge[2];			/* a byte came to this side's descriptor */
bit asleep[2], over[2];
byte known[2];			/* the newest word that this side has seen */

/* Deep enough: STORE checks that it never is full. */
#define QUEUE	8
chan queue_a = [QUEUE] of { byte, byte };
chan queue_b = [QUEUE] of { byte, byte };

#define OTHER		(1 - s)
#define LOAD(addr)	mem[OTHER * 4 + (addr)]
#define STORE(addr, val)	assert(len(queue) < QUEUE); queue!addr, val
#define FENCE		(len(queue) == 0)

#ifdef NO_F1
#define F1	skip
#else
#define F1	FENCE
#endif
#ifdef NO_F2
#define F2	skip
#else
#define F2	FENCE
#endif
#ifdef NO_F3
#define F3	skip
#else
#define F3	FENCE
#endif
#ifdef NO_F4
#define F4	skip
#else
#define F4	FENCE
#endif

/* Both are asleep and nothing is under way: then everything must be known. */
#define STUCK	((asleep[0] || over[0]) && (asleep[1] || over[1]) && \
		 !(asleep[0] && edge[0]) && !(asleep[1] && edge[1]) && \
		 len(queue_a) == 0 && len(queue_b) == 0 && \
		 (known[0] != mem[4 + WORD] || known[1] != mem[WORD]))

#ifdef EAGER
#define MAY_REST	(events == 0)
#else
#define MAY_REST	(!due)
#endif
#define FINISHED	(events == 0 && known[s] == awaited)

inline ring_if_needed()
{
	atomic { pushed = 0; b = LOAD(BELL) }
	if
	:: (b & 1) && b != rung ->
		atomic { rung = b; b = 0; edge[OTHER] = 1 }
	:: else -> b = 0
	fi
}

inline empty_descriptor()
{
	if
	:: edge[s] = 0
	:: skip
	fi
}

proctype side(bit s; byte events; byte awaited; chan queue)
{
	byte head, tail, peer_tail, word, hint_at, bell, rung, h, b;
	bit pushed, due;

	do
	/* An event of our own: a word of the slot changes, then a hint. */
	:: events > 0 ->
		atomic { events--; due = 0; word++; STORE(WORD, word) }
		if
		:: hint_at > peer_tail ->
			F1;
			atomic { peer_tail = LOAD(TAIL); assert(peer_tail <= head) }
		:: else
		fi;
		if
		:: hint_at > peer_tail
		:: else ->
			atomic {
				head++;
				hint_at = head;
				pushed = 1;
				STORE(HEAD, head)
			}
		fi

	/* The batch ends. */
	:: pushed ->
		F2;
		ring_if_needed()

	/* Awake: entries are seen without any bell. */
	:: LOAD(HEAD) != tail ->
drain:
		atomic { h = LOAD(HEAD); assert(h >= tail) }
		if
		:: h == tail -> h = 0
		:: else ->
#ifdef BAD_LOOK_FIRST
			known[s] = LOAD(WORD);
			atomic { tail = h; h = 0; STORE(TAIL, tail) }
			F3
#else
			atomic { tail = h; h = 0; STORE(TAIL, tail) }
			F3;
			atomic { assert(LOAD(WORD) >= known[s]); known[s] = LOAD(WORD) }
#endif
		fi

	:: FINISHED && !pushed -> break

	/* Rest. With events left, somebody else wakes us to send the next. */
	:: MAY_REST && (!FINISHED || pushed) ->
#ifndef BAD_EMPTY_LATE
		empty_descriptor();
#endif
#ifdef BAD_ARM_LATE
		if
		:: LOAD(HEAD) != tail -> goto drain
		:: else
		fi;
#endif
		atomic { bell = (bell + 1) % EPOCHS; STORE(BELL, bell) }
		F4;
		if
		:: pushed -> ring_if_needed()
		:: else
		fi;
#ifndef BAD_ARM_LATE
		if
		:: LOAD(HEAD) != tail -> goto disarm
		:: else
		fi;
#endif
#ifdef BAD_EMPTY_LATE
		empty_descriptor();
#endif
		asleep[s] = 1;
		if
		:: atomic { edge[s] -> edge[s] = 0; asleep[s] = 0 }
		:: atomic { events > 0 -> assert(!STUCK); asleep[s] = 0; due = 1 }
		:: atomic { FINISHED -> asleep[s] = 0; goto done }
		fi;
disarm:
		atomic { bell = (bell + 1) % EPOCHS; STORE(BELL, bell) }
		goto drain
	od;
done:
	over[s] = 1
}

/* A store reaches memory. */
proctype buffer(bit s; chan queue)
{
	byte addr, val;

end_buffer:
	do
	:: atomic { queue?addr, val -> mem[s * 4 + addr] = val; addr = 0; val = 0 }
	od
}

init {
	atomic {
		run side(0, EVENTS_A, EVENTS_B, queue_a);
		run side(1, EVENTS_B, EVENTS_A, queue_b);
		run buffer(0, queue_a);
		run buffer(1, queue_b)
	}
}
