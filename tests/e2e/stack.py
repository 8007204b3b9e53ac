"""A whole stack for end-to-end tests: its own folders, its own port, nothing left behind.

    from stack import Stack, Tap
    t = Tap()
    with Stack() as s:
        s.ctl('register', 'hello', '--', s.handler('hello.py'))
        t.eq(s.post('/hello', b'world').body, b'Hello, world!', 'a call')
    t.done()
"""
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get('MGR_BUILD', os.path.join(HERE, '..', '..', 'build'))
SCRIPTS = os.environ.get('MGR_HANDLERS', os.path.join(HERE, '..', 'handlers'))
BINARIES = os.environ.get('MGR_HANDLERS_BIN', os.path.join(BUILD, 'tests', 'handlers'))
SCALE = int(os.environ.get('MGR_TEST_SCALE', '1'))


class Tap:
    def __init__(self):
        self.n = 0
        self.bad = 0

    def ok(self, good, what):
        self.n += 1
        print(f"{'ok' if good else 'not ok'} {self.n} - {what}", flush=True)
        if not good:
            self.bad += 1
        return bool(good)

    def eq(self, got, want, what):
        if not self.ok(got == want, what):
            print(f'#  got: {got!r:.400}\n# want: {want!r:.400}', flush=True)
            return False
        return True

    def within(self, got, low, high, what):
        if not self.ok(low <= got <= high, what):
            print(f'#  got: {got}, want {low}..{high}', flush=True)

    def skip(self, what, why):
        self.n += 1
        print(f'ok {self.n} - {what} # SKIP {why}', flush=True)

    def done(self):
        print(f'1..{self.n}', flush=True)
        sys.exit(1 if self.bad else 0)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f'<{self.status} {self.body[:120]!r}>'


def until(check, timeout=10.0, step=0.01):
    """Waits for a condition that no event tells us of; gives its last value."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


def alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


class Stack:
    """mgr-ctl up with options of its own; env and args are added to those of the stack."""

    def __init__(self, *args, env=None, start=True):
        self.dir = tempfile.mkdtemp(prefix='mgr-e2e-', dir='/tmp')
        self.runtime, self.state = self.dir + '/run', self.dir + '/state'
        self.env = dict(os.environ, MGR_RUNTIME_DIR=self.runtime, MGR_STATE_DIR=self.state,
                        MGR_NO_BELT='1', PATH=BUILD + ':' + os.environ['PATH'], **(env or {}))
        self.args = list(args)
        self.log_path = self.dir + '/log'
        self.up = None
        self.url = self.host = None
        self.port = 0
        if start:
            self.start()

    def start(self):
        args = self.args
        if '-l' not in args:
            args = ['-l', '127.0.0.1:%d' % self.port] + args
        log = open(self.log_path, 'ab')
        self.up = subprocess.Popen(['mgr-ctl', 'up'] + args, env=self.env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=log, cwd=self.dir)
        log.close()
        if '--no-http' in args:
            return
        ready, _, _ = select.select([self.up.stdout], [], [], 20)
        line = self.up.stdout.readline().decode().strip() if ready else ''
        if not line.startswith('http://'):
            raise RuntimeError('the stack did not start:\n' + self.log())
        self.url = line
        self.host, port = line[7:].rsplit(':', 1)
        self.port = int(port)

    def log(self):
        if not os.path.exists(self.log_path):
            return ''
        with open(self.log_path, errors='backslashreplace') as f:
            return f.read()

    def handler(self, name):
        path = os.path.join(SCRIPTS, name)
        return path if os.path.exists(path) and not name.endswith('.c') else os.path.join(BINARIES, name)

    def ctl(self, *args, stdin=b'', check=True, timeout=60):
        """Runs mgr-ctl: (exit code, stdout, stderr)."""
        p = subprocess.run(['mgr-ctl'] + list(args), env=self.env, input=stdin, timeout=timeout,
                           capture_output=True, cwd=self.dir)
        if check and p.returncode != 0:
            raise RuntimeError(f'mgr-ctl {args}: {p.returncode}\n{p.stderr.decode()}\n{self.log()[-3000:]}')
        return p.returncode, p.stdout, p.stderr

    def ctl_json(self, *args):
        return json.loads(self.ctl(*args, '--json')[1])

    def request(self, method, path, body=None, headers=None, timeout=30):
        c = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return Answer(r.status, r.headers, r.read())
        finally:
            c.close()

    def get(self, path, **kw):
        return self.request('GET', path, **kw)

    def post(self, path, body=b'', **kw):
        return self.request('POST', path, body, **kw)

    def raw(self):
        s = socket.create_connection((self.host, self.port), timeout=10)
        return s

    def pids(self):
        """Every process of this stack but mgr-ctl itself: {pid: command line}."""
        found = {}
        mark = f'MGR_RUNTIME_DIR={self.runtime}'.encode()
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/environ', 'rb') as f:
                    if mark not in f.read().split(b'\0'):
                        continue
                with open(f'/proc/{pid}/cmdline', 'rb') as f:
                    line = f.read().replace(b'\0', b' ').decode(errors='replace').strip()
            except OSError:
                continue
            if alive(int(pid)):
                found[int(pid)] = line
        return found

    def programs(self, name):
        """The pids that run a program of the toolkit."""
        return sorted(p for p, line in self.pids().items() if os.path.basename(line.split(' ')[0]) == name)

    def stop(self, how=signal.SIGTERM, timeout=40):
        """Stops the stack: the exit code of `up`."""
        if self.up is None:
            return None
        if self.up.poll() is None:
            self.up.send_signal(how)
        try:
            code = self.up.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        self.up.stdout.close()
        self.up = None
        return code

    def left(self):
        """What a stopped stack left behind: processes and runtime files."""
        until(lambda: not self.pids(), 5)
        files = os.listdir(self.runtime) if os.path.isdir(self.runtime) else []
        return [f'{p}: {line}' for p, line in self.pids().items()] + sorted(files)

    def close(self):
        self.stop()
        for pid in list(self.pids()):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and os.path.exists(self.log_path):
            print('# log of the stack:\n' + ''.join('# ' + l for l in self.log().splitlines(True)[-60:]))
        self.close()
