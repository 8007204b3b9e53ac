#!/bin/sh
# Shell scripts parse in sh and have no warnings of shellcheck. TAP.
set -u
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
if ! command -v shellcheck >/dev/null 2>&1; then
	echo "1..0 # SKIP shellcheck is not installed"
	exit 0
fi
cd "$srcdir" || exit 1

n=0
failed=0
for script in $(find .ci bin lib man contrib tests -type f | LC_ALL=C sort); do
	shell=$(sed -n '1s/^#! *\/\(usr\/\)\{0,1\}bin\/\(env \)\{0,1\}\(ba\)\{0,1\}sh\( .*\)\{0,1\}$/\3sh/p' "$script")
	[ -n "$shell" ] || continue
	n=$((n + 1))
	# SC2034: a variable without use may be for who sources the file, or name what is read over.
	if said=$($shell -n "$script" 2>&1 && shellcheck -S warning -x -e SC2034 -s "$shell" "$script" 2>&1); then
		echo "ok $n - $script"
	else
		failed=1
		echo "not ok $n - $script"
		printf '%s\n' "$said" | sed 's/^/# /' | head -n 30
	fi
done
echo "1..$n"
exit $failed
