// A second CONNECT to a namespace: before the first is answered or after, in one
// namespace or several, by each transport, as clients of both versions.

import { connect, drain, get, open, polling3, post, raw, send, sentinel, sentinel3, settle, v3, websocket3 } from "../steps.mjs";
import { textFrame } from "../wire.mjs";

const event = '42["message",1]';
const custom = '42/custom,["message",1]';

// What is said together, apart by commas' place: lists of lists.
const v4 = [
  [["40"], ["40"], [event]], [["40", "40"], [event]], [["40", "40", event]], [["40"], [event], ["40"], [event]], [["40"], [event, "40", event]],
  [["40"], ["41"], ["40"], [event]], [["40", "41", "40"], [event]], [["40"], ["41", "40"], [event]], [["40"], ["40"], ["41"], [event]], [["40"], ["40"], ["40"], [event]],
  [["40/custom,"], ["40/custom,"], [custom]], [["40/custom,", "40/custom,"], [custom]], [["40"], ["40/custom,"], ["40/custom,"], [event], [custom]], [["40"], ["40/custom,"], ["40"], [event], [custom]],
  [["40", "40/custom,"], ["40", "40/custom,"], [event, custom]], [["40"], ["40/custom,"], ["41"], ["40"], [event], [custom]], [["40/custom,"], ["41/custom,", "40/custom,"], [custom]],
  [['40{"a":1}'], ['40{"a":2}'], [event]], [['40/custom,{"a":1}'], ['40/custom,{"a":2}'], [custom]],
  [["40/nowhere,"], ["40/nowhere,"]], [["40"], ["40/nowhere,"], ["40/nowhere,"], [event]], [["40/nowhere,", "40/nowhere,"]],
  [["40"], ["451-[\"message\",{\"_placeholder\":true,\"num\":0}]"], ["40"]], [["40"], ["427[\"message-with-ack\"]", "40"], [event]], [["40/"], ["40"], [event]], [["40/,"], ["40"], [event]],
];
const old = [
  [["40"], [event]], [["40"], ["40"], [event]], [["40/custom"], ["40/custom"], [custom]], [["40/custom", "40/custom"], [custom]], [["40/custom,"], ["41/custom,"], ["40/custom,"], [custom]], [["40/custom?a=1"], ["40/custom?a=2"], [custom]],
  [["40/custom"], ["40"], [event], [custom]], [["41"], ["40"], [event]], [["40/nowhere"], ["40/nowhere"], [event]],
];

export const scripts = [
  ...v4.flatMap((turns) => [
    [connect(), ...turns.map((t) => raw(...t.map(textFrame))), send(sentinel)],
    [open(), ...turns.map((t) => post(t.join("\x1e"))), drain()],
    [open(), ...turns.flatMap((t) => [post(t.join("\x1e")), settle, get()]), drain()],
  ]),
  ...old.flatMap((turns) => [
    [connect(websocket3), ...turns.map((t) => raw(...t.map(textFrame))), send(sentinel3)],
    [open(polling3), settle, ...turns.map((t) => post(v3(...t))), drain({ old: true })],
  ]),
].map((steps) => ({ kind: "second CONNECTs", steps }));
