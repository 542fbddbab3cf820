// Records what the reference parser makes of each input below, for
// reference_test.go. To run it again, in an empty folder:
//
//   npm i socket.io-parser@4.2.7 && cp <this file> . && node record.mjs > reference.json
import { Decoder, Encoder } from "socket.io-parser";

const bin = (...bytes) => ({ binary: Buffer.from(bytes).toString("base64") });

// name: the messages of one connection, text or binary.
const decode = {
  "connect": ["0"],
  "connect with auth": ['0{"token":"x"}'],
  "connect, custom namespace": ["0/chat,"],
  "connect, namespace without comma": ["0/chat"],
  "connect, namespace with query and auth": ['0/chat?a=b,{"c":1}'],
  "connect with an array": ["0[]"],
  "connect with null": ["0null"],
  "connect with a string": ['0"x"'],
  "connect with an id": ['01{"a":1}'],
  "disconnect": ["1"],
  "disconnect, custom namespace": ["1/chat,"],
  "disconnect with data": ['1{"a":1}'],
  "event": ['2["a"]'],
  "event with arguments": ['2["a",1,{"b":[null,true,false,"\\u00e9"]},-1.5e3]'],
  "event, custom namespace": ['2/chat,["a"]'],
  "event, default namespace spelled out": ['2/,["a"]'],
  "event, namespace and id": ['2/chat,12["a",1]'],
  "event with id": ['20["a"]'],
  "event with a large id": ['2123456789["a"]'],
  "event with the largest exact id": ['29007199254740991["a"]'],
  "event with an id beyond exact numbers": ['29007199254740993["a"]'],
  "event with an id of 400 digits": ["2" + "9".repeat(400) + '["a"]'],
  "event with a leading zero in its id": ['2007["a"]'],
  "event with a negative id": ['2-1["a"]'],
  "event with a fractional id": ['21.5["a"]'],
  "event with a blank before its data": ['2 ["a"]'],
  "event with blanks inside": ['2[ "a" , 1 ]'],
  "event with blanks behind": ['2["a"] \n'],
  "event without data": ["2"],
  "event with id, without data": ["21"],
  "event with an object": ["2{}"],
  "event with an empty array": ["2[]"],
  "event with a number for a name": ["2[5,1]"],
  "event with null for a name": ["2[null]"],
  "event with an array for a name": ['2[["a"]]'],
  "event with an empty name": ['2[""]'],
  "event named connect": ['2["connect"]'],
  "event named connect, escaped": ['2["\\u0063onnect"]'],
  "event named connect_error": ['2["connect_error"]'],
  "event named disconnect": ['2["disconnect"]'],
  "event named disconnecting": ['2["disconnecting"]'],
  "event named newListener": ['2["newListener"]'],
  "event named removeListener": ['2["removeListener"]'],
  "event named Connect": ['2["Connect"]'],
  "event named connection": ['2["connection"]'],
  "event with broken JSON": ['2["a"'],
  "event with two values": ['2["a"]["b"]'],
  "event with a trailing comma": ['2["a",]'],
  "event with a leading zero in a number": ['2["a",01]'],
  "event with a bare word": ['2["a",nan]'],
  "event with a control character": ['2["a\u0001"]'],
  "event with a lone surrogate": ['2["\\ud800"]'],
  "event with a bad escape": ['2["\\x"]'],
  "event with a short escape": ['2["\\u12"]'],
  "event with a placeholder and no attachment": ['2["a",{"_placeholder":true,"num":0}]'],
  "ack": ["31[]"],
  "ack with arguments": ['3/chat,7["x",{"y":1}]'],
  "ack with a reserved word": ['31["connect"]'],
  "ack without id": ["3[]"],
  "ack without data": ["31"],
  "ack with an object": ["31{}"],
  "connect error with a string": ['4"no"'],
  "connect error with an object": ['4/chat,{"message":"Invalid namespace"}'],
  "connect error with an array": ["4[]"],
  "connect error without data": ["4"],
  "unknown type 7": ["7"],
  "unknown type 9": ['9["a"]'],
  "unknown type a": ["a"],
  "minus": ["-1"],
  "blank": [" "],
  "empty": [""],
  "binary event": ['51-["a",{"_placeholder":true,"num":0}]', bin(1, 2, 3)],
  "binary event, all parts": ['52-/chat,8["a",[{"_placeholder":true,"num":1}],{"x":{"_placeholder":true,"num":0}}]', bin(1), bin(2)],
  "binary ack": ['61-3[{"_placeholder":true,"num":0}]', bin()],
  "binary ack, custom namespace": ['61-/chat,3[{"_placeholder":true,"num":0}]', bin(255)],
  "binary event, members swapped": ['51-["a",{"num":0,"_placeholder":true}]', bin(1)],
  "binary event, placeholder used twice": ['51-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', bin(1)],
  "binary event, attachment not used": ['51-["a"]', bin(1)],
  "binary event, placeholder is false": ['51-["a",{"_placeholder":false,"num":7}]', bin(1)],
  "binary event, placeholder is a string": ['51-["a",{"_placeholder":"true","num":7}]', bin(1)],
  "binary event, escaped placeholder key": ['51-["a",{"\\u005fplaceholder":true,"num":0}]', bin(1)],
  "binary event, the last of equal keys wins": ['51-["a",{"_placeholder":true,"num":9,"_placeholder":false}]', bin(1)],
  "binary event, number too large": ['51-["a",{"_placeholder":true,"num":1}]', bin(1)],
  "binary event, number negative": ['51-["a",{"_placeholder":true,"num":-1}]', bin(1)],
  "binary event, number missing": ['51-["a",{"_placeholder":true}]', bin(1)],
  "binary event, number a string": ['51-["a",{"_placeholder":true,"num":"0"}]', bin(1)],
  "binary event, number fractional": ['51-["a",{"_placeholder":true,"num":0.5}]', bin(1)],
  "binary event, placeholder with more members": ['51-["a",{"_placeholder":true,"num":0,"x":1}]', bin(1)],
  "binary event, ten attachments": ['510-["a",{"_placeholder":true,"num":9}]', ...Array(10).fill(bin(1))],
  "binary event, eleven attachments": ['511-["a",{"_placeholder":true,"num":0}]'],
  "binary event, no attachments": ['50-["a"]'],
  "binary event, count missing": ['5["a"]'],
  "binary event, count empty": ['5-["a"]'],
  "binary event, count negative": ['5-1-["a"]'],
  "binary event, count fractional": ['51.5-["a"]'],
  "binary event, count with an exponent": ['51e0-["a",{"_placeholder":true,"num":0}]', bin(1)],
  "binary event, count in hexadecimal": ['50x1-["a",{"_placeholder":true,"num":0}]', bin(1)],
  "binary event, count with a leading zero": ['501-["a",{"_placeholder":true,"num":0}]', bin(1)],
  "binary event, count only": ["51-"],
  "binary event, text while waiting": ['51-["a",{"_placeholder":true,"num":0}]', '2["b"]'],
  "binary event, unfinished": ['52-["a",{"_placeholder":true,"num":0}]', bin(1)],
  "binary event, then an event": ['51-["a",{"_placeholder":true,"num":0}]', bin(1), '2["b"]'],
  "binary event, one binary too many": ['51-["a",{"_placeholder":true,"num":0}]', bin(1), bin(2)],
  "binary without a packet": [bin(1)],
};

const encode = {
  "plain": { type: 2, nsp: "/", data: ["a"] },
  "arguments": { type: 2, nsp: "/", data: ["a", 1, { b: [null, true] }] },
  "namespace": { type: 2, nsp: "/chat", data: ["a", "b"] },
  "id": { type: 2, nsp: "/", id: 0, data: ["a"] },
  "namespace and id": { type: 2, nsp: "/chat", id: 12, data: ["a", []] },
  "name with quotes": { type: 2, nsp: "/", data: ['a"b\\c/d<e>&f'] },
  "name with controls": { type: 2, nsp: "/", data: ["a\u0001\u001f\u007f\u2028é😀"] },
  "ack": { type: 3, nsp: "/", id: 7, data: ["x", 1] },
  "empty ack": { type: 3, nsp: "/chat", id: 7, data: [] },
  "connect": { type: 0, nsp: "/", data: { sid: "x" } },
  "connect, namespace": { type: 0, nsp: "/chat", data: { sid: "x" } },
  "disconnect": { type: 1, nsp: "/" },
  "disconnect, namespace": { type: 1, nsp: "/chat" },
  "connect error": { type: 4, nsp: "/chat", data: { message: "Invalid namespace" } },
  "binary event": { type: 2, nsp: "/", data: ["a", Buffer.from([1]), { b: Buffer.from([2, 3]) }] },
  "binary event, all parts": { type: 2, nsp: "/chat", id: 3, data: ["a", Buffer.from([1])] },
  "binary ack": { type: 3, nsp: "/", id: 3, data: [Buffer.from([1])] },
};

const show = (v) =>
  Buffer.isBuffer(v) ? { binary: v.toString("base64") }
  : Array.isArray(v) ? v.map(show)
  : v && typeof v === "object" ? Object.fromEntries(Object.entries(v).map(([k, x]) => [k, show(x)]))
  : v;

const out = { decode: [], encode: [] };
for (const [name, messages] of Object.entries(decode)) {
  const decoder = new Decoder();
  let packets = [];
  decoder.on("decoded", (p) => packets.push({ type: p.type, nsp: p.nsp, id: p.id, data: show(p.data) }));
  let refused = false;
  for (const m of messages) {
    try {
      decoder.add(typeof m === "string" ? m : Buffer.from(m.binary, "base64"));
    } catch {
      refused = true;
      break;
    }
  }
  out.decode.push({ name, messages, packets, refused });
}
for (const [name, packet] of Object.entries(encode)) {
  const shown = show(packet);
  const [text, ...attachments] = new Encoder().encode(packet);
  out.encode.push({ name, packet: shown, text, attachments: attachments.map(show) });
}
console.log(JSON.stringify(out, null, 1));
