#!/usr/bin/python3
"""Who may include whom: an include points to its own shelf or one further left, never back (TAP)."""
import os, re, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kit import SHELVES, SOURCE, Tap, includes, read, sources, tree

SYSTEM = re.compile(r'[a-z0-9_]+\.h|(sys|linux|net|netinet|arpa|asm)/[a-z0-9_]+\.h')
OUTSIDE = re.compile(r'.*(microhttpd|gnutls|json|hiredis|sqlite|zmq|fcgi|uv|ev|curl|bsd/)')


def shelf(path):
    part = path.split('/')
    return SHELVES.index(part[1]) if part[0] == 'lib' and part[1] in SHELVES else None


def wrong_in_lib():
    for path in sources('lib'):
        mine = shelf(path)
        if mine is None:
            yield f'{path} stands on no shelf'
            continue
        for line, name, own in includes(path):
            first = name.split('/')[0]
            if own and name != 'config.h' and first not in SHELVES:
                yield f'{path}:{line}: "{name}" is not written as shelf/name.h'
            elif own and first in SHELVES and SHELVES.index(first) > mine:
                yield f'{path}:{line}: {SHELVES[mine]} includes {name}, which is further right'


def wrong_in_programs():
    for path in sources('bin'):
        folder = os.path.dirname(path)
        here = os.listdir(os.path.join(SOURCE, folder))
        for line, name, own in includes(path):
            if not own or name == 'config.h':
                continue
            if name.split('/')[0] in SHELVES:
                if name.endswith('_priv.h'):
                    yield f'{path}:{line}: {name} is private to its module'
            elif name not in here:
                yield f'{path}:{line}: "{name}" is neither of libmgr nor in {folder}'


def wrong_private():
    for path in sources('lib'):
        for line, name, own in includes(path):
            if own and name.endswith('_priv.h') and name.split('/')[0] != path.split('/')[1]:
                yield f'{path}:{line}: {name} is private to its shelf'


def wrong_own_header():
    """x.c includes x.h, if there is one, before everything else; x_priv.h begins with x.h and may stand for it."""
    for path in sources('lib', 'bin', ext='c'):
        header = path[:-2] + '.h'
        if header not in files:
            continue
        want = header[len('lib/'):] if header.startswith('lib/') else os.path.basename(header)
        first = next(iter(includes(path)), (0, 'nothing', True))
        if first[1] not in (want, want[:-2] + '_priv.h'):
            yield f'{path}:{first[0]}: includes {first[1]} before its own {want}'


def wrong_doors():
    users = {}
    for path in sources('lib', 'bin'):
        for line, name, own in includes(path):
            if not own and (OUTSIDE.match(name) or not SYSTEM.fullmatch(name)):
                users.setdefault(name.split('/')[0].removesuffix('.h'), set()).add(path)
    for library, paths in users.items():
        if len(paths) > 1 or any(p.endswith('.h') for p in paths):
            yield f'{library} is included by {", ".join(sorted(paths))}'


def wrong_guards():
    for path in sources('lib', 'bin', 'tests', ext='h'):
        text = read(path)
        m = re.search(r'^#ifndef (\w+)\n#define (\w+)\n', text, re.M)
        if m is None or m[1] != m[2] or not text.rstrip().endswith('#endif'):
            yield f'{path} has no guard'


files = set(tree())
tap = Tap()
tap.check('includes in lib/ point to their own shelf or further left', wrong_in_lib())
tap.check('programs include libmgr and their own folder', wrong_in_programs())
tap.check('private headers stay on their shelf', wrong_private())
tap.check('own header first', wrong_own_header())
tap.check('each outside library has one door', wrong_doors())
tap.check('headers have guards', wrong_guards())
tap.done()
