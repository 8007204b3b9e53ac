#!/usr/bin/python3
"""Every option, verb and exit code has its line in the manual, and the pages are well formed (TAP)."""
import os, re, shutil, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kit import BUILD, SOURCE, Tap, read, tree

DAEMON_CODES = {0, 1, 2, 8}
# One sentence a line, however long, is how pages are written here.  What the machine has installed, this toolkit
# included, is no business of a page.
SKIPPED = re.compile(r'outdated mandoc\.db|STYLE: (input text line longer than 80 bytes|referenced manual not found)')


def said(*words):
    run = subprocess.run(words, capture_output=True, text=True, errors='replace', stdin=subprocess.DEVNULL, timeout=20)
    return run.stdout + run.stderr


def rendered(page):
    # Unformatted: no overstrike, and one blank where lines are filled.
    text = re.sub(r'.\x08', '', said('mandoc', '-Tascii', os.path.join(SOURCE, page)))
    return text.replace('\u2010', '-')


def options(help_text):
    return re.findall(r'^ {2}(?:-(\w),| {3}) --([a-z0-9-]+)', help_text, re.M)


def verbs(help_text):
    return re.findall(r'^ {2}([a-z][a-z-]*) {2,}\S', help_text, re.M)


def missing_options(text, found):
    for letter, name in found:
        if not re.search(rf'(?<![\w-])--{re.escape(name)}(?![\w-])', text):
            yield f'--{name} is missing'
        elif letter and not re.search(rf'(?<![\w-])-{letter}(?![\w-])', text):
            yield f'-{letter} is missing (--{name})'


def unknown_options(page, names):
    """What the page lists and the program does not know."""
    for line in read(page).splitlines():
        if line.startswith('.It Fl'):
            for name in re.findall(r'(?:Fl|,) -([a-z][a-z0-9-]+)', line):
                if name not in names:
                    yield f'--{name} is no option of the program'


def section(text, title):
    m = re.search(rf'^{title}\n(.*?)(?=^\S|\Z)', text, re.M | re.S)
    return m[1] if m else None


def missing_codes(text, codes):
    part = section(text, 'EXIT STATUS')
    if part is None:
        yield 'there is no section EXIT STATUS'
        return
    for code in sorted(codes):
        if not re.search(rf'(?<![\w.-]){code}(?![\w.])', part):
            yield f'exit code {code} is missing'


def all_codes():
    return {int(n) for n in re.findall(r'^\tMGR_EXIT_\w+ = (\d+),', read('lib/base/outcome.h'), re.M)}


def page_of(name):
    found = [p for p in pages if re.fullmatch(rf'man/{name}\.[18]', p)]
    return found[0] if found else None


def help_texts(name):
    """The program's own help, and that of each verb."""
    program = os.path.join(BUILD, name)
    texts = [said(program, '--help')]
    if name == 'mgr-ctl':
        texts += [said(program, verb, '--help') for verb in verbs(texts[0])]
    return texts


def check_program(name):
    page = page_of(name)
    if page is None:
        tap.check(f'{name} has a page', [f'no man/{name}.8 or man/{name}.1'])
        return
    if not os.access(os.path.join(BUILD, name), os.X_OK):
        tap.check(f'{name} is built', [f'no {BUILD}/{name}'])
        return
    text, texts = rendered(page), help_texts(name)
    found = sorted(set(sum((options(t) for t in texts), [])))
    tap.check(f'{name}: --help lists options', [] if found else texts[0].splitlines() or ['no output'])
    tap.check(f'{name}: {len(found)} options have their line', missing_options(text, found))
    names = {n for _, n in found} | ({n for _, n in options(help_texts('mgr-httpd')[0])} if name == 'mgr-ctl' else set())
    tap.check(f'{name}: the page lists no others', unknown_options(page, names))
    tap.check(f'{name}: exit codes', missing_codes(text, all_codes() if name == 'mgr-ctl' else DAEMON_CODES))
    if name == 'mgr-ctl':
        table = verbs(texts[0])
        tap.check(f'{name}: {len(table)} verbs', [f'{v} is missing' for v in table
                  if not re.search(rf'(?m)^ +(mgr-ctl )?{v}\b', text)] if table else ['help lists no verbs'])


def check_page(page):
    lines = said('mandoc', '-Tlint', '-Wstyle', os.path.join(SOURCE, page)).splitlines()
    tap.check(f'{page} is well formed', [line for line in lines if not SKIPPED.search(line)])


pages = [p for p in tree() if re.fullmatch(r'man/.*\.[1-8]', p)]
tap = Tap()
if shutil.which('mandoc') is None:
    print('1..0 # SKIP mandoc is not installed')
    sys.exit(0)
for program in sorted({p.split('/')[1] for p in tree() if re.fullmatch(r'bin/[^/]+/main\.c', p)}):
    check_program(program)
for page in ('man/mgr.7', 'man/mgr-frame.7'):
    tap.check(f'there is {page}', [] if page in pages else ['no'])
for page in pages:
    check_page(page)
tap.done()
