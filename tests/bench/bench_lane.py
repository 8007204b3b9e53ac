"""The lane against raw shared memory, a Unix stream and ZeroMQ; the base is the raw epoll loop.

Both ends are pinned, to one core ("same") and to two ("apart"): left alone, the scheduler moves
them between these two worlds, which differ by a factor of five, and ratios mean nothing.
"""

import collections
import glob
import os
import subprocess

import bench_house
from bench_http import median

# Without a build folder the lane is compiled from the source, as the other programs are; all of
# it but the memory files, which this bench does not need.
LIB = os.path.join(bench_house.HERE, "..", "..", "lib")
LANE = ("-I", LIB, *sorted(set(glob.glob(os.path.join(LIB, "ipc", "lane*.c"))) -
                           set(glob.glob(os.path.join(LIB, "ipc", "lane_mem*.c")))),
        os.path.join(LIB, "base", "assert.c"))

Rival = collections.namedtuple("Rival", "name program kind libraries package")
Trip = collections.namedtuple("Trip", "p50 p99 rate")

BASE = Rival("raw-epoll", "lane-raw", "epoll", (), None)
RIVALS = [
    Rival("raw-block", "lane-raw", "block", (), None),
    Rival("raw-epoll", "lane-raw", "epoll", (), None),
    Rival("unix-stream", "lane-raw", "unix", (), None),
    Rival("zeromq", "lane-zmq", None, ("-lzmq",), "libzmq3-dev"),
    Rival("lane", "lane-bench", "lane", LANE, None),
]


def places():
    """name -> BENCH_CPUS, for the asking and the echoing side."""
    cpus = sorted(os.sched_getaffinity(0))
    found = {"same": (cpus[-1], cpus[-1])}
    if len(cpus) > 1:
        found["apart"] = (cpus[0], cpus[-1])
    return {name: "%d,%d" % pair for name, pair in found.items()}


def sample(house, rival, cpus, in_flight, seconds):
    program = house.program(rival.program, *rival.libraries, package=rival.package)
    argv = [program, rival.kind or house.folder, str(in_flight), str(seconds)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 20,
                              env=dict(os.environ, BENCH_CPUS=cpus))
    except subprocess.TimeoutExpired:
        raise bench_house.Missing(f"{rival.name} hangs with {in_flight} in flight")
    if done.returncode != 0:
        raise bench_house.Missing(f"{rival.name} failed: status {done.returncode}, " +
                                  bench_house.first_line(done.stderr, "no message"))
    p50_ns, p99_ns, rate = map(float, done.stdout.split())
    return Trip(p50_ns / 1e3, p99_ns / 1e3, rate)


def measure(house, table, rival, place, in_flight, pairs, seconds):
    name, cpus = place
    both = [tuple(sample(house, r, cpus, in_flight, seconds) for r in (BASE, rival))
            for _ in range(pairs)]
    fields = (("p50", "us"), ("p99", "us"), ("rate", "1/s"))
    for field, unit in fields if in_flight == 1 else fields[2:]:
        ratios = [getattr(s, field) / getattr(base, field) for base, s in both]
        table.add(f"{rival.name}.{name}.{in_flight}.{field}",
                  median([getattr(s, field) for _, s in both]), unit, median(ratios), ratios)


def run(house, table, wanted, pairs, seconds):
    for rival in RIVALS:
        if not wanted("lane-" + rival.name):
            continue
        try:
            for place in places().items():
                for in_flight in (1, 64):
                    measure(house, table, rival, place, in_flight, pairs, seconds)
        except bench_house.Missing as missing:
            table.note(f"lane-{rival.name}: {missing}")
