// The end of a session: by the server, whose event "leave" has it send one more and
// close, without a DISCONNECT, or "kick", with one for every namespace, or by the
// client, in each of the ways it has.

import { candidate, connect, cut, drain, finish, get, offer, offerRaw, open, polling3, post, raw, send, sentinel, settle, start, v3, websocket3 } from "../steps.mjs";
import { frame, textFrame } from "../wire.mjs";

const leave = '42["leave"]';
const joined = [open(), post("40"), get()];
const two = [get(), get()];

const all = [
  [...joined, post(leave), settle, ...two, get()],
  [...joined, start("a", get()), post(leave), finish("a"), ...two],
  [...joined, post(`42["message",1]\x1e${leave}`), settle, ...two, get()],
  [...joined, post(leave), settle, post('42["message",1]'), ...two],
  [connect(), send("40"), send(leave)],
  [connect(), send("40"), send(leave), send('42["message",1]')],
  // On the way from polling to a WebSocket.
  [...joined, candidate(), post(leave), settle, ...two, settle, offer("x")],
  [...joined, candidate(), offer("2probe"), post(leave), settle, ...two, settle, offer("x")],
  [...joined, candidate(), offer("2probe"), post(leave), settle, get(), offer("5")],
  [...joined, candidate(), offer("2probe"), post(leave), settle, offer("5")],
  [...joined, candidate(), post(leave), settle, offer("2probe"), offer("5")],
  [...joined, candidate(), offer("2probe"), offer("5"), send(leave)],
];

const kick = '42["kick"]';
const both = post("40\x1e40/custom,");
const twice = [open(), both, get()];

const kicked = [
  [...joined, post(kick), settle, ...two, get()],
  [...twice, post(kick), settle, ...two, get()],
  [...twice, start("a", get()), post(kick), finish("a"), ...two],
  [...twice, post(`42["message",1]\x1e${kick}`), settle, ...two, get()],
  [...twice, post(kick), settle, post('42["message",1]'), ...two],
  [connect(), send("40"), send(kick)],
  [connect(), send("40"), send("40/custom,"), send(kick)],
  [connect(), send("40"), send("40/custom,"), send("41/custom,"), send(kick)],
  [connect(websocket3), send(kick)],
  [connect(websocket3), send("40/custom,"), send(kick)],
  [...twice, candidate(), post(kick), settle, ...two, settle, offer("x")],
  [...twice, candidate(), offer("2probe"), post(kick), settle, get(), offer("5")],
  [...twice, candidate(), offer("2probe"), post(kick), settle, offer("5")],
  [...twice, candidate(), post(kick), settle, offer("2probe"), offer("5")],
  [...twice, candidate(), offer("2probe"), offer("5"), send(kick)],
];

const bytes = (...b) => Buffer.from(b);
const goodbyes = [frame(8, bytes()), frame(8, bytes(3, 232)), frame(8, bytes(3, 233)), frame(8, Buffer.concat([bytes(3, 233), Buffer.from("bye")]))];
const event = '42["message",1]';
const upgraded = [...joined, candidate(), offer("2probe"), offer("5")];

const byClient = [
  // DISCONNECT.
  ...["41", "41/custom,", "41/nowhere,", "41/"].flatMap((bye) => [
    [connect(), send("40"), send(bye), send(event), send(sentinel)],
    [connect(), send("40"), send("40/custom,"), send(bye), send(event), send('42/custom,["message",1]'), send(sentinel)],
    [...joined, post(bye), settle, post(event), drain()],
    [...joined, start("a", get()), post(bye), settle, post("3"), post(event), finish("a"), drain()],
    [...upgraded, send(bye), send(event), send(sentinel)],
  ]),
  // The close packet.
  [connect(), send("1")], [connect(), send("40"), send("1")], [connect(), send("40"), raw(textFrame(event), textFrame("1"))], [connect(), send("40"), raw(textFrame("1"), textFrame(event))],
  [...joined, start("a", get()), post("1"), finish("a"), get()], [...joined, post(`${event}\x1e1`), settle, get()], [...joined, start("a", get()), post(`${event}\x1e1`), finish("a")], [...upgraded, raw(textFrame(event), textFrame("1"))],
  [open(), post("1"), settle, get()], [open(polling3), settle, post(v3("1")), settle, get()], [connect(websocket3), send("1")],
  // Close frames, before an upgrade, in it and after it.
  ...goodbyes.flatMap((bye) => [
    [connect(), raw(bye)], [connect(), send("40"), raw(bye)], [connect(), send("40"), raw(textFrame(event), bye)], [connect(websocket3), raw(bye)],
    [...upgraded, raw(bye), get()],
    [...joined, candidate(), offerRaw(bye), settle, post(event), drain()],
    [...joined, start("a", get()), candidate(), offer("2probe"), finish("a"), start("b", get()), finish("b"), post(event), drain()],
    [...joined, candidate(), offerRaw(textFrame("2probe"), bye), settle, post(event), drain()],
    [...joined, candidate(), offerRaw(textFrame("2probe"), textFrame("5"), bye), settle, get()],
    [...joined, candidate(), offerRaw(textFrame("5"), bye), settle, get()],
  ]),
  // Requests that are given up, in an upgrade and after it.
  [...joined, start("a", get()), candidate(), cut("a"), offer("5")], [...joined, start("a", get()), candidate(), offer("5"), cut("a"), send(event), send(sentinel)],
  ...["2probe", "5"].map((m) => [...joined, start("a", post("42", { unfinished: true })), candidate(), offer(m), cut("a"), settle, ...(m === "5" ? [send(event), send(sentinel)] : [drain()])]),
  [...joined, start("a", post("42", { unfinished: true })), candidate(), offer("2probe"), offer("5"), cut("a"), send(event), send(sentinel)],
];

export const scripts = [...all, ...kicked, ...byClient].map((steps) => ({ kind: "closes, with an upgrade or without", steps }));
