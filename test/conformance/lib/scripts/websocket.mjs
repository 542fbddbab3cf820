// Engine.IO v4 over WebSockets: messages, then frames that no client of a
// browser could send, then handshakes.

import { connect, raw, send, sentinel, websocket } from "../steps.mjs";
import { binaryFrame, frame, textFrame } from "../wire.mjs";
import { mutations, written } from "./frames.mjs";

const end = send(sentinel);
const talk = (messages) => [connect(), ...messages.map(send), end];

const bytes = (...b) => Buffer.from(b);
const empty = Buffer.alloc(0);
const joined = (...frames) => [connect(), send("40"), raw(...frames), end];
const text = (t) => Buffer.from(t);
const event = text('42["message",1]');
const awaiting = textFrame('451-["message",{"_placeholder":true,"num":0}]');

const wrong = [
  // In parts.
  [frame(1, event.subarray(0, 5), { fin: false }), frame(0, event.subarray(5))],
  [frame(1, event.subarray(0, 5), { fin: false }), frame(0, event.subarray(5, 7), { fin: false }), frame(0, event.subarray(7))],
  [frame(1, event.subarray(0, 5), { fin: false }), frame(9, text("x")), frame(0, event.subarray(5))],
  [frame(1, event.subarray(0, 5), { fin: false }), textFrame("3")],
  [frame(0, event)], [frame(0, event, { fin: false })],
  [frame(1, empty, { fin: false }), frame(0, event)], [frame(1, event, { fin: false }), frame(0, empty)],
  [frame(1, text("4\u20ac").subarray(0, 2), { fin: false }), frame(0, text("4\u20ac").subarray(2))],
  [awaiting, frame(2, bytes(1), { fin: false }), frame(0, bytes(2))],
  // Bits and opcodes that mean nothing.
  [frame(1, event, { masked: false })], [frame(1, event, { rsv: 4 })], [frame(1, event, { rsv: 2 })], [frame(1, event, { rsv: 1 })],
  ...[3, 4, 7, 11, 15].map((opcode) => [frame(opcode, empty)]),
  // Control frames.
  [frame(9, empty)], [frame(9, text("hello"))], [frame(9, Buffer.alloc(125, 7))], [frame(9, Buffer.alloc(126))], [frame(9, text("x"), { fin: false })],
  [frame(10, empty)], [frame(10, text("unasked"))], [frame(10, Buffer.alloc(126))],
  // Ends.
  [frame(8, empty)], [frame(8, bytes(3, 232))], [frame(8, Buffer.concat([bytes(3, 232), text("bye")]))], [frame(8, bytes(3, 233))], [frame(8, bytes(15, 160))],
  [frame(8, bytes(3))], [frame(8, bytes(3, 237))], [frame(8, bytes(3, 238))], [frame(8, bytes(3, 247))], [frame(8, bytes(0, 1))], [frame(8, bytes(7, 208))], [frame(8, bytes(19, 136))],
  [frame(8, Buffer.concat([bytes(3, 232), bytes(255)]))], [frame(8, Buffer.alloc(126, 3))], [frame(8, empty, { fin: false })],
  [textFrame('42["message",1]'), frame(8, bytes(3, 232))], [frame(8, bytes(3, 232)), textFrame('42["message",1]')],
  // Text that is none, and sizes.
  [frame(1, bytes(0x34, 0xff))], [frame(1, bytes(0xff))], [frame(1, Buffer.concat([text('42["message","'), bytes(0xed, 0xa0, 0x80), text('"]')]))],
  [frame(1, Buffer.concat([text('42["message","'), bytes(0xc3), text('"]')]))],
  [textFrame(`42["message","${"x".repeat(100)}"]`)], [textFrame(`42["message","${"x".repeat(126)}"]`)], [textFrame(`42["message","${"x".repeat(70_000)}"]`)],
  [textFrame(`42["message","${"x".repeat(1_000_000 - 15)}"]`)], [textFrame(`42["message","${"x".repeat(1_000_000 - 14)}"]`)],
  [frame(1, event, { length: 1_000_001 })], [awaiting, binaryFrame(Buffer.alloc(1_000_000))], [awaiting, binaryFrame(Buffer.alloc(1_000_001))],
  [awaiting, binaryFrame(empty)],
  [frame(1, Buffer.alloc(600_000, 52), { fin: false }), frame(0, Buffer.alloc(600_000, 52))],
  // Many at once.
  [textFrame('42["message",1]'), textFrame('42["message",2]'), textFrame('421["message-with-ack",3]'), textFrame('42["message",4]')],
  [textFrame('42["message",1]'), textFrame("41"), textFrame("40")], [textFrame('42["message",1]'), textFrame("x")], [textFrame("x"), textFrame('42["message",1]')],
  [textFrame('42["message",1]'), textFrame("40")], [textFrame("40/custom,"), textFrame("40/nowhere,")],
  [textFrame("40/custom,"), textFrame('42/custom,["message",1]')], [textFrame("41"), textFrame('42["message",1]')],
];

const key = "AAECAwQFBgcICQoLDA0ODw==";
const handshakes = [
  [websocket], [`${websocket}&sid=unknown`], [`${websocket}&sid=`], ["transport=websocket"], ["EIO=5&transport=websocket"], ["EIO=4"], ["EIO=4&transport=polling"], ["EIO=4&transport=nothing"],
  ["EIO=4&transport=websocket&transport=polling"], ["EIO=4&transport=polling&transport=websocket"], [`${websocket}&b64=1`], [`${websocket}&j=1`], [`${websocket}&t=abc`], [""],
  [websocket, { Upgrade: "h2c" }], [websocket, { Upgrade: undefined }], [websocket, { Upgrade: "WebSocket" }], [websocket, { Connection: "keep-alive, Upgrade" }], [websocket, { Connection: "close" }],
  [websocket, { "Sec-WebSocket-Version": "8" }], [websocket, { "Sec-WebSocket-Version": "7" }], [websocket, { "Sec-WebSocket-Version": undefined }], [websocket, { "Sec-WebSocket-Version": "x" }],
  [websocket, { "Sec-WebSocket-Key": undefined }], [websocket, { "Sec-WebSocket-Key": "short" }], [websocket, { "Sec-WebSocket-Key": `${key}=` }], [websocket, { "Sec-WebSocket-Protocol": "chat" }], [websocket, { "Sec-WebSocket-Protocol": "chat, other" }], [websocket, { "Sec-WebSocket-Protocol": "a-b.c,chat" }],
  [websocket, { "Sec-WebSocket-Extensions": "permessage-deflate" }], [websocket, { Origin: "http://example.com" }], [websocket, { Origin: "null" }], [websocket, { Cookie: "io=1" }],
];

export const scripts = [
  ...[...written, ...mutations(400, 2026)].map((messages) => ({ kind: "WebSocket", steps: talk(messages) })),
  ...wrong.map((frames) => ({ kind: "WebSocket frames", steps: joined(...frames) })),
  ...handshakes.map(([query, headers]) => ({ kind: "WebSocket handshakes", steps: [connect(query, headers), end] })),
  ...handshakes.map(([query, headers]) => ({ kind: "WebSocket handshakes", pair: "v4 only", steps: [connect(query, headers), end] })),
  ...[["b"], ["bAQID"], ['451-["message",{"_placeholder":true,"num":0}]', "bAQID"], ['451-["message",{"_placeholder":true,"num":0}]', bytes(1, 2)]].map((messages) => ({
    kind: "WebSocket", steps: [connect(`${websocket}&b64=1`), send("40"), ...messages.map(send), end],
  })),
];
