#!/usr/bin/env python3
"""SIGKILL of each program under load: what clients see, how soon, and that everything comes back."""
import itertools
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from faultkit import SCALE, Bare, Load, Stack, Tap, aftermath, alive, baseline, clean, finish, load, run_cases, send, \
    tell, until

t = Tap()
ROUTES = ['--route', 'POST /e', '--route', 'PUT /e']


def handler_killed():
    """W1, U5 for one handler: retry once if idempotent, else 502; nobody else notices."""
    with Bare(httpd=['-j', '2']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '3'] + ROUTES)
        base = baseline(s, '/e')
        put = Load(s, '/e', '-c', 8, '-t', 3, '-m', 'PUT')
        post = Load(s, '/e', '-c', 8, '-t', 3)
        kills = 0
        while put.process.poll() is None and kills < 25:
            pids = s.replicas('e')
            if pids:
                send(pids[kills % len(pids)], signal.SIGKILL)
                kills += 1
            time.sleep(0.08)
        put, post = put.wait(), post.wait()
        if not t.ok(clean(put, 200), f'handler killed {kills} times: no idempotent request fails'):
            tell(put)
        if not t.ok(clean(post, 200, 502) and post['status'].get(502, 0) <= 2 * kills,
                    f'handler killed {kills} times: of the others only those in a handler get 502'):
            tell(post)
        t.ok(put['longest_ms'] < 1000 and post['longest_ms'] < 1000, 'handler killed: nobody waits long')
        aftermath(t, s, base, 'handler killed', '/e', idle=True)
        finish(t, s, 'handler killed')


def worker_killed_in_flight():
    """U5: 100 requests in flight on A get 502 within 200 ms of its death; B does not notice."""
    with Bare(httpd=['-j', '2']) as s:
        for name in 'ab':
            s.register(name, s.handler('echo-id'), options=['-n', '2'])
        base = baseline(s, '/a', '/b')
        other = Load(s, '/b', '-c', 4, '-t', 2)
        stuck = Load(s, '/a', '-c', 100, '-n', 100, '-H', 'X-Sleep-Ms: 20000')
        until(lambda: sum(s.stats('a')[k] for k in ('in_flight', 'queued')) == 100, 5)
        pid = s.worker_pid('a')
        handlers = s.replicas('a')
        send(pid, signal.SIGKILL)
        began = time.monotonic()
        report = stuck.wait()
        took = time.monotonic() - began
        if not t.ok(clean(report, 502), 'worker killed: all 100 requests in flight get 502'):
            tell(report)
        t.within(took, 0, 0.3, 'worker killed: they get it within 200 ms')
        gone = until(lambda: not any(alive(p) for p in handlers), 2)
        t.ok(gone, 'worker killed: its handlers are gone within 2 s')
        other = other.wait()
        if not t.ok(clean(other, 200), 'worker killed: the other handler serves on'):
            tell(other)
        back = s.wait_ready('a', 5)
        t.ok(back and back['pid'] != pid, 'worker killed: the hub starts it again')
        aftermath(t, s, base, 'worker killed', '/a', '/b')
        finish(t, s, 'worker killed')


def worker_killed_twice_served():
    """Two workers serve one route: the death of one fails no idempotent request."""
    with Bare(httpd=['-j', '2']) as s:
        words = ['-n', '2'] + ROUTES + ['--', s.handler('echo-id')]
        s.worker('e', *words)
        s.worker('e', *words)
        until(lambda: [w['replicas']['ready'] for w in s.ls()] == [2, 2], 5)
        baseline(s, '/e')
        put = Load(s, '/e', '-c', 16, '-t', 3, '-m', 'PUT')
        for i in range(5):
            time.sleep(0.3)
            s.spare[0].kill()
            s.spare.pop(0).wait()
            s.worker('e', *words)
            until(lambda: sum(w['replicas']['ready'] for w in s.ls()) == 4, 5)
        put = put.wait()
        if not t.ok(clean(put, 200), 'one of two workers killed, 5 times: no idempotent request fails'):
            tell(put)
        t.ok(put['longest_ms'] < 1000, 'one of two workers killed: nobody waits long')
        codes = s.stop()
        t.eq(set(codes.values()), {0}, 'one of two workers killed: the rest ends with 0')
        left = [f for f in s.left() if 'worker-' not in f]
        t.eq(left, [], 'one of two workers killed: nothing left but what the killed ones could not remove')


def hub_killed():
    """U9, H34: kill -9 of the hub fails no request; everybody finds the new one."""
    rounds = 20 if SCALE == 1 else 100
    with Bare(httpd=['-j', '2']) as s:
        for name in 'ab':
            s.register(name, s.handler('echo-id'), options=['-n', '2'])
        base = baseline(s, '/a', '/b')
        workers = [s.worker_pid('a'), s.worker_pid('b')]
        loads = [Load(s, '/' + name, '-c', 8, '-t', 600, '-r', 1500) for name in 'ab']
        back = []
        for _ in range(rounds):
            s.kill('hub')
            s.launch('hub')
            began = time.monotonic()
            until(lambda: s.is_ready('a') and s.is_ready('b'), 10)
            back.append(time.monotonic() - began)
            time.sleep(0.05)
        for one in loads:
            report = one.stop()
            if not t.ok(clean(report, 200), f'hub killed {rounds} times: no request fails'):
                tell(report)
            if not t.ok(report['sent'] > rounds * 10, 'hub killed: there was load'):
                tell(report)
        t.within(max(back), 0, 4, f'hub killed: workers are back soon (longest {max(back):.2f} s)')
        t.eq([s.worker_pid('a'), s.worker_pid('b')], workers, 'hub killed: the workers outlived it')
        s.register('c', s.handler('echo-id'))
        # A mgr-httpd that has not found the new hub yet is not waited for.
        known = until(lambda: [s.post('/c', b'new').status for _ in range(8)] == [200] * 8, 5, 0.05)
        t.ok(known, 'hub killed: mgr-httpd knows what was registered with the new one')
        s.ctl('unregister', 'c')
        aftermath(t, s, base, 'hub killed', '/a', '/b', idle=True)
        finish(t, s, 'hub killed')


def hub_stopped():
    """H34: a hub that stands still, and one that comes late."""
    with Bare(httpd=['-j', '1'], order=['httpd']) as s:
        t.eq(s.post('/e', b'x').status, 404, 'hub late: 404 until the first table')
        s.launch('hub')
        s.register('e', s.handler('echo-id'))
        t.ok(until(lambda: s.post('/e', b'x').status == 200, 5, 0.05), 'hub late: served without a restart of mgr-httpd')
        send(s.process['hub'].pid, signal.SIGSTOP)
        report = load(s, '/e', '-c', 8, '-n', 2000)
        send(s.process['hub'].pid, signal.SIGCONT)
        if not t.ok(clean(report, 200), 'hub stopped: no request fails'):
            tell(report)
        t.ok(s.wait_ready('e'), 'hub stopped: goes on afterwards')
        finish(t, s, 'hub stopped')


def httpd_killed():
    """A child of mgr-httpd, then the boss."""
    with Bare(httpd=['-j', '2']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '2'])
        base = baseline(s, '/e')
        client = Load(s, '/e', '-c', 16, '-t', 600, '-r', 2000)
        time.sleep(0.2)
        for _ in range(3):
            children = s.httpd_children()
            send(children[0], signal.SIGKILL)
            until(lambda: len(s.httpd_children()) == 2 and children[0] not in s.httpd_children(), 5)
        time.sleep(0.2)
        report = client.stop()
        good = report['ended'] == report['sent'] and set(report['status']) == {200} and report['late'] == 0 and \
            report['wrong'] == 0 and report['malformed'] == 0
        if not t.ok(good and report['reset'] + report['aborted'] <= 48,
                    'child of mgr-httpd killed: only its own connections end'):
            tell(report)
        t.eq(report['refused'], 0, 'child of mgr-httpd killed: no connection is refused')
        t.ok(until(lambda: s.stats('e')['lanes'] == 2, 5), 'child of mgr-httpd killed: its lane is gone')
        aftermath(t, s, base, 'child of mgr-httpd killed', '/e')

        sleeper = Load(s, '/e', '-c', 4, '-n', 4, '-H', 'X-Sleep-Ms: 500')
        until(lambda: s.stats('e')['in_flight'] == 2, 3)
        children = s.httpd_children()
        s.kill('httpd')
        report = sleeper.stop()
        t.ok(report['ended'] == report['sent'] and report['reset'] + report['aborted'] + sum(report['status'].values())
             == report['sent'], 'boss killed: every request ends')
        t.ok(until(lambda: not any(alive(p) for p in children), 2), 'boss killed: its children go with it')
        s.launch('httpd')
        aftermath(t, s, base, 'boss killed', '/e', idle=True)
        finish(t, s, 'boss killed')


def up_restarts():
    """With mgr-ctl up nobody has to do anything."""
    with Stack('-j', '2', '--access-log', 'off') as s:
        s.ctl('register', 'e', '-n', '2', '--', s.handler('echo-id'))
        for name in ('mgr-hub', 'mgr-httpd'):
            before = s.programs(name)
            boss = min(before)
            send(boss, signal.SIGKILL)
            again = until(lambda: s.programs(name) and not set(before) & set(s.programs(name)), 10)
            t.ok(again, f'up: {name} is started again')
            good = until(lambda: works(s, '/e'), 10, 0.05)
            t.ok(good, f'up: requests are served after the death of {name}')
        ls = until(lambda: [w for w in listing(s) if w['name'] == 'e' and w['state'] == 'ready'], 10)
        t.ok(ls and ls[0]['replicas'] == {'want': 2, 'ready': 2}, 'up: the new hub knows the old worker')
        up = s.up
        send(up.pid, signal.SIGKILL)
        up.wait()
        t.ok(until(lambda: not s.pids(), 10), 'up killed: what it started stops')
        t.eq([f for f in s.left() if not f.startswith('up.')], [], 'up killed: nothing is left but its own files')


def works(s, path):
    try:
        return s.post(path, b'x').status == 200
    except OSError:
        return False


def listing(s):
    code, out, _ = s.ctl('ls', '--json', check=False)
    return json.loads(out) if code == 0 else []


def orders():
    """G4: SIGTERM to all, in all orders, under load."""
    for order in itertools.permutations(['hub', 'worker', 'httpd']):
        what = 'TERM to ' + ', '.join(order)
        with Bare(httpd=['-j', '2', '--drain', '5s']) as s:
            worker = s.worker('e', '-n', '2', '--', s.handler('echo-id'))
            until(lambda: works(s, '/e'), 10, 0.02)
            client = Load(s, '/e', '-c', 8, '-t', 600)
            time.sleep(0.1)
            process = dict(s.process, worker=worker)
            for name in order:
                process[name].terminate()
                time.sleep(0.02)
            codes = {}
            for name in order:
                try:
                    codes[name] = process[name].wait(8)
                except subprocess.TimeoutExpired:
                    codes[name] = None
            report = client.stop()
            t.eq(codes, {'hub': 0, 'worker': 0, 'httpd': 0}, f'{what}: all end with 0')
            good = report['ended'] == report['sent'] and not report['wrong'] + report['malformed'] + report['late'] \
                and set(report['status']) <= {200, 502, 503, 404}
            if not t.ok(good, f'{what}: every request ends well'):
                tell(report)
            t.eq(s.left(), [], f'{what}: nothing left')


run_cases(t, [handler_killed, worker_killed_in_flight, worker_killed_twice_served, hub_killed, hub_stopped, httpd_killed,
              up_restarts, orders])
