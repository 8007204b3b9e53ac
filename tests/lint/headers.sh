#!/bin/sh
# Every header compiles alone, with the flags of the house. TAP.
set -u
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cc=${CC:-gcc}
if ! command -v "$cc" >/dev/null 2>&1; then
	echo "1..0 # SKIP $cc is not installed"
	exit 0
fi
cd "$srcdir" || exit 1

n=0
failed=0
for header in lib/*/*.h bin/*/*.h tests/unit/*.h tests/fuzz/*.h tests/handlers/*.h; do
	[ -f "$header" ] || continue
	n=$((n + 1))
	# Through stdin, as the compiler warns about a header that is the main file.
	if said=$(printf '#include "%s"\ntypedef int not_empty;\n' "$srcdir/$header" |
	    "$cc" -xc -fsyntax-only -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wmissing-prototypes \
	    -Wstrict-prototypes -Wconversion -Wvla -Wno-unused-function -Wno-unused-variable -Werror \
	    -Ilib -Itests/unit -Itests/fuzz ${MGR_BUILD:+"-I$MGR_BUILD"} - 2>&1); then
		echo "ok $n - $header"
	else
		failed=$((failed + 1))
		echo "not ok $n - $header"
		printf '%s\n' "$said" | sed 's/^/# /' | head -n 20
	fi
done
echo "1..$n"
[ $failed -eq 0 ]
