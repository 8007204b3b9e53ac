#!/usr/bin/env python3
"""Workers that stand still, are asked too much, are told to stop, or are killed with all that they started."""
import concurrent.futures
import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from faultkit import Bare, Load, Tap, aftermath, alive, attempt, baseline, clean, finish, load, run_cases, send, tell, \
    timed, until

t = Tap()
PING = ['--ping-interval', '200ms', '--ping-limit', '200ms', '--ping-misses', '3']


def stopped():
    """U6, W15, P6: a worker that stands still leaves the table, and comes back."""
    with Bare(hub=PING, httpd=['-j', '1', '--request-timeout', '800ms']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '2'])
        s.register('b', s.handler('echo-id'))
        time.sleep(0.3)
        base = baseline(s, '/e', '/b')
        pid, handlers = s.worker_pid('e'), s.replicas('e')
        client = Load(s, '/e', '-c', 8, '-n', 8, '-H', 'X-Sleep-Ms: 300')
        other = Load(s, '/b', '-c', 2, '-t', 600, '-r', 300)
        until(lambda: s.stats('e')['in_flight'] == 2, 3)
        send(pid, signal.SIGSTOP)
        began = time.monotonic()
        late = client.wait()
        gone = until(lambda: s.one('e')['state'] != 'ready', 5)
        took = time.monotonic() - began
        t.ok(gone, 'worker stopped: out of the routing table')
        t.within(took, 0, 0.2 * 3 + 0.2 + 1 + 0.3, 'worker stopped: within interval x misses + limit + 1 s')
        if not t.ok(clean(late, 200, 502, 503, 504) and late['longest_ms'] < 1900, 'worker stopped: what was in flight ends in time'):
            tell(late)
        took, (status, end, _, headers) = timed(lambda: attempt(s, 'POST', '/e'))
        t.eq((status, end), (503, 'whole'), 'worker stopped: 503 once it is out')
        t.within(took, 0, 0.2, 'worker stopped: 503 at once')
        t.ok('Retry-After' in headers, 'worker stopped: with Retry-After')
        send(pid, signal.SIGCONT)
        t.ok(s.wait_ready('e', 5), 'worker goes on: it is back')
        t.eq(s.worker_pid('e'), pid, 'worker goes on: the same process')
        t.eq(sorted(s.replicas('e')), sorted(handlers), 'worker goes on: its handlers are not harmed')
        report = load(s, '/e', '-c', 8, '-n', 2000)
        if not t.ok(clean(report, 200), 'worker goes on: every answer is its request\'s own'):
            tell(report)
        other = other.stop()
        if not t.ok(clean(other, 200), 'worker stopped: the other one serves on'):
            tell(other)
        aftermath(t, s, base, 'worker stopped', '/e', '/b')
        finish(t, s, 'worker stopped')


FAMILY = '''#!/bin/sh
sleep 1000 </dev/null >/dev/null 2>&1 &
(sleep 1000 </dev/null >/dev/null 2>&1 & wait) </dev/null >/dev/null 2>&1 &
exec {handler}
'''


def family():
    """W14: a killed worker takes its handlers and their children along."""
    with Bare(httpd=['-j', '1']) as s:
        path = os.path.join(s.dir, 'family')
        with open(path, 'w') as f:
            f.write(FAMILY.format(handler=s.handler('echo-id')))
        os.chmod(path, 0o755)
        s.register('e', path, options=['-n', '2'])
        base = baseline(s, '/e')
        until(lambda: sum('sleep 1000' in line for line in s.pids().values()) == 4, 3)
        pid = s.worker_pid('e')
        mine = [p for p, line in s.pids().items() if 'mgr-hub' not in line and 'mgr-httpd' not in line]
        t.ok(len(mine) >= 7, f'a worker, 2 handlers and their children ({len(mine)} processes)')
        send(pid, signal.SIGKILL)
        took, gone = timed(lambda: until(lambda: not any(alive(p) for p in mine), 3))
        t.ok(gone, 'worker killed: handlers and grandchildren are gone')
        t.within(took, 0, 2, 'worker killed: within 2 s')
        t.ok(s.wait_ready('e', 5), 'worker killed: started again')
        until(lambda: sum('sleep 1000' in line for line in s.pids().values()) == 4, 3)
        aftermath(t, s, base, 'worker killed', '/e')
        victim = s.replicas('e')[0]
        children = [p for p, line in s.pids().items() if 'sleep 1000' in line]
        send(victim, signal.SIGKILL)
        t.ok(until(lambda: sum(alive(p) for p in children) == 2, 2), 'handler killed: its children are gone too')
        until(lambda: len(s.replicas('e')) == 2 and sum('sleep 1000' in l for l in s.pids().values()) == 4, 3)
        aftermath(t, s, base, 'handler killed', '/e')
        finish(t, s, 'family')


def drain():
    """W18, P7: TERM during requests."""
    for ms, drain_s, want in ((700, '5s', {200}), (60000, '1s', {502, 503, 504})):
        with Bare(httpd=['-j', '1']) as s:
            worker = s.worker('e', '-n', '5', '--drain-time', drain_s, '--grace', '200ms', '--', s.handler('echo-id'))
            until(lambda: attempt(s, 'POST', '/e')[0] == 200, 5)
            client = Load(s, '/e', '-c', 5, '-n', 5, '-H', f'X-Sleep-Ms: {ms}')
            until(lambda: s.stats('e')['in_flight'] == 5, 3)
            worker.terminate()
            began = time.monotonic()
            what = f'TERM during requests of {ms} ms, drain {drain_s}'
            time.sleep(0.3)
            took, answer = timed(lambda: attempt(s, 'POST', '/e'))
            t.ok(answer[0] in (404, 503) and took < 0.1, f'{what}: no new work')
            report = client.wait()
            if not t.ok(clean(report, *want), f'{what}: they end with {sorted(want)}'):
                tell(report)
            t.eq(worker.wait(5), 0, f'{what}: exit 0')
            t.within(time.monotonic() - began, 0, 2.5, f'{what}: ends in time')
            s.spare.remove(worker)
            finish(t, s, what)


def slow_neighbour():
    """U10, P12: a slow handler fills its own queue and nobody else's time."""
    with Bare(httpd=['-j', '2', '--max-requests', '200']) as s:
        s.register('a', s.handler('echo-id'), options=['-n', '2', '--queue', '10'])
        s.register('b', s.handler('echo-id'), options=['-n', '2'])
        base = baseline(s, '/a', '/b')
        alone = load(s, '/b', '-c', 4, '-n', 1000, '-r', 500, '-s', 2)
        slow = Load(s, '/a', '-c', 40, '-t', 600, '-r', 200, '-H', 'X-Sleep-Ms: 1000')
        until(lambda: s.stats('a')['queued'] == 10, 3)
        beside = load(s, '/b', '-c', 4, '-n', 1000, '-r', 500, '-s', 2)
        slow = slow.stop()
        if not t.ok(clean(beside, 200), 'slow neighbour: the other serves all'):
            tell(beside)
        if not t.ok(beside['p99_ms'] < 2 * alone['p99_ms'] + 2,
                    f"slow neighbour: p99 {beside['p99_ms']} ms, alone {alone['p99_ms']} ms"):
            tell(beside)
        if not t.ok(clean(slow, 200, 503) and slow['status'].get(503, 0) > 10, 'slow neighbour: its queue is bounded'):
            tell(slow)
        t.ok(slow['longest_ms'] < 11000, 'slow neighbour: nobody waits for more than its queue')
        aftermath(t, s, base, 'slow neighbour', '/a', '/b')
        finish(t, s, 'slow neighbour')


def queue_full():
    """H9: what does not fit into the queue is refused at once."""
    with Bare(httpd=['-j', '1']) as s:
        s.register('e', s.handler('echo-id'), options=['--queue', '4', '--queue-time', '5s'])
        base = baseline(s, '/e')
        inside = Load(s, '/e', '-c', 5, '-n', 5, '-H', 'X-Sleep-Ms: 300')
        until(lambda: s.stats('e')['queued'] == 4 and s.stats('e')['in_flight'] == 1, 2)
        took, (status, end, body, headers) = timed(lambda: attempt(s, 'POST', '/e'))
        t.eq((status, end), (503, 'whole'), 'queue full: 503')
        t.within(took, 0, 0.1, 'queue full: at once')
        t.ok(int(headers.get('Retry-After', '0')) >= 1, 'queue full: Retry-After')
        report = inside.wait()
        if not t.ok(clean(report, 200), 'queue full: those inside are served'):
            tell(report)
        aftermath(t, s, base, 'queue full', '/e')
        finish(t, s, 'queue full')
    with Bare(httpd=['-j', '1']) as s:
        s.register('e', s.handler('echo-id'), options=['--queue-time', '200ms'])
        inside = Load(s, '/e', '-c', 1, '-n', 1, '-H', 'X-Sleep-Ms: 1000')
        until(lambda: s.stats('e')['in_flight'] == 1, 2)
        took, (status, _, _, headers) = timed(lambda: attempt(s, 'POST', '/e'))
        t.eq(status, 503, 'waited too long: 503')
        t.within(took, 0.15, 0.5, 'waited too long: after the queue\'s time')
        t.ok('Retry-After' in headers, 'waited too long: Retry-After')
        t.ok(clean(inside.wait(), 200), 'waited too long: the one inside is served')
        finish(t, s, 'queue time')
    with Bare(httpd=['-j', '2', '--max-requests', '10', '--max-waiting', '10']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '16'])
        base = baseline(s, '/e')
        report = load(s, '/e', '-c', 200, '-n', 200, '-H', 'X-Sleep-Ms: 300')
        if not t.ok(clean(report, 200, 503) and 10 <= report['status'].get(200, 0) <= 60,
                    'mgr-httpd full: 10 run, 10 wait, the others get 503'):
            tell(report)
        aftermath(t, s, base, 'mgr-httpd full', '/e')
        finish(t, s, 'mgr-httpd full')


CANCELLED = '''#!/usr/bin/env python3
import os, sys
I = sys.stdin.buffer; O = os.fdopen(os.dup(1), 'wb'); os.dup2(2, 1)
O.write(b'READY 0 16 0\\n{{"cancel":true}}\\n'); O.flush()
while h := I.readline():
    t, i, m, b = h.split(); meta = I.read(int(m)); body = I.read(int(b))
    with open({log!r}, 'a') as f:
        f.write(t.decode() + ' ' + body.decode() + ' ' + (meta.decode() if t == b'CANCEL' else '') + '\\n')
    if t == b'REQ' and not body.startswith(b'wait') or t == b'CANCEL':
        O.write(b'RES %d 0 2\\nok' % int(i)); O.flush()
'''


def leave(s, path, body, headers=b''):
    """A client that sends a request and will not wait for its answer."""
    c = socket.create_connection((s.host, s.port), timeout=5)
    c.sendall(b'POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s'
              % (path.encode(), headers, len(body), body))
    return c


def client_gone():
    """A client that leaves cancels its call: CANCEL when it runs, dropped when it waits."""
    with Bare(httpd=['-j', '1']) as s:
        log, path = s.dir + '/frames', s.dir + '/cancelled'
        with open(path, 'w') as f:
            f.write(CANCELLED.format(log=log))
        os.chmod(path, 0o755)
        s.register('c', path, options=['--grace', '5s'])
        base = baseline(s, '/c')
        pid = s.replicas('c')[0]
        first = leave(s, '/c', b'wait 1')
        until(lambda: s.stats('c')['in_flight'] == 1, 2)
        others = [leave(s, '/c', b'queued %d' % i) for i in range(3)]
        until(lambda: s.stats('c')['queued'] == 3, 2)
        for one in others:
            one.close()
        t.ok(until(lambda: s.stats('c')['queued'] == 0, 2), 'clients gone: their queued calls are dropped')
        first.close()
        read = lambda: open(log).read()
        t.ok(until(lambda: 'CANCEL' in read(), 2), 'client gone: the handler gets CANCEL')
        t.ok('"client"' in read(), 'client gone: CANCEL says why')
        t.ok(until(lambda: s.stats('c')['in_flight'] == 0, 2), 'client gone: the worker knows')
        t.eq(s.post('/c', b'after').body, b'ok', 'client gone: the next one is served')
        t.ok('queued' not in read(), 'client gone: the handler never saw the calls that were dropped')
        t.eq(s.replicas('c'), [pid], 'client gone: the handler lives on')
        aftermath(t, s, base, 'client gone', '/c', idle=True)
        finish(t, s, 'client gone')


def lane_bytes(pid):
    """All bytes that a process can read of the lanes it has, its partner's halves included."""
    found = []
    with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb') as mem:
        for line in maps:
            if 'memfd:mgr-lane' not in line:
                continue
            low, high = (int(x, 16) for x in line.split()[0].split('-'))
            mem.seek(low)
            found.append((line.split()[1], mem.read(high - low)))
    return found


def canaries():
    """S9: in the memory that a worker shares nothing is left of the requests before."""
    with Bare(httpd=['-j', '1']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '2', '--grace', '100ms'])
        baseline(s, '/e')
        secret = b'canary-5f0e9c'

        def ask(i):
            body = secret + b'%06d' % i + b'z' * (i * 997 % 60000)
            return s.post('/e', body, headers={'x-secret': (secret + b'%06d' % i).decode()}).status

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = set(pool.map(ask, range(1500)))
        t.eq(statuses, {200}, 'canaries: 1500 requests with secrets')
        pid = s.worker_pid('e')
        try:
            halves = lane_bytes(pid)
        except OSError as e:
            t.skip('canaries', f'the memory of another process cannot be read: {e.strerror}')
            halves = []
        t.ok(sum(rights.startswith('r-') for rights, _ in halves) >= 1, 'canaries: the caller\'s half is mapped read-only')
        t.ok(all(rights.endswith('s') for rights, _ in halves), 'canaries: as shared memory')
        t.eq([data.count(secret) for _, data in halves], [0] * len(halves), 'canaries: none is left')
        t.ok(all('x' not in rights for rights, _ in halves), 'canaries: not executable')
        inside = leave(s, '/e', b'x', b'X-Sleep-Ms: 800\r\nX-Secret: %s\r\n' % secret)
        until(lambda: s.stats('e')['in_flight'] == 1, 2)
        if halves:
            t.ok(sum(data.count(secret) for _, data in lane_bytes(pid)) >= 1, 'canaries: a request that is there is seen')
        inside.close()
        finish(t, s, 'canaries')


run_cases(t, [stopped, family, drain, slow_neighbour, queue_full, client_gone, canaries])
