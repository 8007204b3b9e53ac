#!/usr/bin/env node
// Eight requests at once in one process, answered in any order.  ?ms=N sets the delay.
console.log = console.info = console.debug = console.error;     // stdout is for frames
const WINDOW = 65536, PART = 32768;      // bytes of a body before the first CREDIT, and per frame
const calls = new Map();                 // id -> request at work

function send(type, id, meta, body = Buffer.alloc(0)) {
	const line = meta ? Buffer.from(JSON.stringify(meta) + '\n') : Buffer.alloc(0);
	process.stdout.write(Buffer.concat([Buffer.from(`${type} ${id} ${line.length} ${body.length}\n`), line, body]));
}

// Sends as much of the answer as the host has granted.
function pump(id, call) {
	while (call.out && (call.room > 0 || call.out.length === 0)) {
		const n = Math.min(call.room, call.out.length, PART), more = n < call.out.length ? '+' : '';
		send((call.head ? 'RES' : 'DATA') + more, id, call.head, call.out.subarray(0, n));
		call.head = null;
		call.out = call.out.subarray(n);
		call.room -= n;
		if (!more) return calls.delete(id);
	}
}

function answer(id, call) {
	call.out = Buffer.concat([Buffer.from('Hello, '), ...call.parts, Buffer.from('!')]);
	call.head = { status: 200, len: call.out.length };
	pump(id, call);
}

function take(id, call, body, more) {
	if (!call) return;               // cancelled: the rest of its body may still come
	call.parts.push(body);
	if (more) {
		if (body.length > 0) send('CREDIT', id, { n: body.length });
		return;
	}
	const ms = Number(call.meta.query?.ms ?? Math.random() * 20);
	call.timer = setTimeout(answer, ms, id, call);
}

const frames = {
	REQ(id, meta, body, more) {
		calls.set(id, { meta, parts: [], room: WINDOW });
		take(id, calls.get(id), body, more);
	},
	DATA(id, meta, body, more) { take(id, calls.get(id), body, more); },
	CREDIT(id, meta) {
		const call = calls.get(id);
		if (!call) return;
		call.room += meta.n;
		pump(id, call);
	},
	CANCEL(id) {
		const call = calls.get(id);
		if (!call) return;
		clearTimeout(call.timer);
		calls.delete(id);
		send('ERR', id, { status: 499, message: 'cancelled' });
	},
	PING() { send('PONG', 0); },
};

let parts = [], have = 0, need = 1;
process.stdin.on('data', (data) => {
	parts.push(data); have += data.length;
	if (have < need) return;
	let buf = Buffer.concat(parts);
	for (let lf; (need = 1, lf = buf.indexOf(10)) >= 0; buf = buf.subarray(need)) {
		const [type, id, m, b] = buf.toString('latin1', 0, lf).split(' '), at = lf + 1 + Number(m);
		need = at + Number(b);
		if (buf.length < need) break;
		const meta = m > 0 ? JSON.parse(buf.toString('utf8', lf + 1, at)) : {};
		frames[type.replace('+', '')]?.(Number(id), meta, buf.subarray(at, need), type.endsWith('+'));
	}
	parts = [buf]; have = buf.length; need = Math.max(need, have + 1);
});
send('READY', 0, { concurrency: 8, cancel: true, ping: true });
