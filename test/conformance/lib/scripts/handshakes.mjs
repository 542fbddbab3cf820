// What else a request says that opens a session: subprotocols, its query, and
// transports that the server does not have.

import { candidate, connect, drain, get, offer, open, polling, polling3, post, send, sentinel, sentinel3, settle, v3, websocket, websocket3 } from "../steps.mjs";

const subprotocols = [
  "chat", "chat, other", "chat,other,third", " chat ", "\tchat\t,\tother", "a-b.c,chat", "graphql-transport-ws, graphql-ws", "v10.stomp", "!#$%&'*+-.^_`|~", "CHAT, chat", "chat;q=1", "chat other", "chat, chat", ",chat", "chat,", "chat,,other", "", " ", "\"chat\"", "ch\u00fct", "a/b", "0", "x".repeat(2000),
];

const queries = [
  "token=abc", "a=1&b=2", "a=1&a=2", "a=1&b=2&a=3", "a[]=1&a[]=2", "a[b]=1", "a=", "a", "=1", "=", "&&a=1&&", "a=1;b=2", "a=b=c", "a=%20b", "a=b+c", "a+b=c", "a%20b=c", "a=%2B", "a=%26&b=%3D", "%61=1",
  "a=%zz", "a=%", "a=%4", "a=100%", "%zz=1", "a=%e4", "a=%c3%a4", "a=%f0%9f%98%80", "a=%ed%a0%80", "a=%ff%fe", "a=%00", "a=%c3%28", "a=%e2%82&b=1", "a=%0d%0a",
  "t=mine", "t=", "t=1&t=2", "b64=1", "b64=", "j=1", "EIO=4", "transport=polling&transport=websocket", "sid", "hasOwnProperty=1", "constructor=1", "toString=x", "A=1&a=2", "user=%22quoted%22&c=%5C", "a=%7B%22b%22%3A1%7D", "a=<>&b='\"", `a=${"x".repeat(4000)}`, Array.from({ length: 200 }, (_, i) => `k${i}=${i}`).join("&"), "a=1#b=2", "a=1?b=2", "?a=1", "a=%23",
];

const ask = '42["query"]';
const quote = (q) => q.replaceAll('"', "%22").replaceAll("<", "%3C").replaceAll(">", "%3E");

const asked = queries.map(quote).flatMap((q) => [
  { kind: "queries", steps: [connect(`${websocket}&${q}`), send("40"), send(ask), send(sentinel)] },
  { kind: "queries", steps: [connect(`${q}&${websocket}`), send("40"), send(ask), send(sentinel)] },
  { kind: "queries", steps: [connect(`${websocket3}&${q}`), send(ask), send(sentinel3)] },
  { kind: "queries", steps: [open(`${polling}&${q}`), post("40"), get(), post(ask), drain(/(^|&)j=/.test(q) ? { jsonp: true } : {})] },
  { kind: "queries", steps: [connect(`${websocket}&${q}`), send("40/custom,"), send('42/custom,["query"]'), send(sentinel)] },
]);

const after = [
  [open(`${polling}&a=1`), post("40"), get(), candidate(`${websocket}&sid={sid}&a=2`), offer("2probe"), offer("5"), send(ask), send(sentinel)],
  [open(`${polling}&a=1`), post("40", { more: "&a=2" }), get({ more: "&a=3" }), post(ask, { more: "&a=4" }), get()],
  [open(`${polling3}&a=1`), settle, post(v3(ask)), drain({ old: true })],
];

const only = (pair) => [
  [open(polling)], [open(polling3)], [connect(websocket), send("40"), send(sentinel)], [connect(websocket3), send(sentinel3)], [connect(`${websocket}&sid=unknown`)], [open(`${polling}&sid=unknown`)], [open("EIO=4")], [connect("EIO=4")],
  [open("EIO=4&transport=webtransport")], [open(polling), candidate(), offer("2probe"), offer("5"), settle, drain()], [open(polling), post("40"), get(), candidate(), settle, drain()], [open("EIO=4&transport=websocket")], [connect("EIO=4&transport=polling")],
].map((steps) => ({ kind: `${pair}`, pair, steps }));

export const scripts = [
  ...subprotocols.flatMap((p) => [websocket, websocket3].map((query) => ({ kind: "subprotocols", steps: [connect(query, { "Sec-WebSocket-Protocol": p }), send(query === websocket ? sentinel : sentinel3)] }))),
  ...asked,
  ...after.map((steps) => ({ kind: "queries", steps })),
  ...only("polling alone"), ...only("websocket alone"),
];
