"""A worker that breaks the rules of a lane, one rule for each kind.

    python3 liar-worker.py NAME KIND       joins the hub as ready and serves POST /NAME in its own way
    python3 liar-worker.py --list          the kinds; `honest` beside them answers as it should

The bytes of its half and the bell are all that it has; what a caller makes of single words is the
matter of the unit tests.  Here a whole mgr-httpd must not notice more than failed calls.
"""
import array
import fcntl
import mmap
import os
import random
import socket
import struct
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import mgrctl

# The greeting and the layout of a half, as libmgr has them.
HELLO = struct.Struct('<QIIII')
HEAD, BELL, RING, LINE_N = 0x40, 0xc0, 0x100, 64
F_ADD_SEALS, SEALS = 1033, 0x1 | 0x2 | 0x4 | 0x10      # SEAL, SHRINK, GROW, FUTURE_WRITE
NEW = 0x80000000
TAKEN, CLOSED = 1, 4


class Half:
    """A half of ours: memory, its descriptor, and where things are in it."""

    def __init__(self, like, size, sealed=True, where=None, blank=False):
        self.fd = os.memfd_create('mgr-lane', os.MFD_ALLOW_SEALING) if where is None else where
        os.ftruncate(self.fd, size)
        self.map = mmap.mmap(self.fd, size)
        if not blank:
            self.map[0:0x14] = like[0:0x14]
        if sealed:
            fcntl.fcntl(self.fd, F_ADD_SEALS, SEALS)
        self.slots, self.bytes = struct.unpack_from('<II', like, 0xc)
        self.lines = (RING + 8 * self.slots + 63) // 64 * 64
        self.head = 0

    def put(self, at, value, form='<Q'):
        struct.pack_into(form, self.map, at, value & (1 << 8 * struct.calcsize(form)) - 1)

    def push(self, entry):
        self.put(RING + 4 * (self.head % (2 * self.slots)), entry, '<I')
        self.head += 1
        self.put(HEAD, self.head)


def words_of(half, slot, ctl, out=0, into=0, body_n=0, meta_n=0, info=200):
    at = half.lines + LINE_N * slot
    struct.pack_into('<QQQQII', half.map, at + 8, out, into, 0, body_n, meta_n, info)
    half.put(at, ctl)


def honest(half, peer, ctl):
    """The control: an answer as it should be."""
    meta, body = b'{"status":200}\n', b'ok'
    at = (half.lines + LINE_N * half.slots + 4095) // 4096 * 4096
    half.map[at:at + len(meta + body)] = meta + body
    words_of(half, 0, ctl & ~0xffffffff | CLOSED, out=len(meta + body), body_n=len(body), meta_n=len(meta))
    half.push(0)


# What is written once the caller has opened a slot; ctl is its control word, the generation above.

def garbage(half, peer, ctl):
    dice = random.Random(ctl)
    for at in list(range(HEAD, HEAD + 8)) + list(range(half.lines, half.lines + LINE_N * half.slots)):
        half.map[at] = dice.randrange(256)


def length(half, peer, ctl):
    words_of(half, 0, ctl & ~0xffffffff | CLOSED, out=1 << 40, body_n=1 << 62, meta_n=0xffffffff)
    half.push(0)


def more_than_ring(half, peer, ctl):
    words_of(half, 0, ctl & ~0xffffffff | CLOSED, out=half.bytes + 1, body_n=half.bytes, meta_n=1)
    half.push(0)


def index(half, peer, ctl):
    half.push(half.slots)
    half.push(0x7fffffff)


def foreign_slot(half, peer, ctl):
    words_of(half, half.slots - 1, ctl & ~0xffffffff | CLOSED, out=8, meta_n=8)
    half.push(half.slots - 1)


def head_jumps(half, peer, ctl):
    half.put(HEAD, 1 << 60)


def head_back(half, peer, ctl):
    half.put(HEAD, -1)


def generation(half, peer, ctl):
    words_of(half, 0, (ctl & ~0xffffffff) + (7 << 32) | CLOSED, out=8, meta_n=8)
    half.push(0)


def state(half, peer, ctl):
    words_of(half, 0, ctl & ~0xffffffff | 0xfe)
    half.push(0)


def takes_too_much(half, peer, ctl):
    words_of(half, 0, ctl & ~0xffffffff | TAKEN, into=1 << 50)
    half.push(0)


def new_from_worker(half, peer, ctl):
    half.push(NEW)


def silent(half, peer, ctl):
    pass


def bells(half, peer, ctl):
    return b'\0' * 100000


# How the lane is opened.

def no_greeting(sock, like, hello):
    return None


def closes(sock, like, hello):
    sock.close()


def text(sock, like, hello):
    sock.sendall(b'HTTP/1.1 200 OK\r\n\r\n' + b'x' * 100)


def no_memory(sock, like, hello):
    sock.sendall(hello)


def wrong_magic(sock, like, hello):
    give(sock, b'\0' * 8 + hello[8:], Half(like, len(like)).fd)


def wrong_slots(sock, like, hello):
    magic, slots, size, meta_max, zero = HELLO.unpack(hello)
    give(sock, HELLO.pack(magic, 1 << 31, size, meta_max, zero), Half(like, len(like)).fd)


def unsealed(sock, like, hello):
    give(sock, hello, Half(like, len(like), sealed=False).fd)


def too_small(sock, like, hello):
    give(sock, hello, Half(like, 4096).fd)


def too_large(sock, like, hello):
    give(sock, hello, Half(like, len(like) + 4096).fd)


def disk_file(sock, like, hello):
    with tempfile.TemporaryFile(dir=os.environ.get('MGR_STATE_DIR', '/tmp')) as f:
        give(sock, hello, Half(like, len(like), sealed=False, where=os.dup(f.fileno())).fd)


def a_pipe(sock, like, hello):
    give(sock, hello, os.pipe()[0])


def blank(sock, like, hello):
    give(sock, hello, Half(like, len(like), blank=True).fd)


def many_fds(sock, like, hello):
    fds = [Half(like, len(like)).fd] + [os.dup(0) for _ in range(8)]
    sock.sendmsg([hello], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))])


OPENINGS = (no_greeting, closes, text, no_memory, wrong_magic, wrong_slots, unsealed, too_small, too_large, disk_file,
            a_pipe, blank, many_fds)
LIES = (garbage, length, more_than_ring, index, foreign_slot, head_jumps, head_back, generation, state, takes_too_much,
        new_from_worker, silent, bells)
KINDS = {fn.__name__.replace('_', '-'): fn for fn in OPENINGS + LIES}


def give(sock, hello, fd):
    sock.sendmsg([hello], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])


def lie(sock, like, hello, fn):
    """A proper opening; then, at the first call, the lie."""
    half = Half(like, len(like))
    half.put(BELL, 1)               # asleep: wants a byte
    give(sock, hello, half.fd)
    sock.recv(4096)
    ctl, = struct.unpack_from('<Q', like, half.lines)
    noise = fn(half, like, ctl)
    try:
        sock.sendall(noise or b'\0')
    except OSError:
        pass
    return half


def serve(listener, fn):
    kept = []
    while True:
        sock, _ = listener.accept()
        hello, fds, _, _ = socket.recv_fds(sock, HELLO.size, 4)
        if len(hello) != HELLO.size or not fds:
            continue
        like = mmap.mmap(fds[0], 0, prot=mmap.PROT_READ)
        os.close(fds[0])
        try:
            kept.append((sock, lie(sock, like, hello, fn) if fn in LIES + (honest,) else fn(sock, like, hello)))
        except OSError as e:
            print(f'liar-worker: {e}', file=sys.stderr, flush=True)


def main():
    if sys.argv[1:] == ['--list']:
        print('\n'.join(KINDS))
        return
    name, kind = sys.argv[1:]
    fn = honest if kind == 'honest' else KINDS[kind]
    base = os.path.join(os.environ['MGR_RUNTIME_DIR'], f'worker-{os.getpid()}')
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(base + '.lane')
    listener.listen(16)
    hub = mgrctl.Conn(os.path.join(os.environ['MGR_RUNTIME_DIR'], 'hub.sock'), 5)
    hub.ask('join', {'name': name, 'mode': 'frame', 'cmd': ['/liar'], 'pid': os.getpid(), 'lane': base + '.lane',
                     'routes': [{'method': 'POST', 'pattern': '/' + name, 'sse': False}],
                     'control': base + '.sock', 'want': 1, 'ready': 1, 'state': 'ready', 'why': ''})
    serve(listener, fn)


main()
