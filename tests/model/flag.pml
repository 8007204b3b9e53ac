/*
 * Model 3: why the bell is an epoch of the sleeper and not a flag that the waker
 * clears. One producer, one consumer, a ring, one word `flag` ("wake me") that
 * both change; futex-like sleep: the kernel compares the word and blocks in one
 * step. Sequentially consistent, and the waker's test-and-clear is one step.
 *
 * Options (-D): MESSAGES; BAD_WORD: the consumer sleeps on the ring's head, not
 * on the flag. A late waker (his message was taken by the spinning consumer)
 * then clears the flag of the next sleep before it begins: nobody wakes it.
 */
#ifndef MESSAGES
#define MESSAGES	3
#endif

byte head, tail;
bit flag, asleep;

active proctype producer()
{
	byte left = MESSAGES;
	bit was;

	do
	:: left > 0 ->
		head++;
		left--;
		atomic { was = flag; flag = 0 }
		if
		:: was -> atomic { asleep = 0; was = 0 }
		:: else
		fi
	:: else -> break
	od
}

active proctype consumer()
{
	do
	:: tail == MESSAGES -> break
	:: head != tail -> tail++
	:: tail != MESSAGES && head == tail ->
		flag = 1;
		if
		:: head != tail -> flag = 0
		:: else ->
			if
#ifdef BAD_WORD
			:: atomic { head == tail -> asleep = 1 }
			:: head != tail
#else
			:: atomic { flag == 1 -> asleep = 1 }
			:: flag == 0
#endif
			fi;
			asleep == 0;
			flag = 0
		fi
	od
}
