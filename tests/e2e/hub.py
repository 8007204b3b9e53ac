#!/usr/bin/env python3
"""mgr-hub with fake workers: refusals, table and acknowledgements, registrations, deaths, restarts of the hub."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
from mgrctl import Conn, Gone, Refused, Table

count = failed = 0


def ok(good, what, *more):
    global count, failed
    count += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", count, what))
    if not good:
        frame = sys._getframe(1)
        print("# line %d %s" % (frame.f_lineno, " ".join(repr(m)[:600] for m in more)))
    sys.stdout.flush()
    return good


def program(name):
    build = os.environ.get("MGR_BUILD")
    path = os.path.join(build, name) if build else shutil.which(name)
    if not path or not os.access(path, os.X_OK):
        print("1..0 # SKIP %s is not built" % name)
        sys.exit(0)
    return os.path.realpath(path)


def until(test, what, timeout=10):
    """Waits for a state that nobody announces: the value of test(), which must become true."""
    end = time.monotonic() + timeout
    while True:
        value = test()
        if value or time.monotonic() > end:
            if not value:
                print("# gave up waiting: %s" % what)
            return value
        time.sleep(0.01)


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Hub:
    """One hub with folders of its own; mgr-worker is the fake one."""

    FAST = ["--ping-interval", "1h", "--adopt", "1s", "--backoff-min", "20ms", "--backoff-max", "40ms",
            "--drain-time", "1s", "--grace", "100ms"]

    open = []  # those that a test did not close

    def __init__(self, *options):
        self.dir = tempfile.mkdtemp(prefix="mgr-hub-")
        self.run = os.path.join(self.dir, "run")
        self.state = os.path.join(self.dir, "state")
        self.bin = os.path.join(self.dir, "bin")
        self.path = os.path.join(self.run, "hub.sock")
        self.options = list(options)
        self.process = None
        Hub.open.append(self)
        os.mkdir(self.bin)
        os.symlink(os.path.join(HERE, "fake-worker.py"), os.path.join(self.bin, "mgr-worker"))
        os.symlink(program("mgr-hub"), os.path.join(self.bin, "mgr-hub"))
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(os.path.join(self.dir, "notify"))
        self.notify.settimeout(10)
        self.env = dict(os.environ, MGR_RUNTIME_DIR=self.run, MGR_STATE_DIR=self.state, MGR_BIN_DIR=self.bin,
                        NOTIFY_SOCKET=os.path.join(self.dir, "notify"))

    def command(self):
        return [os.path.join(self.bin, "mgr-hub")] + self.FAST + self.options

    def start(self, wait=True):
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.process = subprocess.Popen(self.command(), env=self.env, stdin=subprocess.DEVNULL, stderr=log,
                                            stdout=log)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        while not self.notify.recv(4096).startswith(b"READY=1"):
            pass

    def log(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as f:
            return f.read()

    def conn(self, timeout=10):
        return Conn(self.path, timeout)

    def ask(self, verb, members=None, body=b"", timeout=10):
        with self.conn(timeout) as c:
            return c.ask(verb, members, body)

    def ls(self):
        return json.loads(self.ask("ls")[1])

    def one(self, name):
        """The one worker of a name that is not on its way out."""
        found = [w for w in self.ls() if w["name"] == name and w["state"] != "draining"]
        return found[0] if len(found) == 1 else None

    def register(self, name, words, args=(), timeout=15, **members):
        meta, _ = self.ask("register", members, document(name, words, args), timeout)
        return meta

    def refused(self, *args, **kw):
        return refused(lambda: self.register(*args, **kw))

    def stored(self, name):
        return os.path.exists(os.path.join(self.state, "handlers", name + ".json"))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            return None

    def close(self):
        workers = []
        Hub.open.remove(self)
        if self.process is not None and self.process.poll() is None:
            try:
                workers = [w["pid"] for w in self.ls() if w["pid"] and w["pid"] != os.getpid()]
            except (OSError, Gone):
                pass
            if self.stop() is None:
                self.kill()
        for pid in workers:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        text = self.log() if os.path.exists(os.path.join(self.dir, "log")) else ""
        bad = [l for l in text.splitlines() if "Sanitizer" in l or "runtime error" in l or "assert" in l]
        if bad:
            ok(False, "the log of the hub is clean", *bad[:5])
        shutil.rmtree(self.dir, ignore_errors=True)


def document(name, words, args=()):
    doc = {"name": name, "args": list(args), "cmd": ["/bin/true"] + list(words), "cwd": "/"}
    return json.dumps(doc).encode()


def refused(act):
    try:
        act()
    except Refused as e:
        return e
    except Gone:
        return Refused({"status": 0, "message": "closed"})
    return None


def member(name, routes=None, **more):
    routes = ["POST /" + name] if routes is None else routes
    out = {"name": name, "mode": "frame", "cmd": ["/bin/true"], "pid": os.getpid(), "lane": "/tmp/none.lane",
           "control": "/tmp/none.sock", "want": 1, "ready": 1, "state": "ready", "why": "",
           "routes": [{"method": r.rpartition(" ")[0], "pattern": r.rpartition(" ")[2], "sse": False} for r in routes]}
    out.update(more)
    return out


def joined(hub, *args, **more):
    c = hub.conn()
    c.ask("join", member(*args, **more))
    return c


def test_start():
    hub = Hub().start()
    with hub.conn() as c:
        ok(c.ready.get("v") == 1 and c.ready.get("program") == "mgr-hub", "the hub speaks first", c.ready)
        meta, _ = c.ask("status")
        ok(meta["name"] == "mgr-hub" and meta["pid"] == hub.process.pid and meta["state"] == "ready" and
           meta["since"].endswith("Z") and meta["version"], "status has name, pid, state, since, version", meta)
        e = refused(lambda: c.ask("nonsense"))
        ok(e and e.status == 404, "an unknown verb is refused", e)
    second = subprocess.run(hub.command(), env=hub.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=10)
    lines = second.stderr.decode().splitlines()
    ok(second.returncode == 8, "a second hub exits with 8", second)
    ok(len(lines) == 1 and "another mgr-hub runs" in lines[0] and str(hub.process.pid) in lines[0],
       "with one line that names the first", lines)
    ok(hub.ls() == [], "the first one goes on")
    ok(hub.stop() == 0, "TERM ends it with 0")
    ok(os.listdir(hub.run) == [], "nothing is left in the runtime folder", os.listdir(hub.run))
    bad = subprocess.run([hub.command()[0], "--nonsense"], env=hub.env, stderr=subprocess.PIPE, timeout=10)
    ok(bad.returncode == 2, "an unknown option exits with 2", bad)
    hub.close()


BAD_JOINS = [
    ("a name with a slash", member("a/b")),
    ("an empty name", member("", ["GET /x"])),
    ("a name of 65 bytes", member("a" * 65)),
    ("a name that begins with a dot", member(".a")),
    ("a name that is a number in JSON", member("x") | {"name": 7}),
    ("a reserved name", member("shutdown", ["GET /x"])),
    ("a name with an underscore in front", member("_x", ["GET /x"])),
    ("a reserved route", member("x", ["GET /health"])),
    ("a reserved first segment", member("x", ["GET /_x/y"])),
    ("a route without a slash", member("x", ["GET x"])),
    ("a route with a doubled parameter", member("x", ["GET /{a}/{a}"])),
    ("a pattern of 257 bytes", member("x", ["GET /" + "a" * 256])),
    ("a method that is no token", member("x") | {"routes": [{"method": "G(T", "pattern": "/x"}]}),
    ("65 routes", member("x", ["GET /r%d" % i for i in range(65)])),
    ("3000 routes", member("x", ["GET /r%d" % i for i in range(3000)])),
    ("10000 routes", member("x", ["GET /r%d" % i for i in range(10000)])),
    ("routes that are a text", member("x") | {"routes": "GET /x"}),
    ("a route that is a text", member("x") | {"routes": ["GET /x"]}),
    ("no routes member", {k: v for k, v in member("x").items() if k != "routes"}),
    ("an unknown mode", member("x", mode="magic")),
    ("an unknown state", member("x", state="dancing")),
    ("a relative lane", member("x", lane="worker.lane")),
    ("a lane of 108 bytes", member("x", lane="/" + "a" * 107)),
    ("a lane with a line feed", member("x", lane="/tmp/a\nb")),
    ("a negative count", member("x", ready=-1)),
    ("a command that is no list", member("x", cmd="/bin/true")),
]


def test_refusals():
    hub = Hub().start()
    keep = joined(hub, "keep")
    table = Table(hub.path)
    table.next()
    version = table.version
    for what, bad in BAD_JOINS:
        e = refused(lambda: hub.ask("join", bad))
        ok(e is not None and e.status in (0, 400) and e.message, "join refused: " + what, e and e.meta)
    for what, bad in [("no JSON", b"REQ 1 3 0\n{x\n"), ("a bad header", b"REQ 01 0 0\n"), ("garbage", os.urandom(300)),
                      ("a length without end", b"REQ 1 99999999999999999999 0\n"), ("a long line", b"A" * 70)]:
        c = hub.conn()
        c.raw(bad + b"\n")
        c.sock.shutdown(socket.SHUT_WR)
        ok(c.wait_closed(), "frame refused: " + what)
        c.close()
    e = refused(lambda: keep.ask("join", member("two")))
    ok(e and e.status == 400, "a connection joins once", e)
    e = refused(lambda: hub.ask("update", member("keep")))
    ok(e and e.status == 400, "no update before a join", e)
    for what, doc in [("not JSON", b"{"), ("a list", b"[]"), ("no command", document("a", [])[:-20]),
                      ("bad name", document("a/b", [])), ("reserved name", document("jobs", [])),
                      ("bad route", document("a", [], ["--route", "GET x"])),
                      ("65 routes", document("a", [], sum((["--route", "GET /r%d" % i] for i in range(65)), []))),
                      ("relative command", document("a", []).replace(b"/bin/true", b"true")),
                      ("relative folder", document("a", []).replace(b'"cwd": "/"', b'"cwd": "x"')),
                      ("empty", b""), ("too large", b" " * 300000)]:
        e = refused(lambda: hub.ask("register", {}, doc))
        ok(e and e.status == 400, "register refused: " + what, e and e.meta)
    ok([w["name"] for w in hub.ls()] == ["keep"], "the registry is unchanged", hub.ls())
    late = Table(hub.path)
    late.next()
    ok(late.version == version, "and so is the table", late.version, version)
    hub.close()


def test_conflicts():
    hub = Hub().start()
    a = joined(hub, "items", ["GET /items/{id}", "/any"])
    e = refused(lambda: joined(hub, "other", ["GET /items/{key}"]))
    ok(e and e.status == 409 and "'items'" in e.message and "/items/{id}" in e.message,
       "a route that matches the same requests is a conflict that names the other", e and e.meta)
    e = refused(lambda: joined(hub, "other", ["PUT /x", "/any"]))
    ok(e and e.status == 409, "so is one for any method", e)
    b = joined(hub, "other", ["PUT /items/{id}", "GET /items/new"])
    ok(True, "another method and a more specific pattern are none")
    e = refused(lambda: joined(hub, "items", ["GET /items/{id}"]))
    ok(e and e.status == 409, "a second worker of a name with other routes is refused", e)
    c = joined(hub, "items", ["GET /items/{id}", "/any"])
    ok(len([w for w in hub.ls() if w["name"] == "items"]) == 2, "one with the same routes is welcome", hub.ls())
    e = refused(lambda: b.ask("update", member("other", ["GET /items/{x}"], ready=0, state="starting")))
    ok(e and e.status == 409, "an update into a conflict is refused", e)
    ok(hub.one("other")["routes"] == ["PUT /items/{id}", "GET /items/new"], "its routes stay", hub.one("other"))
    ok(hub.one("other")["state"] == "starting", "what else it said counts")
    e = refused(lambda: b.ask("update", member("third")))
    ok(e and e.status == 400, "the name cannot change", e)
    table = Table(hub.path)
    table.next()
    a.close()
    c.close()
    table.until(lambda w: [x["name"] for x in w] == ["other"])
    free = joined(hub, "free", ["GET /items/{key}"])
    ok(hub.one("free") is not None, "routes are free when their last worker left")
    free.close()
    hub.close()


def test_table():
    hub = Hub().start()
    table = Table(hub.path)
    ok(table.next() == [], "the first table is empty")
    first = table.version
    a = joined(hub, "a", ready=0, state="starting", want=2)
    w = table.next()
    ok(table.version > first, "versions rise")
    ok(len(w) == 1 and w[0]["name"] == "a" and w[0]["ready"] == 0 and w[0]["pid"] == os.getpid() and
       w[0]["lane"] == "/tmp/none.lane" and w[0]["control"] == "/tmp/none.sock" and w[0]["mode"] == "frame" and
       w[0]["uid"] == os.geteuid() and w[0]["worker_id"] and
       w[0]["routes"] == [{"method": "POST", "pattern": "/a", "sse": False}], "a cold worker is listed whole", w)
    a.ask("update", member("a", ready=2, want=2))
    ok(table.next()[0]["ready"] == 2, "its replicas are counted")
    same = table.version
    a.ask("update", member("a", ready=2, want=2, why="some replica ended"))
    b = joined(hub, "a", ready=0, state="failed", want=1)
    joined_b = hub.ls()
    late = Table(hub.path)
    late.next()
    ok(late.version == same and len(joined_b) == 2, "what callers do not see makes no version", late.workers)
    a.ask("update", member("a", state="draining"))
    w = table.next()
    ok(len(w) == 1 and w[0]["ready"] == 0, "the last of a name is listed though it failed", w)
    b.close()
    ok(table.next() == [], "a draining worker is not listed")
    e = refused(lambda: table.conn.ask("ack", {"version": table.version + 1}))
    ok(e and e.status == 400, "an unknown version cannot be acknowledged", e)
    e = refused(lambda: table.conn.ask("subscribe", {}))
    ok(e and e.status == 400, "a connection subscribes once", e)
    any_method = joined(hub, "any", ["/any/{x}"])
    ok(json.loads(hub.ask("routes")[1]) == [{"method": "*", "pattern": "/any/{x}", "name": "any", "sse": False}],
       "routes shows any method as *", hub.ask("routes"))
    any_method.close()
    hub.close()


def test_register():
    hub = Hub().start()
    meta = hub.register("hello", ["ready"], ["--replicas", "3", "--route", "GET /x"])
    ok(meta["ready"] == 3 and len(meta["worker_id"]) == 36, "register answers when all replicas are ready", meta)
    w = hub.one("hello")
    ok(w == {"name": "hello", "mode": "frame", "cmd": ["/bin/true", "ready"], "routes": ["GET /x"],
             "replicas": {"want": 3, "ready": 3}, "state": "ready", "worker_id": meta["worker_id"],
             "pid": w["pid"], "control": w["control"], "why": ""}, "ls has what it must", w)
    ok(os.getsid(w["pid"]) == w["pid"], "the worker has a session of its own")
    ok(hub.stored("hello"), "the registration is stored")
    again = hub.register("hello", ["ready"], ["--replicas", "3", "--route", "GET /x"])
    ok(again == meta and hub.one("hello")["pid"] == w["pid"], "the same again is a success and changes nothing", again)
    e = hub.refused("hello", ["ready", "other"])
    ok(e and e.status == 409, "another command line is a conflict", e)
    e = hub.refused("rival", ["ready"], ["--route", "GET /x"])
    ok(e and e.status == 409 and "'hello'" in e.message and not hub.stored("rival"), "so is a route of another name", e)
    new = hub.register("hello", ["ready", "other"], ["--route", "GET /y"], replace=True)
    ok(new["worker_id"] != meta["worker_id"], "replace starts a new worker", new)
    ok(until(lambda: not is_alive(w["pid"]), "old worker"), "and ends the old one")
    ok(hub.one("hello")["routes"] == ["GET /y"], "the new routes count", hub.one("hello"))
    kept = hub.one("hello")
    e = hub.refused("hello", ["die=3"], replace=True)
    ok(e and "exit status 3" in e.message, "a replacement that does not start is refused", e)
    ok(hub.one("hello") == kept, "and the old one stays as it is", hub.ls())
    with open(os.path.join(hub.state, "handlers", "hello.json")) as f:
        ok(json.load(f)["cmd"] == ["/bin/true", "ready", "other"], "also on disk")
    for what, words, args, part in [("ends", ["die=1"], [], "exit status 1"),
                                    ("has no command", ["die=3"], [], "the command was not found"),
                                    ("reports a dead replica", ["never", "why=exit status 1: no such module"], [], "no such module"),
                                    ("never becomes ready", ["never"], ["--start-time", "100ms"], "in time")]:
        e = hub.refused("bad", words, args)
        ok(e and e.status in (404, 500) and part in e.message, "register gives the reason of a worker that " + what, e and e.meta)
        ok(not hub.stored("bad") and until(lambda: hub.one("bad") is None, "bad gone"), "and nothing is left", hub.ls())
    hub.register("transient", ["ready"], store=False)
    ok(not hub.stored("transient"), "store false stores nothing")
    hub.register("hello", ["ready", "third"], replace=True, store=False)
    with open(os.path.join(hub.state, "handlers", "hello.json")) as f:
        ok(json.load(f)["cmd"][2] == "other", "and leaves what is stored")
    e = refused(lambda: hub.ask("unregister", {"name": "nobody"}))
    ok(e and e.status == 404, "unregister of an unknown name", e)
    pid = hub.one("hello")["pid"]
    hub.ask("unregister", {"name": "hello"})
    ok(not is_alive(pid) and hub.one("hello") is None and not hub.stored("hello"), "unregister answers when all is gone")
    hub.register("stubborn", ["ready", "stubborn"])
    pid = hub.one("stubborn")["pid"]
    hub.ask("unregister", {"name": "stubborn"})
    ok(not is_alive(pid), "a worker that does not stop is killed")
    two = [hub.conn(), hub.conn()]
    ids = [c.send("register", {}, document("both", ["after=0.2"])) for c in two]
    answers = [c.result(i)[0] for c, i in zip(two, ids)]
    ok(answers[0] == answers[1] and hub.one("both"), "two that register the same at once get the same", answers)
    c = hub.conn()
    c.send("register", {}, document("left", ["after=0.3"]))
    c.close()
    ok(until(lambda: hub.stored("left"), "left stored"), "a client that leaves does not undo its registration")
    hub.close()


def test_acks():
    hub = Hub("--ack", "30s").start()
    httpd = Table(hub.path, program="mgr-httpd", ack=False)
    httpd.next()
    c = hub.conn()
    id = c.send("register", {}, document("hello", ["ready"]))
    httpd.until(lambda w: any(x["ready"] for x in w))
    quiet = False
    try:
        c.result(id, 0.3)
    except socket.timeout:
        quiet = True
    ok(quiet, "register waits for the acknowledgement of mgr-httpd")
    httpd.conn.ask("ack", {"version": httpd.version})
    ok(c.result(id)[0]["ready"] == 1, "and answers with it")
    id = c.send("unregister", {"name": "hello"})
    httpd.until(lambda w: w == [])
    ok(len(hub.ls()) == 1 and is_alive(hub.ls()[0]["pid"]), "a worker that leaves serves until every mgr-httpd knows", hub.ls())
    httpd.close()
    c.result(id)
    ok(hub.ls() == [], "one that left is not waited for")
    hub.close()
    hub = Hub("--ack", "200ms").start()
    httpd = Table(hub.path, program="mgr-httpd", ack=False)
    before = time.monotonic()
    hub.register("hello", ["ready"])
    ok(0.2 <= time.monotonic() - before < 5, "a mgr-httpd that says nothing is waited for only so long")
    hub.close()


def test_deaths():
    hub = Hub("--failed-retry", "300ms", "--stable", "0s").start()
    table = Table(hub.path)
    table.next()
    pidfile = os.path.join(hub.dir, "pid")
    hub.register("hello", ["ready", "child=" + pidfile])
    table.until(lambda w: any(x["ready"] for x in w))
    old = hub.one("hello")
    with open(pidfile) as f:
        child = int(f.read())
    os.kill(old["pid"], signal.SIGKILL)
    w = table.until(lambda w: not any(x["ready"] for x in w))
    ok(len(w) == 1 and w[0]["lane"] == "", "while its worker is away a name stays in the table without a lane", w)
    table.until(lambda w: any(x["ready"] for x in w))
    new = hub.one("hello")
    ok(new and new["pid"] != old["pid"] and new["state"] == "ready", "a killed worker comes back", new)
    ok(until(lambda: not is_alive(child), "child"), "what the dead one had started is gone")
    left = [f for f in os.listdir(hub.run) if str(old["pid"]) in f]
    ok(left == [], "and so are its files", left)
    hub.close()

    hub = Hub("--failed-retry", "300ms").start()
    flag = os.path.join(hub.dir, "flag")
    open(flag, "w").close()
    hub.register("hello", ["until=" + flag, "live=0.05"])
    ok(until(lambda: hub.one("hello")["state"] == "failed", "failed"), "after 5 deaths a worker has failed", hub.ls())
    w = hub.one("hello")
    ok(w["worker_id"] is None and w["pid"] is None and "exit status" in w["why"], "ls says why", w)
    ok(hub.log().count(" worker-failed ") == 1, "that is logged once")
    n = hub.log().count(" worker-started ")
    ok(until(lambda: hub.log().count(" worker-started ") > n, "retry"), "and it is tried again")
    hub.ask("unregister", {"name": "hello"})
    ok(hub.ls() == [], "unregister works for one that has failed")
    hub.close()


def test_hub_killed():
    hub = Hub().start()
    hub.register("kept", ["ready"])
    hub.register("loose", ["ready"], store=False)
    hub.register("once", ["ready", "once"])
    before = {w["name"]: w["pid"] for w in hub.ls()}
    for turn in range(3):
        hub.kill()
        hub.start(wait=False)
        table = until(lambda: connect(hub.path), "hub.sock")
        w = table.next()
        ok({"kept", "loose"} <= {x["name"] for x in w if x["ready"]}, "the first table of a new hub is whole", w)
        table.close()
        hub.wait_ready()
        after = {w["name"]: w["pid"] for w in hub.ls()}
        ok(after["kept"] == before["kept"] and after["loose"] == before["loose"], "workers outlive a killed hub", after)
    ok(until(lambda: (hub.one("once") or {}).get("state") == "ready", "once"), "one that stays silent is replaced")
    ok(until(lambda: not is_alive(before["once"]), "old once"), "and stopped")
    os.kill(before["loose"], signal.SIGKILL)
    ok(until(lambda: (hub.one("loose") or {}).get("pid") not in (None, before["loose"]), "loose"),
       "a registration that is not stored is still looked after", hub.ls())
    pid = hub.process.pid
    before = {w["name"]: w["pid"] for w in hub.ls()}
    hub.process.send_signal(signal.SIGHUP)
    hub.wait_ready()
    until(lambda: len([w for w in hub.ls() if w["worker_id"]]) == 3, "rejoined")
    after = {w["name"]: w["pid"] for w in hub.ls()}
    same = all(after[name] == before[name] for name in ("kept", "loose"))
    ok(hub.ask("status")[0]["pid"] == pid and same, "HUP re-executes the hub and leaves the workers", before, after)
    os.kill(after["kept"], signal.SIGKILL)
    ok(until(lambda: (hub.one("kept") or {}).get("pid") not in (None, after["kept"]), "kept"),
       "an adopted worker that dies comes back")
    until(lambda: (hub.one("kept") or {}).get("state") == "ready", "kept ready")
    pids = [w["pid"] for w in hub.ls()]
    ok(hub.stop() == 0 and not any(is_alive(p) for p in pids), "TERM stops what it adopted")
    ok(os.listdir(hub.run) == [], "nothing is left in the runtime folder", os.listdir(hub.run))
    ok(hub.stored("kept") and hub.stored("once") and not hub.stored("loose"), "stored registrations stay")
    hub.start()
    ok({w["name"]: w["state"] for w in hub.ls()} == {"kept": "ready", "once": "ready"}, "and come back", hub.ls())
    pids = [w["pid"] for w in hub.ls()]
    hub.kill()
    for p in pids:
        os.kill(p, signal.SIGKILL)
    until(lambda: not any(is_alive(p) for p in pids), "workers")
    hub.start()
    after = hub.ls()
    ok([w["state"] for w in after] == ["ready", "ready"], "also when hub and workers were killed", after)
    left = [f for f in os.listdir(hub.run) if any(str(p) in f for p in pids)]
    ok(left == [], "the files of the dead are gone", left)
    hub.close()


def connect(path):
    try:
        return Table(path)
    except (OSError, Gone):
        return None


def test_store():
    hub = Hub()
    folder = os.path.join(hub.state, "handlers")
    os.makedirs(folder, 0o700)
    files = {"good.json": document("good", ["ready"]), "bad.json": b"{", "other.json": document("name", ["ready"]),
             "empty.json": b"", "large.json": b" " * 300000, "jobs.json": document("jobs", ["ready"]),
             "note.txt": b"not a registration"}
    for name, text in files.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(text)
    os.mkdir(os.path.join(folder, "folder.json"))
    hub.start()
    ok([(w["name"], w["state"]) for w in hub.ls()] == [("good", "ready")], "good files are loaded", hub.ls())
    for name in ["bad", "other", "empty", "large", "jobs", "folder"]:
        lines = [l for l in hub.log().splitlines() if "%s.json" % name in l]
        ok(len(lines) == 1 and "registration-skipped" in lines[0], "%s.json is skipped with one line" % name, lines)
    ok(set(os.listdir(folder)) == set(files) | {"folder.json"}, "bad files stay for the one who must look")
    hub.close()


def test_slow_start():
    hub = Hub("--ready", "300ms")
    os.makedirs(os.path.join(hub.state, "handlers"), 0o700)
    with open(os.path.join(hub.state, "handlers", "slow.json"), "wb") as f:
        f.write(document("slow", ["never"]))
    before = time.monotonic()
    hub.start()
    ok(0.3 <= time.monotonic() - before < 5, "READY waits for stored registrations, but not for ever")
    ok(hub.one("slow")["state"] == "starting", "the slow one goes on", hub.ls())
    hub.close()


def test_events():
    hub = Hub().start()
    with hub.conn() as c:
        id = c.send("events", {"follow": True})
        first = c.next(id)
        lines = [json.loads(x) for x in first.body.decode().splitlines()]
        ok(first.more and any(e["event"] == "hub-ready" for e in lines), "events begins with the past", lines)
        hub.register("hello", ["ready"])
        seen = []
        while "registered" not in seen:
            for text in c.next(id).body.decode().splitlines():
                e = json.loads(text)
                seen.append(e["event"])
        ok(seen == ["worker-started", "worker-joined", "registered"], "and goes on with what happens", seen)
        ok(set(e) == {"ts", "event", "name", "detail"} and e["name"] == "hello", "one JSON object per line", e)
    for i in range(300):
        joined(hub, "x%d" % (i % 7)).close()
    meta, body = hub.ask("events")
    ok(len(body.splitlines()) == 256, "the ring holds 256", len(body.splitlines()))
    hub.close()


def test_ping():
    hub = Hub("--ping-interval", "100ms", "--ping-limit", "100ms", "--ping-misses", "2", "--hung", "300ms").start()
    table = Table(hub.path)
    table.next()
    hub.register("mute", ["ready"], ["--route", "GET /mute"])
    pid = hub.one("mute")["pid"]
    os.kill(pid, signal.SIGSTOP)
    w = table.until(lambda w: w and not any(x["ready"] for x in w))
    ok(w[0]["lane"] == "", "a worker that answers no ping leaves the table", w)
    ok(" worker-evicted " in hub.log(), "which is logged")
    ok(until(lambda: not is_alive(pid), "hung"), "when it does not come back it is killed")
    hub.close()


for test in [test_start, test_refusals, test_conflicts, test_table, test_register, test_acks, test_deaths,
             test_hub_killed, test_store, test_slow_start, test_events, test_ping]:
    if len(sys.argv) > 1 and test.__name__[5:] not in sys.argv[1:]:
        continue
    print("# %s" % test.__name__)
    try:
        test()
    except Exception as e:
        import traceback
        ok(False, "%s ran to its end" % test.__name__, e)
        print("# " + traceback.format_exc().replace("\n", "\n# "))
    for hub in list(Hub.open):
        hub.close()
print("1..%d" % count)
sys.exit(failed != 0)
