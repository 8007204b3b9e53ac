#!/usr/bin/python3
"""Functions that nobody calls, and those that only some rooms call (TAP)."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kit import Tap, find, sources

NEVER = ('strcpy strcat stpcpy sprintf vsprintf gets strtok strtok_r atoi alloca system popen tmpnam tempnam mktemp '
         'rand srand random srandom rand_r drand48 usleep sleep').split()
NEVER_IN_HOUSE = 'atol atoll atof signal bsd_signal sigset bcopy bzero'.split()
# A test may call the shell; it may not run over its buffers nor hope that time helps.
NEVER_IN_TESTS = 'strcpy strcat stpcpy sprintf vsprintf gets alloca tmpnam tempnam mktemp usleep sleep'.split()
# Calls that can be interrupted, cut short or refused for now: each has one wrapper, in these files.
RAW = ('read write readv writev pread pwrite preadv pwritev send recv sendto recvfrom sendmsg recvmsg '
       'splice sendfile accept accept4 connect waitpid wait waitid poll ppoll select epoll_wait').split()
RAW_ALLOWED = {
    'lib/os/': RAW,
    'lib/ipc/peer.c': ['send', 'recv'],         # fill and empty their own buffers
    'lib/ipc/link.c': ['send', 'recv'],         # one byte of bell
    'lib/svc/prog.c': ['sendto'],               # one datagram to the supervisor, best effort
    'bin/mgr-httpd/boss.c': ['send', 'recv'],   # one byte between a process and its parent
    'bin/mgr-httpd/child.c': ['send', 'recv'],
    'bin/mgr-httpd/linger.c': ['send', 'recv'], # last answer, best effort; then what comes is thrown away
    'bin/mgr-httpd/log.c': ['poll', 'write'],   # what a full pipe does not take at once is counted as lost
    'bin/mgr-ctl/probe.c': ['poll', 'waitpid'], # no loop: one handler, looked at step by step
    'bin/mgr-ctl/up_notify.c': ['recvmsg'],     # datagrams of the children
    'bin/mgr-hub/adopt.c': ['pread'],           # a pid file: one bounded read
    'bin/mgr-httpd/spool.c': ['pread', 'pwrite'],       # regular file, a loop over short counts
}
# The library says what happened by its result; only the program knows whether it matters.
QUIET = 'printf fprintf vfprintf puts fputs perror exit _exit mgr_log err errx warn warnx syslog'.split()
QUIET_ALLOWED = {
    'lib/base/opt.c': ['fprintf', 'fputs'],     # usage text into a FILE of the caller
    'lib/base/assert.c': QUIET,
    'lib/os/log.': QUIET,
    'lib/os/spawn.c': ['_exit'],                # the child whose exec failed
}


def calls(path, names):
    # Not a member, and not a definition or prototype of the same name (static, so at the line's start here).
    return find(path, r'(?<![\w.])(?<!->)(?<!\n)\b(' + '|'.join(names) + r')\s*\(')


def outside(paths, names, allowed):
    for path in paths:
        own = {m[1] for _, m in find(path, r'(?m)^(\w+)\([^;]*$')}      # a function of its own with that name
        may = own | {name for place, some in allowed.items() if path.startswith(place) for name in some}
        for line, m in calls(path, names):
            if m[1] not in may:
                yield f'{path}:{line}: {m[1]}()'


house = sources('lib', 'bin')
tap = Tap()
tap.check('functions that nobody calls', outside(house, NEVER + NEVER_IN_HOUSE, {}))
tap.check('functions that no test calls', outside(sources('tests'), NEVER_IN_TESTS, {}))
tap.check('raw input and output stays behind its wrappers', outside(house, RAW, RAW_ALLOWED))
tap.check('lib/base to lib/ext neither log nor exit', outside(
    [p for p in sources('lib') if not p.startswith('lib/svc/')], QUIET, QUIET_ALLOWED))
tap.check('no goto but to fail', (
    f'{path}:{line}: goto {m[1]}' for path in house for line, m in find(path, r'\bgoto\s+(\w+)') if m[1] != 'fail'))
tap.check('no typedef for structs', (
    f'{path}:{line}' for path in house for line, m in find(path, r'\btypedef\s+(struct|union)\b')))
tap.done()
