// Engine.IO v3, which carries Socket.IO v2: by polling as text and as bytes, and
// over WebSockets. Its clients are connected to "/" without having asked.

import { connect, drain, finish, get, open, polling, polling3, post, raw, request, send, sentinel3, settle, start, v3, v3Bytes, websocket, websocket3 } from "../steps.mjs";
import { frame } from "../wire.mjs";
import { mutations, written } from "./frames.mjs";

const old = { old: true };
const event = '42["message",1]';
const waiting = '451-["message",{"_placeholder":true,"num":0}]';
const bytes = (...b) => Buffer.from(b);

// What comes after the CONNECT to "/" that these clients do not send.
const rest = (messages) => (messages[0] === "40" && messages.length > 1 ? messages.slice(1) : messages);
const typed = (m) => (typeof m === "string" ? m : Buffer.concat([bytes(4), m]));
const coded = (m) => (typeof m === "string" ? m : `b4${m.toString("base64")}`);

const talk = (messages) => [connect(websocket3), ...rest(messages).map(typed).map(send), send(sentinel3)];
const joined = (...steps) => [open(polling3), settle, ...steps, drain(old)];
const octets = { headers: { "Content-Type": "application/octet-stream" } };
const asBytes = (b) => post(b, octets);
const longs = (n) => `42["message","${"x".repeat(n)}"]`;

const bodies = [
  "", "x", ":", "1:", "0:", "0:0:", "1:2", "1:3", "1:1", "1:4", "1:5", "1:6", "1:0", "1:7", "2:2x", "6:2probe", "01:2", "+1:2", " 1:2", "1 :2", "1.0:2", "1e0:2", "0x1:2", "-1:2", "1::2", "1:22", "2:2", "3:2", "1:2x", "1:21:2", "1:2\n1:2", "1",
  "99999999999:4", "9007199254740993:4", "Infinity:4", "NaN:4", v3(event), v3(event, event), `${v3(event)}x`, `${v3(event)}3:x`, v3(event, "x", event), v3("1", event), v3(event, "1"), v3("40/custom"), v3("40/custom,"), v3("40/custom?token=t"), v3("40/custom?token=t&a=b,"), v3("40/custom?a=%zz"),
  v3("40/nowhere"), v3("40/nowhere?a=b"), v3("40"), v3("41"), v3("41", event), v3("40/custom", '42/custom,["message",1]'), v3('42["message","€"]'), v3('42["message","😀"]'), '18:42["message","😀"]', '19:42["message","😀"]', '21:42["message","😀"]', "1:😀", "2:😀", "5:4😀x",
  v3(waiting, "b4AQID"), v3(waiting, "b4AQID", event), v3(waiting, "b4"), v3(waiting, "b"), v3(waiting, "bAQID"), v3(waiting, "b3AQID"), v3(waiting, "b4!!"), v3(waiting, "b4AQI"), v3(waiting, event), v3("b4AQID"), v3("b2"), "40", event, `${event}\x1e${event}`, bytes(0x32, 0x3a, 0xff, 0xfe),
  v3(longs(100)), v3(longs(5000)), v3(...Array(200).fill(event)),
];
const binaries = [
  v3Bytes(event), v3Bytes(event, event), v3Bytes("2"), v3Bytes("3"), v3Bytes(waiting, bytes(4, 1, 2, 3)), v3Bytes(waiting, bytes(4, 1, 2, 3), event), v3Bytes(waiting, bytes(4)), v3Bytes(waiting, bytes(4, 255)), v3Bytes(bytes(4, 1)), v3Bytes(bytes(2)), v3Bytes(bytes(3)), v3Bytes(waiting, bytes(1, 2)),
  v3Bytes(waiting, "b4AQID"), v3Bytes("1"), v3Bytes("41"), v3Bytes('42["message","é"]'), v3Bytes('42["message","€😀"]'), bytes(), bytes(0), bytes(1), bytes(0, 255), bytes(0, 0, 255), bytes(0, 1, 255), bytes(0, 1, 255, 0x32), bytes(0, 2, 255, 0x32), bytes(0, 0, 1, 255, 0x32), bytes(2, 1, 255, 0x32), bytes(0, 1, 255, 0x32, 0),
  bytes(0, 12, 255, 0x32), bytes(0, 1), bytes(1, 255, 4), bytes(255), bytes(0, 0x31, 255, 0x32), Buffer.alloc(400, 1), Buffer.from(v3(event)), v3Bytes("x"), v3Bytes(""),
];

const sequences = [
  [open(polling3), settle, get(), post(v3(event)), get(), drain(old)],
  [open(`${polling3}&b64=1`), settle, drain(old), post(v3(waiting, "b4AQID")), get(), drain(old)],
  [open(polling3), settle, drain(old), post(v3(waiting, "b4AQID")), get(), drain(old)],
  [open(polling3), settle, drain(old), asBytes(v3Bytes(waiting, bytes(4, 1, 2, 3))), get(), drain(old)],
  [open(polling3), settle, drain(old), post(v3(waiting, "b4AQID", event)), get(), drain(old)],
  [open(polling3), settle, drain(old), post(v3('42["message","€😀"]')), get(), drain(old)],
  [open(polling3), settle, drain(old), post(v3(`452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},"€"]`, "b4AQID", "b4")), get(), drain(old)],
  [open(polling3), settle, drain(old), post(v3("2")), get(), drain(old)], [open(polling3), settle, drain(old), post(v3("2hello")), get(), drain(old)],
  [open(polling3), settle, drain(old), start("a", get()), post(v3("2")), finish("a"), drain(old)], [open(polling3), settle, drain(old), start("a", get()), post(v3(event)), finish("a"), drain(old)],
  [open(polling3), settle, drain(old), start("a", get()), get(), finish("a"), drain(old)], [open(polling3), settle, drain(old), start("a", get()), post(v3("1")), finish("a"), drain(old)], [open(polling3), settle, drain(old), start("a", get()), post(v3("x")), finish("a"), drain(old)],
  [open(polling3), settle, drain(old), post(v3(event)), request("GET", `${polling}&sid={sid}`), drain(old)], [open(polling3), settle, drain(old), request("POST", `${polling}&sid={sid}`, { body: event }), drain(old)],
  [open(polling3), settle, drain(old), post(Buffer.alloc(1_000_001, 52)), post(v3(event)), get(), drain(old)], [open(polling3), settle, drain(old), asBytes(Buffer.alloc(1_000_001, 52)), post(v3(event)), get(), drain(old)],
  [open(polling3), settle, drain(old), post(v3(longs(2000))), get({ headers: { "Accept-Encoding": "gzip" } }), drain(old)],
  [open(`${polling3}&j=5`), settle, drain({ ...old, jsonp: true }), post(`d=${encodeURIComponent(v3(event))}`), get(), drain({ ...old, jsonp: true })],
  [open(`${polling3}&j=5`), settle, drain({ ...old, jsonp: true }), post(`d=${encodeURIComponent(v3(waiting, "b4AQID"))}`), get(), drain({ ...old, jsonp: true })],
  [open(`${polling3}&token=t&a=b`), settle, drain(old)],
];

const frames = [
  ["2"], ["2hello"], ["2probe"], ["3"], ["3probe"], ["1"], ["5"], ["6"], ["0"], ["b4AQID"], ["b2"], ["b"], ["x"], [""], [bytes(4, 1)], [bytes(2)], [bytes(3)], [bytes(0)], [bytes(9)], [bytes()], [bytes(1)], [bytes(5)],
  [waiting, bytes(4, 1, 2)], [waiting, "b4AQID"], [waiting, "b4"], [waiting, bytes(4)], [waiting, "bAQID"], [waiting, bytes(0x34, 1)], ["40/custom?token=t"], ["40/custom?token=t,"], ["40/custom?token=t&token=u,"], ["40/custom?,"], ["40/custom?a=%zz,"], ["40?a=b"], ["40/?a=b"], ["40/nowhere?a"], ["40/CUSTOM,"], ["40/custom/../custom,"], ["40/ü,"],
  ["40/custom,", '42/custom,["message",1]', "41/custom,"], ["41"], ["41", "40"], [event, event], ['421["message-with-ack",1]'],
];

export const scripts = [
  ...[...written, ...mutations(120, 13)].map((messages) => ({ kind: "v3 WebSocket", steps: talk(messages) })),
  ...frames.map((messages) => ({ kind: "v3 WebSocket", steps: [connect(websocket3), ...messages.map(send), send(sentinel3)] })),
  ...[[waiting, bytes(4, 1)], [waiting, "b4AQID"]].map((messages) => ({ kind: "v3 WebSocket", steps: [connect(`${websocket3}&b64=1`), ...messages.map(send), send(sentinel3)] })),
  { kind: "v3 WebSocket", steps: [connect(websocket3), raw(frame(1, bytes(0x34, 0xff))), send(sentinel3)] },
  { kind: "v3 WebSocket", steps: [connect(`${websocket3}&token=t`), send(sentinel3)] }, { kind: "v3 WebSocket", steps: [connect(`${websocket}&EIO=3`), send(sentinel3)] },
  ...[...written, ...mutations(80, 17)].map((messages) => ({ kind: "v3 polling", steps: joined(...rest(messages).map((m) => post(v3(coded(m))))) })),
  ...[...written, ...mutations(40, 19)].map((messages) => ({ kind: "v3 polling", steps: joined(post(v3(...rest(messages).map(coded)))) })),
  ...bodies.map((b) => ({ kind: "v3 polling", steps: joined(post(b)) })),
  ...binaries.map((b) => ({ kind: "v3 polling", steps: joined(asBytes(b)) })),
  ...sequences.map((steps) => ({ kind: "v3 polling", steps })),
];
