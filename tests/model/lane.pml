/*
 * Model 1: the lane, sequentially consistent.
 *
 * Side A is the caller, side B the worker. Each turn of a side's loop is one
 * atomic step with at most one access to a word that the other side may touch
 * at the same time; `step` says which access comes next.
 *
 * Options (-D): SLOTS 1-3, CALLS, REQ and RES (cells of a request and of an
 * answer), RB (cells of a byte ring), CANCELS and EARLY (budgets), GENS (a
 * generation counts modulo this), KILL_CALLER, KILL_WORKER, FIXED (own acts in
 * one order; else in any order), SPLIT (copy and publish are two steps).
 * Room hints: always, or ROOM_EMPTIED, ROOM_HALF, ROOM_HALF_ONLY.
 * Broken on purpose: BAD_REUSE (with ONLY_OWNER: all other checks off),
 * BAD_NOLOOK, BAD_TAIL_LATE, BAD_NOGEN, BAD_RESET_LATE, BAD_NOROOM,
 * BAD_NOEMPTIED, BAD_FULL_ONLY.
 */
#ifndef SLOTS
#define SLOTS	1
#endif
#ifndef CALLS
#define CALLS	2
#endif
#ifndef REQ
#define REQ	1
#endif
#ifndef RES
#define RES	1
#endif
#ifndef RB
#define RB	1
#endif
#ifndef CANCELS
#define CANCELS	0
#endif
#ifndef EARLY
#define EARLY	0
#endif
#ifndef GENS
#define GENS	8
#endif

#define RING	(2 * SLOTS)
#define BIT(n)	(1 << (n))

#ifdef ONLY_OWNER
#define CHECK(x)	skip
#define CAP		(8 * SLOTS)
#else
#define CHECK(x)	assert(x)
#define CAP		RING
#endif

#if SLOTS == 1
#define ANY(c, s)	:: c(0) -> i = 0; step = s
#define ALL(c)		(c(0))
#define SOME(c)		(c(0))
#elif SLOTS == 2
#define ANY(c, s)	:: c(0) -> i = 0; step = s :: c(1) -> i = 1; step = s
#define ALL(c)		(c(0) && c(1))
#define SOME(c)		(c(0) || c(1))
#else
#define ANY(c, s)	:: c(0) -> i = 0; step = s :: c(1) -> i = 1; step = s \
			:: c(2) -> i = 2; step = s
#define ALL(c)		(c(0) && c(1) && c(2))
#define SOME(c)		(c(0) || c(1) || c(2))
#endif

/* In one order: a choice is offered only when all those above it are not. */
#ifdef FIXED
#define OR	:: else -> if
#define OR_END	fi
#define FREELY(x)	false
#else
#define OR
#define OR_END
#define FREELY(x)	(x)
#endif

/* The caller's ctl: generation * 8 + bits. */
#define OPEN	1
#define END	2
#define CANCEL	4
#define CTL_A(g, bits)	((g) * 8 + (bits))
#define GEN_A(c)	((c) >> 3)

/* The worker's ctl: generation * 32 + state * 4 + outcome. */
#define TAKEN	1
#define STARTED	2
#define HEAD	3
#define CLOSED	4
#define OK		1
#define CANCELLED	2
#define REFUSED		3
#define CTL_B(g, st, why)	((g) * 32 + (st) * 4 + (why))
#define GEN_B(c)	((c) >> 5)
#define STATE_B(c)	(((c) >> 2) & 7)
#define WHY_B(c)	((c) & 3)

#define GEN_NEXT(g)	(((g) + 1) % GENS)

/* A slot as the caller sees it. */
#define FREE	0
#define LIVE	1
#define ZOMBIE	2

/* What a cell holds: whose it is, and where. */
#define CELL(owner, pos)	((owner) * 16 + (pos))

/* Half A, half B. */
byte a_ctl[SLOTS], a_out[SLOTS], a_in[SLOTS], a_cell[SLOTS * RB];
byte b_ctl[SLOTS], b_out[SLOTS], b_in[SLOTS], b_cell[SLOTS * RB];

/*
 * A ring and the reader's tail. The channel holds what the reader has not
 * taken, `held` counts what he took and his tail does not show yet, `unread`
 * has a bit for each slot whose hint is at or above that tail. The writer's old
 * copy of the tail needs no model: "taken" never becomes untrue again.
 */
chan a_ring = [CAP] of { byte, bit };
chan b_ring = [CAP] of { byte };
byte a_unread, b_unread, a_held, b_held;

/*
 * Bells. `armed`: the epoch is odd; `rung`: the ringer has rung the present
 * epoch, so a new arming clears it; `edge`: a byte has come.
 */
bit a_armed, b_armed, a_rung, b_rung, a_edge, b_edge;

/* Not part of the protocol: to check and to kill. */
byte own[SLOTS];		/* call number + 1 while a slot belongs to it */
bit a_asleep, b_asleep, a_dead, b_dead, a_done;

#define QUIET	(a_asleep && b_asleep && !a_edge && !b_edge)

/* Which consumption is news: `since` was eaten since the last hint. */
#if defined(BAD_NOROOM)
#define ROOM_NEWS(n)	false
#elif defined(BAD_NOEMPTIED) || defined(ROOM_HALF_ONLY)
#define ROOM_COUNT
#define ROOM_NEWS(n)	(2 * since[n] >= RB)
#elif defined(ROOM_HALF)
#define ROOM_COUNT
#define ROOM_NEWS(n)	(in[n] == pout[n] || 2 * since[n] >= RB)
#elif defined(ROOM_EMPTIED)
#define ROOM_NEWS(n)	(in[n] == pout[n])
#elif defined(BAD_FULL_ONLY)
#define ROOM_NEWS(n)	(pout[n] - in[n] + 1 == RB)
#else
#define ROOM_NEWS(n)	true
#endif

#ifdef ROOM_COUNT
#define ROOM_EATEN(n)	since[n]++
#define ROOM_TOLD(n)	since[n] = 0
#else
#define ROOM_EATEN(n)	skip
#define ROOM_TOLD(n)	skip
#endif
#ifdef BAD_NOEMPTIED
#define ROOM_LOOKED(n)	since[n] = 0
#else
#define ROOM_LOOKED(n)	skip
#endif

/* The steps of both loops. */
#define PICK	0
#define LOOK1	1
#define LOOK2	2
#define LOOK3	3
#define EAT0	4
#define EAT	5
#define EAT_H	6
#define PUT0	7
#define PUT	8
#define PUT_C	9
#define PUT_H	10
#define OPEN1	11
#define OPEN2	12
#define OPEN3	13
#define OPEN4	14
#define OPEN5	15
#define CANCEL1	16
#define CANCEL2	17
#define DRAIN1	18
#define DRAIN2	19
#define ARM	20
#define BELL	21
#define SEND	22
#define LAST	23
#define DISARM	24
#define WAIT	25
#define EOF	26
#define TAKE1	27
#define TAKE2	28
#define TAKE3	29
#define START	30
#define FIRST	31
#define CLOSE1	32
#define CLOSE2	33

#ifdef BAD_TAIL_LATE
#define AFTER_TAKING	PICK
#else
#define AFTER_TAKING	DRAIN2
#endif
#ifdef SPLIT
#define EAT_START	EAT0
#define PUT_START	PUT0
#else
#define EAT_START	EAT
#define PUT_START	PUT
#endif

/* Push a hint unless the last one still counts as unread. */
inline hint_a(n)
{
	if
	:: (a_unread & BIT(n)) == 0 ->
		CHECK(len(a_ring) + a_held < RING);
		a_ring!n, 0;
		a_unread = a_unread | BIT(n);
		pushed = 1
	:: else
	fi
}

inline hint_b(n)
{
	if
	:: (b_unread & BIT(n)) == 0 ->
		CHECK(len(b_ring) + b_held < RING);
		b_ring!n;
		b_unread = b_unread | BIT(n);
		pushed = 1
	:: else
	fi
}

/* The step is over: no values are left in the scratch variables. */
inline pick_next()
{
	step = PICK;
	i = 0
}

#define C_TODO(n)	(todo & BIT(n))
#define C_DATA(n)	(st[n] == LIVE && pout[n] > in[n])
#define C_ROOM(n)	(st[n] == LIVE && seen[n] < CLOSED && out[n] < REQ && \
			 out[n] - pin[n] < RB)
#define C_OPEN(n)	(next < CALLS && st[n] == FREE)
#define C_LIVE(n)	(cancels > 0 && st[n] == LIVE)
#define C_FREE(n)	(st[n] == FREE)

inline call_ends(n)
{
	CHECK((ended & BIT(id[n])) == 0);
	ended = ended | BIT(id[n])
}

inline slot_free(n)
{
	st[n] = FREE;
	own[n] = 0;
	id[n] = 0;
	out[n] = 0; in[n] = 0;
	pout[n] = 0; pin[n] = 0;
	seen[n] = 0;
	ROOM_TOLD(n)
}

/* CLOSED was seen and nothing is left to read: the call and the slot end. */
inline maybe_end(n)
{
	if
	:: seen[n] == CLOSED && st[n] == LIVE && in[n] == pout[n] ->
		CHECK(WHY_B(b_ctl[n]) != OK || in[n] == RES);
		CHECK(WHY_B(b_ctl[n]) != CANCELLED);
		call_ends(n);
		slot_free(n)
	:: seen[n] == CLOSED && st[n] == ZOMBIE ->
		slot_free(n)
	:: else
	fi
}

/* The worker is gone: one look at every open slot, then the rest is ended. */
inline caller_eof()
{
	i = 0;
	do
	:: i < SLOTS ->
		if
		:: st[i] == LIVE && GEN_B(b_ctl[i]) == gen[i] &&
		   STATE_B(b_ctl[i]) == CLOSED ->
			CHECK(b_out[i] >= pout[i] && b_out[i] - in[i] <= RB);
			CHECK(WHY_B(b_ctl[i]) != OK || b_out[i] == RES);
			do
			:: in[i] < b_out[i] ->
				CHECK(b_cell[i * RB + in[i] % RB] ==
				      CELL(own[i], in[i]));
				in[i]++
			:: else -> break
			od
		:: else
		fi;
		if
		:: st[i] == LIVE -> call_ends(i)
		:: else
		fi;
		slot_free(i);
		i++
	:: else -> break
	od;
	i = 0
}

proctype caller()
{
	byte st[SLOTS], gen[SLOTS], id[SLOTS], seen[SLOTS];
	byte out[SLOTS], in[SLOTS], pout[SLOTS], pin[SLOTS];
#ifdef ROOM_COUNT
	byte since[SLOTS];
#endif
	byte todo, ended, next, cancels = CANCELS, step = PICK, i;
	byte took, x;
	bit pushed, resting;

	do
	:: a_dead -> break
	:: atomic { !a_dead && step == WAIT && a_edge ->
		a_edge = 0; a_asleep = 0; step = DISARM }
	:: atomic { !a_dead && step == WAIT && b_dead ->
		a_asleep = 0; step = EOF }
	/* A deadline or the user; not a cure for a lost wake-up. */
	:: atomic { !a_dead && step == WAIT && SOME(C_LIVE) ->
		CHECK(!QUIET);
		a_asleep = 0; a_armed = 0;
		if
		ANY(C_LIVE, CANCEL1)
		fi }
	:: step == PICK && next == CALLS && ALL(C_FREE) -> break
	:: atomic { !a_dead && step != WAIT &&
		    !(step == PICK && next == CALLS && ALL(C_FREE)) ->
		if
#ifdef BAD_TAIL_LATE
		:: step == PICK && took && todo == 0 -> step = DRAIN2
		:: step == PICK && !(took && todo == 0) ->
#else
		:: step == PICK ->
#endif
			if
			ANY(C_LIVE, CANCEL1)
			:: FREELY(todo == 0 && len(b_ring) > 0) -> step = DRAIN1
			:: FREELY(pushed) -> step = BELL
			:: FREELY(b_dead) -> step = EOF
			:: true ->
				if
				ANY(C_TODO, LOOK1)
				OR
				ANY(C_DATA, EAT_START)
				OR
				ANY(C_ROOM, PUT_START)
				OR
#ifdef FIXED
				:: C_OPEN(0) -> i = 0; step = OPEN1
#if SLOTS > 1
				:: !C_OPEN(0) && C_OPEN(1) -> i = 1; step = OPEN1
#endif
#if SLOTS > 2
				:: !C_OPEN(0) && !C_OPEN(1) && C_OPEN(2) ->
					i = 2; step = OPEN1
#endif
#else
				ANY(C_OPEN, OPEN1)
#endif
				:: else -> step = ARM
				OR_END OR_END OR_END
				fi
			fi
		:: else
		fi;
		if
		:: step == DRAIN1 -> d_step {
			do
			:: len(b_ring) > 0 ->
				b_ring?x;
				todo = todo | BIT(x);
				b_held++
			:: else -> break
			od;
			x = 0;
			took = todo;
			if
			:: todo -> step = AFTER_TAKING
			:: else -> step = PICK
			fi }
		:: step == DRAIN2 -> d_step {
			b_unread = b_unread & ~took;
			b_held = 0;
			took = 0;
			step = PICK }

		:: step == LOOK1 -> d_step {
			todo = todo & ~BIT(i);
			x = b_ctl[i];
			if
			:: st[i] == FREE -> pick_next()
#ifndef BAD_NOGEN
			:: st[i] != FREE && GEN_NEXT(GEN_B(x)) == gen[i] ->
				pick_next()
#endif
			:: else ->
#ifndef BAD_NOGEN
				CHECK(GEN_B(x) == gen[i]);
#endif
				CHECK(STATE_B(x) >= seen[i]);
				seen[i] = STATE_B(x);
				if
				:: WHY_B(x) == OK -> CHECK(b_out[i] == RES)
				:: else
				fi;
				if
				:: st[i] == ZOMBIE -> maybe_end(i); pick_next()
				:: else -> step = LOOK2
				fi
			fi;
			x = 0 }
		:: step == LOOK2 -> d_step {
			CHECK(b_out[i] >= pout[i] && b_out[i] - in[i] <= RB);
			pout[i] = b_out[i];
			step = LOOK3 }
		:: step == LOOK3 -> d_step {
			CHECK(b_in[i] >= pin[i] && b_in[i] <= out[i]);
			pin[i] = b_in[i];
			ROOM_LOOKED(i);
			maybe_end(i);
			pick_next() }

#ifdef SPLIT
		:: step == EAT0 -> d_step {
			CHECK(b_cell[i * RB + in[i] % RB] == CELL(own[i], in[i]));
			step = EAT }
#endif
		:: step == EAT -> d_step {
#ifndef SPLIT
			CHECK(b_cell[i * RB + in[i] % RB] == CELL(own[i], in[i]));
#endif
			in[i]++;
			a_in[i] = in[i];
			ROOM_EATEN(i);
			if
			:: seen[i] < CLOSED && ROOM_NEWS(i) -> step = EAT_H
			:: else -> maybe_end(i); pick_next()
			fi }
		:: step == EAT_H -> d_step {
			hint_a(i);
			ROOM_TOLD(i);
			pick_next() }

#ifdef SPLIT
		:: step == PUT0 -> d_step {
			a_cell[i * RB + out[i] % RB] = CELL(own[i], out[i]);
			step = PUT }
#endif
		:: step == PUT -> d_step {
#ifndef SPLIT
			a_cell[i * RB + out[i] % RB] = CELL(own[i], out[i]);
#endif
			out[i]++;
			a_out[i] = out[i];
			if
			:: out[i] == REQ -> step = PUT_C
			:: else -> step = PUT_H
			fi }
		:: step == PUT_C -> d_step {
			a_ctl[i] = CTL_A(gen[i], OPEN + END);
			step = PUT_H }
		:: step == PUT_H -> d_step { hint_a(i); pick_next() }

		:: step == OPEN1 -> d_step {
			st[i] = LIVE;
			gen[i] = GEN_NEXT(gen[i]);
			id[i] = next;
			own[i] = next + 1;
			next++;
			a_out[i] = 0;
			step = OPEN2 }
		:: step == OPEN2 -> a_in[i] = 0; step = OPEN3
#ifndef FIXED
		/* Open first, write later. */
		:: step == OPEN3 -> step = OPEN4
#endif
		:: step == OPEN3 -> d_step {
			do
			:: out[i] < REQ && out[i] < RB ->
				a_cell[i * RB + out[i]] = CELL(own[i], out[i]);
				out[i]++
			:: else -> break
			od;
			a_out[i] = out[i];
			step = OPEN4 }
		:: step == OPEN4 -> d_step {
			if
			:: out[i] == REQ -> a_ctl[i] = CTL_A(gen[i], OPEN + END)
			:: else -> a_ctl[i] = CTL_A(gen[i], OPEN)
			fi;
			step = OPEN5 }
		:: step == OPEN5 -> d_step {
			CHECK(len(a_ring) + a_held < RING);
			a_ring!i, 1;
			pushed = 1;
			pick_next() }

		:: step == CANCEL1 -> d_step {
			cancels--;
			call_ends(i);
			if
			:: seen[i] == CLOSED -> slot_free(i); pick_next()
			:: else ->
				a_ctl[i] = CTL_A(gen[i], OPEN + CANCEL);
				st[i] = ZOMBIE;
				step = CANCEL2
			fi }
		:: step == CANCEL2 -> d_step {
			hint_a(i);
#ifdef BAD_REUSE
			slot_free(i);
#endif
			pick_next() }

		:: step == ARM -> d_step {
			a_armed = 1; b_rung = 0;
			resting = 1;
			if
			:: pushed -> step = BELL
			:: else -> step = LAST
			fi }
		:: step == BELL -> d_step {
			pushed = 0;
			if
			:: b_armed && !a_rung -> a_rung = 1; step = SEND
			:: else ->
				if
				:: resting -> step = LAST
				:: else -> step = PICK
				fi
			fi }
		:: step == SEND -> d_step {
			b_edge = 1;
			if
			:: resting -> step = LAST
			:: else -> step = PICK
			fi }
		:: step == LAST -> d_step {
			resting = 0;
			if
#ifndef BAD_NOLOOK
			:: len(b_ring) > 0 -> step = DISARM
#endif
			:: else -> a_asleep = 1; step = WAIT
			fi }
		:: step == DISARM -> a_armed = 0; step = DRAIN1

		:: step == EOF -> d_step {
			caller_eof();
			CHECK(ended == BIT(next) - 1);
			next = CALLS;
			pick_next() }
		fi }
	od;
	atomic {
		if
		:: !a_dead ->
			CHECK(b_dead || ended == BIT(CALLS) - 1);
			a_done = 1
		:: else
		fi
	}
}

#define W_START(n)	(st[n] == TAKEN)
#define W_DATA(n)	(st[n] >= STARTED && pout[n] > in[n])
#define W_FIRST(n)	(st[n] == STARTED && RES > 0)
#define W_ROOM(n)	(st[n] == HEAD && out[n] < RES && out[n] - pin[n] < RB)
#define W_OVER(n)	(st[n] == HEAD && out[n] == RES && (fl[n] & END) && \
			 in[n] == pout[n])
#define W_LIVE(n)	(st[n] != 0)

/* Each byte of a slot is touched only while the slot belongs to my call. */
inline worker_owns(n)
{
	assert(own[n] == wid[n])
}

proctype worker()
{
	byte st[SLOTS], gen[SLOTS], fl[SLOTS], wid[SLOTS];
	byte out[SLOTS], in[SLOTS], pout[SLOTS], pin[SLOTS];
#ifdef ROOM_COUNT
	byte since[SLOTS];
#endif
	chan batch = [CAP] of { byte, bit };
	byte early = EARLY, step = DRAIN1, i, took, why, taken;
	bit pushed, resting, isnew;
	byte x;

	/* Waiting for ever is right here: the caller may have finished. */
end_worker:
	do
	:: b_dead -> break
	:: atomic { !b_dead && step == WAIT && b_edge ->
		b_edge = 0; b_asleep = 0; step = DISARM }
	:: !b_dead && step == WAIT && a_dead -> break
	:: FREELY(!b_dead && step == PICK && a_dead) -> break
	:: atomic { !b_dead && step != WAIT ->
		if
#ifdef BAD_TAIL_LATE
		:: step == PICK && a_held > 0 && len(batch) == 0 -> step = DRAIN2
		:: step == PICK && !(a_held > 0 && len(batch) == 0) ->
#else
		:: step == PICK ->
#endif
			if
			:: FREELY(len(batch) == 0 && len(a_ring) > 0) -> step = DRAIN1
			:: FREELY(pushed) -> step = BELL
			:: early > 0 && SOME(W_LIVE) ->
				early--;
				why = REFUSED;
				if
				ANY(W_LIVE, CLOSE1)
				fi
			:: true ->
				if
				:: len(batch) > 0 -> step = LOOK1
				OR
				ANY(W_START, START)
				OR
				ANY(W_DATA, EAT_START)
				OR
				ANY(W_FIRST, FIRST)
				ANY(W_ROOM, PUT_START)
				OR
				ANY(W_OVER, CLOSE1)
				:: else -> step = ARM
				OR_END OR_END OR_END OR_END
				fi
			fi
		:: else
		fi;
		if
		:: step == DRAIN1 -> d_step {
			do
			:: len(a_ring) > 0 ->
				a_ring?x, isnew;
				batch!x, isnew;
				a_held++;
				if
				:: isnew
				:: else -> took = took | BIT(x)
				fi
			:: else -> break
			od;
			x = 0; isnew = 0;
			if
			:: len(batch) > 0 -> step = AFTER_TAKING
			:: else -> step = PICK
			fi }
		:: step == DRAIN2 -> d_step {
			a_unread = a_unread & ~took;
			a_held = 0;
			took = 0;
			step = PICK }

		:: step == LOOK1 -> d_step {
			batch?i, isnew;
			x = a_ctl[i];
			if
			:: !isnew && st[i] == 0 -> pick_next()
			:: isnew ->
				CHECK(st[i] == 0 && GEN_A(x) == GEN_NEXT(gen[i]));
				gen[i] = GEN_A(x);
				fl[i] = x & (END + CANCEL);
				out[i] = 0; in[i] = 0;
				pout[i] = 0; pin[i] = 0;
				wid[i] = own[i];
				/* Taken in the order of opening. */
				taken++;
				CHECK(wid[i] == taken);
#ifdef BAD_RESET_LATE
				step = TAKE3
#else
				step = TAKE1
#endif
			:: else ->
				CHECK(GEN_A(x) == gen[i]);
				CHECK((x & CANCEL) || (x & END) >= (fl[i] & END));
				CHECK((x & CANCEL) >= (fl[i] & CANCEL));
				fl[i] = x & (END + CANCEL);
				if
				:: x & CANCEL -> why = CANCELLED; step = CLOSE1
				:: else -> step = LOOK2
				fi
			fi;
			x = 0; isnew = 0 }
#ifdef BAD_RESET_LATE
		:: step == TAKE1 -> b_out[i] = 0; step = TAKE2
		:: step == TAKE2 -> d_step {
			b_in[i] = 0;
			if
			:: fl[i] & CANCEL -> why = CANCELLED; step = CLOSE1
			:: else -> step = LOOK2
			fi }
		:: step == TAKE3 -> d_step {
			st[i] = TAKEN;
			b_ctl[i] = CTL_B(gen[i], TAKEN, 0);
			step = TAKE1 }
#else
		:: step == TAKE1 -> b_out[i] = 0; step = TAKE2
		:: step == TAKE2 -> b_in[i] = 0; step = TAKE3
		:: step == TAKE3 -> d_step {
			st[i] = TAKEN;
			b_ctl[i] = CTL_B(gen[i], TAKEN, 0);
			if
			:: fl[i] & CANCEL -> why = CANCELLED; step = CLOSE1
			:: else -> step = LOOK2
			fi }
#endif
		:: step == LOOK2 -> d_step {
			CHECK(a_out[i] >= pout[i] && a_out[i] - in[i] <= RB);
			CHECK(!(fl[i] & END) || a_out[i] == REQ);
			pout[i] = a_out[i];
			step = LOOK3 }
		:: step == LOOK3 -> d_step {
			CHECK(a_in[i] >= pin[i] && a_in[i] <= out[i]);
			pin[i] = a_in[i];
			ROOM_LOOKED(i);
			pick_next() }

		:: step == START -> d_step {
			st[i] = STARTED;
			b_ctl[i] = CTL_B(gen[i], STARTED, 0);
			pick_next() }
		:: step == FIRST -> d_step {
			st[i] = HEAD;
			b_ctl[i] = CTL_B(gen[i], HEAD, 0);
			if
			:: out[i] - pin[i] < RB -> step = PUT_START
			:: else -> pick_next()
			fi }

#ifdef SPLIT
		:: step == EAT0 -> d_step {
			worker_owns(i);
			CHECK(a_cell[i * RB + in[i] % RB] == CELL(wid[i], in[i]));
			step = EAT }
#endif
		:: step == EAT -> d_step {
#ifndef SPLIT
			worker_owns(i);
			CHECK(a_cell[i * RB + in[i] % RB] == CELL(wid[i], in[i]));
#endif
			in[i]++;
			b_in[i] = in[i];
			ROOM_EATEN(i);
			if
			:: ROOM_NEWS(i) -> step = EAT_H
			:: else -> pick_next()
			fi }
		:: step == EAT_H -> d_step {
			hint_b(i);
			ROOM_TOLD(i);
			pick_next() }

#ifdef SPLIT
		:: step == PUT0 -> d_step {
			worker_owns(i);
			b_cell[i * RB + out[i] % RB] = CELL(wid[i], out[i]);
			step = PUT }
#endif
		:: step == PUT -> d_step {
#ifndef SPLIT
			worker_owns(i);
			b_cell[i * RB + out[i] % RB] = CELL(wid[i], out[i]);
#endif
			out[i]++;
			b_out[i] = out[i];
			step = PUT_H }
		:: step == PUT_H -> d_step { hint_b(i); pick_next() }

		:: step == CLOSE1 -> d_step {
			if
			:: why -> b_ctl[i] = CTL_B(gen[i], CLOSED, why)
			:: else -> b_ctl[i] = CTL_B(gen[i], CLOSED, OK)
			fi;
			why = 0;
			st[i] = 0; fl[i] = 0; wid[i] = 0;
			out[i] = 0; in[i] = 0;
			pout[i] = 0; pin[i] = 0;
			ROOM_TOLD(i);
			step = CLOSE2 }
		:: step == CLOSE2 -> d_step { hint_b(i); pick_next() }

		:: step == ARM -> d_step {
			b_armed = 1; a_rung = 0;
			resting = 1;
			if
			:: pushed -> step = BELL
			:: else -> step = LAST
			fi }
		:: step == BELL -> d_step {
			pushed = 0;
			if
			:: a_armed && !b_rung -> b_rung = 1; step = SEND
			:: else ->
				if
				:: resting -> step = LAST
				:: else -> step = PICK
				fi
			fi }
		:: step == SEND -> d_step {
			a_edge = 1;
			if
			:: resting -> step = LAST
			:: else -> step = PICK
			fi }
		:: step == LAST -> d_step {
			resting = 0;
			if
#ifndef BAD_NOLOOK
			:: len(a_ring) > 0 -> step = DISARM
#endif
			:: else -> b_asleep = 1; step = WAIT
			fi }
		:: step == DISARM -> b_armed = 0; step = DRAIN1
		fi }
	od
}

/*
 * Kills one side between any two of its steps, or nobody. That it might still
 * strike must not hide a deadlock: hence the check.
 */
proctype killer()
{
end_killer:
	atomic {
		if
#ifdef KILL_CALLER
		:: !a_done -> CHECK(!QUIET); a_dead = 1
#endif
#ifdef KILL_WORKER
		:: !a_done -> CHECK(!QUIET); b_dead = 1
#endif
		:: false
		fi
	}
}

init {
	atomic {
		run caller();
		run worker();
#if defined(KILL_CALLER) || defined(KILL_WORKER)
		run killer()
#endif
	}
}
