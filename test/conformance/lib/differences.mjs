// Where fanoutd answers otherwise than the reference, on purpose. The names are
// those of the section "Differences from the reference" in docs/protocol.md,
// which has the reasons.
//
// Each difference rewrites the reference's answers to what it makes of them, and
// nothing else; together they have to turn them into ours.

import { said } from "./said.mjs";
import { pages } from "./scripts/origins.mjs";

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// lines is a difference that shows in single lines, wherever they are: rewrite
// takes the reference's lines for a step, ours, and the step.
function lines(name, rewrite) {
  return {
    name,
    reconcile: (script, reference, ours) => reference.map((ref, i) => (same(ref, ours[i]) ? ref : rewrite(ref, ours[i] ?? [], script.steps[i] ?? {}, script))),
  };
}

// from is a difference after which nothing is alike any more: where the answers
// first differ, applies decides, and may look at everything.
function from(name, applies) {
  return {
    name,
    reconcile(script, reference, ours) {
      const i = ours.findIndex((answer, k) => !same(answer, reference[k]));
      if (i < 0 || !applies({ script, step: script.steps[i] ?? {}, i, ref: reference[i] ?? [], our: ours[i], reference, ours })) return reference;
      return [...reference.slice(0, i), ...ours.slice(i)];
    },
  };
}

const gone = /^(status 400|posted 400|polled 400|body |content-type: |access-control|ended)/;
const closing = /^(closed 100\d .*|cut)$/;

// weEnd: from step i on our session is over, after what it still said.
function weEnd({ ours, i }) {
  const [now, ...later] = ours.slice(i);
  const over = (answer) => answer.every((line, k) => gone.test(line) || (line === "posted 200" && answer[k + 1]?.startsWith("polled 400")));
  return (now.some((line) => closing.test(line)) || over(now)) && later.every(over);
}

const old = (script) => /EIO=3/.test(script.steps[0].query);

// toRoot: the packet is a CONNECT to "/", however it is written; in MessagePack
// its type is 0 and its nsp "/".
const toRoot = (packet) => /^40(\{.*|\/?(\?[^,]*)?(,.*)?)$/s.test(packet) || /^<(?=.*a47479706500).*a36e7370a12f/.test(packet);

// packets are the lines of an answer in any order, a body's packets one by one.
const packets = (lines) => lines.flatMap((line) => line.replace(/^body /, "").split("\x1e")).sort();

// has: up to step i, the client said something like this.
const has = ({ script, i }, pattern) => script.steps.slice(0, i + 1).some((step) => said(step, old(script)).some((packet) => (typeof pattern === "function" ? pattern(packet, old(script)) : pattern.test(packet))));

// strict is what we close a session over and the reference lets pass.
const strict = (name, pattern) => from(name, (d) => weEnd(d) && has(d, pattern));

// asWritten turns one of our event's text to how a JavaScript program writes it.
function asWritten(line) {
  const match = /^(4[2356](?:\d+-)?(?:\/[^,]*,)?\d*)(\[.*)$/s.exec(line);
  try {
    return match ? match[1] + JSON.stringify(JSON.parse(match[2])) : line;
  } catch {
    return line;
  }
}

const value = (text) => JSON.parse(text);

// again turns our packets with attachments to how the reference writes them
// again: each placeholder with an attachment of its own, numbered as they come.
function again(answer) {
  const all = [];
  for (let i = 0; i < answer.length; i++) {
    const match = /^4([56])(\d+)-(\/[^,]*,)?(\d*)(\[.*)$/s.exec(answer[i]);
    if (!match) {
      all.push(answer[i]);
      continue;
    }
    const [, type, count, nsp = "", id, json] = match;
    const attachments = answer.slice(i + 1, i + 1 + Number(count));
    const used = [];
    const data = JSON.stringify(value(json), (key, v) => (v?._placeholder === true ? { _placeholder: true, num: used.push(attachments[v.num]) - 1 } : v));
    all.push(used.length > 0 ? `4${type}${used.length}-${nsp}${id}${data}` : `4${type - 3}${nsp}${id}${data}`, ...used);
    i += Number(count);
  }
  return all;
}

// inJSON turns values of MessagePack to what JSON makes of them.
function inJSON(line) {
  return line.startsWith("packed ") ? line
    .replace(/Date\((-?\d+|NaN)\)/g, (all, ms) => JSON.stringify(new Date(Number(ms))))
    .replace(/ArrayBuffer\(/g, "Buffer(").replace(/(?<=[[,:])(NaN|-?Infinity)/g, "null")
    .replace(/"[^"]*":undefined,|,?"[^"]*":undefined(?=\})/g, "").replace(/(?<=[[,])undefined/g, "null") : line;
}

const withoutOrigin = ({ headers }) => headers !== undefined && "Origin" in headers && !headers.Origin;
const drop = (ref, our, pattern) => ref.filter((line) => !pattern.test(line) || our.includes(line));

// withHeader adds a header to an answer, where it stands in their order.
function withHeader(answer, header) {
  const end = answer.findIndex((line) => /^(body|packed) /.test(line));
  return [answer[0], ...[...answer.slice(1, end), header].sort(), ...answer.slice(end)];
}

const joined = (answers) => answers.flat().join("\n");

// theyEnd: from step i on the reference's session is over, or about to be.
const theyEnd = ({ reference, i }) => /^closed|^1$|^body (\d+:)?6(\x1e|\d+:)?1|^posted 400|^polled 400|^cut$|^body \{"code":1,/m.test(joined(reference.slice(i)));

const query = (step) => new URLSearchParams(step.query ?? "");
const last = (step, name) => query(step).getAll(name).at(-1);

// along reports whether, up to step i, something was sent along with this kind of packet.
const along = ({ script, i }, pattern) => script.steps.slice(0, i + 1).some((step) => {
  const all = said(step, old(script));
  return all.length > 1 && all.some((packet) => pattern.test(packet));
});

// refusesParser reports whether a packet is the refusal of a parser, in one of its forms.
const refusesParser = (line) => [line, Buffer.from(line.replace(/^b/, ""), "base64").toString("latin1"), Buffer.from(line.replace(/^binary /, ""), "hex").toString("latin1")].some((text) => text.includes("unknown parser"));

export const differences = [
  // The edges: headers, statuses, and how connections end.
  lines("a WebSocket's end", (ref, our) => ref.map((line, i) => {
    if (line === "closed" && /^closed (1002 parse error|1000 (transport (error|close)|forced server close))$/.test(our[i])) return our[i];
    if (line === "closed 1002" && our[i]?.startsWith("closed 1002 ")) return our[i];
    return line;
  })),
  lines("text that is no UTF-8, over a WebSocket", (ref, our) => ref.map((line, i) => (line === "closed 1007" && /^closed 1002 /.test(our[i]) ? our[i] : line))),
  lines("the answer to a close frame", (ref, our, step) => {
    const close = step.frames?.find(({ opcode }) => opcode === 8);
    const said = ref.at(-1);
    const expected = close?.payload.length === 1 ? "closed" : said?.split(" ").slice(0, 2).join(" ");
    return close && our.at(-1) === expected ? [...ref.slice(0, -1), expected] : ref;
  }),
  lines("several pings at once", (ref, our) => {
    const rest = ref.filter((line, i) => !(line === "3" && ref[i + 1] === "3" && our.length < ref.length));
    return rest.filter((line) => !line.startsWith("pong ") || our.includes(line)); // sync's own ping came behind
  }),
  lines("a candidate's end", (ref, our, step, script) => (/upgrade/.test(script.kind) ? ref.map((line, i) => (/^closed\b/.test(line) && our[i] === "cut" ? "cut" : line)) : ref)),
  from("a page that closes while it upgrades", (d) => weEnd({ ...d, ours: d.ours.map((answer) => answer.filter((line) => line !== "6")) }) && d.script.steps.slice(0, d.i + 1).some(({ do: what, frames }) => what === "offer" && frames?.some(({ opcode, payload }) => opcode === 8 && payload.readUInt16BE(0) === 1001))),
  lines("an open poll after an upgrade", (ref, our, step, script) => (/upgrade/.test(script.kind) && step.do === "finish" ? ref.map((line, i) => (/^body (1:)?1$/.test(line) && our[i] === line.replace(/1$/, "6") ? our[i] : line)) : ref)),
  lines("a close packet comes alone", (ref, our, step) => (step.do === "request" ? ref.map((line, i) => (line === "body 6\x1e1" && our[i] === "body 1" ? our[i] : line)) : ref)),
  lines("headers for pages", (ref, our, step) => (withoutOrigin(step) ? drop(ref, our, /^access-control-allow-origin: /) : ref)),
  lines("preflights", (ref, our, step) => {
    if (step.method !== "OPTIONS" || withoutOrigin(step)) return ref;
    const rest = step.headers?.["Access-Control-Request-Headers"] ? ref : drop(ref, our, /^vary: Access-Control-Request-Headers$/);
    return rest.map((line) => (line.startsWith("access-control-allow-methods: ") ? "access-control-allow-methods: GET, POST" : line));
  }),
  lines("OPTIONS that is no preflight", (ref, our, step) => (step.method === "OPTIONS" && withoutOrigin(step) && ref[0] === "status 204" && our[0] === "status 400" ? our : ref)),
  lines("other methods", (ref, our, step) => (ref[0] === "status 500" && our[0] === "status 400" && !["GET", "POST"].includes(step.method) ? our : ref)),
  lines("JSONP's type", (ref, our) => {
    if (!our.includes("x-content-type-options: nosniff")) return ref;
    const as = ref.map((line) => (line === "content-type: text/plain; charset=UTF-8" ? "content-type: text/javascript; charset=UTF-8" : line));
    return withHeader(as, "x-content-type-options: nosniff");
  }),
  lines("compressed polls", (ref, our) => (our.includes("vary: Accept-Encoding") && ref.join().length > 1024 ? withHeader(ref, "vary: Accept-Encoding") : ref)),
  lines("a filter of old browsers", (ref, our) => drop(ref, our, /^x-xss-protection: 0$/)),
  lines("an unknown namespace, for a v2 client", (ref, our, step, script) => ref.map((line) => (old(script) ? line.replace(/^(44\/[^,]*,)\{"message":("[^"]*")\}$/, "$1$2") : line))),

  from("a parser that is not known", ({ our }) => our.some(refusesParser)),

  // Pages.
  lines("credentials are for pages let in by name", (ref, our, step) => (step.headers?.Origin === "null" || !pages.includes(step.headers?.Origin) ? drop(ref, our, /^access-control-allow-credentials: true$/) : ref)),
  lines("a page that may not connect", (ref, our, step) => {
    if (!/^body (\{"code":4,"message":")?origin .* is not allowed/.test(our.at(-1)) || pages.includes(step.headers?.Origin)) return ref;
    return /Session ID unknown/.test(ref.at(-1)) || ref[0] === "status 204" ? our : drop(ref, our, /^vary: Origin$/);
  }),
  from("an origin is what it means", ({ script, step, our, ref }) => script.kind === "origins" && !pages.includes(step.headers?.Origin)
    && (/is not allowed/.test(ref.at(-1)) && !/is not allowed/.test(our.at(-1)) || our.includes(`access-control-allow-origin: ${step.headers?.Origin}`) && !ref.some((line) => line.startsWith("access-control-allow-origin")))),

  // What a WebSocket's handshake offers.
  from("subprotocols that are no list", ({ ref, our }) => ref.at(-1) === "body Invalid Sec-WebSocket-Protocol header" && our[0] === "status 101"),
  lines("the client's window", (ref, our) => ref.map((line, i) => (line.startsWith("extensions ") && line.replace(/client_max_window_bits=\d+; /, "") === our[i] ? our[i] : line))),
  from("the server's window", ({ step, ref, our }) => ref.some((line) => /^extensions .*server_max_window_bits=/.test(line)) && !our.some((line) => /server_max_window_bits/.test(line)) && /server_max_window_bits/.test(step.headers?.["Sec-WebSocket-Extensions"])),
  from("an offer that is broken", ({ step, ref, our }) => our[0] === "status 101"
    && (ref.at(-1) === "body Invalid or unacceptable Sec-WebSocket-Extensions header" || /bits=0/.test(step.headers?.["Sec-WebSocket-Extensions"]) && !our.some((line) => line.startsWith("extensions ")))),
  from("a control frame that says it is compressed", ({ script, step, ref }) => script.pair === "deflate" && ref.at(-1) === "closed 1002" && step.frames?.some((f) => f.opcode >= 8 && (f[0] & 0x40) !== 0)),
  from("a WebSocket where there is none", ({ script, step, ref, our }) => script.pair === "polling alone" && step.do === "connect" && our[0] === "status 400" && (ref[0] === "status 200" || ref[1] === `body {"code":0,"message":"${our[1].slice(5)}"}`)),

  // Requests.
  from("a version has to be named", ({ step, our }) => step.query && !["3", "4"].includes(last(step, "EIO")) && /Unsupported protocol version|^body Bad request$/.test(our.at(-1))),
  from("a session knows its version", ({ step, ref }) => last(step, "sid") && last(step, "EIO") === undefined && ref[0] === "status 400"),
  from("an empty sid", ({ step, our }) => last(step, "sid") === "" && /Session ID unknown/.test(our.at(-1))),
  from("a WebSocket that says polling", ({ step, ref, our }) => step.do === "connect" && last(step, "transport") === "polling" && same(ref, ["status 101", "closed"]) && same(our, ["status 400", "body Bad request"])),
  from("a plain WebSocket client", ({ step, ref, our }) => step.do === "connect" && our[0] === "status 400" && ref[1] && our[1].startsWith(`${ref[1]}: this is a Socket.IO server`)),
  from("a WebSocket's handshake that is broken", ({ step, our }) => step.do === "connect" && step.headers && our[0] === "status 400" && (our[1] === "body Bad Request\n" || /^body \{"code":3,"message":"Bad request/.test(our[1]))),
  lines("a WebSocket's handshake without Upgrade", (ref, our) => ref.map((line, i) => (line === 'body {"code":3,"message":"Bad request"}' && our[i]?.startsWith(`${line.slice(0, -2)}: a WebSocket's handshake without`) ? our[i] : line))),
  lines("a POST with a mistake", (ref, our, step) => (step.method === "POST" && ref[0] === "status 200" && ref.at(-1) === "body ok" && same(our.filter((line) => !/^access-control/.test(line)), ["status 400", "body "]) ? our : ref)),

  lines("a POST whose session ends meanwhile", (ref, our, step) => (step.do === "finish" && ref[0] === "error ECONNRESET" && our[0] === "status 200" && our.at(-1) === "body ok" ? our : ref)),
  from("JSONP is told from each request", ({ script, step, i, our }) => [...script.steps.slice(0, i), step].some(({ more }) => more !== undefined) && (/^body ___eio|^body 42/.test(our.at(-1)) || our[0] === "posted 200")),
  from("binary messages by JSONP, for a v2 client", ({ ref, our }) => /___eio\[\d\]\(\{"type":"Buffer"/.test(ref.at(-1)) && /___eio\[\d\]\("/.test(our.at(-1))),
  from("a form that is malformed", ({ script, our, i }) => our[0] === "posted 200" && script.steps.slice(0, i).some(({ body = "" }) => /^d=%(zz)?$|^d=.*;/.test(body))),

  // Messages.
  lines("arguments come back as they were written", (ref, our) => (same(ref, our.map(asWritten)) ? our : ref)),
  lines("attachments come back as they were sent", (ref, our) => (same(ref, again(our)) ? our : ref)),
  strict("CONNECT and DISCONNECT have no id", /^4[01](\/[^,]*,)?\d/),
  strict("EVENT and ACK have arguments", /^4[23](\/[^,]*,)?\d*$/),
  strict("a blank is no number", /^4\d? /),
  strict("base64 is checked", (packet, old) => packet.startsWith("b") && !/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(packet.slice(old ? 2 : 1))),
  strict("lengths are checked, for a v2 client", (packet, old) => old && packet.startsWith("rest ")),
  from("only messages are binary, for a v2 client", (d) => (weEnd(d) || d.step.do === "offer" && d.our.at(-1) === "cut") && has(d, (packet, old) => old && /^b(?!4)|^<(?!04)/.test(packet))),
  strict("text that is no UTF-8, by polling", /\ufffd/),
  // The server connects v2 clients to "/" by itself: their first is the second.
  from("a second CONNECT", (d) => {
    const all = d.script.steps.flatMap((step) => said(step, old(d.script)));
    return all.filter(toRoot).length > (old(d.script) ? 0 : 1) || all.filter((packet) => /^40\/custom([,?]|$)/.test(packet)).length > 1;
  }),
  from("a content type with parameters", (d) => weEnd(d) && d.script.steps.some(({ headers }) => /octet-stream; |Octet/.test(headers?.["Content-Type"]))),
  from("a close packet ends a WebSocket", (d) => weEnd(d) && has(d, /^1/)),
  from("a mistake ends polling at once", (d) => weEnd(d) && theyEnd(d)),
  from("after a goodbye", (d) => has(d, /^1/) && theyEnd(d)),
  // Which is decided on first is up to the scheduler: not seen in every run.
  { ...from("several CONNECTs at once", (d) => same(packets(d.ref), packets(d.our)) && along(d, /^40/)), sometimes: true },
  from("what comes along with a CONNECT", (d) => theyEnd(d) && along(d, /^40/)),
  from("what comes along with a DISCONNECT", (d) => (weEnd(d) || theyEnd(d)) && along(d, /^41/)),

  // Namespaces of v2 clients.
  from("a v2 client's namespace is no URL", (d) => old(d.script) && has(d, /^40\/(ü|\/|.*\.\.)/)),
  lines("the query of a v2 client's namespace", (ref, our, step, script) => (old(script) && /\["auth",\{/.test(joined(our)) ? ref.map((line, i) => (/^42\/custom,\["auth"/.test(line) ? our[i] ?? line : line)) : ref)),

  // MessagePack.
  lines("values that JSON does not have", (ref, our) => (ref.length === our.length && same(ref.map(inJSON), our.map(inJSON)) ? our : ref)),
  lines("large integers, in MessagePack", (ref, our) => ref.map((line, i) => (/^packed/.test(line) && /\d{17,}/.test(our[i] ?? "") && line.replace(/-?\d+/g, "") === our[i]?.replace(/-?\d+/g, "") ? our[i] : line))),
  lines("a map like a placeholder, in MessagePack", (ref, our) => ref.map((line, i) => (line.replace(/\{"_placeholder":true,"num":0\}(?=,Buffer\((\w+)\))/, "Buffer($1)") === our[i] ? our[i] : line))),
  from("the encoding is told from the first message", (d) => d.script.packed && has(d, /^4/)),
  from("MessagePack is read strictly", (d) => d.script.packed && weEnd(d)),
];

// explain returns the names of the differences that make the reference's answers
// ours, undefined if they do not.
export function explain(script, reference, ours) {
  const names = [];
  let answers = reference;
  for (const { name, reconcile } of differences) {
    const next = reconcile(script, answers, ours);
    if (same(next, answers)) continue;
    names.push(name);
    answers = next;
  }
  return same(answers, ours) ? names : undefined;
}

// rest is what is left unexplained, for the reader of a failure.
export function rest(script, reference, ours) {
  return differences.reduce((answers, { reconcile }) => reconcile(script, answers, ours), reference);
}
