#!/bin/sh
# read takes one line of a pipe and GNU head -c exactly its bytes, so nothing is lost between them.
exec 3>&1 1>&2                           # frames on fd 3; a stray echo goes to the log
echo 'READY 0 0 0' >&3
while read -r kind id m b; do
	[ "$m" -eq 0 ] || read -r meta
	case $kind in
	REQ) { printf 'RES %s 0 %s\nHello, ' "$id" $((b + 8)); head -c "$b"; printf '!'; } >&3 ;;
	*) head -c "$b" >/dev/null ;;
	esac
done
