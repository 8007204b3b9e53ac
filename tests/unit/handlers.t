#!/usr/bin/env python3
"""Every example and test handler against the small host of tests/handlers/drive.py.

Programs in C are taken from $MGR_HANDLERS_DIR or from tests/handlers of the build tree (the
current folder); without either they are compiled into a temporary folder with $CC.
"""
import atexit, os, re, shutil, signal, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, '..', 'handlers')
sys.dont_write_bytecode = True
sys.path.insert(0, SOURCE)
from drive import Garbage, Gone, Handler, frame  # noqa: E402

BIG = bytes(range(256)) * 1200
BODIES = {'empty': b'', 'text': b'world', 'NUL and LF': b'\0\n\n\0RES 1 0 0\n', '300 KB': BIG}
INTERPRETERS = {'.py': 'python3', '.sh': 'sh', '.pl': 'perl', '.js': 'node'}
HELLOS = ['hello.py', 'hello.sh', 'hello.pl', 'hello.js', 'multi.js',
          'hello', 'hello-stdio', 'hello-batch', 'hello-lockstep']
PIPELINED = ['hello.py', 'hello.js', 'hello-stdio', 'hello-batch']
tests = []


def test(name, *handlers):
    def add(function):
        tests.append((name, handlers, function))
        return function
    return add


def fnv(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001b3) & (2**64 - 1)
    return '%016x' % h


# --- where the programs are

def candidates():
    for folder in (os.environ.get('MGR_HANDLERS_DIR'), os.path.join(os.environ.get('top_builddir', '.'), 'tests/handlers')):
        if folder:
            yield folder


def compiled(name):
    for folder in candidates():
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return os.path.abspath(path)
    path = os.path.join(scratch(), name)
    if not os.path.exists(path):
        subprocess.run([*os.environ.get('CC', 'cc').split(), '-std=gnu17', '-O2', '-D_GNU_SOURCE', '-o', path,
                        os.path.join(SOURCE, name + '.c')], check=True, stdout=sys.stderr)
    return path


def scratch(folder=[]):
    if not folder:
        folder.append(tempfile.mkdtemp(prefix='mgr-handlers.'))
        atexit.register(shutil.rmtree, folder[0], True)
    return folder[0]


def program(name):
    return os.path.join(SOURCE, name) if os.path.splitext(name)[1] else compiled(name)


def missing(name):
    tool = INTERPRETERS.get(os.path.splitext(name)[1])
    return None if tool is None or shutil.which(tool) else '%s is not installed' % tool


def run(name, *args, body=b'', env=None, **more):
    return subprocess.run([program(name), *args], input=body, stdout=subprocess.PIPE, timeout=20,
                          env={**os.environ, **(env or {})}, **more)


# --- what all of hello promise

for what, data in BODIES.items():
    @test('body: ' + what, *HELLOS)
    def hello_body(h, data=data):
        h.start()
        for _ in range(2):                   # the second finds what the first left behind
            answer = h.ask(body=data)
            assert answer.status == 200 and answer.body == b'Hello, ' + data + b'!'


@test('ignores unknown frames and keys', *HELLOS)
def unknown(h):
    h.start()
    h.raw(frame('NOTE', 0) + frame('HINT', 7, {'a': 'b'}, b'\n\0body'))
    assert h.ask({'new': {'key': [1]}}, b'x').body == b'Hello, x!'


@test('100 requests in the pipe, each its own answer', *PIPELINED)
def pipelined(h):
    assert h.start() == {'pipeline': 16}
    ids = [h.request(body=b'%d' % i) for i in range(100)]
    for i, id in enumerate(ids):
        assert h.answer(id).body == b'Hello, %d!' % i


@test('large bodies in a row, cut anywhere', *HELLOS)
def large(h):
    h.start()
    n = 4 if h.ready.get('pipeline', h.ready.get('concurrency', 1)) > 1 else 1
    ids = [h.request(body=BIG + b'%d' % i) for i in range(n)]
    for i, id in enumerate(ids):
        assert h.answer(id).body == b'Hello, ' + BIG + b'%d!' % i


@test('ends with 0 when nothing was asked', *HELLOS)
def idle(h):
    h.start()


# --- many at once

@test('eight at once, answered out of order', 'multi.js')
def concurrent(h):
    assert h.start()['concurrency'] == 8
    ids = [h.request({'query': {'ms': str(350 - 50 * i)}}, b'%d' % i) for i in range(8)]
    h.answer(ids[7])
    assert not h.answers[ids[0]].done
    for i, id in enumerate(ids):
        assert h.answer(id).body == b'Hello, %d!' % i


@test('cancel ends a request, the others go on', 'multi.js')
def cancel(h):
    h.start()
    long, other = h.request({'query': {'ms': '60000'}}), h.request(body=b'x')
    h.cancel(long)
    assert h.answer(long).status == 499 and h.answer(other).body == b'Hello, x!'


@test('no byte beyond the window without credit', 'multi.js')
def window(h):
    h.start()
    h.grants = False
    id = h.request({'query': {'ms': '0'}}, BIG)
    h.until(lambda: len(h.answers[id].body) == 65536)
    h.grants = True
    h.grant(id, 65536)
    assert h.answer(id).body == b'Hello, ' + BIG + b'!'


@test('answers PING', 'multi.js')
def ping(h):
    assert h.start()['ping']
    h.raw(frame('PING', 0))
    h.until(lambda: h.ponged)


# --- items.py

def item(h, method, id, body=b'', **more):
    return h.ask({'method': method, 'path': '/items/' + id, 'params': {'id': id}, **more}, body)


@test('stores, gives back, knows nothing else', 'items.py')
def items(h):
    h.start()
    assert item(h, 'GET', '42').status == 200
    assert item(h, 'GET', 'none').status == 404
    put = item(h, 'PUT', 'a b', 'grün'.encode(), headers={'content-type': 'text/plain'})
    assert put.status == 201 and put.meta['headers']['location'] == '/items/a%20b'
    assert item(h, 'GET', 'a b', query={'x': '1'}).json() == {
        'id': 'a b', 'query': {'x': '1'}, 'type': 'text/plain', 'body': 'grün'}


@test('reads a large body from its file', 'items.py')
def items_file(h):
    h.start()
    with tempfile.NamedTemporaryFile() as f:
        f.write(b'spooled')
        f.flush()
        item(h, 'PUT', 'f', body_file=f.name)
    assert item(h, 'GET', 'f').json()['body'] == 'spooled'


# --- call.py

def call(h, op, on_call, body=b'arg'):
    h.on_call = on_call
    h.start()
    return h.ask({'path': '/call/' + op, 'query': {'to': 'hello'}}, body)


@test('publish gives status and body of the other', 'call.py')
def publish(h):
    def on_call(meta, body):
        assert meta['op'] == 'publish' and meta['to'] == 'hello'
        return {'status': 201}, body.upper() + b'\0\n'
    answer = call(h, 'publish', on_call)
    assert answer.status == 201 and answer.body == b'ARG\0\n'


@test('a failed publish becomes its status and message', 'call.py')
def publish_fails(h):
    answer = call(h, 'publish', lambda meta, body: ({'status': 503, 'message': 'nobody'}, b''))
    assert answer.status == 503 and answer.json()['message'] == 'nobody'


@test('dispatch waits for nothing', 'call.py')
def dispatch(h):
    seen = []
    answer = call(h, 'dispatch', lambda meta, body: seen.append((meta['op'], body)))
    assert answer.status == 202 and seen == [('dispatch', b'arg')]


# --- echo-id

@test('answers with id, length and checksum', 'echo-id')
def echo_id(h):
    h.start()
    for i, body in enumerate([b'', b'a', BIG]):
        got = h.ask({'headers': {'x-request-id': 'r-%d' % i}, 'query': {'headers': 'no'}}, body).json()
        assert (got['id'], got['len'], got['fnv']) == ('r-%d' % i, len(body), fnv(body))


@test('sums a large body from its file', 'echo-id')
def echo_id_file(h):
    h.start()
    with tempfile.NamedTemporaryFile() as f:
        f.write(BIG)
        f.flush()
        got = h.ask({'body_file': f.name}).json()
    assert (got['len'], got['fnv']) == (len(BIG), fnv(BIG))


@test('announces the pipeline of its argument', 'echo-id 16')
def echo_id_pipeline(h):
    assert h.start() == {'pipeline': 16}
    ids = [h.request({'headers': {'x-request-id': str(i), 'x-sleep-ms': '1'}}) for i in range(100)]
    for i, id in enumerate(ids):
        assert h.answer(id).json()['id'] == str(i)


for how in 'before', 'mid', 'after':
    @test('dies when told: ' + how, 'echo-id')
    def echo_id_crash(h, how=how):
        h.start()
        id = h.request({'headers': {'x-crash': how, 'x-request-id': 'r'}})
        try:
            h.until(lambda: h.eof)
        except Gone:
            pass
        assert h.answers[id].done == (how == 'after')
        assert bool(h.seen) == (how == 'mid')
        return -signal.SIGKILL


# --- stream

@test('counts a body in one frame and in many', 'stream')
def stream_in(h):
    assert h.start()['stream_in']
    for cut in None, 1000, 70000:
        assert h.ask(body=BIG, cut=cut).json() == {'len': len(BIG), 'fnv': fnv(BIG)}
    assert h.ask().json() == {'len': 0, 'fnv': fnv(b'')}


@test('sends a body back as it arrives', 'stream')
def stream_echo(h):
    h.start()
    for cut, meta in (None, {'len': len(BIG)}), (5000, {}):
        answer = h.ask({'path': '/stream/echo', **meta}, BIG, cut)
        assert answer.body == BIG and answer.meta.get('len') == meta.get('len')
    id = h.request({'path': '/echo'}, b'', cut=1)
    assert h.answer(id).body == b''


@test('generates what --gen prints', 'stream')
def stream_out(h):
    h.start()
    for n, seed in (0, 1), (1, 0), (32768, 7), (100001, 2**64 - 1):
        want = run('stream', '--gen', str(n), str(seed)).stdout
        assert len(want) == n
        for chunked in '0', '1':
            answer = h.ask({'method': 'GET', 'query': {'n': str(n), 'seed': str(seed), 'chunked': chunked}})
            assert answer.body == want and answer.meta.get('len') == (n if chunked == '0' else None)
    assert run('stream', '--sum', body=BIG).stdout.decode() == '{"len":%d,"fnv":"%s"}\n' % (len(BIG), fnv(BIG))


def peak_kib(pid):
    with open('/proc/%d/status' % pid) as f:
        return int(re.search(r'VmHWM:\s+(\d+)', f.read())[1])


@test('needs constant memory', 'stream')
def stream_memory(h):
    h.start()
    h.ask(body=BIG)
    before = peak_kib(h.proc.pid)
    h.ask(body=bytes(16 << 20))
    h.ask({'method': 'GET', 'query': {'n': str(16 << 20)}})
    assert peak_kib(h.proc.pid) - before < 2 << 10


# --- handlers without frames

@test('exec mode', 'exec-env.sh')
def exec_env():
    got = run('exec-env.sh', body=b'b\0\n', env={'REQUEST_METHOD': 'PUT', 'QUERY_STRING': 'x=1', 'PARAM_id': '42'})
    assert got.stdout == b'method=PUT\nquery=x=1\nPARAM_id=42\nbody:\nb\0\n' and got.returncode == 0


@test('cgi mode', 'cgi-hello.sh')
def cgi():
    got = run('cgi-hello.sh', body=b'a\0', env={'REQUEST_METHOD': 'POST'}).stdout
    head, body = got.split(b'\n\n', 1)
    assert head == b'Status: 201 Created\nContent-Type: text/plain\nX-Method: POST' and body == b'Hello, a\0!'


@test('exit status', 'exit.sh')
def exits():
    assert run('exit.sh', '65').returncode == 65
    assert run('exit.sh', '1', 'text').stdout == b'text'
    assert run('exit.sh', 'TERM').returncode == -signal.SIGTERM


# --- liar

def lie(kind, timeout_s):
    """What a strict host sees: good, garbage, refused, start, hang or death."""
    with Handler(program('liar'), kind, '50', timeout_s=timeout_s) as h:
        try:
            h.start()
        except (Garbage, Gone):
            return 'garbage' if h.ready is not None else 'start'
        try:
            id = h.request(body=bytes(1 << 20) if kind == 'never-read' else b'x')
            h.answer(id)
            if kind == 'never-read':
                return 'good'
            h.answer(h.request())            # what came behind the first answer shows by now
            return 'good' if h.finish() == 0 else 'death'
        except Garbage:
            return 'garbage'
        except Gone:
            return 'death' if h.eof else 'hang'


@test('every kind is what its row says', 'liar')
def liar():
    assert run('liar', 'no-such-kind', stderr=subprocess.DEVNULL).returncode == 2
    rows = [line.split('\t') for line in run('liar', '--list').stdout.decode().splitlines()]
    assert len(rows) > 50 and len({row[0] for row in rows}) == len(rows)
    for kind, expect, _ in rows:
        slow = expect in ('hang', 'start')
        got = lie(kind, 0.3 if slow else 10)
        assert got == ('garbage' if expect == 'refused' else expect), '%s: %s, not %s' % (kind, got, expect)


# --- running

def attempt(name, function):
    if function.__code__.co_argcount == 0:
        function()
        return
    cmd, *args = name.split()
    with Handler(program(cmd), *args) as h:
        status = function(h) or 0
        if status == 0:
            got = h.finish()
        else:
            got = h.proc.wait(10)
        assert got == status, 'exit status %d' % got


def main():
    todo = [(handler, name, function) for name, handlers, function in tests for handler in handlers]
    failed = 0
    print('1..%d' % len(todo), flush=True)
    for i, (handler, name, function) in enumerate(todo, 1):
        title, reason = '%d - %s: %s' % (i, handler, name), missing(handler.split()[0])
        try:
            if reason is None:
                attempt(handler, function)
            print('ok', title, '# SKIP ' + reason if reason else '', flush=True)
        except Exception as e:               # every failure is a line, the rest goes on
            failed += 1
            print('not ok %s\n# %s: %s' % (title, type(e).__name__, e), flush=True)
            at = e.__traceback__
            while at is not None:
                print('#   line %d in %s' % (at.tb_lineno, at.tb_frame.f_code.co_name))
                at = at.tb_next
    sys.exit(failed > 0)


main()
