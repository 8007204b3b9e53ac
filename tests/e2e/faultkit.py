"""What the fault tests share: a stack whose every program is ours to kill, load, and what must be true afterwards.

    from faultkit import Bare, Load, Tap, aftermath, baseline
    with Bare(hub=['--ping-interval', '200ms'], httpd=['-j', '1']) as s:
        s.register('e', s.handler('echo-id'))
        base = baseline(s)
        ...
        aftermath(t, s, base, 'after the kill')
"""
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import mgrctl
from stack import BUILD, SCALE, Stack, Tap, alive, until

CLIENT = os.path.join(BUILD, 'tests', 'e2e', 'client')
COUNTERS = ('wrong', 'malformed', 'reset', 'aborted', 'late', 'refused')


class Bare(Stack):
    """mgr-hub and mgr-httpd without mgr-ctl up: options for both, and nobody who restarts them."""

    def __init__(self, hub=(), httpd=(), env=None, start=True, order=('hub', 'httpd')):
        # The hub's own lane to a worker would come and go with its pings.
        self.options = {'hub': list(hub) or ['--ping-interval', '1h'],
                        'httpd': ['--access-log', 'off'] + list(httpd)}
        self.process = {}
        self.spare = []
        self.order = order
        super().__init__(env=env, start=False)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.dir + '/notify')
        self.notify.settimeout(15)
        if start:
            self.start()

    def start(self):
        os.makedirs(self.runtime, 0o700, exist_ok=True)
        for name in self.order:
            self.launch(name)

    def spawn(self, words, notify=False):
        env = dict(self.env, NOTIFY_SOCKET=self.dir + '/notify') if notify else self.env
        with open(self.log_path, 'ab') as log:
            return subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir)

    def launch(self, name, wait=True):
        """Starts mgr-hub or mgr-httpd (again); waits for its READY."""
        options = list(self.options[name])
        if name == 'httpd':
            options += ['-l', '127.0.0.1:%d' % self.port]
        self.process[name] = self.spawn([os.path.join(BUILD, 'mgr-' + name)] + options, notify=True)
        while wait:
            try:
                word = self.notify.recv(4096).decode()
            except socket.timeout:
                raise RuntimeError(f'mgr-{name} did not start:\n' + self.log()) from None
            if word.startswith('READY=1') and (name == 'hub') == ('X_LISTEN' not in word):
                break
        if name == 'httpd' and wait:
            self.url = word.split('X_LISTEN=')[1].split('\n')[0]
            self.host, port = self.url[7:].rsplit(':', 1)
            self.port = int(port)

    def worker(self, name, *words):
        """A worker started by hand: its process."""
        process = self.spawn([os.path.join(BUILD, 'mgr-worker'), '--name', name] + list(words))
        self.spare.append(process)
        return process

    def kill(self, name):
        self.process[name].kill()
        self.process[name].wait()

    def stop(self, how=signal.SIGTERM, timeout=40):
        """Stops httpd, the workers that we started, then the hub: their exit codes."""
        codes = {}
        for name, process in [('httpd', self.process.get('httpd'))] + \
                             [(f'worker {p.pid}', p) for p in self.spare] + [('hub', self.process.get('hub'))]:
            if process is None:
                continue
            if process.poll() is None:
                process.send_signal(how)
            try:
                codes[name] = process.wait(timeout)
            except subprocess.TimeoutExpired:
                codes[name] = None
                process.kill()
                process.wait()
        self.process, self.spare = {}, []
        return codes

    def close(self):
        for pid in self.pids():
            send(pid, signal.SIGCONT)
        super().close()
        self.notify.close()
        for pid in list(self.pids()):
            send(pid, signal.SIGKILL)

    # what runs, as the control sockets and /proc tell it

    def register(self, name, *cmd, options=(), check=True):
        return self.ctl('register', name, *options, '--', *cmd, check=check)

    def hub_ask(self, verb, members=None, timeout=10):
        with mgrctl.Conn(self.runtime + '/hub.sock', timeout) as conn:
            return conn.ask(verb, members)

    def ls(self):
        return json.loads(self.hub_ask('ls')[1])

    def one(self, name):
        found = [w for w in self.ls() if w['name'] == name and w['state'] != 'draining']
        return found[0] if len(found) == 1 else None

    def is_ready(self, name):
        try:
            w = self.one(name)
        except (OSError, mgrctl.Gone):
            return None
        return w if w and w['state'] == 'ready' and w['replicas']['ready'] == w['replicas']['want'] else None

    def wait_ready(self, name, timeout=10):
        return until(lambda: self.is_ready(name), timeout)

    def worker_pid(self, name):
        found = [p for p, line in self.pids().items()
                 if os.path.basename(line.split(' ')[0]) == 'mgr-worker' and f'--name {name} ' in line + ' ']
        return found[0] if found else 0

    def stats(self, name):
        """The worker's own counters."""
        with mgrctl.Conn(f'{self.runtime}/worker-{self.worker_pid(name)}.sock', 10) as conn:
            return json.loads(conn.ask('status')[1])

    def replicas(self, name):
        return [r['pid'] for r in self.stats(name)['replicas'] if r['state'] in ('ready', 'busy')]

    def httpd_children(self):
        boss = self.process['httpd'].pid if 'httpd' in self.process else 0
        return [p for p in self.programs('mgr-httpd') if p != boss]


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Load:
    """tests/e2e/client against a stack, in the background."""

    def __init__(self, s, path, *options):
        words = [CLIENT] + [str(o) for o in options] + [str(s.port), path]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def wait(self, timeout=120):
        """Waits for its end: the report."""
        out, _ = self.process.communicate(timeout=timeout)
        report = json.loads(out)
        report['status'] = {int(k): v for k, v in report['status'].items()}
        return report

    def stop(self):
        self.process.terminate()
        return self.wait()


def load(s, path, *options):
    return Load(s, path, *options).wait()


def clean(report, *statuses):
    """Every request ended, with one of these statuses, and no answer was another's."""
    return report['ended'] == report['sent'] and set(report['status']) <= set(statuses) and \
        all(report[c] == 0 for c in COUNTERS)


def tell(report):
    print('# ' + json.dumps(report), flush=True)


def fds(pid):
    """What a process has open, without what differs from run to run."""
    found = {}
    try:
        for fd in os.listdir(f'/proc/{pid}/fd'):
            try:
                kind = re.sub(r'\[.*|\d+(?=\.\w+$)', '', os.readlink(f'/proc/{pid}/fd/{fd}'))
            except OSError:
                continue
            found[kind] = found.get(kind, 0) + 1
    except OSError:
        pass
    return found


def role(line):
    words = line.split(' ')
    program = os.path.basename(words[0])
    if program == 'mgr-worker' and '--name' in words:
        return 'worker ' + words[words.index('--name') + 1]
    return program


def descriptors(s):
    """{role: [descriptors by kind]} of every program of the toolkit; handlers are counted only."""
    found, handlers = {}, 0
    for pid, line in s.pids().items():
        name = role(line)
        if name.startswith(('mgr-hub', 'mgr-httpd', 'worker ')):
            found.setdefault(name, []).append(sorted(fds(pid).items()))
        else:
            handlers += 1
    found = {name: sorted(list_) for name, list_ in found.items()}
    found['handlers'] = handlers
    return found


def warm(s, path, n=48, body=b'x'):
    """Requests on connections of their own, so that every child of mgr-httpd has its lane."""
    for _ in range(n):
        s.post(path, body)


def baseline(s, *paths):
    for path in paths:
        warm(s, path)
    last = descriptors(s)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        time.sleep(0.1)
        now = descriptors(s)
        if now == last:
            break
        last = now
    return last


def run_ns(pids):
    total = 0
    for pid in pids:
        try:
            with open(f'/proc/{pid}/schedstat') as f:
                total += int(f.read().split()[0])
        except (OSError, ValueError):
            pass
    return total


def cpu(pids, seconds):
    """The share of one processor that these processes use while we look."""
    before = run_ns(pids)
    time.sleep(seconds)
    return (run_ns(pids) - before) / 1e9 / seconds


def aftermath(t, s, base, what, *paths, idle=False):
    """A normal request succeeds, and no program has more open than before."""
    for path in paths:
        good = until(lambda: s.post(path, b'x').status == 200, 10, 0.02)
        t.ok(good, f'{what}: a normal request to {path}')
        warm(s, path)
    same = until(lambda: descriptors(s) == base, 5, 0.1)
    if not t.ok(same, f'{what}: processes and descriptors as before'):
        now = descriptors(s)
        for name in sorted(set(base) | set(now)):
            if base.get(name) != now.get(name):
                print(f'# {name}: before {base.get(name)}\n# {name}: now    {now.get(name)}', flush=True)
    if idle:
        share = cpu(list(s.pids()), 1)
        if not t.ok(share < 0.02, f'{what}: idle ({share:.3f} of a processor)'):
            print(f'# {s.pids()}', flush=True)


def finish(t, s, what, codes=None):
    """Stops the stack: every program ends well and leaves nothing."""
    t.eq(s.stop(), {'httpd': 0, 'hub': 0} if codes is None else codes, f'{what}: everything ends with 0')
    t.eq(s.left(), [], f'{what}: nothing left')


def timed(fn):
    """(seconds, result)"""
    began = time.monotonic()
    result = fn()
    return time.monotonic() - began, result


def wait_readable(fd, timeout):
    return bool(select.select([fd], [], [], timeout)[0])


def attempt(s, method, path, body=b'x', headers=None, timeout=30):
    """(status, how it ended): whole, aborted (after the head) or closed (without an answer)."""
    conn = http.client.HTTPConnection(s.host, s.port, timeout=timeout)
    try:
        conn.request(method, path, body, headers or {})
        answer = conn.getresponse()
    except (http.client.HTTPException, OSError) as e:
        conn.close()
        return None, 'late' if isinstance(e, socket.timeout) else 'closed', b'', {}
    try:
        return answer.status, 'whole', answer.read(), dict(answer.getheaders())
    except (http.client.HTTPException, OSError) as e:
        return answer.status, 'late' if isinstance(e, socket.timeout) else 'aborted', b'', dict(answer.getheaders())
    finally:
        conn.close()


def run_cases(t, cases):
    """Runs all cases, or those that the command line names."""
    for case in cases:
        if len(sys.argv) < 2 or case.__name__ in sys.argv[1:]:
            began = time.monotonic()
            case()
            print(f'# {case.__name__}: {time.monotonic() - began:.1f} s', flush=True)
    t.done()
