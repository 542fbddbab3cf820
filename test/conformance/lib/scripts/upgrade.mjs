// From polling to a WebSocket, and what can go wrong on the way.

import { candidate, connect, drain, early, finish, get, offer, offerRaw, open, polling, polling3, post, raw, request, send, sentinel, sentinel3, settle, start, v3, websocket, websocket3 } from "../steps.mjs";
import { binaryFrame, frame, textFrame } from "../wire.mjs";

const event = '42["message",1]';
const wrong = ["3probe", "2", "2prob", "2probe2", "2PROBE", "5", "4", "40", event, "1", "6", "0", "x", "", "bAQID", Buffer.from([1]), Buffer.from("2probe")];

// beside opens one more WebSocket and keeps the one that there is.
const beside = (ws) => ({ ...candidate(ws), beside: true });

const generations = [
  { kind: "upgrade", first: polling, ws: `${websocket}&sid={sid}`, pack: (p) => p, more: {}, joined: [open(), post("40"), get()], over: send(sentinel) },
  { kind: "v3 upgrade", first: polling3, ws: `${websocket3}&sid={sid}`, pack: (p) => v3(p), more: { old: true }, joined: [open(polling3), settle, drain({ old: true })], over: send(sentinel3) },
];

function of({ kind, first, ws, pack, more, joined, over }) {
  const sid = `${first}&sid={sid}`;
  const say = (p) => post(pack(p));
  const end = [settle, drain(more)];
  const upgraded = [...joined, candidate(ws), offer("2probe"), offer("5")];
  const all = [
    // As it should be.
    [...upgraded, send(event), over],
    [...joined, start("a", get()), candidate(ws), offer("2probe"), finish("a"), offer("5"), send(event), over],
    [...joined, candidate(ws), start("a", get()), offer("2probe"), finish("a"), offer("5"), send(event)],
    [...joined, candidate(ws), offer("2probe"), start("a", get()), finish("a"), offer("5"), send(event)],
    [...joined, candidate(ws), offer("2probe"), say(event), offer("5"), send(event)],
    [...joined, candidate(ws), offer("2probe"), say(event), get(), offer("5"), send(event)],
    [...joined, say(event), candidate(ws), offer("2probe"), offer("5"), send(event)],
    [open(first), settle, candidate(ws), offer("2probe"), offer("5"), send("40"), send(event)],
    [...joined, candidate(`${ws}&b64=1`), offer("2probe"), offer("5"), send('451-["message",{"_placeholder":true,"num":0}]'), send(first === polling ? Buffer.from([1]) : Buffer.from([4, 1])), over],
    // As clients in PHP, .NET and C# have it.
    ...["5", "52", "5probe"].map((m) => [...joined, candidate(ws), offer(m), send(event), over]),
    ...["52", "5probe"].map((m) => [...joined, candidate(ws), offer("2probe"), offer(m), send(event), over]),
    [...joined, candidate(ws), offer("2probe"), offer("2probe"), offer("5"), send(event), over],
    [...joined, candidate(ws), offer("2probe"), offerRaw(textFrame("5"), textFrame(event), textFrame(event)), over],
    [...joined, candidate(ws), offerRaw(textFrame("5"), textFrame(event)), over],
    [...joined, candidate(ws), offer("5"), send("5"), send(event), over],
    [...joined, start("a", get()), candidate(ws), offer("5"), finish("a"), send(event), over],
    [...joined, candidate(ws), say(event), offer("5"), over],
    [...joined, candidate(ws), offer("4"), candidate(ws), offer("5"), send(event), over],
    [...joined, candidate(ws), beside(ws), offer("5"), ...end],
    // Any packet of type 5.
    ...["5\0", "5 ", "5{}", "55", "5€", `5${"x".repeat(70_000)}`].map((m) => [...joined, candidate(ws), offer("2probe"), offer(m), send(event), over]),
    ...["50", "5{}"].map((m) => [...joined, candidate(ws), offer(m), say(event), ...end]),
    ...[binaryFrame(Buffer.from("5")), binaryFrame(Buffer.from([5])), binaryFrame(Buffer.from("2probe"))].flatMap((f) => [[...joined, candidate(ws), offerRaw(f), ...end], [...joined, candidate(ws), offer("2probe"), offerRaw(f), ...end]]),
    // In parts, with control frames between, and in one piece with the handshake.
    [...joined, candidate(ws), offerRaw(frame(1, Buffer.from("2pr"), { fin: false }), frame(0, Buffer.from("obe"))), offer("5"), send(event), over],
    [...joined, candidate(ws), offer("2probe"), offerRaw(frame(1, Buffer.from("5"), { fin: false }), frame(0, Buffer.from("x"))), send(event), over],
    [...joined, candidate(ws), offerRaw(textFrame("2probe"), frame(9, Buffer.from("p")), textFrame("5")), send(event), over],
    [...joined, candidate(ws), offerRaw(frame(10, Buffer.from("unasked")), textFrame("2probe")), offer("5"), send(event), over],
    [...joined, early(candidate(ws), textFrame("2probe")), offer("5"), send(event), over],
    [...joined, early(candidate(ws), textFrame("2probe"), textFrame("5")), send(event), over],
    [...joined, early(candidate(ws), textFrame("5")), send(event), over],
    [...joined, early(candidate(ws), textFrame("5"), textFrame(event)), over],
    [...joined, early(candidate(ws), textFrame("x")), ...end],
    [...joined, start("a", get()), early(candidate(ws), textFrame("5")), finish("a"), send(event), over],
    // Probes, as many as they are, with messages by polling between them.
    [...joined, candidate(ws), offer("2probe"), say(event), offer("2probe"), get(), offer("5"), send(event), over],
    [...joined, candidate(ws), offerRaw(...Array(5).fill(textFrame("2probe"))), offer("5"), send(event), over],
    [...joined, start("a", get()), candidate(ws), offer("2probe"), offer("2probe"), finish("a"), start("b", get()), offer("2probe"), finish("b"), offer("5"), send(event), over],
    [...joined, candidate(ws), offer("2probe"), candidate(ws), offer("2probe"), offer("5"), send(event), over],
    [...joined, candidate(ws), offer("2probe"), beside(ws), offer("5"), ...end],
    // Messages before, after and across, binary ones too.
    [...joined, say(event), say(event), candidate(ws), offer("5"), over],
    [...joined, say('451-["message",{"_placeholder":true,"num":0}]'), candidate(ws), offer("2probe"), offer("5"), send(first === polling ? Buffer.from([1]) : Buffer.from([4, 1])), over],
    [...joined, candidate(ws), offer("2probe"), say('451-["message",{"_placeholder":true,"num":0}]'), offer("5"), send(first === polling ? Buffer.from([1]) : Buffer.from([4, 1])), over],
    // A probe that is none.
    ...wrong.flatMap((m) => [
      [...joined, candidate(ws), offer(m), ...end],
      [...joined, candidate(ws), offer("2probe"), offer(m), ...end],
      [...joined, start("a", get()), candidate(ws), offer(m), say(event), finish("a"), ...end],
    ]),
    // Twice, or of nobody.
    [...upgraded, send(event), candidate(ws), offer("2probe"), drain(more)],
    [...joined, candidate(ws), offer("2probe"), beside(ws), offer("2probe"), ...end],
    [...joined, candidate(ws), offer("2probe"), candidate(ws), offer("2probe"), offer("5"), send(event)],
    [connect(`${websocket}&sid=unknown`)], [connect(`${websocket}&sid=__proto__`)], [connect(`${websocket3}&sid=unknown`)],
    [...joined, candidate(`${first === polling ? websocket3 : websocket}&sid={sid}`), ...end],
    [...joined, candidate("transport=websocket&sid={sid}"), ...end],
    [...joined, candidate("EIO=5&transport=websocket&sid={sid}"), ...end],
    [...joined, candidate(sid), ...end],
    // Polling after that.
    [...upgraded, request("GET", sid), request("POST", sid, { body: pack(event) }), send(event)],
    [...upgraded, request("PUT", sid), request("OPTIONS", sid), request("HEAD", sid), send(event)],
    // Ends on the way.
    [...joined, candidate(ws), offer("2probe"), say("1"), offer("5")],
    [...joined, candidate(ws), offer("2probe"), say("x"), offer("5")],
    [...joined, candidate(ws), say("1"), offer("2probe"), ...end],
    [...upgraded, send("1")], [...upgraded, send("x")], [...upgraded, send("41"), over], [...upgraded, send("40")],
    [...upgraded, send("2probe")], [...upgraded, send("2")], [...upgraded, send("5"), send(event)],
  ];
  return all.map((steps) => ({ kind, steps }));
}

export const scripts = generations.flatMap(of);
