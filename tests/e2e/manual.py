#!/usr/bin/env python3
"""Runs every example of the manual and the README, in order, and compares what it prints (TAP).

In a page an example stands between the comments example-begin and example-end, in the README it is indented
by four blanks: a line "$ COMMAND" and the lines that it prints.  A command with <<'EOF' goes on to EOF.  "..."
stands for any text in a line, and alone in a line for any lines.  Log lines, and whether the output ends in a
line feed, are not compared.  Each text gets a scratch folder with the example handlers, and a stack of its own on a free port,
which is put in the place of localhost:8080.

time limit: 240 s
"""
import os, re, shutil, signal, socket, subprocess, sys, tempfile

SOURCE = os.environ.get('srcdir') or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HANDLERS = os.environ.get('MGR_HANDLERS') or os.path.join(SOURCE, 'tests/handlers')
BUILD = os.path.abspath(os.environ.get('MGR_BUILD') or os.path.join(SOURCE, 'build'))
SHOWN = '127.0.0.1:8080'
COMMAND_S, START_S, STOP_S = 60, 30, 45
# Also behind output that ends without a line feed.
LOG_LINE = re.compile(r'\d{4}-\d\d-\d\dT[\d:.]+Z mgr-\w+\[\d+\] .*\n')
tests_n = failed_n = 0


def check(name, problem=''):
    global tests_n, failed_n
    tests_n += 1
    failed_n += bool(problem)
    print('%sok %d - %s' % ('not ' if problem else '', tests_n, name.replace('#', r'\#')))
    for line in str(problem).splitlines():
        print('#   ' + line)
    sys.stdout.flush()


def read(*path):
    with open(os.path.join(SOURCE, *path)) as f:
        return f.read()


# --- what the texts say

def plain(line):
    """The characters of a line of mdoc in a literal block."""
    return line.removeprefix(r'\&').replace(r'\(dq', '"').replace(r'\-', '-').replace(r'\e', '\\')


def page_blocks(text):
    for m in re.finditer(r'^\.\\" example-begin\n(.*?)^\.\\" example-end\n', text, re.M | re.S):
        yield [plain(line) for line in m[1].splitlines() if not line.startswith('.')]


def readme_blocks(text):
    for m in re.finditer(r'(?:^ {4}.*\n|^\n(?= {4}))+', text, re.M):
        lines = [line[4:] for line in m[0].strip('\n').splitlines()]
        if lines[0].startswith('$ '):
            yield lines


def examples(block):
    """Pairs of a command and the lines that it prints."""
    found, lines = [], list(block)
    while lines:
        line = lines.pop(0)
        if not line.startswith('$ '):
            found[-1][1].append(line)
            continue
        command = line[2:]
        if "<<'EOF'" in command:
            end = lines.index('EOF') + 1
            command, lines = '\n'.join([command] + lines[:end]), lines[end:]
        found.append((command, []))
    return found


def page_listings(text):
    """Pairs of a file's name and the text that the page shows of it."""
    for m in re.finditer(r'^\.\\" listing (\S+)\n\.Bd [^\n]*\n(.*?)^\.Ed\n', text, re.M | re.S):
        yield m[1], '\n'.join(plain(line) for line in m[2].splitlines()) + '\n'


# --- comparing

def pattern(expected):
    parts = []
    for line in expected:
        parts.append(r'(?:[^\n]*\n)*' if line == '...' else
                     '[^\n]*?'.join(map(re.escape, line.split('...'))) + '\n')
    return re.compile(''.join(parts))


def squeeze(lines):
    """Columns are as wide as their widest cell, which a wildcard hides: one blank is like several."""
    return [re.sub(r' +', ' ', line) for line in lines] if any('...' in line for line in lines) else lines


def compare(expected, got):
    lines = got.split('\n')[:-1] if got.endswith('\n') else got.split('\n') if got else []
    wild = any('...' in line for line in expected)
    text = ''.join(line + '\n' for line in ([re.sub(r' +', ' ', line) for line in lines] if wild else lines))
    if pattern(squeeze(expected)).fullmatch(text):
        return ''
    return '\n'.join(['expected:'] + ['  ' + line for line in expected] + ['got:'] + ['  ' + line for line in lines])


# --- running

class Stack:
    """A scratch folder and what `mgr-ctl up` starts in it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='man.')
        self.work = os.path.join(self.dir, 'w')
        self.runtime = os.path.join(self.dir, 'r')
        self.up, self.address = None, SHOWN
        os.mkdir(self.work)
        for name in os.listdir(HANDLERS):
            if os.path.isfile(os.path.join(HANDLERS, name)):
                shutil.copy(os.path.join(HANDLERS, name), self.work)
        with open(os.path.join(self.work, '.curlrc'), 'w') as f:
            f.write('silent\nshow-error\n')       # a progress bar is for a terminal
        self.env = dict({k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')},
                        HOME=self.work, MGR_RUNTIME_DIR=self.runtime, MGR_STATE_DIR=os.path.join(self.dir, 's'),
                        PATH=BUILD + ':' + os.environ['PATH'])

    def start(self):
        """The line that `mgr-ctl up` prints when it serves."""
        self.log = open(os.path.join(self.dir, 'log'), 'w+')
        ear, mouth = socket.socketpair()
        ear.settimeout(START_S)
        self.up = subprocess.Popen(['mgr-ctl', 'up', '-l', '127.0.0.1:0'], cwd=self.work, env=self.env,
                                   stdin=subprocess.DEVNULL, stdout=mouth, stderr=self.log, start_new_session=True)
        mouth.close()
        line = b''
        try:
            while not line.endswith(b'\n') and (more := ear.recv(4096)):
                line += more
        except socket.timeout:
            pass
        self.ear = ear                            # open, so that nothing fails by writing to it
        line = line.decode(errors='replace').strip()
        if line.startswith('http://'):
            self.address = line.removeprefix('http://')
        return line.replace(self.address, SHOWN)

    def run(self, command):
        command = command.replace('localhost:8080', self.address).replace(SHOWN, self.address)
        shell = subprocess.Popen(['sh', '-c', command], cwd=self.work, env=self.env, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            out = shell.communicate(timeout=COMMAND_S)[0].decode(errors='replace')
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            out = shell.communicate()[0].decode(errors='replace') + '(not finished in %d s)' % COMMAND_S
        return LOG_LINE.sub('', out).replace(self.address, SHOWN)

    def stop(self):
        """Ends the stack, unless an example did: what is wrong with its end, or ''."""
        if self.up is None:
            return 'it was never started'
        if self.up.poll() is None and os.path.exists(os.path.join(self.runtime, 'up.sock')):
            self.run('mgr-ctl shutdown')
        try:
            status = self.up.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.up.terminate()
            try:
                self.up.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.up.kill()
                self.up.wait()
            return 'mgr-ctl up did not end\n' + self.log_tail()
        self.ear.close()
        left = [os.path.join(at, name) for at, _, names in os.walk(self.runtime) for name in names]
        if status != 0:
            return 'mgr-ctl up ended with %d\n' % status + self.log_tail()
        return '\n'.join('left ' + name for name in left)

    def log_tail(self):
        self.log.seek(0)
        return '\n'.join(self.log.read().splitlines()[-20:])

    def remove(self):
        if self.up is not None:
            self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def is_up(command):
    return re.fullmatch(r'mgr-ctl up *&', command)


def run_text(name, found):
    stack = Stack()
    try:
        said = stack.start()
        check(f'{name}: mgr-ctl up', '' if said == 'http://' + SHOWN else (said or 'no line') + '\n' + stack.log_tail())
        if said != 'http://' + SHOWN:
            return
        for command, expected in found:
            got = said if is_up(command) else stack.run(command)
            check(f'{name}: {command.splitlines()[0]}', compare(expected, got))
    finally:
        problem = stack.stop()
        stack.remove()
    check(f'{name}: the stack ends and leaves nothing', problem)


def main():
    if shutil.which('curl') is None:
        print('1..0 # SKIP curl is not installed')
        return 0
    if not os.access(os.path.join(BUILD, 'mgr-ctl'), os.X_OK):
        print(f'Bail out! no {BUILD}/mgr-ctl')
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))       # the stack ends too
    texts = {'README': list(readme_blocks(read('README')))}
    for page in sorted(os.listdir(os.path.join(SOURCE, 'man'))):
        if re.fullmatch(r'.*\.[1-8]', page):
            text = read('man', page)
            texts[page] = list(page_blocks(text))
            for file, shown in page_listings(text):
                check(f'{page} shows {file} as it is', compare(shown.splitlines(), read('tests/handlers', file)))
    wanted = sys.argv[1:] or texts
    for name in wanted:
        found = sum(map(examples, texts[name]), [])
        if found:
            run_text(name, found)
    print(f'1..{tests_n}')
    return 1 if failed_n else 0


if __name__ == '__main__':
    sys.exit(main())
