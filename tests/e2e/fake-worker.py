#!/usr/bin/env python3
"""A worker without a handler, for tests of mgr-hub: same command line as mgr-worker, same lock file.

What it does stands in the command: -- /any/path WORD...
    ready           joins with all replicas ready
    after=SECONDS   joins as starting, is ready later
    never           joins and stays starting
    silent          does not join
    die=STATUS      ends at once
    why=TEXT        joins, then says that a replica ended
    live=SECONDS    ends after that time
    stubborn        ignores TERM
    once            after a lost connection to the hub it does not come back
    child=FILE      has a child of its own whose pid goes into FILE, and leaves its files behind
    until=FILE      ready when that file is there
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import mgrctl


def parse(argv):
    at = argv.index("--")
    options, words = argv[1:at], argv[at + 1:]
    routes, replicas, name, mode = [], 1, None, "frame"
    for key, value in zip(options[::2], options[1::2]):
        if key == "--route":
            method, _, pattern = value.rpartition(" ")
            routes.append({"method": method, "pattern": pattern, "sse": False})
        elif key == "--replicas":
            replicas = int(value)
        elif key == "--name":
            name = value
        elif key == "--mode":
            mode = value
    if not routes:
        routes = [{"method": "POST", "pattern": "/" + name, "sse": False}]
    does = dict(w.partition("=")[::2] for w in words[1:])
    return name, mode, replicas, routes, words, does


class Worker:
    def __init__(self, argv):
        self.name, self.mode, self.replicas, self.routes, self.cmd, self.does = parse(argv)
        self.dir = os.environ["MGR_RUNTIME_DIR"]
        self.base = os.path.join(self.dir, "worker-%d" % os.getpid())
        self.started = time.monotonic()
        self.stop = False
        self.hub = None
        self.why = ""

    def lock(self):
        fd = os.open(self.base + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, b"%d\n%s\n" % (os.getpid(), self.name.encode()))
        for end in (".sock", ".lane"):
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(self.base + end)
            sock.listen(8)
            setattr(self, end[1:], sock)

    def is_ready(self):
        does = self.does
        if "never" in does or self.why:
            return False
        if "until" in does:
            return os.path.exists(does["until"])
        return time.monotonic() - self.started >= float(does.get("after", 0))

    def members(self):
        ready = self.is_ready()
        return {"name": self.name, "mode": self.mode, "cmd": self.cmd, "routes": self.routes, "pid": os.getpid(),
                "lane": self.base + ".lane", "control": self.base + ".sock", "want": self.replicas,
                "ready": self.replicas if ready else 0, "state": "backoff" if self.why else
                "ready" if ready else "starting", "why": self.why}

    def connect(self):
        while not self.stop and self.hub is None:
            try:
                self.hub = mgrctl.Conn(os.path.join(self.dir, "hub.sock"), 5)
                self.told = self.members()
                self.hub.ask("join", self.told)
            except mgrctl.Refused as e:
                sys.stderr.write("fake-worker: %s\n" % e.message)
                sys.exit(8)
            except (OSError, mgrctl.Gone):
                self.hub = None
                time.sleep(0.02)

    def tell(self):
        now = self.members()
        if now != self.told:
            self.told = now
            self.hub.ask("update", now)

    def turn(self):
        """Notices the hub's end, or says what changed."""
        try:
            self.hub.next(timeout=0.02)
        except socket.timeout:
            if "why" in self.does:
                self.why = self.does["why"]
            self.tell()
        except (mgrctl.Gone, OSError):
            self.hub.close()
            self.hub = None
            if "once" in self.does:
                self.idle()
            self.connect()

    def idle(self):
        while not self.stop:
            time.sleep(0.02)

    def ended(self):
        return time.monotonic() - self.started > float(self.does.get("live", 1e9))

    def run(self):
        if "die" in self.does:
            sys.exit(int(self.does["die"]))
        if "child" in self.does:
            child = subprocess.Popen(["sleep", "1000"])
            with open(self.does["child"] + ".new", "w") as f:
                f.write("%d" % child.pid)
            os.rename(self.does["child"] + ".new", self.does["child"])
        self.lock()
        if "silent" in self.does:
            self.idle()
        self.connect()
        while not self.stop and not self.ended():
            self.turn()
        if "child" in self.does:
            return
        for end in (".sock", ".lane", ".lock"):
            os.unlink(self.base + end)


worker = Worker(sys.argv)


def term(*_):
    worker.stop = "stubborn" not in worker.does


signal.signal(signal.SIGTERM, term)
worker.run()
