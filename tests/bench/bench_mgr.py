"""mgr as a candidate: the stack as a user starts it, one registration for each variant.

MGR_BUILD is the build folder with the programs (default: the present folder), MGR_BENCH_HANDLERS
the folder of the C handlers (default: tests/handlers in it), MGR_BENCH_PYTHON the Python handler
(default: tests/handlers/hello.py of the source).
"""

import collections
import os
import re
import subprocess

import bench_house
from bench_http import Target

REPLICAS = 2
REPLICAS_FILTER = 2 * (os.cpu_count() or 1)     # as many as fcgiwrap has processes
CONTROL_S = 30

Variant = collections.namedtuple("Variant", "name options command")


def build_folder():
    return os.path.abspath(os.environ.get("MGR_BUILD", "."))


def handler(name):
    folder = os.environ.get("MGR_BENCH_HANDLERS",
                            os.path.join(build_folder(), "tests", "handlers"))
    return [os.path.join(os.path.abspath(folder), name)]


def python_handler():
    source = os.path.join(os.path.dirname(bench_house.HERE), "handlers", "hello.py")
    return [os.path.abspath(os.environ.get("MGR_BENCH_PYTHON", source))]


VARIANTS = [
    Variant("mgr-stdio", ["-n", str(REPLICAS)], lambda: handler("hello-stdio")),
    Variant("mgr-batch", ["-n", str(REPLICAS)], lambda: handler("hello-batch")),
    Variant("mgr-lockstep", ["-n", str(REPLICAS)], lambda: handler("hello-lockstep")),
    Variant("mgr-python", ["-n", str(REPLICAS)], python_handler),
]

FILTER = Variant("mgr-filter", ["-n", str(REPLICAS_FILTER), "--mode", "filter"],
                 lambda: ["tr", "a-z", "A-Z"])


class Stack:
    """One `mgr-ctl up` with a runtime and a state folder of its own."""

    def __init__(self, house):
        self.house = house
        build = build_folder()
        self.program = os.path.join(build, "mgr-ctl")
        if not os.access(self.program, os.X_OK):
            raise bench_house.Missing(f"no mgr-ctl in {build}: build it, or set MGR_BUILD")
        self.env = dict(os.environ, PATH=build + ":" + os.environ.get("PATH", ""),
                        MGR_RUNTIME_DIR=self.folder("run"), MGR_STATE_DIR=self.folder("state"))
        ready = house.path("mgr-up.out")
        with open(ready, "w") as out:
            self.process = house.start("mgr-up", [self.program, "up", "-l", "127.0.0.1:0",
                                                  "-j", "1"], env=self.env, stdout=out)
        found = house.wait_until(
            lambda: re.search(r"^http://.*:(\d+)\s*$", bench_house.read_text(ready), re.M),
            self.process, "mgr-up")
        self.port = int(found.group(1))

    def folder(self, name):
        os.mkdir(self.house.path(name), 0o700)
        return self.house.path(name)

    def control(self, *arguments):
        """mgr-ctl with these arguments; Missing with its message when it fails."""
        try:
            done = subprocess.run([self.program, *arguments], env=self.env, text=True,
                                  cwd=self.house.folder, capture_output=True, timeout=CONTROL_S)
        except subprocess.TimeoutExpired:
            raise bench_house.Missing(f"mgr-ctl {arguments[0]} hangs")
        if done.returncode != 0:
            raise bench_house.Missing(f"mgr-ctl {arguments[0]}: status {done.returncode}, " +
                                      bench_house.first_line(done.stderr, "no message"))

    def register(self, variant):
        self.control("register", variant.name, *variant.options, "--", *variant.command())
        return Target(self.port, "/" + variant.name)

    def unregister(self, variant):
        self.control("unregister", variant.name)

    def close(self):
        try:
            self.control("shutdown")
        except bench_house.Missing:
            pass        # stop() and the house end what is left
        self.house.stop(self.process)
