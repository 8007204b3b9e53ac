#!/usr/bin/env python3
"""Handlers that lie, hang, crash and cannot be started, as clients and the person at the shell see them."""
import concurrent.futures
import os
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from faultkit import Bare, Load, Tap, aftermath, alive, attempt, baseline, clean, cpu, finish, load, run_cases, send, \
    tell, timed, until

t = Tap()
TIMEOUT_S = 1.0

# What a client may see: statuses of a whole answer, and whether the connection may be cut instead.
EXPECT = {'garbage': ((502,), False), 'refused': ((502,), True), 'hang': ((504,), False), 'death': ((502,), False),
          'good': ((200,), False)}
EXPECT_OF = {
    'err': ((503,), False),
    # 502 as long as the head is still here, else the connection is cut.
    'die-after-res': ((502,), True), 'die-in-frame': ((502,), True), 'short-body': ((502,), True),
    'long-body': ((502,), True),
    'res-in-res': ((200, 502), True), 'res-after-end': ((200, 502), True),
    # The answer was complete before the rest of the lie: it may be passed on.
    'twice': ((200, 502), True), 'print-between': ((200, 502), True),
    # The rule is broken before there is a request.
    'unasked': ((502, 503, 504), False),
    # More than an answer may have, so refused at its head.
    'blen-max-then-stop': ((502,), False),
    'blen-huge-then-stop': ((504, 502), True), 'drip': ((504,), True),
}


def kinds(s):
    out = subprocess.run([s.handler('liar'), '--list'], stdout=subprocess.PIPE, check=True).stdout.decode()
    return [line.split('\t')[:2] for line in out.splitlines()]


def lie(s, kind, expect):
    """One liar, asked once: a list of what was wrong."""
    wrong, name = [], 'liar-' + kind
    began = time.monotonic()
    code, _, err = s.register(name, s.handler('liar'), kind, '400', check=False,
                              options=['--grace', '200ms', '--start-time', '600ms', '--drain-time', '100ms'])
    if expect == 'start':
        lines = err.decode().strip().split('\n')
        if code != 1 or len(lines) != 1 or not lines[0]:
            wrong.append(f'register: exit {code}, {lines}')
        if time.monotonic() - began > 4:
            wrong.append('register gave up late')
        if [w for w in s.ls() if w['name'] == name and w['state'] != 'draining']:
            wrong.append('is still listed')
        return wrong
    if code != 0 and kind != 'unasked':
        return [f'register: exit {code} {err}']
    if code != 0:
        return []
    before = s.replicas(name)
    took, (status, end, body, headers) = timed(lambda: attempt(s, 'POST', '/' + name, b'request', timeout=10))
    statuses, may_cut = EXPECT_OF.get(kind, EXPECT[expect])
    if not (end == 'whole' and status in statuses or may_cut and end in ('aborted', 'closed')):
        wrong.append(f'{status} {end} {body[:80]!r}')
    if end == 'whole' and status >= 500 and not body.startswith(b'{"status":"error"'):
        wrong.append(f'no JSON error: {body[:80]!r}')
    if kind != 'cookie-list' and 'Set-Cookie' in headers:
        wrong.append('the injected header went out')
    if expect == 'hang' and status != 502 and not TIMEOUT_S * 0.9 <= took <= TIMEOUT_S + 1:
        wrong.append(f'after {took:.2f} s')
    if expect in ('garbage', 'death', 'refused') and took > 0.6:
        wrong.append(f'only after {took:.2f} s')
    if expect in ('garbage', 'hang', 'death') and before and \
            not until(lambda: not any(alive(p) for p in before), TIMEOUT_S + 2):
        wrong.append('the replica lives on')
    if expect == 'garbage' and f'handler={name}' not in s.log():
        wrong.append('no log line names the handler')
    return wrong


def liars():
    """W2-W6, H26, R1.8: each rule broken; the handler beside them does not notice."""
    with Bare(httpd=['-j', '2', '--request-timeout', '1s']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '2'])
        base = baseline(s, '/e')
        other = Load(s, '/e', '-c', 2, '-t', 600, '-r', 200)
        table = kinds(s)
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            results = list(pool.map(lambda row: lie(s, *row), table))
            list(pool.map(lambda w: s.ctl('unregister', w['name'], check=False),
                          [w for w in s.ls() if w['name'].startswith('liar-')]))
        for (kind, expect), wrong in zip(table, results):
            if not t.ok(not wrong, f'liar {kind}: {expect}'):
                print('# ' + '; '.join(wrong), flush=True)
        report = other.stop()
        if not t.ok(clean(report, 200), 'liars: the honest handler beside them serves on'):
            tell(report)
        aftermath(t, s, base, 'liars', '/e')
        finish(t, s, 'liars')


def crashes():
    """W1: before, in the middle of and right behind the answer."""
    with Bare(httpd=['-j', '1']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '3', '--route', 'POST /e', '--route', 'PUT /e'])
        base = baseline(s, '/e')
        for method, crash, want in (('POST', 'before', [(502, 'whole')]), ('PUT', 'before', [(502, 'whole')]),
                                    ('POST', 'mid', [(502, 'whole'), (200, 'aborted')]),
                                    ('PUT', 'mid', [(502, 'whole'), (200, 'aborted')]),
                                    ('POST', 'after', [(200, 'whole')])):
            restarts = s.stats('e')['restarts']
            took, (status, end, _, _) = timed(lambda: attempt(s, method, '/e', b'x', {'x-crash': crash}))
            if not t.ok((status, end) in want, f'crash {crash} the answer to {method}'):
                print(f'# got {status} {end}')
            t.within(took, 0, 0.3, f'crash {crash} the answer to {method}: told within 200 ms')
            tries = 2 if method == 'PUT' and crash == 'before' else 1
            until(lambda: s.stats('e')['restarts'] >= restarts + tries and len(s.replicas('e')) == 3, 5)
            t.eq(s.stats('e')['restarts'] - restarts, tries,
                 f'crash {crash} the answer to {method}: {tries} handler(s) died of it')
            warm(s)
        took, answer = timed(lambda: attempt(s, 'POST', '/e', b'x', {'x-request-id': 'q1'}))
        t.eq(answer[0], 200, 'after the crashes a request is served')
        aftermath(t, s, base, 'crashes', '/e', idle=True)
        finish(t, s, 'crashes')


def warm(s):
    """Every replica answers once, so that its next death is not counted against the handler."""
    for _ in range(12):
        s.post('/e', b'x')


def deadlines():
    """H12: 504 at the deadline, the handler is killed, its late answer reaches nobody."""
    with Bare(httpd=['-j', '1', '--request-timeout', '500ms']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '2', '--grace', '100ms'])
        s.register('late', s.handler('echo-id'), options=['--grace', '3s'])
        base = baseline(s, '/e', '/late')
        before = set(s.replicas('e'))
        took, (status, end, body, _) = timed(lambda: attempt(s, 'POST', '/e', b'x', {'x-sleep-ms': '60000'}))
        t.eq((status, end), (504, 'whole'), 'a handler that sleeps for ever: 504')
        t.within(took, 0.45, 1.5, 'a handler that sleeps for ever: at the deadline')
        t.ok(until(lambda: sum(alive(p) for p in before) == 1, 2), 'a handler that sleeps for ever is killed')
        t.ok(until(lambda: len(set(s.replicas('e')) - before) == 1 and s.post('/e', b'x').status == 200, 3),
             'its successor serves')
        pid = s.replicas('late')[0]
        late = attempt(s, 'POST', '/late', b'x', {'x-sleep-ms': '800', 'x-request-id': 'late'})
        t.eq(late[0], 504, 'an answer that comes too late: 504')
        next_ = attempt(s, 'POST', '/late', b'y', {'x-request-id': 'next'})
        t.ok(next_[0] == 200 and b'"id":"next"' in next_[2], 'the late answer does not reach the next request')
        t.eq(s.replicas('late'), [pid], 'a handler that answers within its grace lives on')
        # As many at once as replicas, and few too late: five in a row would be a failed handler.
        report = load(s, '/e', '-c', 2, '-n', 50, '-s', 560, '-l', 5000)
        good = report['ended'] == report['sent'] and report['wrong'] == 0 and report['late'] == 0 and \
            set(report['status']) <= {200, 502, 503, 504}
        if not t.ok(good and report['longest_ms'] < 1600, 'many deadlines: every request ends in time, none with another id'):
            tell(report)
        t.eq(s.one('e')['pid'] > 0 and s.stats('e')['queued'], 0, 'many deadlines: nothing waits any more')
        aftermath(t, s, base, 'deadlines', '/e', '/late', idle=True)
        finish(t, s, 'deadlines')


def timeouts_under_load():
    """U7: short deadlines, kills and stops at random; nobody gets a body with another id."""
    with Bare(httpd=['-j', '2', '--request-timeout', '15ms']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '4', '--grace', '40ms'])
        baseline(s, '/e')
        client = Load(s, '/e', '-c', 16, '-n', 10000, '-t', 8, '-s', 20, '-l', 3000)
        turn = 0
        while client.process.poll() is None:
            pids = s.replicas('e')
            if pids:
                victim = pids[turn % len(pids)]
                send(victim, [signal.SIGKILL, signal.SIGSTOP][turn % 2])
                time.sleep(0.05)
                send(victim, signal.SIGCONT)
                turn += 1
            time.sleep(0.02)
        report = client.wait()
        good = report['ended'] == report['sent'] and report['wrong'] == 0 and report['malformed'] == 0 and \
            report['late'] == 0 and set(report['status']) <= {200, 502, 503, 504}
        if not t.ok(good, f"deadlines of 15 ms, {turn} kills and stops, {report['sent']} requests: no wrong answer"):
            tell(report)
        t.ok(report['status'].get(200, 0) > 0 and report['status'].get(504, 0) > 0, 'some are answered, some are late')
        t.ok(s.wait_ready('e'), 'all replicas are back')
        t.eq(s.stats('e')['in_flight'] + s.stats('e')['queued'], 0, 'no call is left in the worker')
        t.ok(until(lambda: attempt(s, 'POST', '/e')[0] == 200, 3), 'a normal request is served')
        finish(t, s, 'deadlines under load')


def crash_loop():
    """W8: a handler that crashes on each request costs little, and clients hear it quickly."""
    with Bare(httpd=['-j', '1']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '2'])
        pids = lambda: [p for p, line in s.pids().items()]
        client = Load(s, '/e', '-c', 20, '-t', 6, '-r', 100, '-H', 'X-Crash: before')
        time.sleep(3)
        share = cpu(pids(), 1.5)
        report = client.wait()
        tell(report)
        good = report['ended'] == report['sent'] and set(report['status']) <= {502, 503}
        t.ok(good, 'crash on each request: 502 or 503')
        t.ok(report['status'].get(502, 0) <= 30, 'crash on each request: no flood of 502')
        t.ok(share < 0.2, f'crash on each request: little work ({share:.3f} of a processor)')
        t.eq(s.one('e')['state'], 'failed', 'crash on each request: the handler has failed')
        report = load(s, '/e', '-c', 4, '-n', 100, '-r', 200)
        if not t.ok(clean(report, 503) and report['p99_ms'] < 100, 'a failed handler: 503 at once'):
            tell(report)
        _, _, _, headers = attempt(s, 'POST', '/e')
        t.ok(int(headers.get('Retry-After', '0')) > 1, 'a failed handler: Retry-After says when to come back')
        send(s.worker_pid('e'), signal.SIGHUP)
        t.ok(until(lambda: attempt(s, 'POST', '/e')[0] == 200, 5), 'HUP brings it back')
        finish(t, s, 'crash on each request')


def script(s, name, text, mode=0o755):
    path = os.path.join(s.dir, name)
    with open(path + '.new', 'w') as f:
        f.write(text)
    os.chmod(path + '.new', mode)
    os.rename(path + '.new', path)
    return path


def not_startable():
    """W7: each way not to start: one clear line, the exit code, and nothing stored."""
    with Bare(httpd=['-j', '1']) as s:
        s.register('e', s.handler('echo-id'))
        base = baseline(s, '/e')
        text = script(s, 'text', 'no program\n', 0o644)
        interpreter = script(s, 'interpreter', '#!/no/such/interpreter\n')
        for name, cmd, want in (('missing', ['./no-such-file'], 3), ('missing-in-path', ['no-such-program-here'], 3),
                                ('not-executable', [text], 7), ('interpreter', [interpreter], (1, 3)),
                                ('exit-0', ['sh', '-c', 'exit 0'], 1), ('exit-125', ['sh', '-c', 'exit 125'], 1),
                                ('says-why', ['sh', '-c', 'echo cannot open the database >&2; exit 1'], 1),
                                ('signal', ['sh', '-c', 'kill -9 $$'], 1),
                                ('name/slash', [s.handler('echo-id')], 2)):
            took, (code, out, err) = timed(lambda: s.register(name, *cmd, check=False, options=['--start-time', '2s']))
            lines = err.decode().strip().split('\n')
            wants = want if isinstance(want, tuple) else (want,)
            if not t.ok(code in wants and out == b'' and len(lines) == 1 and lines[0], f'{name}: one line, exit {want}'):
                print(f'# exit {code}: {lines}')
            t.ok(took < 5, f'{name}: told soon')
            if name == 'says-why':
                t.ok('cannot open the database' in lines[0], f'{name}: the handler\'s last words are told')
            t.eq([w['name'] for w in s.ls() if w['state'] != 'draining'], ['e'], f'{name}: not listed')
        stored = os.listdir(s.state + '/handlers')
        t.eq(stored, ['e.json'], 'nothing that did not start is stored')
        aftermath(t, s, base, 'not startable', '/e')
        finish(t, s, 'not startable')


WORKS = '''#!/bin/sh
exec {handler}
'''
BROKEN = '''#!/bin/sh
echo version 2 is broken >&2
exit 125
'''


def new_version():
    """W17, W7: a new version that does not start; the old one serves; the fixed file is picked up."""
    with Bare(httpd=['-j', '1']) as s:
        works = WORKS.format(handler=s.handler('echo-id'))
        path = script(s, 'handler', works)
        s.register('e', path, options=['-n', '2'])
        base = baseline(s, '/e')
        old = s.replicas('e')
        client = Load(s, '/e', '-c', 4, '-t', 600, '-r', 500)
        script(s, 'handler', BROKEN)
        send(s.worker_pid('e'), signal.SIGHUP)
        t.ok(until(lambda: 'version 2 is broken' in s.stats('e')['why'], 5), 'broken version: the worker says why')
        t.eq(sorted(s.replicas('e')), sorted(old), 'broken version: the old replicas serve on')
        script(s, 'handler', works)
        send(s.worker_pid('e'), signal.SIGHUP)
        t.ok(until(lambda: len(s.replicas('e')) == 2 and not set(s.replicas('e')) & set(old), 10),
             'good version: it takes over')
        report = client.stop()
        if not t.ok(clean(report, 200), 'restarts: no request fails'):
            tell(report)

        script(s, 'handler', BROKEN)
        for pid in s.replicas('e'):
            send(pid, signal.SIGKILL)
        t.ok(until(lambda: s.one('e')['state'] == 'failed', 10), 'broken file: failed after five deaths')
        status, _, _, headers = attempt(s, 'POST', '/e')
        t.eq(status, 503, 'broken file: 503')
        script(s, 'handler', works)
        took, good = timed(lambda: until(lambda: attempt(s, 'POST', '/e')[0] == 200, 5, 0.05))
        if not t.ok(good, 'fixed file: picked up at once'):
            send(s.worker_pid('e'), signal.SIGHUP)
            until(lambda: attempt(s, 'POST', '/e')[0] == 200, 5, 0.05)
        s.wait_ready('e')
        aftermath(t, s, base, 'new version', '/e')
        finish(t, s, 'new version')


run_cases(t, [liars, crashes, deadlines, timeouts_under_load, crash_loop, not_startable, new_version])
