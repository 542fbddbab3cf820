// Socket.IO in MessagePack, as socket.io-msgpack-parser has it.

import { readFileSync } from "node:fs";

import msgpack from "notepack.io";

import { connect, drain, get, open, post, send } from "../steps.mjs";
import { random } from "./frames.mjs";

const recorded = JSON.parse(readFileSync(new URL("../../../../internal/sio/parser/testdata/msgpack.json", import.meta.url)));

export const pack = (packet) => msgpack.encode(packet);
export const joining = pack({ type: 0, nsp: "/", data: undefined });
export const ending = pack({ type: 0, nsp: "/end" });

const event = (...args) => ({ type: 2, nsp: "/", data: ["message", ...args] });
const deep = (n) => (n === 0 ? 1 : [deep(n - 1)]);

const packets = [
  event(1, "zwei", { three: [true, null] }), event("€😀", "", "x".repeat(300), "y".repeat(70_000)), event(Buffer.from([1, 2, 3])), event(Buffer.alloc(0)), event(Buffer.alloc(300, 7), Buffer.alloc(70_000, 7)), event(new Uint8Array([1, 2]).buffer),
  event(0, -1, 127, 128, 255, 256, 65535, 65536, 2 ** 31, 2 ** 32, 2 ** 53 - 1, -128, -129, -32769, -(2 ** 31) - 1), event(1.5, -0.1, 1e300, 5e-324), event(-0), event(NaN, Infinity, -Infinity), event(undefined, 1), event({ a: undefined, b: 1 }),
  event(new Date(0)), event(new Date(1e12)), event(new Date(-1)), event({}, [], [[]], { a: {} }), event(deep(20)), event(deep(300)), event({ _placeholder: true, num: 0 }), event({ _placeholder: true, num: 0 }, Buffer.from([1])), event({ toJSON: 1, __proto__: null }),
  event(...Array(20).fill(0)), event(...Array(20).fill(Buffer.from([1]))), { ...event(1), id: 7 }, { type: 2, nsp: "/", data: ["message-with-ack", "a"], id: 7 }, { type: 2, nsp: "/", data: ["message-with-ack", Buffer.from([9])], id: 0 }, { ...event(1), options: { compress: true } }, { ...event(1), more: [1, { a: 2 }] },
  { type: 2, nsp: "/", data: ["message"], id: -1 }, { type: 2, nsp: "/", data: ["message-with-ack"], id: 1.5 }, { type: 2, nsp: "/", data: ["message-with-ack"], id: "1" }, { type: 2, nsp: "/", data: ["message-with-ack"], id: null }, { type: 2, nsp: "/", data: ["message-with-ack"], id: undefined }, { type: 2, nsp: "/", data: ["message-with-ack"], id: 2 ** 53 },
  { type: 2, nsp: "/", data: [] }, { type: 2, nsp: "/", data: {} }, { type: 2, nsp: "/", data: "message" }, { type: 2, nsp: "/" }, { type: 2, nsp: "/", data: null }, { type: 2, nsp: "/", data: [1, 2] }, { type: 2, nsp: "/", data: [null] }, { type: 2, nsp: "/", data: [["a"]] }, { type: 2, nsp: "/", data: ["connect"] }, { type: 2, nsp: "/", data: ["disconnecting"] }, { type: 2, nsp: "/", data: [Buffer.from([1])] },
  { type: 2, nsp: "/custom", data: ["message", 1] }, { type: 2, nsp: "", data: ["message", 1] }, { type: 2, nsp: "message", data: ["message", 1] }, { type: 2, nsp: 1, data: ["message"] }, { type: 2, data: ["message"] }, { nsp: "/", data: ["message"] }, {}, [], "x", 1, null, true, Buffer.from([1]),
  { type: 0, nsp: "/" }, { type: 0, nsp: "/custom" }, { type: 0, nsp: "/custom", data: { a: [1] } }, { type: 0, nsp: "/custom", data: { b: Buffer.from([1]) } }, { type: 0, nsp: "/custom", data: [] }, { type: 0, nsp: "/custom", data: null }, { type: 0, nsp: "/custom", data: "x" }, { type: 0, nsp: "/nowhere" }, { type: 0, nsp: "custom" }, { type: 0, nsp: "/custom", id: 1 },
  { type: 1, nsp: "/" }, { type: 1, nsp: "/", data: 1 }, { type: 1, nsp: "/", data: undefined }, { type: 1, nsp: "/custom" }, { type: 3, nsp: "/", id: 1, data: [] }, { type: 3, nsp: "/", data: [] }, { type: 3, nsp: "/", id: 1 }, { type: 4, nsp: "/", data: { message: "x" } }, { type: 4, nsp: "/", data: "x" }, { type: 5, nsp: "/", data: ["message"] }, { type: 6, nsp: "/", data: [], id: 1 },
  { type: -1, nsp: "/" }, { type: 1.5, nsp: "/" }, { type: "2", nsp: "/", data: ["message"] }, { type: null, nsp: "/" }, { type: 9, nsp: "/" }, { type: 2.0, nsp: "/", data: ["message", 2.0] },
];

// Written by hand: what no encoder makes.
const odd = [
  "83a474797065d10002a36e7370a12fa46461746191a76d657373616765", "84a474797065d300000000000000 02a36e7370a12fa46461746192a76d65737361676501", "de0003a47479706502a36e7370a12fa46461746191a76d657373616765", "df00000003a47479706502a36e7370a12fa46461746191a76d657373616765",
  "83a47479706502a36e7370d9012fa464617461dc0001a76d657373616765", "83a47479706502a36e7370a12fa464617461dd00000001d907 6d657373616765", "83a47479706502a36e7370a12fa46461746192a76d657373616765c1", "83a47479706502a36e7370a12fa46461746192a76d657373616765d40500", "83a47479706502a36e7370a12fa46461746192a76d657373616765c70105ff",
  "83a47479706502a36e7370a12fa46461746192a76d657373616765c7030001 0203", "83a47479706502a36e7370a12fa46461746192a76d657373616765d6ff00000001", "83a47479706502a36e7370a12fa46461746192a76d657373616765c70cff000000000000000000000001", "83a47479706502a36e7370a12fa46461746192a76d657373616765cffffffffffffffffff", "83a47479706502a36e7370a12fa46461746192a76d657373616765ca3fc00000",
  "83a47479706502a36e7370a12fa46461746192a76d657373616765a2c328", "83a47479706502a36e7370a12fa46461746192a76d6573736167658101a161", "83a47479706502a36e7370a12fa46461746192a76d65737361676582a16101a16102", "84a47479706502a47479706502a36e7370a12fa46461746191a76d657373616765", "83a47479706502a36e7370a12fa46461746191a76d65737361676500", "83a47479706502a36e7370a12f", "83", "", "c1", "c0", "80", "90",
].map((hex) => Buffer.from(hex.replaceAll(" ", ""), "hex"));

function mutations(n, seed) {
  const next = random(seed);
  const from = packets.map(pack).filter((b) => b.length < 200);
  return Array.from({ length: n }, () => {
    const b = Buffer.from(from[next(from.length)]);
    for (let i = next(2); i >= 0; i--) b[next(b.length)] = next(256);
    return next(8) === 0 ? b.subarray(0, next(b.length)) : b;
  });
}

const talk = (...messages) => ({ kind: "MessagePack", pair: "MessagePack", packed: true, steps: [connect(), ...messages.map(send), send(ending)] });
const polled = (...messages) => ({
  kind: "MessagePack", pair: "MessagePack", packed: true,
  steps: [open(), post(`b${joining.toString("base64")}`), get(), ...messages.map((m) => post(`b${m.toString("base64")}`)), post(`b${ending.toString("base64")}`), get()],
});

export const packed = (...messages) => talk(joining, ...messages);

export const scripts = [
  talk(joining), talk(joining, joining), talk(pack({ type: 0, nsp: "/", data: { token: "t" } })), talk(pack({ type: 0, nsp: "/nowhere" })), talk(pack(event(1))), talk(ending),
  talk(joining, "40"), talk(joining, '42["message",1]'), talk("40"), talk(joining, "2"), talk(joining, "3"), talk(joining, "6"), talk(joining, "1"), talk(joining, "x"), talk(joining, `b${pack(event(1)).toString("base64")}`),
  ...packets.map((p) => packed(pack(p))), ...packets.slice(0, 8).map((p) => talk(pack(p))), ...odd.map((b) => packed(b)), ...odd.slice(0, 3).map((b) => talk(b)),
  ...recorded.map((r) => packed(Buffer.from(r.msgpack, "base64"))), ...mutations(250, 23).map((b) => packed(b)), ...packets.slice(0, 20).map((p) => polled(pack(p))),
];
