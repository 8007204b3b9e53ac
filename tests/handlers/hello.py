#!/usr/bin/env python3
import io, os

class Input(io.FileIO):                  # answers leave just before we wait for more
    def readinto(self, buf): out.flush(); return super().readinto(buf)

inp = io.BufferedReader(Input(0), 65536)
out = os.fdopen(os.dup(1), 'wb', 65536); os.dup2(2, 1)      # a stray print goes to the log
out.write(b'READY 0 16 0\n{"pipeline":16}\n')
while head := inp.readline():
    kind, id, m, b = head.split(); meta = inp.read(int(m)); body = inp.read(int(b))
    if kind == b'REQ':
        out.write(b'RES %s 0 %d\nHello, %s!' % (id, len(body) + 8, body))
