#!/bin/sh
# cgi mode: header lines and an empty line stand before the body.
printf 'Status: 201 Created\nContent-Type: text/plain\nX-Method: %s\n\n' "$REQUEST_METHOD"
printf 'Hello, '
cat
printf '!'
