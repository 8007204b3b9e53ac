#!/usr/bin/env python3
# GET and PUT /items/{id}: parameters, query and headers come in META.  One replica, as the
# items live in its memory:
#   mgr-ctl register items --route 'GET /items/{id}' --route 'PUT /items/{id}' -- ./items.py
import json, os, sys, urllib.parse

items = {'42': ('text/plain', b'the answer')}

def put(id, meta, body):
    items[id] = (meta.get('headers', {}).get('content-type', 'application/octet-stream'), body)
    return {'status': 201, 'headers': {'location': '/items/' + urllib.parse.quote(id, safe='')}}, {'id': id}

def get(id, meta, body):
    if id not in items:
        return {'status': 404}, {'status': 'error', 'message': 'no item ' + id}
    kind, stored = items[id]
    return {'status': 200}, {'id': id, 'query': meta.get('query', {}), 'type': kind,
                             'body': stored.decode('utf-8', 'replace')}

def handle(meta, body):
    if 'body_file' in meta:                  # a large body waits in a file
        with open(meta['body_file'], 'rb') as f:
            body = f.read()
    id = meta.get('params', {}).get('id', '')
    head, answer = (put if meta.get('method') == 'PUT' else get)(id, meta, body)
    head.setdefault('headers', {})['content-type'] = 'application/json'
    return head, (json.dumps(answer) + '\n').encode()

inp = sys.stdin.buffer
out = os.fdopen(os.dup(1), 'wb'); os.dup2(2, 1)      # a stray print goes to the log

def send(kind, id, meta=None, body=b''):
    line = (json.dumps(meta) + '\n').encode() if meta else b''
    out.write(b'%s %d %d %d\n%s%s' % (kind, id, len(line), len(body), line, body))
    out.flush()

send(b'READY', 0)
while head := inp.readline():
    kind, id, m, b = head.split()
    meta, body = inp.read(int(m)), inp.read(int(b))
    if kind == b'REQ':
        send(b'RES', int(id), *handle(json.loads(meta or b'{}'), body))
