#!/usr/bin/env python3
"""Large bodies up and down: every byte, and no process that keeps them.  256 MiB, 1 GiB with MGR_TEST_SCALE > 1."""
import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from faultkit import SCALE, Bare, Load, Tap, aftermath, alive, baseline, clean, finish, run_cases, send, tell, until

t = Tap()
SIZE = (256 if SCALE == 1 else 1024) << 20
MOVE_KIB = 16 * 1024
PART = 1 << 16


def memory_kib(pid):
    try:
        with open(f'/proc/{pid}/status') as f:
            fields = dict(line.split(':', 1) for line in f)
        return int(fields['VmRSS'].split()[0])
    except (OSError, KeyError):
        return 0


class Watch:
    """The largest resident size of each process while something goes on."""

    def __init__(self, s):
        self.names = {pid: line.split(' ')[0].rsplit('/', 1)[-1] for pid, line in s.pids().items()}
        self.before = {pid: memory_kib(pid) for pid in self.names}
        self.most = dict(self.before)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over.wait(0.02):
            for pid in self.names:
                self.most[pid] = max(self.most[pid], memory_kib(pid))

    def stop(self, what):
        self.over.set()
        self.thread.join()
        moved = {f'{self.names[p]} {p}': self.most[p] - self.before[p] for p in self.names}
        worst = max(moved.values())
        if not t.ok(worst <= MOVE_KIB, f'{what}: no process grows by more than 16 MiB (most {worst} KiB)'):
            print(f'# {moved}', flush=True)


def source(s, seed):
    return subprocess.Popen([s.handler('stream'), '--gen', str(SIZE), str(seed)], stdout=subprocess.PIPE)


def digest_of(s, seed):
    """sha256 of the bytes, and what the handler must count."""
    make = source(s, seed)
    sum_ = subprocess.Popen([s.handler('stream'), '--sum'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    sha = hashlib.sha256()
    while part := make.stdout.read(1 << 20):
        sha.update(part)
        sum_.stdin.write(part)
    sum_.stdin.close()
    return sha.hexdigest(), json.loads(sum_.stdout.read()), make.wait() + sum_.wait()


def parts(pipe):
    while part := pipe.read(PART):
        yield part


def connect(s, timeout=120):
    return http.client.HTTPConnection(s.host, s.port, timeout=timeout)


def up(s, seed, want, chunked):
    what = f"{SIZE >> 20} MiB up, {'chunked' if chunked else 'with a length'}"
    watch = Watch(s)
    make = source(s, seed)
    conn = connect(s)
    headers = {} if chunked else {'Content-Length': str(SIZE)}
    began = time.monotonic()
    conn.request('POST', '/bulk', parts(make.stdout), headers, encode_chunked=chunked)
    answer = conn.getresponse()
    body = answer.read()
    print(f'# {what}: {SIZE / (time.monotonic() - began) / 1e6:.0f} MB/s')
    make.wait()
    conn.close()
    t.eq((answer.status, json.loads(body) if answer.status == 200 else body), (200, want), f'{what}: every byte arrived')
    watch.stop(what)


def down(s, seed, digest, chunked):
    what = f"{SIZE >> 20} MiB down, {'chunked' if chunked else 'with a length'}"
    watch = Watch(s)
    conn = connect(s)
    began = time.monotonic()
    conn.request('GET', f"/bulk?n={SIZE}&seed={seed}{'&chunked=1' if chunked else ''}")
    answer = conn.getresponse()
    sha = hashlib.sha256()
    while part := answer.read(1 << 20):
        sha.update(part)
    print(f'# {what}: {SIZE / (time.monotonic() - began) / 1e6:.0f} MB/s')
    conn.close()
    t.eq((answer.status, sha.hexdigest()), (200, digest), f'{what}: every byte arrived')
    t.eq(answer.headers.get('Content-Length'), None if chunked else str(SIZE), f'{what}: Content-Length')
    watch.stop(what)


ROUTES = ['--route', 'POST /bulk', '--route', 'GET /bulk', '--route', 'POST /bulk/echo']


def large():
    """H18 without files, P8."""
    with Bare(httpd=['-j', '1']) as s:
        s.register('bulk', s.handler('stream'), options=['-n', '2'] + ROUTES)
        s.register('e', s.handler('echo-id'))
        base = baseline(s, '/bulk', '/e')
        digest, want, code = digest_of(s, 7)
        t.eq((code, want['len']), (0, SIZE), 'the bytes')
        other = Load(s, '/e', '-c', 2, '-t', 600, '-r', 200, '-l', 5000)
        up(s, 7, want, False)
        up(s, 7, want, True)
        down(s, 7, digest, False)
        down(s, 7, digest, True)
        report = other.stop()
        if not t.ok(clean(report, 200), 'large bodies: the others are served meanwhile'):
            tell(report)
        aftermath(t, s, base, 'large bodies', '/bulk', '/e', idle=True)
        finish(t, s, 'large bodies')


def slow_reader():
    """H8 in small: a client that does not read holds up nobody and is cut; nothing piles up."""
    with Bare(httpd=['-j', '1', '--write-timeout', '700ms']) as s:
        s.register('bulk', s.handler('stream'), options=['-n', '2', '--grace', '200ms'] + ROUTES)
        base = baseline(s, '/bulk')
        watch = Watch(s)
        sleeper = socket.create_connection((s.host, s.port), timeout=5)
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.sendall(b'GET /bulk?n=20000000 HTTP/1.1\r\nHost: x\r\n\r\n')
        t.ok(until(lambda: s.stats('bulk')['in_flight'] == 1, 2), 'a client that does not read: the handler is at work')
        t.eq(s.post('/bulk', b'abc').json()['len'], 3, 'a client that does not read: the other replica serves')
        t.ok(until(lambda: s.stats('bulk')['in_flight'] == 0, 4), 'a client that does not read: cut at the deadline')
        sleeper.close()
        watch.stop('a client that does not read')
        s.wait_ready('bulk')
        aftermath(t, s, base, 'a client that does not read', '/bulk', idle=True)
        finish(t, s, 'a client that does not read')


def cut_short():
    """H16 without files, W1: each side dies in the middle of a body."""
    with Bare(httpd=['-j', '1']) as s:
        s.register('bulk', s.handler('stream'), options=['-n', '1', '--grace', '200ms'] + ROUTES)
        base = baseline(s, '/bulk')
        half = socket.create_connection((s.host, s.port), timeout=5)
        half.sendall(b'POST /bulk HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n' + b'x' * 1000000)
        t.ok(until(lambda: s.stats('bulk')['in_flight'] == 1, 2), 'half an upload: the handler is at work')
        half.close()
        t.ok(until(lambda: s.stats('bulk')['in_flight'] == 0 and s.post('/bulk', b'abc').status == 200, 5),
             'half an upload: the handler is free again')

        for victim in ('handler', 'worker'):
            conn = connect(s, 5)
            conn.request('GET', f'/bulk?n={SIZE}')
            answer = conn.getresponse()
            answer.read(1 << 20)
            pid = s.replicas('bulk')[0] if victim == 'handler' else s.worker_pid('bulk')
            send(pid, 9)
            began = time.monotonic()
            try:
                n = sum(len(p) for p in iter(lambda: answer.read(1 << 20), b''))
                cut = n < SIZE - (1 << 20)
            except (http.client.HTTPException, OSError):
                cut = True
            conn.close()
            t.ok(cut, f'{victim} killed during an answer: the client sees that it is not whole')
            t.within(time.monotonic() - began, 0, 1, f'{victim} killed during an answer: soon')
            t.ok(until(lambda: s.is_ready('bulk') and s.post('/bulk', b'abc').status == 200, 5),
                 f'{victim} killed during an answer: served again')

            conn = connect(s, 5)
            conn.putrequest('POST', '/bulk')
            conn.putheader('Content-Length', str(SIZE))
            conn.endheaders()
            conn.send(b'x' * 500000)
            until(lambda: s.stats('bulk')['in_flight'] == 1, 3)
            pid = s.replicas('bulk')[0] if victim == 'handler' else s.worker_pid('bulk')
            send(pid, 9)
            began = time.monotonic()
            try:
                answer = conn.getresponse()
                status, closes = answer.status, answer.headers.get('Connection') == 'close'
            except (http.client.HTTPException, OSError):
                status, closes = None, True
            t.ok(status in (502, None), f'{victim} killed during an upload: 502')
            t.within(time.monotonic() - began, 0, 0.3, f'{victim} killed during an upload: within 200 ms')
            t.ok(closes, f'{victim} killed during an upload: the rest of the body is no request')
            conn.close()
            t.ok(until(lambda: s.is_ready('bulk') and s.post('/bulk', b'abc').status == 200, 5),
                 f'{victim} killed during an upload: served again')
        aftermath(t, s, base, 'cut short', '/bulk', idle=True)
        finish(t, s, 'cut short')


run_cases(t, [large, slow_reader, cut_short])
