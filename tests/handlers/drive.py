#!/usr/bin/env python3
"""A small host for one handler: speaks mgr-frame over its pipes, strictly.

    drive.py [-d BODY] [-m META] CMD [ARG]...    sends one request, prints META and body

As a module: Handler starts a program and exchanges messages with it.  What it writes is cut
at random places, what it reads must obey the grammar, the ids and the credits, else Garbage.
"""
import argparse, json, os, random, re, selectors, signal, subprocess, sys, tempfile, time

HEAD = re.compile(rb'([A-Z]{1,8})(\+?) (0|[1-9][0-9]{0,9}) (0|[1-9][0-9]{0,5}) (0|[1-9][0-9]{0,15})\n')
HEAD_MAX, META_MAX, BODY_MAX, WINDOW, PART = 64, 256 * 1024, 2**53 - 1, 64 * 1024, 16 * 1024


class Garbage(Exception):
    """The handler broke the protocol."""


class Gone(Exception):
    """The handler closed its output, or took too long."""


class Answer:
    def __init__(self):
        self.meta, self.body, self.begun, self.done = {}, b'', False, False

    @property
    def status(self):
        return self.meta.get('status', 200)

    def json(self):
        return json.loads(self.body)


def frame(kind, id, meta=None, body=b''):
    line = (json.dumps(meta, separators=(',', ':')) + '\n').encode() if meta is not None else b''
    return b'%s %d %d %d\n%s%s' % (kind.encode(), id, len(line), len(body), line, body)


class Handler:
    def __init__(self, *cmd, seed=1, timeout_s=10, on_call=None, env=None):
        self.rng, self.timeout_s, self.on_call = random.Random(seed), timeout_s, on_call
        self.stderr = tempfile.TemporaryFile()
        self.proc = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr,
                                     start_new_session=True, env={**os.environ, 'MGR_PROTOCOL': '1', **(env or {})})
        os.set_blocking(self.proc.stdin.fileno(), False)
        os.set_blocking(self.proc.stdout.fileno(), False)
        self.todo, self.seen, self.last_id, self.eof = bytearray(), bytearray(), 0, False
        self.ready, self.answers, self.sending, self.granted = None, {}, {}, {}
        self.grants, self.ponged = True, False

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            os.killpg(self.proc.pid, signal.SIGKILL)
        self.proc.wait()
        for f in (self.proc.stdin, self.proc.stdout, self.stderr):
            try:
                f.close()
            except BrokenPipeError:
                pass

    # --- what a test does

    def start(self):
        """Waits for READY and gives its META."""
        self.until(lambda: self.ready is not None)
        return self.ready

    def request(self, meta=None, body=b'', cut=None):
        """Queues a request and gives its id; CUT makes parts of that size."""
        self.last_id += 1
        id, meta = self.last_id, {'kind': 'http', 'method': 'POST', 'path': '/x', **(meta or {})}
        self.answers[id] = Answer()
        multi = self.ready.get('concurrency', 1) > 1
        if cut is None and not (multi and len(body) > PART):
            self.todo += frame('REQ', id, meta, body)
            return id
        cut = cut or PART
        parts = [body[i:i + cut] for i in range(0, len(body), cut)] or [b'']
        self.sending[id] = [meta, parts, WINDOW if multi else None]
        self.send_parts(id)
        return id

    def raw(self, data):
        self.todo += data

    def cancel(self, id):
        self.todo += frame('CANCEL', id, {'reason': 'client'})

    def grant(self, id, n):
        """Gives credit for N more bytes of the answer; done by itself while self.grants."""
        self.granted[id] += n
        self.todo += frame('CREDIT', id, {'n': n})

    def answer(self, id):
        self.until(lambda: self.answers[id].done)
        return self.answers[id]

    def ask(self, meta=None, body=b'', cut=None):
        return self.answer(self.request(meta, body, cut))

    def finish(self):
        """Closes the input as a host does that wants the handler to end; gives its exit status."""
        self.until(lambda: not self.todo)
        self.proc.stdin.close()
        deadline = time.monotonic() + self.timeout_s
        while not self.eof:
            self.step(deadline)
        if self.seen:
            raise Garbage('unfinished frame at the end: %r' % bytes(self.seen[:80]))
        return self.proc.wait(self.timeout_s)

    def log(self):
        self.stderr.seek(0)
        return self.stderr.read()

    # --- moving bytes

    def until(self, done):
        deadline = time.monotonic() + self.timeout_s
        while not done():
            if self.eof:
                raise Gone('end of output')
            self.step(deadline)

    def step(self, deadline):
        with selectors.DefaultSelector() as sel:
            sel.register(self.proc.stdout, selectors.EVENT_READ)
            if self.todo and not self.proc.stdin.closed:
                sel.register(self.proc.stdin, selectors.EVENT_WRITE)
            ready = sel.select(max(0, deadline - time.monotonic()))
        if not ready:
            raise Gone('no answer in %s s' % self.timeout_s)
        for key, _ in ready:
            self.read() if key.fileobj is self.proc.stdout else self.write()

    def write(self):
        n = self.rng.choice((1, 2, 5, 17, 64, 1000, 9000, 65536))
        try:
            del self.todo[:os.write(self.proc.stdin.fileno(), self.todo[:n])]
        except BrokenPipeError:
            self.todo.clear()

    def read(self):
        data = os.read(self.proc.stdout.fileno(), 65536)
        self.eof = not data
        self.seen += data
        while self.take():
            pass

    # --- the grammar

    def take(self):
        m = HEAD.match(self.seen)
        if m is None:
            if b'\n' in self.seen or len(self.seen) >= HEAD_MAX or not self.may_become_head():
                raise Garbage('stray output %r' % bytes(self.seen[:80]))
            return False
        kind, more, id, meta_n, body_n = m[1].decode(), m[2] != b'', int(m[3]), int(m[4]), int(m[5])
        if meta_n > META_MAX or body_n > BODY_MAX:
            raise Garbage('length out of range in %r' % m[0])
        if len(self.seen) < m.end() + meta_n + body_n:
            return False
        meta = self.take_meta(bytes(self.seen[m.end():m.end() + meta_n]))
        body = bytes(self.seen[m.end() + meta_n:m.end() + meta_n + body_n])
        del self.seen[:m.end() + meta_n + body_n]
        act = getattr(self, 'take_' + kind.lower(), None) if kind in KINDS else None
        if act is None:
            raise Garbage('unknown type %s' % kind)
        if (self.ready is None) != (kind == 'READY'):
            raise Garbage('%s at the wrong time' % kind)
        act(id, meta, body, more)
        return True

    def may_become_head(self):
        return re.match(rb'[A-Z]{0,8}\+?( [0-9]*){0,3}$', self.seen) is not None

    def take_meta(self, line):
        if not line:
            return {}
        try:
            meta = json.loads(line)
        except ValueError:
            raise Garbage('META is no JSON: %r' % line[:80]) from None
        if line.find(b'\n') != len(line) - 1 or not isinstance(meta, dict):
            raise Garbage('META is no line with an object: %r' % line[:80])
        return meta

    def take_ready(self, id, meta, body, more):
        if id != 0 or body or more or meta.get('v', 1) != 1:
            raise Garbage('bad READY')
        self.ready = meta

    def open_answer(self, id):
        answer = self.answers.get(id)
        if answer is None or answer.done:
            raise Garbage('id %d was never issued or is finished' % id)
        return answer

    def take_res(self, id, meta, body, more):
        answer = self.open_answer(id)
        if answer.begun:
            raise Garbage('a second RES for %d' % id)
        check_head(meta)
        answer.begun, answer.meta = True, meta
        self.granted[id] = WINDOW
        self.take_part(id, answer, body, more)

    def take_data(self, id, meta, body, more):
        answer = self.open_answer(id)
        if not answer.begun:
            raise Garbage('DATA before RES')
        self.take_part(id, answer, body, more)

    def take_part(self, id, answer, body, more):
        multi = self.ready.get('concurrency', 1) > 1
        self.granted[id] -= len(body)
        if multi and (self.granted[id] < 0 or len(body) > WINDOW):
            raise Garbage('%d overruns its credit' % id)
        answer.body += body
        answer.done = not more
        if multi and more and body and self.grants:
            self.grant(id, len(body))
        if answer.done:
            check_body(answer)

    def take_err(self, id, meta, body, more):
        answer = self.open_answer(id)
        answer.meta, answer.done = {'status': 500, **meta}, True

    def take_call(self, id, meta, body, more):
        if self.on_call is None or more:
            raise Garbage('CALL')
        ret = self.on_call(meta, body)
        if ret is not None:
            self.todo += frame('RET', id, {'call': meta.get('call', 0), **ret[0]}, ret[1])

    def take_credit(self, id, meta, body, more):
        if id not in self.sending:
            raise Garbage('CREDIT for %d, which sends nothing' % id)
        self.sending[id][2] += meta['n']
        self.send_parts(id)

    def take_pong(self, id, meta, body, more):
        self.ponged = True

    def send_parts(self, id):
        meta, parts, room = self.sending[id]
        while parts and (room is None or len(parts[0]) <= room):
            part = parts.pop(0)
            self.todo += frame(('REQ' if meta else 'DATA') + ('+' if parts else ''), id, meta, part)
            meta = None
            room = None if room is None else room - len(part)
        self.sending[id] = [meta, parts, room]


KINDS = ('READY', 'RES', 'DATA', 'ERR', 'CALL', 'CREDIT', 'PONG')


def check_head(meta):
    status = meta.get('status', 200)
    if not isinstance(status, int) or not 200 <= status <= 999:
        raise Garbage('status %r' % status)
    for name, value in meta.get('headers', {}).items():
        values = value if isinstance(value, list) else [value]
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or any(re.search('[\0\r\n]', v) for v in values):
            raise Garbage('header %r' % name)
        if name.lower() == 'content-length' and len(values) != 1:
            raise Garbage('%d Content-Length headers' % len(values))


def check_body(answer):
    lengths = {k.lower(): v for k, v in answer.meta.get('headers', {}).items()}
    for want in (answer.meta.get('len'), lengths.get('content-length')):
        if want is not None and int(want) != len(answer.body):
            raise Garbage('%s bytes announced, %d sent' % (want, len(answer.body)))


def main():
    p = argparse.ArgumentParser(prog='drive.py')
    p.add_argument('-d', default='', metavar='BODY')
    p.add_argument('-m', default='{}', type=json.loads, metavar='META')
    p.add_argument('cmd', nargs=argparse.REMAINDER)
    a = p.parse_args()
    if not a.cmd:
        p.error('which handler?')
    with Handler(*a.cmd) as h:
        try:
            h.start()
            answer = h.ask(a.m, a.d.encode())
            h.finish()
        except (Garbage, Gone) as e:
            sys.exit('drive.py: %s' % e)
        finally:
            sys.stderr.buffer.write(h.log())
    print(json.dumps(answer.meta), file=sys.stderr)
    sys.stdout.buffer.write(answer.body)


if __name__ == '__main__':
    main()
