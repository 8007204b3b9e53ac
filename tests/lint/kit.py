"""What the lint tests share: the tree's files, C source without comments and texts, TAP."""
import os, re, subprocess, sys

SOURCE = os.environ.get('srcdir') or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('MGR_BUILD') or os.path.join(SOURCE, 'build')
SHELVES = ('base', 'os', 'wire', 'ipc', 'ext', 'svc')
# Made by tools, so not judged, and not in a fresh clone either; a build below the sources brings more.
MADE = re.compile(r'(build[^/]*|_build|_inst|autom4te\.cache|\.git|__pycache__|[^/]+-\d[\d.]*)/'
                  r'|(aclocal\.m4|configure|config\.h\.in|Makefile\.in)~?$|.*(\.[oa]|\.orig|\.rej|~)$')


def read(path, mode='r'):
    with open(os.path.join(SOURCE, path), mode, **({} if 'b' in mode else {'errors': 'replace'})) as f:
        return f.read()


def tree():
    """All files of the project by their path below the top: what git would take, or all of a tarball."""
    git = subprocess.run(['git', '-c', 'safe.directory=*', '-C', SOURCE, 'ls-files', '-zco', '--exclude-standard'],
                         capture_output=True, text=True) if os.path.exists(SOURCE + '/.git') else None
    if git is not None and git.returncode == 0:
        names = [n for n in git.stdout.split('\0') if n]
    else:
        names = [os.path.relpath(os.path.join(folder, n), SOURCE) for folder, _, files in os.walk(SOURCE) for n in files]
    return sorted(n for n in set(names) if not MADE.match(n) and os.path.isfile(os.path.join(SOURCE, n)))


def sources(*folders, ext='ch'):
    return [n for n in tree() if n.split('/')[0] in folders and re.search(rf'\.[{ext}]$', n)]


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def code(path):
    """Text of a C file with comments and literals blanked, line numbers kept."""
    def blank(m):
        empty = '""' if m[0][0] == '"' else ' '
        return empty + '\n' * m[0].count('\n')
    # The names of included files are kept.
    return TOKEN.sub(lambda m: m[0] if re.search(r'#\s*include\s*$', m.string[max(0, m.start() - 40):m.start()])
                     else blank(m), read(path))


def includes(path):
    """(line, name, own) for each include; own is True with quotes."""
    for i, line in enumerate(code(path).splitlines(), 1):
        if m := re.match(r'\s*#\s*include\s*(["<])([^">]+)', line):
            yield i, m[2], m[1] == '"'


def find(path, pattern):
    """(line, match) of a pattern in the code of a C file."""
    text = code(path)
    for m in re.finditer(pattern, text):
        yield text.count('\n', 0, m.start()) + 1, m


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def check(self, name, wrong):
        """One test: passes when the list of what is wrong is empty."""
        self.n += 1
        wrong = list(wrong)
        self.failed += bool(wrong)
        print(f'{"not " if wrong else ""}ok {self.n} - {name}')
        for line in wrong[:40]:
            print(f'# {line}')
        if len(wrong) > 40:
            print(f'# and {len(wrong) - 40} more')

    def skip(self, name, reason):
        self.n += 1
        print(f'ok {self.n} - {name} # SKIP {reason}')

    def note(self, line):
        print(f'# {line}')

    def done(self):
        print(f'1..{self.n}')
        sys.exit(1 if self.failed else 0)
