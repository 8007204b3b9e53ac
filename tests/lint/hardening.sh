#!/bin/sh
# The built programs are hardened: PIE, RELRO, NOW, stack protector, fortified functions, no executable stack. TAP.
set -u
build=${MGR_BUILD:-build}
if ! command -v readelf >/dev/null 2>&1; then
	echo "1..0 # SKIP readelf is not installed"
	exit 0
fi
if grep -q 'fsanitize=' "$build/Makefile"; then
	echo "1..0 # SKIP a sanitizer replaces hardening in this build"
	exit 0
fi

n=0
failed=0
# check NAME FILE PATTERN
check() {
	n=$((n + 1))
	if grep -Eq "$3" "$2"; then
		echo "ok $n - $1"
	else
		failed=1
		echo "not ok $n - $1"
	fi
}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
programs=0
for program in "$build"/mgr-*; do
	[ -f "$program" ] && [ -x "$program" ] || continue
	programs=$((programs + 1))
	name=${program##*/}
	LC_ALL=C readelf -hW "$program" >"$dir/head" 2>&1
	LC_ALL=C readelf -lW "$program" >"$dir/segments" 2>&1
	LC_ALL=C readelf -dW "$program" >"$dir/dynamic" 2>&1
	LC_ALL=C readelf --dyn-syms -W "$program" >"$dir/symbols" 2>&1
	check "$name: position independent" "$dir/head" 'Type: +DYN'
	check "$name: RELRO" "$dir/segments" 'GNU_RELRO'
	check "$name: NOW" "$dir/dynamic" 'BIND_NOW|FLAGS.* NOW'
	check "$name: stack is not executable" "$dir/segments" 'GNU_STACK +([0-9a-fx]+ +)+RW +'
	check "$name: stack protector" "$dir/symbols" '__stack_chk_fail'
	check "$name: fortified functions" "$dir/symbols" ' __[a-z]+_chk(@|$)'
done
n=$((n + 1))
if [ $programs -gt 0 ]; then
	echo "ok $n - programs are built: $programs"
else
	failed=1
	echo "not ok $n - no programs in $build"
fi
echo "1..$n"
exit $failed
