#!/usr/bin/env node
console.log = console.info = console.debug = console.error;     // stdout is for frames
const answer = (id, body) => [Buffer.from(`RES ${id} 0 ${body.length + 8}\nHello, `), body, Buffer.from('!')];
let parts = [], have = 0, need = 1;
process.stdout.write('READY 0 16 0\n{"pipeline":16}\n');
process.stdin.on('data', (data) => {
	parts.push(data); have += data.length;
	if (have < need) return;
	let buf = Buffer.concat(parts), out = [];
	for (let lf; (need = 1, lf = buf.indexOf(10)) >= 0; buf = buf.subarray(need)) {
		const [kind, id, m, b] = buf.toString('latin1', 0, lf).split(' '), body = lf + 1 + Number(m);
		need = body + Number(b);
		if (buf.length < need) break;
		if (kind === 'REQ') out.push(...answer(id, buf.subarray(body, need)));
	}
	if (out.length > 0) process.stdout.write(Buffer.concat(out));   // once per batch
	parts = [buf]; have = buf.length; need = Math.max(need, have + 1);
});
