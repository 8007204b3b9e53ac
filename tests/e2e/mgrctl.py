"""Control sockets of the toolkit for tests: frames of mgr-frame(7) over a Unix stream.

    conn = Conn("/run/mgr/hub.sock")       # waits for READY, conn.ready is its META
    meta, body = conn.ask("status")        # Refused when the answer is ERR
    id = conn.send("subscribe", {"program": "test"})
    frame = conn.next(id)                  # RES+, then DATA+ ...

Every wait has a time-out (socket.timeout); nothing here sleeps.
"""

import json
import socket
import time


class Refused(Exception):
    """The answer was ERR: meta has status, outcome, message."""

    def __init__(self, meta):
        super().__init__(meta.get("message", "refused"))
        self.meta = meta
        self.status = meta.get("status")
        self.outcome = meta.get("outcome")
        self.message = meta.get("message", "")


class Gone(Exception):
    """The other side closed the connection."""


class Frame:
    def __init__(self, kind, more, id, meta, body):
        self.kind, self.more, self.id, self.meta, self.body = kind, more, id, meta, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "Frame(%s%s %d %r %r)" % (self.kind, "+" if self.more else "", self.id, self.meta, self.body[:80])


def encode(kind, id, meta=None, body=b"", more=False):
    line = b"" if meta is None else json.dumps(meta, separators=(",", ":")).encode() + b"\n"
    head = "%s%s %d %d %d\n" % (kind, "+" if more else "", id, len(line), len(body))
    return head.encode() + line + body


class Conn:
    def __init__(self, path, timeout=10, greet=True):
        self.timeout = timeout
        self.input = b""
        self.waiting = []
        self.last_id = 0
        self.ready = None
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        if greet:
            frame = self._read(self._end(timeout))
            if frame.kind != "READY":
                raise Refused(frame.meta)
            self.ready = frame.meta

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def fileno(self):
        return self.sock.fileno()

    @staticmethod
    def _end(timeout):
        return time.monotonic() + timeout

    def _fill(self, end):
        left = end - time.monotonic()
        if left <= 0:
            raise socket.timeout("no answer")
        self.sock.settimeout(left)
        try:
            got = self.sock.recv(1 << 16)
        except ConnectionResetError:
            got = b""
        if not got:
            raise Gone("closed by the other side")
        self.input += got

    def _whole(self):
        """The first frame of the input if all of it is there, else None; nothing is lost by a time-out."""
        line, lf, rest = self.input.partition(b"\n")
        if not lf:
            return None
        word, id, meta_n, body_n = line.split(b" ")
        meta_n, body_n = int(meta_n), int(body_n)
        if len(rest) < meta_n + body_n:
            return None
        self.input = rest[meta_n + body_n:]
        kind = word.decode()
        meta = json.loads(rest[:meta_n]) if meta_n else {}
        return Frame(kind.rstrip("+"), kind.endswith("+"), int(id), meta, rest[meta_n:meta_n + body_n])

    def _read(self, end):
        frame = self._whole()
        while frame is None:
            self._fill(end)
            frame = self._whole()
        return frame

    def raw(self, data):
        """Bytes as they stand, for peers that misbehave."""
        self.sock.settimeout(self.timeout)
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Gone("closed by the other side") from None

    def send(self, verb, members=None, body=b""):
        """Sends a request: its id."""
        self.last_id += 1
        self.raw(encode("REQ", self.last_id, dict({"verb": verb}, **(members or {})), body))
        return self.last_id

    def next(self, id=None, timeout=None):
        """The next frame (of this id); frames of other ids wait for their turn."""
        end = self._end(self.timeout if timeout is None else timeout)
        for i, frame in enumerate(self.waiting):
            if id is None or frame.id == id:
                return self.waiting.pop(i)
        while True:
            frame = self._read(end)
            if id is None or frame.id == id:
                return frame
            self.waiting.append(frame)

    def result(self, id, timeout=None):
        """The whole answer to a request: (meta, body); Refused for ERR."""
        frame = self.next(id, timeout)
        if frame.kind == "ERR":
            raise Refused(frame.meta)
        meta, body = frame.meta, frame.body
        while frame.more:
            frame = self.next(id, timeout)
            body += frame.body
        return meta, body

    def ask(self, verb, members=None, body=b"", timeout=None):
        return self.result(self.send(verb, members, body), timeout)

    def wait_closed(self, timeout=None):
        """Reads until the other side closes; frames that come before wait for their turn."""
        end = self._end(self.timeout if timeout is None else timeout)
        try:
            while True:
                self.waiting.append(self._read(end))
        except Gone:
            return True


class Table:
    """A subscriber of the hub that acknowledges what it sees."""

    def __init__(self, path, program="test", ack=True, timeout=10):
        self.conn = Conn(path, timeout)
        self.ack = ack
        self.program = program
        self.id = self.conn.send("subscribe", {"program": program})
        self.version = None
        self.workers = []

    def close(self):
        self.conn.close()

    def next(self, timeout=None):
        """Waits for the next version: its workers."""
        frame = self.conn.next(self.id, timeout)
        if frame.kind == "ERR":
            raise Refused(frame.meta)
        table = frame.json()
        self.version, self.workers = table["version"], table["workers"]
        if self.ack:
            self.conn.ask("ack", {"version": self.version})
        return self.workers

    def until(self, test, timeout=10):
        """Reads versions until test(workers) holds: the workers."""
        end = time.monotonic() + timeout
        while self.version is None or not test(self.workers):
            self.next(max(0.001, end - time.monotonic()))
        return self.workers

    def names(self):
        return [w["name"] for w in self.workers]
