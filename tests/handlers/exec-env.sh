#!/bin/sh
# exec mode: the request is in the environment and on stdin, the answer is stdout.
printf 'method=%s\nquery=%s\n' "$REQUEST_METHOD" "$QUERY_STRING"
env | grep '^PARAM_' | LC_ALL=C sort
echo body:
exec cat
