#!/usr/bin/python3
"""The files themselves: words that do not belong here, blanks, modes, the README, sizes (TAP)."""
import os, re, shutil, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kit import SOURCE, Tap, read, sources, tree

FILE_LINES, FUNCTION_LINES = 450, 60
FIRST_SCREEN = 24

# Written in pieces, or this file would find itself.
FOREIGN = re.compile('|'.join((
    r'(?<![\w.$}])/wo' r'rk/', r'/tmp/te' r'am', r'\bsub-?ag' r'ents?\b', r'\bhelper ag' r'ents?\b', r'\bai ag' r'ents?\b',
    r'\bsession o' r'f the\b', r'\bag' r'ent sess', r'\blanguage mo' r'del', r'[a-z0-9.-]*\bmir' r'rors?\.[a-z0-9.-]+',
    r'\bdeb\.deb' r'ian\.org', r'\bpypi\.' r'org', r'\bregistry\.npm' r'js', r'\bart' r'ifactory', r'\bpack' r'ages\.cloud',
    r'\bdeb\.node' r'source')), re.I)
LEFT_OVER = re.compile(r'\b(TO' r'DO|FIX' r'ME|X' r'XX)\b(?!X)')
BINARY = re.compile(r'tests/fuzz/corpus/')

files = [n for n in tree() if not BINARY.match(n)]
texts = {n: read(n) for n in files}


def lines_with(pattern, names=None):
    for name in names or files:
        for i, line in enumerate(texts[name].splitlines(), 1):
            if m := pattern.search(line):
                yield f'{name}:{i}: {m[0].strip() or line!r}'


def wrong_modes():
    for name in files:
        program = texts[name].startswith('#!')
        if program != os.access(os.path.join(SOURCE, name), os.X_OK):
            yield f'{name} is {"not " if program else ""}executable'


def wrong_ends():
    for name in files:
        if texts[name] and not texts[name].endswith('\n') or texts[name].endswith('\n\n'):
            yield f'{name} does not end with one newline'
        if not texts[name]:
            yield f'{name} is empty'


def wrong_readme():
    screen = texts.get('README', '').splitlines()[:FIRST_SCREEN]
    for command in ('sh contrib/quickstart', 'sh tests/run'):
        if not any(command in line for line in screen):
            yield f'"{command}" is not in the first {FIRST_SCREEN} lines'


def long_functions():
    if shutil.which('ctags') is None:
        return
    run = subprocess.run(['ctags', '--languages=C', '--kinds-C=f', '--fields=+ne', '-f', '-',
                          *sources('lib', 'bin', ext='c')], capture_output=True, text=True, cwd=SOURCE)
    for line in run.stdout.splitlines():
        m = re.match(r'(\S+)\t(\S+)\t.*\tline:(\d+).*\tend:(\d+)', line)
        if m and int(m[4]) - int(m[3]) + 1 > FUNCTION_LINES:
            yield f'{m[2]}: {m[1]} has {int(m[4]) - int(m[3]) + 1} lines'


tap = Tap()
tap.check('no words or paths of another place', lines_with(FOREIGN))
tap.check('nothing is marked as to be done', lines_with(LEFT_OVER))
tap.check('no blanks at the end of a line', lines_with(re.compile(r'[ \t]+$')))
tap.check('files end with one newline', wrong_ends())
tap.check('what begins with #! is executable, nothing else is', wrong_modes())
tap.check('the first screen of the README has the two commands', wrong_readme())
for name in sources('lib', 'bin', 'tests'):
    if (n := texts[name].count('\n')) > FILE_LINES:
        tap.note(f'large: {name} has {n} lines')
for line in long_functions():
    tap.note(f'long: {line}')
tap.done()
