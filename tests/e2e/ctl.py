#!/usr/bin/python3
"""mgr-ctl alone: usage and exit codes, try, lint, reply; then mgr-ctl up and what it promises.

Programs are those of $MGR_BUILD, else of PATH; example handlers of $MGR_HANDLERS, else of tests/handlers.
"""
import http.client, json, os, select, shutil, signal, socket, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
HANDLERS = os.environ.get('MGR_HANDLERS') or os.path.join(HERE, '..', 'handlers')
BUILD = os.environ.get('MGR_BUILD')
CTL = os.path.join(BUILD, 'mgr-ctl') if BUILD else shutil.which('mgr-ctl')
LIMIT_S = 60
count = failed = 0


def ok(good, name, *notes):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {name}", flush=True)
    for note in notes if not good else ():
        for line in str(note).splitlines() or ['']:
            print('#', line, flush=True)
    return good


def run(*args, stdin=b'', **more):
    env = dict(os.environ, **more.pop('env', {}))
    return subprocess.run([CTL, *args], input=stdin, capture_output=True, timeout=LIMIT_S, env=env,
                          cwd=more.pop('cwd', HANDLERS), **more)


def expect(name, args, code, out=None, err=None, lines=1, **more):
    """The exit code, stdout as it stands, a piece of stderr; an error is one line."""
    r = run(*args, **more)
    good = r.returncode == code and (out is None or r.stdout == out) and (err is None or err.encode() in r.stderr)
    if code and lines:
        good = good and r.stderr.count(b'\n') == lines and r.stderr.startswith(b'mgr-ctl: ')
    return ok(good, name, f'exit {r.returncode}, want {code}', r.stdout[:400], r.stderr.decode(errors='replace')[:800])


# --- usage

VERBS = ('up register unregister ls status routes events publish dispatch reply try lint shutdown').split()


def usage():
    r = run()
    ok(r.returncode == 2 and r.stdout == b'' and b'usage: mgr-ctl VERB' in r.stderr, 'no verb: usage on stderr, 2')
    r = run('--help')
    ok(r.returncode == 0 and all(f'  {v} '.encode() in r.stdout for v in VERBS), '--help lists every verb')
    r = run('--version')
    ok(r.returncode == 0 and r.stdout.startswith(b'mgr-ctl '), '--version')
    for verb in VERBS:
        r = run(verb, '--help')
        ok(r.returncode == 0 and f'usage: mgr-ctl {verb}'.encode() in r.stdout and r.stderr == b'', f'{verb} --help')
    expect('a verb with a slip', ['statsu'], 2, b'', 'did you mean "status"?')
    expect('a verb that is none', ['frobnicate'], 2, b'', 'unknown verb "frobnicate"')
    expect('an option that is none', ['--frob'], 2, b'', 'unknown option --frob')
    expect('a terminal is not told what to do', ['\x1b[2J'], 2, b'', '\\x1b[2J')
    expect('a word too many', ['ls', 'extra'], 2, b'', 'unexpected argument "extra"')
    expect('an option of another verb', ['ls', '--follow'], 2, b'', 'unknown option --follow')
    expect('NAME is missing', ['publish'], 2, b'', 'NAME is missing')
    expect('a name that is none', ['publish', 'a/b', 'x'], 2, b'', 'no name')
    expect('a time that is none', ['publish', 'a', 'x', '--timeout', '3 days'], 2, b'', '--timeout takes a time')


def registrations():
    bad = [
        ('a name with /', ['a/b', '--', 'ls'], 2, 'no name'),
        ('a reserved name', ['health', '--', 'ls'], 2, 'reserved'),
        ('no name', ['-n', '3', '--', 'ls'], 2, 'NAME is missing'),
        ('no command', ['x', '-n', '3'], 2, 'no command'),
        ('no command behind --', ['x', '--'], 2, 'no command'),
        ('a command without --', ['x', 'ls'], 2, 'behind --'),
        ('an unknown option', ['x', '--bogus', '--', 'ls'], 2, 'unknown option --bogus'),
        ('a number out of range', ['x', '-n', '0', '--', 'ls'], 2, 'out of range'),
        ('a mode that is none', ['x', '--mode', 'fast', '--', 'ls'], 2, '--mode takes'),
        ('a route that is none', ['x', '--route', 'items', '--', 'ls'], 2, '--route'),
        ('a reserved route', ['x', '--route', '/health', '--', 'ls'], 2, '--route'),
        ('an --env that is none', ['x', '--env', 'PATH', '--', 'ls'], 2, 'K=V'),
        ('a command that is not there', ['x', '--', './nope'], 3, 'command not found'),
        ('a command that is not in PATH', ['x', '--', 'mgr-no-such-program'], 3, 'command not found'),
        ('a file that is no program', ['x', '--', '/etc/passwd'], 7, 'not an executable'),
        ('bytes that JSON cannot carry', ['x', '--', 'ls', os.fsdecode(b'\xff')], 2, 'UTF-8'),
    ]
    for name, args, code, err in bad:
        expect('register: ' + name, ['register', *args], code, b'', err)


def no_stack():
    for args in (['ls'], ['ls', '--json'], ['routes'], ['events'], ['events', '-f'], ['publish', 'x', 'y'],
                 ['dispatch', 'x', 'y'], ['unregister', 'x'], ['register', 'x', '--', 'ls']):
        expect('without a hub: ' + ' '.join(args), args, 5, b'', 'start it with: mgr-ctl up')
    expect('without a hub: status', ['status'], 5, b'', 'mgr-hub is not running')
    r = run('status', '--json')
    ok(r.returncode == 5 and json.loads(r.stdout) == {'version': json.loads(r.stdout)['version'], 'programs': [],
                                                       'handlers': []}, 'status --json is a document all the same')
    expect('nothing to shut down', ['shutdown'], 5, b'', 'nothing is running')
    expect('a runtime folder that is relative', ['ls'], 2, b'', 'MGR_RUNTIME_DIR', env={'MGR_RUNTIME_DIR': 'x'})


# --- try, lint, reply

def quiet(*args):
    return ['try', '--log-level', 'error', *args]


def trials():
    expect('try: a frame handler', quiet('./hello.py', 'POST', '/x'), 0, b'Hello, world!', stdin=b'world')
    expect('try: the body is optional', quiet('./hello.py'), 0, b'Hello, !')
    body = bytes(range(256)) * 20000
    expect('try: 5 MB through a filter', quiet('--mode', 'filter', 'cat'), 0, body, stdin=body)
    expect('try: options of the command are its own', quiet('--mode', 'filter', 'tr', '-d', 'a'), 0, b'bc', stdin=b'abc')
    expect('try: behind -- too', quiet('--mode', 'filter', '--', 'tr', '-d', 'a', 'POST', '/x'), 0, b'bc', stdin=b'abc')
    expect('try: -i', quiet('-i', '--mode', 'cgi', './cgi-hello.sh', 'PUT', '/x'), 0,
           b'HTTP/1.1 201\nContent-Type: text/plain\nX-Method: PUT\n\nHello, abc!', stdin=b'abc')
    r = run(*quiet('--route', 'GET /items/{id}', './items.py', 'GET', '/items/42?x=1&y=a+b&x=2&z=%C3%BC'))
    ok(r.returncode == 0 and json.loads(r.stdout)['query'] == {'x': '1', 'y': 'a b', 'z': 'ü'}
       and json.loads(r.stdout)['id'] == '42', 'try: params and query', r.stdout, r.stderr)
    r = run(*quiet('--mode', 'exec', './exec-env.sh', 'PUT', '/x?q=1'), stdin=b'abc')
    ok(r.returncode == 0 and r.stdout.startswith(b'method=PUT\nquery=q=1\n') and r.stdout.endswith(b'abc'),
       'try: mode exec', r.stdout, r.stderr)
    expect('try: a route that does not match', quiet('--route', 'GET /a', './items.py', 'GET', '/b'), 2, b'', 'do not match')
    expect('try: status 400 and above is 1', quiet('--mode', 'exec', './exit.sh', '66'), 1, None, 'status 66')
    expect('try: a handler that is not there', quiet('./nope'), 3, b'', 'command not found')
    expect('try: a file that is no program', quiet('/etc/passwd'), 7, b'', 'not an executable')
    expect('try: a handler that never says READY', quiet('--start-time', '300ms', 'sleep', '60'), 1, b'')
    expect('try: a handler that ends at once', quiet('false'), 1, b'', 'exit status 1')
    expect('try: the deadline', quiet('--timeout', '300ms', '--mode', 'filter', 'sleep', '60'), 6, b'')
    expect('try: a header that is none', quiet('-H', 'x', './hello.py'), 2, b'', 'NAME:VALUE')


BAD_HANDLER = '''#!/usr/bin/python3
import sys
sys.stdout.write("READY 0 0 0\\n"); sys.stdout.flush()
for line in sys.stdin:
    print("debug: got", line)
    sys.stdout.flush()
'''


def lints(tmp):
    for handler in ('hello.py', 'hello.sh', 'items.py', 'call.py'):
        r = run('lint', './' + handler)
        ok(r.returncode == 0 and b'not ok' not in r.stdout and r.stdout.count(b'\n') == 12, 'lint: ' + handler, r.stdout, r.stderr)
    bad = os.path.join(tmp, 'bad.py')
    with open(bad, 'w') as f:
        f.write(BAD_HANDLER)
    os.chmod(bad, 0o755)
    r = run('lint', '--timeout', '2s', bad)
    ok(r.returncode == 1 and b'not ok - a binary body: it wrote "debug: got' in r.stdout
       and b'not ok - nothing but frames on stdout' in r.stdout, 'lint: stray output is quoted', r.stdout)
    r = run('lint', '--start-time', '300ms', 'sleep', '60')
    ok(r.returncode == 1 and r.stdout.startswith(b'not ok - READY in time'), 'lint: never READY', r.stdout)
    r = run('lint', '--json', './hello.py')
    ok(r.returncode == 0 and all(c['ok'] and set(c) == {'check', 'ok', 'why'} for c in json.loads(r.stdout)), 'lint --json')
    expect('lint: a handler that is not there', ['lint', './nope'], 3, b'', 'command not found')


def reply(*args):
    """What `mgr-ctl reply` writes to descriptor 3, and its exit code."""
    script = 'exec "$0" reply "$@" 3>&1 >/dev/null'
    r = subprocess.run(['sh', '-c', script, CTL, *args], capture_output=True, timeout=LIMIT_S)
    return r.returncode, r.stdout, r.stderr


def replies():
    for name, args, meta in (
            ('a status', ['404'], {'status': 404}), ('nothing is 200', [], {'status': 200}),
            ('headers', ['-H', 'X-A: 1', '201', '-H', 'x-b:2 '], {'status': 201, 'headers': {'x-a': '1', 'x-b': '2'}}),
            ('a header twice', ['-H', 'Set-Cookie: a=1', '-H', 'set-cookie:b=2'],
             {'status': 200, 'headers': {'set-cookie': ['a=1', 'b=2']}}),
            ('a type', ['--type', 'text/plain'], {'status': 200, 'headers': {'content-type': 'text/plain'}})):
        code, out, err = reply(*args)
        head, _, rest = out.partition(b'\n')
        good = code == 0 and head == b'RES 1 %d 0' % len(rest) and json.loads(rest) == meta
        ok(good, 'reply: ' + name, out, err)
    for name, args, err in (('a status that is none', ['600'], 'STATUS'), ('1xx', ['100'], 'STATUS'),
                            ('a header that is none', ['-H', 'x'], 'NAME:VALUE'),
                            ('a newline in a header', ['-H', 'x: a\nb: c'], 'control')):
        code, out, text = reply(*args)
        ok(code == 2 and out == b'' and err.encode() in text, 'reply: ' + name, out, text)
    expect('reply: outside of a handler', ['reply', '200'], 2, b'', 'mode exec')


# --- up

class Up:
    def __init__(self, *args):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([CTL, 'up', '-l', '127.0.0.1:0', *args], stdout=subprocess.PIPE, stderr=self.log,
                                        stdin=subprocess.DEVNULL)
        self.url = None

    def ready(self):
        if select.select([self.process.stdout], [], [], 30)[0]:
            self.url = self.process.stdout.readline().decode().strip()
        return bool(self.url)

    def post(self, path, body):
        connection = http.client.HTTPConnection(self.url[len('http://'):], timeout=10)
        try:
            connection.request('POST', path, body)
            return connection.getresponse().read()
        except http.client.HTTPException as e:
            raise OSError(str(e)) from e
        finally:
            connection.close()

    def wait(self, s=30):
        return self.process.wait(s)

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors='replace')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()


def lock_pid(run_dir, name):
    with open(os.path.join(run_dir, name + '.lock')) as f:
        return int(f.readline())


def until(condition, s=20):
    """Asks again and again: the state of another process is no event for us."""
    end = time.monotonic() + s
    while time.monotonic() < end:
        try:
            if condition():
                return True
        except (OSError, ValueError):
            pass
        select.select([], [], [], 0.02)
    return False


def is_gone(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rpartition(')')[2].split()[0] in 'ZX'
    except FileNotFoundError:
        return True


def up_files(tmp):
    file = os.path.join(tmp, 'bad')
    for name, line, code, err in (
            ('a name with /', 'a/b -- ls', 2, 'no name'), ('an open quote', "x -- 'ls", 2, 'not closed'),
            ('a command that is not there', 'x -- ./nope', 3, 'command not found'),
            ('a file that is no program', 'x -- /etc/passwd', 7, 'not an executable'),
            ('the same name twice', 'y -- ls\ny -- ls', 8, 'earlier line')):
        with open(file, 'w') as f:
            f.write('# comment\n\n' + line + '\n')
        r = run('up', '-l', '127.0.0.1:0', '-f', file)
        number = 2 + len(line.splitlines())
        ok(r.returncode == code and f'mgr-ctl: {file}:{number}: '.encode() in r.stderr and err.encode() in r.stderr
           and r.stdout == b'', 'up -f: ' + name, r.returncode, r.stderr)
    with open(file, 'w') as f:
        f.write('ends --start-time 5s -- sh -c "echo because >&2; exit 3"\n')
    r = run('up', '-l', '127.0.0.1:0', '-f', file, '--log-level', 'error')
    ok(r.returncode == 1 and f'mgr-ctl: {file}:1: ends: '.encode() in r.stderr and b'because' in r.stderr,
       'up -f: a handler that never gets READY', r.returncode, r.stderr)


def up_errors(run_dir):
    r = run('up', '--bogus')
    ok(r.returncode == 2 and b'mgr-httpd: unknown option --bogus' in r.stderr, 'up: an unknown option is refused by mgr-httpd', r.stderr)
    r = run('up', '--no-http', '-l', 'x')
    ok(r.returncode == 2, 'up: --no-http takes no option of mgr-httpd', r.stderr)
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        r = run('up', '-l', '127.0.0.1:%d' % taken.getsockname()[1])
    ok(r.returncode == 8 and b'in use' in r.stderr, 'up: the port is taken', r.returncode, r.stderr)
    ok(os.listdir(run_dir) == [], 'nothing is left', os.listdir(run_dir))


def up_whole(tmp, run_dir):
    folder = os.path.join(tmp, 'a folder')
    os.mkdir(folder)
    shutil.copy(os.path.join(HANDLERS, 'hello.sh'), folder)
    with open(os.path.join(folder, 'stack'), 'w') as f:
        f.write("""# what this machine serves
hello -n 2 -- './hello.sh'      # relative to this file
shout --mode filter \\
	-- tr "a-z" A-Z
where --mode exec -- pwd
""")
    with Up('-f', os.path.join(folder, 'stack')) as up:
        if not ok(up.ready() and up.url.startswith('http://127.0.0.1:'), 'up prints its address', up.said()):
            return
        ok(up.post('/hello', b'world') == b'Hello, world!' and up.post('/shout', b'abc') == b'ABC', 'FILE was registered')
        expect('the working folder is that of FILE', ['publish', 'where', ''], 0, folder.encode() + b'\n')
        handlers = os.path.join(os.environ['MGR_STATE_DIR'], 'handlers')
        ok(not os.path.isdir(handlers) or os.listdir(handlers) == [], 'and not stored')
        expect('a second up', ['up', '-l', '127.0.0.1:0'], 8, b'', 'runs already')
        listings(up)
        calls(up)
        pids = [lock_pid(run_dir, n) for n in ('httpd', 'hub')]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        ok(until(lambda: lock_pid(run_dir, 'httpd') not in pids and up.post('/shout', b'again') == b'AGAIN'),
           'mgr-httpd comes back on the same port', up.said())
        ok(until(lambda: lock_pid(run_dir, 'hub') not in pids and run('publish', 'shout', 'x').stdout == b'X'), 'and mgr-hub')
        expect('shutdown', ['shutdown'], 0, b'')
        ok(up.process.poll() is not None or up.wait(5) == 0, 'up is gone when shutdown returns', up.said())
        ok(up.wait() == 0, 'and ended with 0', up.said())
    ok(os.listdir(run_dir) == [], 'nothing is left', os.listdir(run_dir))


def listings(up):
    for verb in ('ls', 'status', 'routes', 'events'):
        r = run(verb)
        ok(r.returncode == 0 and r.stdout.count(b'\n') > 2 and r.stderr == b'', verb, r.stdout, r.stderr)
    found = {h['name']: h for h in json.loads(run('ls', '--json').stdout)}
    ok(set(found) == {'hello', 'shout', 'where'} and found['hello']['replicas'] == {'want': 2, 'ready': 2}
       and found['hello']['routes'] == ['POST /hello'] and found['where']['routes'] == ['* /where']
       and found['shout']['mode'] == 'filter' and found['shout']['cmd'][1:] == ['a-z', 'A-Z']
       and 'control' not in found['hello'], 'ls --json', found)
    status = json.loads(run('status', '--json').stdout)
    programs = sorted(p['name'] for p in status['programs'])
    ok(programs == ['mgr-ctl', 'mgr-httpd', 'mgr-hub'] + ['mgr-worker'] * 3
       and all({'name', 'pid', 'state', 'since'} <= set(p) for p in status['programs'])
       and all({'in_flight', 'queued', 'calls', 'errors', 'restarts', 'rss', 'cmd'} <= set(h) for h in status['handlers']),
       'status --json', status)
    routes = json.loads(run('routes', '--json').stdout)
    ok({'method': 'POST', 'pattern': '/hello', 'name': 'hello', 'sse': False} in routes, 'routes --json', routes)
    ok(any(e['event'] == 'registered' and e['name'] == 'hello' for e in json.loads(run('events', '--json').stdout)),
       'events --json')
    follow = subprocess.Popen([CTL, 'events', '-f'], stdout=subprocess.PIPE)
    first = json.loads(follow.stdout.readline())
    follow.stdout.close()
    try:
        ok('ts' in first and follow.wait(10) == 0, 'events -f ends when nobody reads')
    except subprocess.TimeoutExpired:
        follow.kill()
        follow.wait()
        ok(False, 'events -f ends when nobody reads')


def calls(up):
    big = bytes(range(256)) * 12000
    ok(run('publish', 'shout', stdin=big).stdout == big.translate(bytes.maketrans(bytes(range(97, 123)), bytes(range(65, 91)))),
       'publish: 3 MB, binary')
    expect('publish: DATA', ['publish', 'hello', 'world'], 0, b'Hello, world!')
    expect('publish: - is stdin', ['publish', 'hello', '-'], 0, b'Hello, world!', stdin=b'world')
    expect('publish: --lines', ['publish', 'hello', '--lines'], 0, b'Hello, a!Hello, b!', stdin=b'a\nb\n')
    expect('publish: nobody', ['publish', 'nobody', 'x'], 3, b'', 'Handler not found: nobody')
    expect('dispatch', ['dispatch', 'hello', 'x'], 0, b'')
    expect('register: another command line', ['register', 'hello', '--', './hello.py'], 8, b'', '--replace')
    expect('register: --replace', ['register', 'hello', '--replace', '--', './hello.py'], 0, b'')
    expect('register: the same again', ['register', '--', './hello.py'], 2, b'', 'NAME is missing')
    expect('register: the same again', ['register', 'hello', '--', './hello.py'], 0, b'')
    expect('unregister', ['unregister', 'hello'], 0, b'')
    expect('unregister: nobody', ['unregister', 'hello'], 3, b'')
    script = 'mgr-ctl reply 418 -H "X-Tea: yes" --type text/plain; cat'
    path = os.path.dirname(CTL) + ':' + os.environ['PATH']
    expect('register: mode exec', ['register', 'tea', '--mode', 'exec', '--env', 'PATH=' + path, '--', 'sh', '-c', script], 0, b'')
    expect('publish: a status of 400 and above is 1, with the body', ['publish', 'tea', 'leaves'], 1, b'leaves', lines=0)
    expect('register: sleeps', ['register', 'sleeps', '--mode', 'exec', '--', 'sleep', '60'], 0, b'')
    expect('publish: the deadline', ['publish', 'sleeps', 'x', '--timeout', '300ms'], 6, b'')
    for name in ('tea', 'sleeps'):
        expect('unregister ' + name, ['unregister', name], 0, b'')


def up_killed(run_dir):
    with Up() as up:
        ok(up.ready(), 'up again', up.said())
        expect('register', ['register', 'cat', '--mode', 'filter', '--', 'cat'], 0, b'')
        pids = [lock_pid(run_dir, n) for n in ('httpd', 'hub')]
        pids += [p['pid'] for p in json.loads(run('status', '--json').stdout)['programs'] if p['name'] == 'mgr-worker']
        up.process.kill()
        up.wait()
        ok(until(lambda: all(is_gone(p) for p in pids)), 'what a killed up started stops')
    r = run('shutdown')
    ok(r.returncode in (0, 5) and os.listdir(run_dir) == [], 'shutdown sweeps what it left', r.stderr, os.listdir(run_dir))


def up_signals(run_dir):
    for signo in (signal.SIGINT, signal.SIGTERM):
        with Up() as up:
            ok(up.ready(), 'up', up.said())
            ok(run('publish', 'cat', 'kept').stdout == b'kept', 'a stored registration is back')
            up.process.send_signal(signo)
            ok(up.wait() == 0 and os.listdir(run_dir) == [], f'signal {int(signo)} drains and stops it', up.said())
    hub_only = subprocess.Popen([CTL, 'up', '--no-http'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    ok(until(lambda: run('publish', 'cat', 'x').stdout == b'x'), 'up --no-http')
    expect('unregister', ['unregister', 'cat'], 0, b'')
    hub_only.terminate()
    ok(hub_only.communicate(timeout=30)[0] == b'' and hub_only.returncode == 0, 'prints no address')


def main():
    tmp = os.path.realpath(tempfile.mkdtemp(prefix='mgr-ctl.'))
    run_dir = os.path.join(tmp, 'r')
    os.environ.update(MGR_RUNTIME_DIR=run_dir, MGR_STATE_DIR=os.path.join(tmp, 's'))
    if BUILD:
        os.environ['MGR_BIN_DIR'] = os.path.abspath(BUILD)
    try:
        usage()
        registrations()
        no_stack()
        trials()
        lints(tmp)
        replies()
        up_files(tmp)
        up_errors(run_dir)
        up_whole(tmp, run_dir)
        up_killed(run_dir)
        up_signals(run_dir)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    print(f'1..{count}')
    return failed > 0


if CTL is None or not os.access(CTL, os.X_OK):
    print('1..0 # SKIP mgr-ctl is not built')
    sys.exit(0)
sys.exit(main())
