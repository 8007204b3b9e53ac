#!/usr/bin/env python3
"""TAP: the main job, command by command as the manual shows it."""
import json
import os
import shutil
import socket
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stack import Stack, Tap, until, alive  # noqa: E402

t = Tap()
JSON = {'Content-Type': 'application/json'}


def hello(s):
    code, out, err = s.ctl('register', 'hello', '-n', '3', '--', s.handler('hello.py'))
    t.eq(code, 0, 'register returns when READY')
    t.eq(s.ctl_json('ls')[0]['replicas'], {'want': 3, 'ready': 3}, 'all three replicas are ready then')
    a = s.post('/hello', b'world')
    t.eq((a.status, a.body), (200, b'Hello, world!'), 'the very next request is answered')
    a = s.post('/hello', b'{"type":"request","src":"client","data":"world"}', headers=JSON)
    t.eq(a.json(), {'status': 'ok', 'message': 'Hello, world!'}, 'an envelope')
    t.eq(a.headers['Content-Type'], 'application/json', 'is answered as JSON')
    a = s.post('/hello', b'{"type":"request","src":"client","data":{"a":[1, 2]}}', headers=JSON)
    t.eq(a.json()['message'], 'Hello, {"a":[1, 2]}!', 'data that is no string is its JSON text')
    a = s.post('/hello', b'{"data":"world"}', headers=JSON)
    t.eq(a.body, b'Hello, {"data":"world"}!', 'an object without type or src is raw')
    a = s.post('/hello', b'{"type":"request","data":"world"}')
    t.eq(a.body, b'Hello, {"type":"request","data":"world"}!', 'without the content type it is raw')
    a = s.post('/hello', bytes(range(256)))
    t.eq(a.body, b'Hello, ' + bytes(range(256)) + b'!', 'bytes pass as they are')
    t.eq(s.post('/hello', b'').body, b'Hello, !', 'an empty body')


def modes(s):
    s.ctl('register', 'shout', '--mode', 'filter', '--', 'tr', 'a-z', 'A-Z')
    t.eq(s.post('/shout', b'abc').body, b'ABC', 'filter mode: tr found in PATH')
    s.ctl('register', 'items', '--route', 'GET /items/{id}', '--route', 'PUT /items/{id}', '--',
          s.handler('items.py'))
    a = s.get('/items/42?x=1')
    t.eq(a.status, 200, 'a route with a parameter')
    t.ok(b'42' in a.body and b'"x"' in a.body, 'gets the parameter and the query')
    a = s.request('PUT', '/items/new%20one', b'stuff')
    t.eq(a.status, 201, 'another method of the same pattern')
    a = s.request('DELETE', '/items/42')
    t.eq((a.status, a.json()['status']), (405, 'error'), 'a method that is not served: 405')
    t.eq(sorted(a.headers['Allow'].replace(' ', '').split(',')), ['GET', 'HEAD', 'PUT'], 'with Allow')
    t.eq(s.request('HEAD', '/items/42').status, 200, 'HEAD falls back to GET')
    a = s.post('/items', b'')
    t.eq((a.status, a.json()), (404, {'status': 'error', 'message': 'Handler not found: items'}),
         'a handler with routes is not served under its name')
    s.ctl('register', 'env', '--mode', 'exec', '--', s.handler('exec-env.sh'))
    a = s.request('DELETE', '/env?a=b', b'body')
    t.ok(a.status == 200 and b'DELETE' in a.body, 'exec mode: any method')
    s.ctl('register', 'cgi', '--mode', 'cgi', '--', s.handler('cgi-hello.sh'))
    t.ok(s.get('/cgi').status in (200, 201, 202, 203), 'cgi mode')
    s.ctl('register', 'fail', '--mode', 'exec', '--', s.handler('exit.sh'), '65')
    a = s.get('/fail')
    t.eq((a.status, a.json()), (422, {'status': 'error', 'message': 'handler exited with status 65'}),
         'an exit status becomes an HTTP status')
    s.ctl('register', 'lines', '--mode', 'line', '--', 'sed', '-u', 's/a/b/')
    t.eq(s.post('/lines', b'banana\n').body.rstrip(b'\n'), b'bbnana', 'line mode')
    t.eq(s.post('/lines', b'two\nlines').status, 400, 'a newline inside: 400')


def bus(s):
    code, out, _ = s.ctl('publish', 'hello', stdin=b'world')
    t.eq((code, out), (0, b'Hello, world!'), 'publish: raw bytes on stdout')
    t.eq(s.ctl('publish', 'hello', 'you')[1], b'Hello, you!', 'publish: data as an argument')
    t.eq(s.ctl('dispatch', 'hello', 'fire and forget')[:2], (0, b''), 'dispatch prints nothing')
    code, out, err = s.ctl('publish', 'nobody', 'x', check=False)
    t.eq((code, out), (3, b''), 'an unknown name: 3')
    t.eq(err.count(b'\n'), 1, 'one line says so')
    code, _, err = s.ctl('publish', 'fail', 'x', check=False)
    t.eq(code, 1, 'a handler error: 1')
    s.ctl('register', 'caller', '--route', 'POST /call/{op}', '--', s.handler('call.py'))
    a = s.post('/call/publish?to=hello', b'bus')
    t.eq((a.status, a.body), (200, b'Hello, bus!'), 'a handler publishes to another')
    t.eq(s.post('/call/publish?to=caller', b'x').status, 508, 'waiting on its own last replica: 508')
    t.ok(s.post('/call/publish?to=nobody', b'x').status in (404, 502), 'a name that nobody serves')


def listings(s):
    ls = {h['name']: h for h in s.ctl_json('ls')}
    t.eq(ls['shout']['mode'], 'filter', 'ls: mode')
    t.eq(ls['items']['routes'], ['GET /items/{id}', 'PUT /items/{id}'], 'ls: routes')
    t.eq(sorted(ls['hello']), sorted(set(ls['hello']) | {'name', 'mode', 'cmd', 'routes', 'replicas',
                                                         'state', 'worker_id', 'pid'}), 'ls: members')
    t.ok(os.path.isabs(ls['shout']['cmd'][0]), 'ls: the command is absolute')
    st = s.ctl_json('status')
    t.eq(sorted(p['name'] for p in st['programs'] if p['name'] in ('mgr-hub', 'mgr-httpd')),
         ['mgr-httpd', 'mgr-hub'], 'status: programs')
    h = next(h for h in st['handlers'] if h['name'] == 'hello')
    t.ok(all(k in h for k in ('in_flight', 'queued', 'calls', 'errors', 'restarts', 'rss')),
         'status: counters of a handler')
    t.ok(h['calls'] >= 6 and h['rss'] > 1000000, 'status: they count')
    t.ok({'method': 'PUT', 'pattern': '/items/{id}', 'name': 'items', 'sse': False} in s.ctl_json('routes'),
         'routes')
    for verb in ('ls', 'status', 'routes'):
        t.ok(b'hello' in s.ctl(verb)[1], f'{verb} for people')
    health = s.get('/health')
    t.eq(health.status, 200, '/health')
    w = next(w for w in health.json()['workers'] if w['name'] == 'items')
    t.eq((w['worker_id'], w['route_count'], w['transport']), (ls['items']['worker_id'], 2, 'lane'),
         '/health: workers')
    t.eq(s.get('/__ping__').json(), {}, '/__ping__')


def bad_input(s):
    rows = [
        (('register', 'x', '--nonsense', '--', 'true'), 2, 'unknown option'),
        (('register', 'a/b', '--', 'true'), 2, 'name with a slash'),
        (('register', 'health', '--', s.handler('hello.py')), 2, 'reserved name'),
        (('register', 'x', '--', '/does/not/exist'), 3, 'missing executable'),
        (('register', 'x', '--', '/etc/passwd'), 7, 'not executable'),
        (('register', 'x', '--', 'true'), 1, 'never READY'),
        (('register', 'hello', '--', s.handler('items.py')), 8, 'another command under a taken name'),
        (('register', 'x', '--route', 'GET /items/{other}', '--', s.handler('items.py')), 8, 'route conflict'),
        (('register', 'x', '--route', 'GET items', '--', s.handler('items.py')), 2, 'bad route'),
        (('register', 'x', '-n', '0', '--', s.handler('items.py')), 2, 'no replicas'),
        (('frobnicate',), 2, 'unknown verb'),
        (('unregister', 'nobody'), 3, 'unregister of nobody'),
    ]
    before = len(s.ctl_json('ls'))
    for args, want, what in rows:
        code, out, err = s.ctl(*args, check=False)
        t.eq(code, want, f'{what}: exit {want}')
        lines = err.decode().strip().splitlines()
        t.ok(1 <= len(lines) <= 3 and lines[0].startswith('mgr-ctl: '), f'{what}: a clear line') or \
            print('#', lines)
    if not t.ok(until(lambda: len(s.ctl_json('ls')) == before, 5), 'nothing was registered by any of them'):
        print('#', s.ctl_json('ls'))
    t.eq(s.ctl('register', 'hello', '-n', '3', '--', s.handler('hello.py'))[0], 0,
         'the same registration again is a success')
    code = os.spawnvpe(os.P_WAIT, 'sh', ['sh', '-c', f'exec mgr-ctl up -l 127.0.0.1:{s.port} 2>/dev/null'], s.env)
    t.eq(code, 8, 'a second stack in the same folder: 8')
    with Stack(start=False) as other:
        code = os.spawnvpe(os.P_WAIT, 'sh',
                           ['sh', '-c', f'exec mgr-ctl up -l 127.0.0.1:{s.port} 2>{other.dir}/log'], other.env)
        t.eq(code, 8, 'a port in use: 8')
        t.eq(other.left(), [], 'and nothing is left of it')


def other_user(s):
    """Another uid gets nowhere: by the folder, by the socket's mode, and by the kernel's word on who asks."""
    if os.geteuid() != 0:
        t.skip('another uid is refused', 'only root can become another user')
        return
    sock = s.runtime + '/hub.sock'
    program = shutil.copy(shutil.which('mgr-ctl', path=s.env['PATH']), s.dir)  # the build may be in a folder of ours
    for path, mode, what in ((s.dir, 0o755, 'the folder'), (s.runtime, 0o755, 'the mode of the socket'),
                             (sock, 0o666, 'its credentials')):
        os.chmod(path, mode)
        p = subprocess.run([program, 'ls'], env=s.env, user=65534, group=65534, extra_groups=[], cwd='/',
                           capture_output=True, timeout=20)
        t.eq((p.returncode, p.stdout), (7, b''), f'another uid is refused by {what}: exit 7')
    os.chmod(sock, 0o600)
    os.chmod(s.runtime, 0o700)
    os.chmod(s.dir, 0o700)
    t.eq(s.ctl('ls')[0], 0, 'its owner is served on')


def stored(s):
    """Registrations come back; the runtime folder does not keep anything."""
    mode = stat.S_IMODE(os.stat(s.runtime).st_mode)
    t.eq(mode, 0o700, 'the runtime folder is ours alone')
    s.ctl('unregister', 'shout')
    t.eq(s.post('/shout', b'x').status, 404, 'unregistered: 404')
    names = sorted(h['name'] for h in s.ctl_json('ls'))
    pids = s.pids()
    t.eq(s.ctl('shutdown')[0], 0, 'shutdown')
    t.eq(s.up.wait(20), 0, 'up ends with 0')
    t.eq(s.left(), [], 'no process, socket or file is left')
    t.ok(not any(alive(p) for p in pids), 'every process of before is gone')
    s.stop()
    s.start()
    t.ok(until(lambda: sorted(h['name'] for h in s.ctl_json('ls')) == names, 10),
         'a new stack brings the stored registrations back')
    t.ok(until(lambda: s.post('/hello', b'again').body == b'Hello, again!', 10), 'and serves them')
    t.eq(s.stop(), 0, 'SIGTERM: exit 0')
    t.eq(s.left(), [], 'nothing is left')
    code, _, err = s.ctl('ls', check=False)
    t.eq(code, 5, 'no hub: 5')
    t.ok(b'mgr-ctl up' in err, 'the line says how to start one')


def up_file():
    with Stack(start=False) as s:
        with open(s.dir + '/handlers', 'w') as f:
            f.write(f"# a comment\nhello -n 1 -- '{s.handler('hello.py')}'\n\n"
                    'shout --mode filter -- tr a-z "A-Z"  # the rest\n')
        s.args = ['-f', s.dir + '/handlers']
        s.start()
        t.eq(s.post('/hello', b'file').body, b'Hello, file!', 'up -f FILE')
        t.eq(s.post('/shout', b'file').body, b'FILE', 'with quoting and comments')
        s.stop()
        t.eq(os.listdir(s.state + '/handlers') if os.path.isdir(s.state + '/handlers') else [], [],
             'such registrations are not stored')
        with open(s.dir + '/handlers', 'a') as f:
            f.write('broken --mode nonsense -- true\n')
        code, out, err = s.ctl('up', '-l', '127.0.0.1:0', '-f', s.dir + '/handlers', check=False)
        t.eq(code, 2, 'a bad line: 2')
        t.ok(b'handlers:5' in err, 'named by file and line')
        t.eq(s.left(), [], 'nothing is left of it')


def tools(s):
    code, out, _ = s.ctl('try', s.handler('hello.py'), 'POST', '/x', stdin=b'try')
    t.eq((code, out), (0, b'Hello, try!'), 'try: no daemon needed')
    code, out, _ = s.ctl('try', '-i', '--mode', 'filter', 'tr', 'a-z', 'A-Z', stdin=b'abc')
    t.ok(code == 0 and out.endswith(b'ABC') and b'200' in out, 'try -i shows the status')
    code, out, _ = s.ctl('lint', s.handler('hello.py'))
    t.ok(code == 0 and b'not ok' not in out, 'lint of a good handler')
    code, out, _ = s.ctl('lint', s.handler('liar'), 'print-between', check=False)
    t.ok(code == 1 and b'not ok' in out, 'lint of a bad one')


with Stack('-j', '2') as s:
    hello(s)
    modes(s)
    bus(s)
    listings(s)
    bad_input(s)
    other_user(s)
    stored(s)
up_file()
with Stack(start=False) as s:
    tools(s)
t.done()
