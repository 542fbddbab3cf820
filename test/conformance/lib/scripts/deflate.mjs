// Offers of permessage-deflate (RFC 7692), and messages that are compressed, or not.

import { connect, raw, send, sentinel, sentinel3, websocket, websocket3 } from "../steps.mjs";
import { deflated, frame, textFrame } from "../wire.mjs";

const offers = [
  "permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; server_no_context_takeover", "permessage-deflate; client_no_context_takeover", "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
  ...[8, 9, 10, 14, 15].map((n) => `permessage-deflate; client_max_window_bits=${n}`), ...[8, 9, 10, 14, 15].map((n) => `permessage-deflate; server_max_window_bits=${n}`),
  "permessage-deflate; client_max_window_bits=7", "permessage-deflate; client_max_window_bits=16", "permessage-deflate; client_max_window_bits=09", "permessage-deflate; client_max_window_bits=x", 'permessage-deflate; client_max_window_bits="10"', "permessage-deflate; client_max_window_bits=",
  "permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=7", "permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; client_no_context_takeover=true", "permessage-deflate; unknown", "permessage-deflate; unknown=1",
  "permessage-deflate; client_max_window_bits; client_max_window_bits", "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
  "permessage-deflate; server_max_window_bits=10, permessage-deflate", "permessage-deflate; client_max_window_bits, permessage-deflate", "permessage-deflate; unknown, permessage-deflate", "permessage-deflate, permessage-deflate; server_max_window_bits=10", "permessage-deflate; server_no_context_takeover; server_max_window_bits=9, permessage-deflate; client_max_window_bits",
  "x-webkit-deflate-frame", "x-webkit-deflate-frame, permessage-deflate", "permessage-deflate, x-webkit-deflate-frame", "permessage-bzip2", "deflate-stream", "foo; bar=baz, permessage-deflate", "Permessage-Deflate", "permessage-deflate2", "PERMESSAGE-DEFLATE; client_max_window_bits",
  "permessage-deflate;client_max_window_bits", " permessage-deflate ", "permessage-deflate;", "permessage-deflate,", ", permessage-deflate", "permessage-deflate,,permessage-deflate", ";", "=", "permessage-deflate client_max_window_bits", 'permessage-deflate; client_max_window_bits="1', 'foo; bar="a, permessage-deflate"', "",
];

const long = `42["message","${"abc".repeat(600)}"]`;
const short = '42["message",1]';
const euros = `42["message","${"\u20ac".repeat(600)}"]`;
const text = Buffer.from(short);

const say = [
  [deflated(short)], [deflated(long)], [deflated(euros)], [textFrame(long)], [deflated(short), textFrame(short), deflated(long)], [deflated(short, { level: 0 })], [deflated(long, { windowBits: 9 })],
  [frame(1, text, { rsv: 4 })], [frame(1, Buffer.from([0xff, 0xff]), { rsv: 4 })], [frame(9, text, { rsv: 4 })], [frame(1, text, { rsv: 6 })], [frame(1, Buffer.alloc(0), { rsv: 4 })], [deflated(`42["message","${"x".repeat(999_900)}"]`)], [deflated(`42["message","${"x".repeat(1_000_000)}"]`)], [deflated("4".repeat(20_000_000))],
];

const taken = { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" };

export const scripts = [
  ...offers.flatMap((o) => [["deflate", websocket, [send("40")], sentinel], ["deflate", websocket3, [], sentinel3], ["usual", websocket, [send("40")], sentinel]].map(([pair, query, join, end]) => ({
    kind: "permessage-deflate offers", pair, steps: [connect(query, { "Sec-WebSocket-Extensions": o }), ...join, send(long), send(short), send(end)],
  }))),
  ...say.map((frames) => ({ kind: "permessage-deflate messages", pair: "deflate", steps: [connect(websocket, taken), send("40"), raw(...frames), send(sentinel)] })),
  ...say.map((frames) => ({ kind: "permessage-deflate messages", pair: "deflate", steps: [connect(websocket), send("40"), raw(...frames), send(sentinel)] })),
];
