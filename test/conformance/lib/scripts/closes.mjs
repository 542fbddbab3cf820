// The end of a session by the server: the event "leave" has it send one more and
// close, without a DISCONNECT.

import { candidate, connect, finish, get, offer, open, post, send, settle, start } from "../steps.mjs";

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

export const scripts = all.map((steps) => ({ kind: "closes, with an upgrade or without", steps }));
