#!/bin/sh
# What libmgr exports begins with mgr_, and nothing of it is writable by accident. TAP.
set -u
build=${MGR_BUILD:-build}
if ! command -v nm >/dev/null 2>&1; then
	echo "1..0 # SKIP nm is not installed"
	exit 0
fi

# check NUMBER NAME WRONG
failed=0
check() {
	if [ -z "$3" ]; then
		echo "ok $1 - $2"
	else
		failed=1
		echo "not ok $1 - $2"
		printf '%s\n' "$3" | sed 's/^/# /'
	fi
}

echo 1..3
if [ -f "$build/libmgr.a" ]; then
	symbols=$(nm -A -g --defined-only "$build/libmgr.a" 2>&1)
	check 1 "libmgr.a is built" ""
else
	symbols=
	check 1 "libmgr.a is built" "no $build/libmgr.a"
fi
# Sanitizers add names of their own that begin with two underscores.
check 2 "exported names begin with mgr_" "$(printf '%s\n' "$symbols" |
    awk 'NF { name = $NF; if (name !~ /^(mgr_|__)/) print $1, name }')"
# A constant table with pointers is in .data.rel.ro; what is in .data or .bss every file could change.
check 3 "no exported variables" "$(nm -g --defined-only -f sysv "$build/libmgr.a" 2>/dev/null |
    awk -F'|' '$NF ~ /^\.(data|bss)|COM/ && $NF !~ /^\.data\.rel\.ro/ && $1 !~ /^(__|mgr_fault)/ { print $1, $NF }')"
exit $failed
