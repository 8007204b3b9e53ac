"""The house of one benchmark run: a temporary folder, the processes started in it, what they cost.

Everything that is started here, and everything that those start, is ended by pid when the run
ends, however it ends: the run is the reaper of its orphans.
"""

import collections
import ctypes
import glob
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
START_S = 15
STOP_S = 5
PR_SET_CHILD_SUBREAPER = 36
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

Cost = collections.namedtuple("Cost", "cpu_ns switches")


class Missing(Exception):
    """Something that a row needs is not there; the text says what to do about it."""


def first_line(text, otherwise):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[0].strip() if lines else otherwise


def read_text(path):
    """The text of a file under /proc, empty when its process has gone meanwhile."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def stat_fields(pid):
    """comm and the fields after it from /proc/PID/stat, or None."""
    text = read_text(f"/proc/{pid}/stat")
    if not text:
        return None
    head, _, tail = text.rpartition(")")
    return head.partition("(")[2], tail.split()


def descendants(root):
    """pid -> comm of every living process below root."""
    comm, children = {}, collections.defaultdict(list)
    for path in glob.glob("/proc/[0-9]*"):
        pid = int(path[6:])
        fields = stat_fields(pid)
        if fields is not None and fields[1][0] not in "ZX":
            comm[pid] = fields[0]
            children[int(fields[1][1])].append(pid)
    found, todo = {}, [root]
    while todo:
        for pid in children[todo.pop()]:
            found[pid] = comm[pid]
            todo.append(pid)
    return found


def process_cost(pid):
    """Processor time and voluntary switches of all threads of a process."""
    cpu_ns = switches = 0
    for task in glob.glob(f"/proc/{pid}/task/*"):
        cpu_ns += int((read_text(task + "/schedstat").split() or [0])[0])
        for line in read_text(task + "/status").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                switches += int(line.split()[1])
    return Cost(cpu_ns, switches)


def foreign_s():
    """Processor time spent so far by others: processes not below this run, and the hypervisor.

    A process that is gone counts through its parent, which waited for it."""
    own = {os.getpid(), *descendants(os.getpid())}
    total = int(read_text("/proc/stat").splitlines()[0].split()[8])
    for path in glob.glob("/proc/[0-9]*"):
        fields = None if int(path[6:]) in own else stat_fields(path[6:])
        if fields is not None:
            total += sum(map(int, fields[1][11:15]))
    return total * TICK_S


class House:
    def __init__(self):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.folder = tempfile.mkdtemp(prefix="mgr-bench-")
        self.processes = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def log(self, name):
        return read_text(self.path(name + ".log"))

    def start(self, name, argv, stdin=subprocess.DEVNULL, env=None, stdout=None):
        """Starts a process; stdout and stderr go to NAME.log but where stdout is given."""
        with open(self.path(name + ".log"), "a") as log:
            process = subprocess.Popen(argv, stdin=stdin, stdout=stdout or log, stderr=log,
                                       env=env, cwd=self.folder, start_new_session=True)
        self.processes.append(process)
        return process

    def wait_until(self, ready, process, name):
        """Asks until ready() gives something true, and gives that."""
        deadline = time.monotonic() + START_S
        while True:
            answer = ready()
            if answer:
                return answer
            if process.poll() is not None or time.monotonic() > deadline:
                why = first_line(self.log(name), "no message")
                raise Missing(f"{name} did not start: {why}")
            time.sleep(0.02)

    def stop(self, process, signal_number=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(signal_number)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def costs(self):
        """comm -> Cost, summed over the processes of that name below this run."""
        result = collections.defaultdict(lambda: Cost(0, 0))
        for pid, comm in descendants(os.getpid()).items():
            cost, old = process_cost(pid), result[comm]
            result[comm] = Cost(old.cpu_ns + cost.cpu_ns, old.switches + cost.switches)
        return result

    def program(self, name, *libraries, package=None):
        """Path of a C program of this folder: out of the build folder, else compiled here."""
        built = os.path.join(os.environ.get("MGR_BUILD", "."), "tests", "bench", name)
        if os.access(built, os.X_OK):
            return os.path.abspath(built)
        target = self.path(name)
        if os.path.exists(target):
            return target
        compiler = shlex.split(os.environ.get("CC", "cc"))
        if shutil.which(compiler[0]) is None:
            raise Missing(f"no {compiler[0]} to build {name} with: apt-get install gcc")
        argv = [*compiler, "-std=gnu17", "-O2", "-D_GNU_SOURCE", "-o", target,
                os.path.join(HERE, name + ".c"), *libraries]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode != 0:
            if package is not None:
                raise Missing(f"{name} does not build: apt-get install {package}")
            raise Missing(f"{name} does not build: {first_line(done.stderr, 'no message')}")
        return target

    def close(self):
        for process in list(self.processes):
            self.stop(process)
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + STOP_S
            for pid in descendants(os.getpid()):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            while descendants(os.getpid()) and time.monotonic() < deadline:
                reap()
                time.sleep(0.02)
        reap()
        shutil.rmtree(self.folder, ignore_errors=True)


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass


def free_port():
    """A port that nobody had a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def need(what, package):
    """what: a program in PATH or /usr/sbin, or a file."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    found = what if os.path.exists(what) and "/" in what else shutil.which(what, path=path)
    if found is None:
        raise Missing(f"{os.path.basename(what)} is missing: apt-get install {package}")
    return found
