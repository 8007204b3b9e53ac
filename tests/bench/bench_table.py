"""What a run prints: a line for each metric as soon as it is known, and the bars at the end."""

import collections
import math

Row = collections.namedtuple("Row", "value ratio")
Bar = collections.namedtuple("Bar", "text measured at_least limit")


class Table:
    def __init__(self):
        self.rows = {}
        print(f"{'name':<40} {'value':>12} {'unit':<8} {'ratio':>7}  range of ratio", flush=True)

    def add(self, name, value, unit, ratio=None, ratios=(), note=""):
        self.rows[name] = Row(value, ratio)
        digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 3
        shown = "-" if ratio is None else f"{ratio:.3f}" if ratio < 10 else f"{ratio:.1f}"
        spread = f"[{min(ratios):.3f}-{max(ratios):.3f}]" if len(ratios) > 1 else ""
        line = f"{name:<40} {value:>12,.{digits}f} {unit:<8} {shown:>7}  {spread} {note}"
        print(line.rstrip(), flush=True)

    def note(self, text):
        print("# " + text, flush=True)

    def ratio(self, name):
        row = self.rows.get(name)
        return math.nan if row is None or row.ratio is None else row.ratio

    def value(self, name):
        row = self.rows.get(name)
        return math.nan if row is None else row.value


BARS = [
    Bar("C, flush per frame, pipeline, 64 conns: x nginx",
        lambda t: t.ratio("mgr-stdio.c64.rate"), True, 0.60),
    Bar("C, one write per batch, 64 conns: x nginx",
        lambda t: t.ratio("mgr-batch.c64.rate"), True, 0.70),
    Bar("C, flush per frame, 64 conns: x nginx + FastCGI",
        lambda t: t.ratio("mgr-stdio.c64.rate") / t.ratio("nginx-fcgi.c64.rate"), True, 3.0),
    Bar("the same: x FastCGI with a process per connection",
        lambda t: t.ratio("mgr-stdio.c64.rate") / t.ratio("nginx-fcgi-wide.c64.rate"), True, None),
    Bar("C, lockstep, 64 conns: x nginx",
        lambda t: t.ratio("mgr-lockstep.c64.rate"), True, 0.42),
    Bar("C, 1 connection: p50 x nginx",
        lambda t: t.ratio("mgr-stdio.c1.p50"), False, 2.2),
    Bar("Python, pipelined, 64 conns: x nginx",
        lambda t: t.ratio("mgr-python.c64.rate"), True, 0.55),
    Bar("filter tr at 100/s: p50 x fcgiwrap",
        lambda t: t.ratio("mgr-filter.100ps.p50"), False, 0.25),
    Bar("filter tr flat out: x fcgiwrap's rate",
        lambda t: t.ratio("mgr-filter.c64.rate"), True, 1.0),
    Bar("lane round trip, one core: p50 x raw epoll loop",
        lambda t: t.ratio("lane.same.1.p50"), False, 1.4),
    Bar("lane round trip, two cores: p50 x raw epoll loop",
        lambda t: t.ratio("lane.apart.1.p50"), False, 1.4),
    Bar("lane, one core, 64 in flight: calls/s",
        lambda t: t.value("lane.same.64.rate"), True, 500000),
    Bar("lane, two cores, 64 in flight: calls/s",
        lambda t: t.value("lane.apart.64.rate"), True, 500000),
]


def judge(bar, measured):
    if math.isnan(measured):
        return "not measured"
    if bar.limit is None:
        return "for information"
    passed = measured >= bar.limit if bar.at_least else measured <= bar.limit
    return "PASS" if passed else "FAIL"


def print_bars(table):
    """The bars of the run; gives how many were missed. What was not measured does not count."""
    missed = 0
    print(f"\n{'bar':<52} {'limit':>10} {'measured':>10}")
    for bar in BARS:
        measured = bar.measured(table)
        verdict = judge(bar, measured)
        missed += verdict == "FAIL"
        limit = "" if bar.limit is None else f"{'>=' if bar.at_least else '<='} {bar.limit:,g}"
        shown = f"{measured:,.0f}" if measured >= 1000 else f"{measured:.3f}"
        if math.isnan(measured):
            shown = "-"
        print(f"{bar.text:<52} {limit:>10} {shown:>10}  {verdict}")
    return missed
