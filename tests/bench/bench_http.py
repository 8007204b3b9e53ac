"""Samples over HTTP: wrk flat out, or our own client at a pace, always next to a base sample."""

import collections
import http.client
import os
import statistics
import subprocess

import bench_house

BODY_N = 20
FOREIGN_MAX = 0.10      # share of the machine that others may use during a quiet sample

# What wrk prints for people rounds its figures, so it prints for us at the end.
WRK_SCRIPT = """
wrk.method = "POST"
wrk.body = string.rep("x", %d)
wrk.headers["Content-Type"] = "text/plain"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("BENCH %%d %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.status,
    e.connect + e.read + e.write + e.timeout))
end
""" % BODY_N

Target = collections.namedtuple("Target", "port path")
Sample = collections.namedtuple("Sample", "rate p50 p99 bad broken cpu foreign")


class Series:
    """The pairs of one candidate: base[i] was measured right before sample[i]."""

    def __init__(self):
        self.pairs = []

    def quiet(self):
        return [p for p in self.pairs if max(p[0].foreign, p[1].foreign) <= FOREIGN_MAX]

    def used(self):
        return self.quiet() or self.pairs

    def told(self, field):
        """The pairs that say something of field: a sample without an answer has no latency."""
        return [(getattr(base, field), getattr(sample, field)) for base, sample in self.used()
                if base.rate > 0 and (sample.rate > 0 or field == "rate")]

    def values(self, field):
        return [value for _, value in self.told(field)]

    def ratios(self, field):
        return [value / base for base, value in self.told(field) if base > 0]

    def errors(self):
        return sum(s.bad for _, s in self.pairs), sum(s.broken for _, s in self.pairs)


def answer_size(target):
    """Size of the answer to the request that is to be measured; Missing if it is none."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
    try:
        connection.request("POST", target.path, b"x" * BODY_N, {"Content-Type": "text/plain"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise bench_house.Missing(f"{target.path} does not answer: {error!r}")
    finally:
        connection.close()
    if response.status != 200:
        raise bench_house.Missing(f"{target.path} answers {response.status}: {body[:80]!r}")
    return len(body)


class Meter:
    def __init__(self, house, seconds, with_cpu):
        self.house = house
        self.seconds = seconds
        self.with_cpu = with_cpu
        self.wrk_path = None
        self.script = house.write("post.lua", WRK_SCRIPT)

    def around(self, run):
        """Runs and gives its answer, the cost of each process name meanwhile, the foreign share."""
        costs = self.house.costs() if self.with_cpu else {}
        others = bench_house.foreign_s()
        answer = run()
        others = max(0.0, bench_house.foreign_s() - others)
        foreign = others / (self.seconds * (os.cpu_count() or 1))
        after = self.house.costs() if self.with_cpu else {}
        return answer, cost_of(costs, after), foreign

    def wrk(self, target, conns):
        if self.wrk_path is None:
            self.wrk_path = bench_house.need("wrk", "wrk")
        argv = [self.wrk_path, "-t1", f"-c{conns}", f"-d{self.seconds}s", "-s", self.script,
                f"http://127.0.0.1:{target.port}{target.path}"]
        done, cpu, foreign = self.around(
            lambda: subprocess.run(argv, capture_output=True, text=True,
                                   timeout=self.seconds + 60))
        line = [t for t in done.stdout.splitlines() if t.startswith("BENCH ")]
        if not line:
            raise bench_house.Missing("wrk failed: " + bench_house.first_line(done.stderr, ""))
        requests, took_us, p50, p99, bad, broken = map(int, line[0].split()[1:])
        return Sample(requests / (took_us / 1e6), p50, p99, bad, broken,
                      per_request(cpu, requests), foreign)

    def paced(self, target, rate):
        count = rate * self.seconds
        argv = [self.house.program("paced"), str(rate), str(count), str(BODY_N), "127.0.0.1",
                str(target.port), target.path]
        done, cpu, foreign = self.around(
            lambda: subprocess.run(argv, capture_output=True, text=True, timeout=600))
        if done.returncode != 0:
            raise bench_house.Missing("paced failed: " + bench_house.first_line(done.stderr, ""))
        p50, p99, good, bad, _ = map(float, done.stdout.split())
        return Sample(good / self.seconds, p50, p99, int(bad), 0, per_request(cpu, count), foreign)

    def pairs(self, n, base, candidate):
        """n pairs of base() and candidate(), more when others used the machine, 2n at most."""
        series = Series()
        while len(series.pairs) < 2 * n and len(series.quiet()) < n:
            if len(series.pairs) >= n and not series.quiet():
                break       # never quiet: no use in going on
            series.pairs.append((base(), candidate()))
        return series


def cost_of(before, after):
    nothing = bench_house.Cost(0, 0)
    result = {}
    for comm, cost in after.items():
        old = before.get(comm, nothing)
        result[comm] = bench_house.Cost(cost.cpu_ns - old.cpu_ns, cost.switches - old.switches)
    return result


def per_request(costs, requests):
    """comm -> (us of processor time, voluntary switches) for each request."""
    return {comm: (cost.cpu_ns / 1e3 / requests, cost.switches / requests)
            for comm, cost in costs.items() if requests > 0 and cost.cpu_ns > 0}


def median(values):
    return statistics.median(values) if values else float("nan")
