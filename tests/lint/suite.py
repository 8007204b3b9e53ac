#!/usr/bin/python3
"""tests/suite itself: each way to fail is seen, named and counted, and nothing is left (TAP)."""
import os, re, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kit import SOURCE, Tap

# name, script, what the last line says, what else must be said
CASES = (
    ('good', 'echo "ok 1 - a"; echo "ok 2"; echo 1..2', '2 passed, 0 failed', ''),
    ('plan first', 'echo 1..1; echo "ok 1"', '1 passed, 0 failed', ''),
    ('not ok', 'echo 1..2; echo "ok 1"; echo "not ok 2 - b"; echo "# why"; exit 1', '1 passed, 1 failed', '# why'),
    ('not ok, status 0', 'echo 1..1; echo "not ok 1"', '0 passed, 2 failed', 'exit status 0 in spite'),
    ('ok, status 3', 'echo 1..1; echo "ok 1"; exit 3', '1 passed, 1 failed', 'exit status 3'),
    ('no plan', 'echo "ok 1"', '1 passed, 1 failed', 'no plan'),
    ('two plans', 'echo 1..1; echo "ok 1"; echo 1..1', '1 passed, 1 failed', 'more than one plan'),
    ('too few', 'echo 1..3; echo "ok 1"', '1 passed, 1 failed', 'planned 3, ran 1'),
    ('too many', 'echo 1..1; echo "ok 1"; echo "ok 2"', '2 passed, 1 failed', 'planned 1, ran 2'),
    ('wrong number', 'echo 1..1; echo "ok 2"', '1 passed, 1 failed', 'test 2 where 1 was due'),
    ('nothing', 'exit 0', '0 passed, 1 failed', 'no plan'),
    ('an empty plan', 'echo 1..0', '0 passed, 1 failed', 'nothing was tested'),
    ('all skipped', 'echo "1..0 # SKIP no such kernel"; :', '0 passed, 0 failed, 1 skipped', 'no such kernel'),
    ('one skipped', 'echo 1..2; echo "ok 1"; echo "ok 2 - b # SKIP too old"', '1 passed, 0 failed, 1 skipped', 'b: too old'),
    ('bail out', 'echo 1..2; echo "Bail out! no disk"; exit 1', '0 passed, 1 failed', 'Bail out! no disk'),
    ('killed', 'echo 1..1; echo "ok 1"; kill -9 $$', '1 passed, 1 failed', 'killed by SIGKILL'),
    ('too slow', '# time limit: 1 s\necho 1..1; echo "ok 1"; exec tail -f /dev/null', '1 passed, 1 failed', 'not finished in 1 s'),
    ('a file left', 'echo 1..1; : >"$MGR_RUNTIME_DIR/hub.sock"; echo "ok 1"', '1 passed, 1 failed', 'hub.sock'),
    ('a process left', 'echo 1..1; echo "ok 1"; setsid tail -f /dev/null &', '1 passed, 1 failed', 'tail -f /dev/null'),
    ('a report of a sanitizer', 'echo 1..1; echo "ok 1"; p=${ASAN_OPTIONS##*log_path=}; echo overflow >"$p.7"', '1 passed, 1 failed', 'overflow'),
    ('stderr is shown', 'echo 1..1; echo boo >&2; echo "not ok 1"; exit 1', '0 passed, 1 failed', '| boo'),
    ('what a test is given', 'echo 1..1; [ -d "$TMPDIR" ] && [ -d "$MGR_STATE_DIR" ] && [ "$MGR_NO_BELT" = 1 ] && '
     '[ "$PWD" = "$TMPDIR" ] && [ ${#MGR_RUNTIME_DIR} -lt 40 ] && echo "ok 1"', '1 passed, 0 failed', ''),
)


def run(script, *arguments, **env):
    with tempfile.TemporaryDirectory() as top:
        os.makedirs(top + '/tests/unit')
        shutil.copy(SOURCE + '/tests/suite', top + '/tests/suite')
        with open(top + '/tests/unit/case.t', 'w') as f:
            f.write('#!/bin/sh\n' + script + '\n')
        os.chmod(top + '/tests/unit/case.t', 0o755)
        clean = {k: v for k, v in os.environ.items() if k not in ('CI', 'MGR_TEST_SLOWER')}
        done = subprocess.run([top + '/tests/suite', *arguments], env={**clean, **env}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout


def wrong(result, last, also):
    status, text = result
    lines = text.splitlines() or ['']
    good = re.search(', 0 failed', last) and not last.startswith('0 ')
    if lines[-1] != last or also not in text or (status == 0) != bool(good):
        return [f'status {status}, wanted "{last}" and "{also}"', *lines]
    return []


tap = Tap()
for name, script, last, also in CASES:
    tap.check(name, wrong(run(script, 'unit'), last, also))
skip = 'echo "1..0 # SKIP spin is not installed"'
tap.check('a missing package', wrong(run(skip), '0 passed, 0 failed, 1 skipped', 'not installed'))
tap.check('a missing package in CI', wrong(run(skip, CI='true'), '0 passed, 1 failed', 'skipped in CI'))
tap.check('no test at all', wrong(run('', 'e2e'), '0 passed, 0 failed', 'nothing ran'))
status, text = run('', 'tests/unit/other.t')
tap.check('an unknown file', [] if status == 2 and 'is no test' in text else [text])
tap.done()
