// Records, for msgpack_test.go, the message that the stock MessagePack encoder
// makes of each packet below, and the messages that the stock JSON encoder makes
// of the same: what a backend sees must be the same. To run it again, in an
// empty folder:
//
//   npm i socket.io-parser@4.2.7 socket.io-msgpack-parser@3.0.2 && cp <this file> . && node record-msgpack.mjs > msgpack.json
import { Encoder as JSONEncoder } from "socket.io-parser";
import msgpack from "socket.io-msgpack-parser";

const event = (...data) => ({ type: 2, nsp: "/", data, options: { compress: true } });
const buffer = Buffer.from([0, 1, 255]);
const deep = (n) => (n === 0 ? "deep" : { a: [deep(n - 1)] });

const packets = {
  "connect": { type: 0, nsp: "/", data: undefined },
  "connect with auth": { type: 0, nsp: "/chat", data: { token: "x" } },
  "disconnect": { type: 1, nsp: "/chat", options: { compress: true } },
  "event": event("a"),
  "event, namespace and id": { type: 2, nsp: "/chat", data: ["a", 1], id: 12, options: {} },
  "event with the largest exact id": { ...event("a"), id: Number.MAX_SAFE_INTEGER },
  "event with a number for a name": event(5, 1),
  "acknowledgement": { type: 3, nsp: "/", data: [{ ok: true }], id: 0 },
  "acknowledgement, binary": { type: 3, nsp: "/chat", data: [buffer], id: 7 },
  "connect error": { type: 4, nsp: "/", data: { message: "no" } },
  "small integers": event("a", 0, 1, 127, 128, 255, 256, 65535, 65536, -1, -32, -33, -128, -129, -32768, -32769),
  "large integers": event("a", 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53) + 1),
  "fractions": event("a", 0.1, -0.5, 1.5e-7, 1e-6, 123456.789, 5e-324, 1.7976931348623157e-300),
  "no numbers": event("a", NaN, Infinity, -Infinity),
  "negative zero": event("a", -0),
  "words": event("a", null, true, false),
  "undefined in an array": event("a", undefined, [1, undefined]),
  "undefined in an object": event("a", { a: undefined, b: 1, c: undefined }, { a: undefined }),
  "strings": event("a", "", "é\u2028😀", '"\\\n\u0001', "x".repeat(31), "x".repeat(32), "x".repeat(256), "é".repeat(300)),
  "escaped name": event('é"\n'),
  "dates": event("a", new Date(0), { at: new Date(1234567890123) }, new Date(-1), new Date(-62198755200000), new Date(253402300800000), new Date(8.64e15)),
  "order of keys": event("a", { z: 1, a: 2, m: 3 }),
  "an object that looks like a placeholder": event("a", { _placeholder: true, num: 7 }),
  "many elements": event("a", Array.from({ length: 300 }, (_, i) => i % 3)),
  "many members": event("a", Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`k${i}`, i]))),
  "nested": event("a", deep(40)),
  "empty": event("a", [], {}, [[]], { a: {} }),
  "buffer": event("a", buffer, [{ b: Buffer.alloc(0) }, buffer]),
  "a large buffer": event("a", Buffer.alloc(300, 1)),
  "array buffers": event("a", new Uint8Array([1, 2]).buffer, new Uint8Array(8).buffer, new Uint8Array(300).buffer),
  "typed arrays": event("a", new Uint8Array([1]), new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8])),
  "ten buffers": event("a", ...Array.from({ length: 10 }, (_, i) => Buffer.from([i]))),
};

const binary = (v) => (typeof v === "string" ? v : { binary: Buffer.from(v.buffer ?? v, v.byteOffset ?? 0, v.byteLength).toString("base64") });

console.log(
  JSON.stringify(
    Object.entries(packets).map(([name, packet]) => ({
      name,
      msgpack: Buffer.from(new msgpack.Encoder().encode(packet)[0]).toString("base64"),
      json: new JSONEncoder().encode(packet).map(binary),
    })),
    null,
    1,
  ),
);
