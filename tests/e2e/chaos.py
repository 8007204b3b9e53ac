#!/usr/bin/env python3
"""Requests through 4 replicas while a replica is killed every 100 ms and the worker every 5 s.

20000 requests, 100000 with MGR_TEST_SCALE > 1: every request ends, every 200 carries its own id,
and no descriptor, slot, process or memory is left over.  MGR_TEST_SEED replays the choices.
"""
import json
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from faultkit import SCALE, Bare, Load, Tap, aftermath, baseline, clean, finish, load, send, tell, until
import mgrctl

REQUESTS, RATE = (20000, 1700) if SCALE == 1 else (100000, 3000)
SEED = int(os.environ.get('MGR_TEST_SEED', str(int(time.time()) % 100000)))
REPLICA_S, WORKER_S = 0.1, 5.0


def replicas(s, pid):
    """Without a look at all of /proc, which would take longer than the beat."""
    try:
        with mgrctl.Conn(f'{s.runtime}/worker-{pid}.sock', 2) as conn:
            return [r['pid'] for r in json.loads(conn.ask('status')[1])['replicas']]
    except (OSError, mgrctl.Gone, mgrctl.Refused):
        return []


def torment(s, running, choose):
    """Kills by the clock until the load is through: (replicas, workers) killed."""
    killed = [0, 0]
    next_replica = next_worker = time.monotonic()
    next_worker += WORKER_S
    pid = s.worker_pid('e')
    while running():
        now = time.monotonic()
        if now >= next_worker:
            next_worker += WORKER_S
            if pid:
                send(pid, signal.SIGKILL)
                killed[1] += 1
                pid = 0
        if now >= next_replica:
            next_replica += REPLICA_S
            pid = pid or s.worker_pid('e')
            pids = replicas(s, pid) if pid else []
            if pids:
                send(choose.choice(pids), signal.SIGKILL)
                killed[0] += 1
        time.sleep(max(0.0, min(next_replica, next_worker) - time.monotonic()))
    return killed


def rss_kib(pid, field='VmRSS'):
    try:
        with open(f'/proc/{pid}/status') as f:
            return int(next(line for line in f if line.startswith(field + ':')).split()[1])
    except (OSError, StopIteration):
        return 0


def main():
    t = Tap()
    print(f'# seed {SEED}')
    with Bare(httpd=['-j', '2']) as s:
        s.register('e', s.handler('echo-id'), options=['-n', '4', '--route', 'POST /e', '--route', 'PUT /e'])
        loads = [('POST', ['-c', 24]), ('PUT', ['-c', 24, '-m', 'PUT'])]
        load(s, '/e', '-c', 600, '-n', 3000)
        base = baseline(s, '/e')
        names = {p: name for name in ('mgr-hub', 'mgr-httpd') for p in s.programs(name)}
        steady = {p: rss_kib(p) for p in names}
        clients = [(method, Load(s, '/e', *words, '-n', REQUESTS // 2, '-r', RATE // 2, '-l', 20000, '-b', 2000))
                   for method, words in loads]
        killed = torment(s, lambda: any(c.process.poll() is None for _, c in clients), random.Random(SEED))
        print(f'# killed {killed[0]} replicas and {killed[1]} workers')
        for method, client in clients:
            report = client.wait()
            tell(report)
            t.eq(report['ended'], REQUESTS // 2, f'{method}: every request ends')
            t.eq(report['wrong'], 0, f'{method}: every answer carries its own id, length and checksum')
            t.ok(clean(report, 200, 502, 503), f'{method}: whole answers, of 200, 502 and 503')
            good = report['status'].get(200, 0)
            t.ok(good > 0.9 * report['sent'], f"{method}: most are answered ({good} of {report['sent']})")
            t.ok(report['longest_ms'] < 5000, f"{method}: nobody waits long ({report['longest_ms']:.0f} ms)")
        t.ok(killed[0] > 50 and killed[1] >= 1, 'replicas and workers were killed')
        t.ok(s.wait_ready('e'), 'all replicas are back')
        # More requests at once than a lane has slots: had one been lost, they would show it.
        report = load(s, '/e', '-c', 600, '-n', 3000)
        if not t.ok(clean(report, 200), 'every slot is free again'):
            tell(report)
        counts = s.stats('e')
        t.eq([counts['in_flight'], counts['queued']], [0, 0], 'no call is left in the worker')
        aftermath(t, s, base, 'chaos', '/e', idle=True)
        for pid, before in steady.items():
            t.within(rss_kib(pid) - before, -100000, 6 * 1024, f'{names[pid]}: memory as before')
        finish(t, s, 'chaos')
    t.done()


main()
