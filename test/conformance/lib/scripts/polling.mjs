// Engine.IO v4 by polling.

import { connect, cut, drain, finish, get, open, polling, post, request, send, settle, start, websocket } from "../steps.mjs";
import { mutations, written } from "./frames.mjs";

const record = (m) => (typeof m === "string" ? m : `b${m.toString("base64")}`);

// Each message by a POST of its own, and all of them in one.
const talk = (messages) => [open(), ...messages.map((m) => post(record(m))), drain()];
const atOnce = (messages) => [open(), post(messages.map(record).join("\x1e")), drain()];

const joined = (...steps) => [open(), post("40"), get(), ...steps, drain()];
const event = '42["message",1]';
const waiting = '451-["message",{"_placeholder":true,"num":0}]';
const type = (t, more = {}) => ({ headers: { "Content-Type": t, ...more } });

const bodies = [
  "\x1e", "\x1e\x1e", "4a\x1e", "\x1e4a", `${event}\x1e`, `\x1e${event}`, `${event}\x1e${event}`, `${event}\x1e\x1e${event}`, `${event}\x1ex`, `x\x1e${event}`, `${event}\x1e1\x1e${event}`, `3\x1e${event}`, `2\x1e${event}`,
  `6\x1e${event}`, `5\x1e${event}`, `0\x1e${event}`, `${waiting}\x1ebAQID`, `${waiting}\x1ebAQID\x1e${event}`, `${waiting}\x1e${event}`, `${waiting}\x1ebA`, `${waiting}\x1eb`, `${waiting}\x1eb!!`, `${waiting}\x1ebA_-B`, `${waiting}\x1ebAQI`,
  `${waiting}\x1ebAQID\n`, `${waiting}\x1eb AQID`, `${waiting}\x1ebAQ==ID`, `${waiting}\x1ebAQ=`, `${waiting}\x1ebAR==`, "", " ", "\n", "4", "b", "bAQID", "\ufeff3", "\0", "é", "4é", "3 ", "3x", "6x",
  '42["message","a\x1eb"]', '42["message","€😀"]', '42["message","\u2028"]', "1", "1x", "41", `41\x1e40`, `41\x1e${event}`, "40", "40/custom,", "40/custom,\x1e40/nowhere,", `40/custom,\x1e42/custom,["message",1]`,
  Buffer.concat([Buffer.from('42["message","'), Buffer.from([0xff]), Buffer.from('"]')]), Buffer.from([0xff]), Buffer.concat([Buffer.from("3"), Buffer.from([0xff])]),
  `42["message","${"x".repeat(1_000_000 - 15)}"]`, `42["message","${"é".repeat(400_000)}"]`, Array(200).fill(event).join("\x1e"),
];

const types = [
  undefined, type("text/plain"), type("text/plain;charset=UTF-8"), type("text/plain; charset=latin1"), type("application/json"), type("application/x-www-form-urlencoded"), type("application/octet-stream"),
  type("application/octet-stream; charset=x"), type("Application/Octet-Stream"), type(""), type("text"), type("multipart/form-data"),
];

const handshakes = [
  "", "EIO=4", "transport=polling", polling, "EIO=5&transport=polling", "EIO=2&transport=polling", "EIO=abc&transport=polling", "EIO=&transport=polling", "EIO=4&transport=", "EIO=4&transport=abc", "EIO=4&transport=Polling",
  "EIO=4&transport=websocket", "EIO=4&transport=webtransport", "EIO=4&transport=__proto__", "EIO=4&EIO=5&transport=polling", "EIO=5&EIO=4&transport=polling", "EIO=4&transport=abc&transport=polling", "EIO=4&transport=polling&transport=abc",
  "eio=4&transport=polling", "EIO=04&transport=polling", "EIO=4.0&transport=polling", "EIO=4%20&transport=polling", "EIO=%34&transport=polling", "EIO=4&transport=polling%00", "EIO=4;transport=polling", "&&EIO=4&transport=polling&",
  ...["sid=", "sid=unknown", "sid=__proto__", "sid=constructor", "sid=a&sid=", "sid=%00", "sid=a%2Fb", "sid", "t=abc", "b64=1", "b64=0", "b64=", "j=0", "j=", "j=abc", "j=12);alert(1", "j=1&j=2", "%zz=1", "a=%", "x=1;y=2", "=", "a[]=1", "EIO", "transport"].map((more) => `${polling}&${more}`),
];
const methods = ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND"];
const foreign = { Origin: "http://example.com" };
const nobody = { headers: { Origin: undefined } };
const origins = [
  ...methods.map((m) => request(m, polling, nobody)), request("GET", polling, nobody), request("GET", "EIO=4", nobody), request("GET", `${polling}&sid=unknown`, nobody), request("OPTIONS", `${polling}&sid=unknown`, nobody), request("OPTIONS", "EIO=4", nobody),
  request("GET", polling, { headers: foreign }), request("GET", polling, { headers: { Origin: "null" } }), request("GET", polling, { headers: { Origin: "" } }), request("GET", polling, { headers: { Origin: "ü" } }),
  request("GET", `${polling}&sid=unknown`, { headers: foreign }), request("POST", `${polling}&sid=unknown`, { headers: foreign, body: "3" }), request("GET", "EIO=4", { headers: foreign }),
  request("OPTIONS", polling, { headers: { ...foreign, "Access-Control-Request-Method": "POST" } }),
  request("OPTIONS", `${polling}&sid=unknown`, { headers: { ...foreign, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-a" } }),
  request("OPTIONS", "", { headers: { ...foreign, "Access-Control-Request-Method": "DELETE" } }), request("OPTIONS", polling, { headers: foreign }),
];

// Of the session, but said wrongly.
const strange = [
  "EIO=3&transport=polling&sid={sid}", "EIO=5&transport=polling&sid={sid}", "transport=polling&sid={sid}", "EIO=4&transport=websocket&sid={sid}", "EIO=4&sid={sid}", "EIO=4&transport=abc&sid={sid}", "EIO=4&transport=polling&sid={sid}x",
  "EIO=4&transport=polling&sid={sid}%00", "EIO=4&transport=polling&sid=x&sid={sid}", "EIO=4&transport=polling&sid={sid}&sid=", "EIO=4&transport=polling&SID={sid}",
];

const jsonp = (j, ...steps) => [open(`${polling}&j=${j}`), ...steps, drain({ jsonp: true })];
const form = (body) => post(body, type("application/x-www-form-urlencoded"));
const d = (payload) => form(`d=${encodeURIComponent(payload)}`);
const forms = [
  d(event), d(`${event}\x1e${event}`), d('42["message","a\\nb"]'), d('42["message","a\\\\nb"]'), d('42["message","a\\\\\\nb"]'), d('42["message",\n1]'), d("3\\n"), form("d="), form(""), form("x=1"), form("d=3&d=3"), form("d=3&x=1"), form("d=%"), form("d=%zz"),
  form(`d=${event}`), form('d=42["message","a+b"]'), form('d=42["message","a%2Bb"]'), form("d=42%5B%22message%22%2C1%5D;x=1"), form("D=3"), form("d[]=3"), form("d"), d("x"), d("1"), d(""), d("42["), d('42["message","\u2028\u2029<>&"]'), d('42["message","€😀"]'), form(`d=%ff`), form("d=42%5B%22message%22,%22%ff%22%5D"), post("d=3"), post("3"),
  post(`d=${encodeURIComponent(event)}`, type("application/octet-stream")), form(`d=${"x".repeat(1_000_000)}`),
];

const text = (n) => `42["message","${"x".repeat(n)}"]`;
const encodings = ["gzip", "deflate", "gzip, deflate", "br", "gzip;q=0", "*", "gzip;q=0.1, deflate;q=0.5", "identity", "x-gzip", "GZIP"];
const large = Buffer.alloc(1_000_001, 52);
const partial = { unfinished: true };

const sequences = [
  // Two requests at once.
  joined(start("a", get()), get(), finish("a"), get()),
  joined(start("a", get()), post(event), finish("a")),
  joined(start("a", get()), post(event), finish("a"), start("b", get()), post(event), finish("b")),
  joined(start("a", get()), post("2"), finish("a")), joined(start("a", get()), post("x"), finish("a")), joined(start("a", get()), post("40"), finish("a")), joined(start("a", get()), post("1"), finish("a"), get()),
  joined(start("a", get()), post("41"), settle, post(event), finish("a")), joined(start("a", get()), post(""), finish("a")), joined(start("a", get()), post("42["), finish("a")),
  joined(start("a", get()), post("3"), post(event), finish("a")), joined(start("a", get()), post("bAQID"), finish("a")), joined(start("a", get()), post("44{}"), finish("a")),
  joined(start("a", get()), post(event, type("application/octet-stream")), finish("a")), joined(start("a", get()), post(large), post(event), finish("a")),
  joined(start("a", post("42", partial)), post(event), finish("a")), joined(start("a", post(event, partial)), get({ method: "PUT" }), finish("a")),
  joined(start("p", get()), start("a", post("42", partial)), post(event), finish("p"), finish("a")),
  // Cut off.
  joined(start("a", get()), cut("a"), get()), joined(start("a", get()), cut("a"), post(event)), joined(start("a", post("42", partial)), cut("a"), get()), joined(start("a", post("", partial)), cut("a"), post(event)),
  joined(start("p", get()), start("a", post("42", partial)), cut("a"), finish("p")),
  // Held back.
  joined(start("a", post(event, partial)), finish("a"), get()), joined(start("a", post("x", partial)), finish("a")),
  // What waits comes at once and in order.
  joined(post(event), post('42["message",2]'), post('421["message-with-ack",3]'), get()), joined(post(waiting), post("bAQID"), get()), joined(post(`${waiting}\x1ebAQID`), post(event), get()), joined(post(waiting), post("b"), get()),
  joined(post(event), post("1"), get(), get()), joined(post(event), post("x"), get(), get()), joined(post(event), post("41"), get()), joined(post("1"), get()), joined(post("1"), post("1")), joined(post("40"), get(), get()), joined(post("2"), get(), get()),
  joined(post("1"), settle, get()), joined(post("41"), post(event), get()),
  // Too large.
  joined(post(large), post(event), get()), joined(post(large, { headers: { "Transfer-Encoding": "chunked" } }), post(event), get()), joined(post(Buffer.alloc(1_000_000, 52)), get()), joined(post("é".repeat(500_001)), post(event), get()), joined(post(large, type("application/octet-stream")), get()),
  joined(post(text(999_000)), get()),
  // Without a message.
  [open(), drain()], [open(), post("3"), drain()], [open(), post("40"), post(event), drain()], [open(), open(), drain()],
  // The other transport's words.
  [open(), connect(`${websocket}&sid=unknown`), drain()], [connect(), send("40"), request("GET", `${polling}&sid=x`), send(event)],
  // Compressed, or not.
  ...encodings.map((e) => joined(post(text(2000)), get({ headers: { "Accept-Encoding": e } }))), joined(post(text(2000)), get()), joined(post(text(100)), get({ headers: { "Accept-Encoding": "gzip" } })),
  joined(post(text(1024 - 20)), get({ headers: { "Accept-Encoding": "gzip" } })), joined(post(text(1024 - 21)), get({ headers: { "Accept-Encoding": "gzip" } })), joined(post(text(1024 - 22)), get({ headers: { "Accept-Encoding": "gzip" } })),
  ...["Mozilla/5.0 (compatible;MSIE 9.0)", "Trident/7.0"].map((ua) => joined(post(event, { headers: { "User-Agent": ua } }), post(event), get({ headers: { "User-Agent": ua } }))),
  // Base64, which changes nothing by polling.
  [open(`${polling}&b64=1`), post("40"), get(), post(`${waiting}\x1ebAQID`), get(), drain()],
  // JSONP for some requests only.
  joined(post(event), get({ more: "&j=3" })), joined(post(`d=${event}`, { more: "&j=3" }), get()), [open(`${polling}&j=3`), get({ query: `${polling}&sid=unknown&j=3` }), drain({ jsonp: true })],
  [open(`${polling}&j=1`), d("40"), get({ more: "" }), drain({ jsonp: true })],
];

const of = (kind, all) => all.map((steps) => ({ kind, steps }));

export const scripts = [
  ...of("polling", [...written, ...mutations(120, 7)].map(talk)),
  ...of("polling", [...written, ...mutations(60, 11)].map(atOnce)),
  ...of("polling bodies", bodies.map((b) => joined(post(b)))),
  ...of("polling bodies", bodies.map((b) => [open(), post(b), drain()])),
  ...of("polling types", types.flatMap((t) => ["3", event].map((b) => joined(post(b, t))))),
  ...of("polling handshakes", handshakes.map((query) => [open(query)])),
  ...of("polling handshakes", handshakes.map((query) => [open(query)])).map((s) => ({ ...s, pair: "v4 only" })),
  ...of("polling handshakes", methods.flatMap((m) => [[request(m, polling)], [request(m, `${polling}&sid=unknown`)], [request(m, "EIO=4")]])),
  ...of("polling methods", methods.filter((m) => m !== "POST").flatMap((m) => [joined(get({ method: m })), joined(start("a", get()), get({ method: m }), post(event), finish("a"))])),
  ...of("polling origins", origins.map((step) => [step])),
  ...of("polling origins", [joined(post(event, nobody), get(nobody)), joined(get({ method: "OPTIONS", ...nobody }))]),
  ...of("polling sessions", strange.flatMap((query) => [joined(post(event), request("GET", query), post(event)), joined(request("POST", query, { body: event }))])),
  ...of("polling sequences", sequences),
  ...of("JSONP", forms.map((f) => jsonp("7", d("40"), get(), f))),
  ...of("JSONP", ["0", "", "x", "1x2", "%29%3Balert"].map((j) => jsonp(j, d("40"), get(), d(event), get()))),
  ...of("JSONP", [jsonp("7", d("40"), get(), d(`${waiting}\x1ebAQID`), get()), jsonp("7", d("40"), get(), start("a", get()), d(event), finish("a")), jsonp("7", d("40"), get(), d(text(2000)), get({ headers: { "Accept-Encoding": "gzip" } }))]),
];
