#!/usr/bin/env python3
# Calls another handler in the middle of a request:
#   mgr-ctl register call --route 'POST /call/{op}' -- ./call.py
#   curl -d world 'localhost:8080/call/publish?to=hello'
# It handles one request at a time, so after a CALL the very next frame is its RET.
import json, os, sys

inp = sys.stdin.buffer
out = os.fdopen(os.dup(1), 'wb'); os.dup2(2, 1)      # a stray print goes to the log

def send(kind, id, meta=None, body=b''):
    line = (json.dumps(meta) + '\n').encode() if meta else b''
    out.write(b'%s %d %d %d\n%s%s' % (kind, id, len(line), len(body), line, body))
    out.flush()

def receive():
    head = inp.readline()
    if not head:
        sys.exit(0)
    kind, id, m, b = head.split()
    meta, body = json.loads(inp.read(int(m)) or b'{}'), inp.read(int(b))
    if kind.endswith(b'+'):                  # the rest of this message follows
        body += receive()[3]
    return kind.rstrip(b'+'), int(id), meta, body

def publish(id, to, body):
    send(b'CALL', id, {'op': 'publish', 'to': to, 'call': 1}, body)
    _, _, ret, result = receive()
    status = ret.get('status', 200)
    if status >= 400 and not result:
        return {'status': status}, json.dumps({'status': 'error', 'message': ret.get('message', '')}).encode()
    return {'status': status}, result

def dispatch(id, to, body):                  # nobody waits for it, so there is no RET
    send(b'CALL', id, {'op': 'dispatch', 'to': to}, body)
    return {'status': 202}, b'dispatched\n'

def unknown(id, to, body):
    return {'status': 404}, b'publish or dispatch?\n'

ops = {'publish': publish, 'dispatch': dispatch}

send(b'READY', 0)
while True:
    kind, id, meta, body = receive()
    if kind == b'REQ':
        op = meta.get('params', {}).get('op') or meta.get('path', '').rsplit('/', 1)[-1]
        send(b'RES', id, *ops.get(op, unknown)(id, meta.get('query', {}).get('to', ''), body))
