#!/usr/bin/env python3
"""Workers that break the rules of a lane: only their own calls fail, and mgr-httpd keeps nothing of them."""
import glob
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from faultkit import HERE, Bare, Load, Tap, aftermath, attempt, baseline, clean, descriptors, finish, run_cases, tell, \
    timed, until

t = Tap()
LIAR = [sys.executable, os.path.join(HERE, 'liar-worker.py')]


def kinds():
    return subprocess.run(LIAR + ['--list'], stdout=subprocess.PIPE, check=True).stdout.decode().split()


def first_answer(s):
    """Of the first request that finds the route: it is this one that the lie is told to."""
    end = time.monotonic() + 10
    while True:
        took, answer = timed(lambda: attempt(s, 'POST', '/l'))
        if answer[0] != 404 or time.monotonic() > end:
            break
    return took, answer


def liars():
    """S1, S2, S4, S6, U11 as a client sees them."""
    with Bare(httpd=['-j', '1', '--request-timeout', '400ms']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '2'])
        base = baseline(s, '/e')
        httpd = s.programs('mgr-httpd')
        other = Load(s, '/e', '-c', 2, '-t', 600, '-r', 200)
        for kind in ['honest'] + kinds():
            liar = s.spawn(LIAR + ['l', kind])
            took, (status, end, body, _) = first_answer(s)
            if kind == 'honest':
                t.eq((status, body), (200, b'ok'), 'honest: the answer')
            elif not t.ok(status in (502, 503, 504) and end == 'whole' and body.startswith(b'{"status":"error"') and
                          took < 1.4, f'{kind}: 502, 503 or 504 in time'):
                print(f'# {status} {end} {body[:100]!r} after {took:.2f} s')
            again = attempt(s, 'POST', '/l')
            t.ok(again[1] == 'whole' and again[0] in (502, 503, 504), f'{kind}: the next call ends too')
            t.eq(s.programs('mgr-httpd'), httpd, f'{kind}: mgr-httpd lives on')
            liar.kill()
            liar.wait()
            for path in glob.glob(f'{s.runtime}/worker-{liar.pid}.*'):
                os.unlink(path)
            until(lambda: attempt(s, 'POST', '/l')[0] == 404, 3)
        report = other.stop()
        if not t.ok(clean(report, 200) and report['p99_ms'] < 100, 'liars: the others are served'):
            tell(report)
        t.ok(until(lambda: descriptors(s)['mgr-httpd'] == base['mgr-httpd'], 5), 'liars: no descriptor is left')
        aftermath(t, s, base, 'liars', '/e', idle=True)
        finish(t, s, 'liars')


run_cases(t, [liars])
