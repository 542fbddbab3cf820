// Plays a script to a server and notes, for each step, what it answers.

import { gunzipSync, inflateSync } from "node:zlib";

import msgpack from "notepack.io";

import { sentinel, sentinel3, v3 } from "./steps.mjs";
import { binaryFrame, request, show, textFrame, WebSocket } from "./wire.mjs";

// Headers that every HTTP server has its own way with, and that tell nothing.
const unseen = new Set(["date", "connection", "keep-alive", "content-length", "transfer-encoding"]);

// How long a request may take, and how long a candidate for an upgrade may be
// silent. Where something is answered, nobody waits for so long.
const answerMs = 3_000;
const silenceMs = 400;

// The page that requests come from, unless a script has it otherwise.
const page = { Origin: "http://example.com" };

// The end of every script: it is answered as long as the session is in order.
const isEnd = (packet) => /^44\/end|^43999/.test(packet);

const later = (ms, value) => new Promise((resolve) => setTimeout(resolve, ms, value));

// anonymous replaces ids that are as they should be: twenty url-safe characters.
function anonymous(text) {
  return text.replace(/(sid\\*":\\*")[A-Za-z0-9_-]{20}(?=\\*")/g, "$1(id)");
}

// spell writes a value of MessagePack so that nothing of it is lost.
function spell(v) {
  if (Buffer.isBuffer(v)) return `Buffer(${v.toString("hex")})`;
  if (v instanceof ArrayBuffer) return `ArrayBuffer(${Buffer.from(v).toString("hex")})`;
  if (v instanceof Date) return `Date(${v.getTime()})`;
  if (Array.isArray(v)) return `[${v.map(spell)}]`;
  if (v !== null && typeof v === "object") return `{${Object.entries(v).map(([key, member]) => `${JSON.stringify(key)}:${spell(member)}`)}}`;
  return typeof v === "string" ? JSON.stringify(v) : String(v);
}

// unpacked is a packet of MessagePack, its members in one order.
function unpacked(frame) {
  let packet;
  try {
    packet = msgpack.decode(frame);
  } catch {
    return `binary ${frame.toString("hex")}`;
  }
  // The reference's reply to a CONNECT always has one.
  if (packet?.type === 0 && packet.data && packet.data.pid === undefined) delete packet.data.pid;
  return `packed ${spell(Object.fromEntries(Object.entries(packet).sort(([a], [b]) => (a < b ? -1 : 1))))}`;
}

function body({ headers, body }) {
  switch (headers["content-encoding"]) {
    case "gzip":
      return gunzipSync(body);
    case "deflate":
      return inflateSync(body);
  }
  return body;
}

// noted is an answer as it is compared: the status, the headers that matter, the body.
function noted(answer, packed) {
  if (answer === undefined) return ["no answer"];
  if (answer.error) return [`error ${answer.error}`];
  const headers = Object.entries(answer.headers).filter(([name]) => !unseen.has(name)).sort();
  let text = [`body ${show(body(answer))}`];
  if (packed && text[0].startsWith("body b")) text = show(body(answer)).split("\x1e").map((p) => unpacked(Buffer.from(p.slice(1), "base64")));
  return [`status ${answer.status}`, ...headers.map(([name, value]) => `${name}: ${value}`), ...text.map(anonymous), ...(answer.cut ? ["cut"] : [])];
}

// packets takes a payload apart.
function packets(answer, step) {
  let payload = body(answer);
  if (answer.headers["content-type"]?.startsWith("application/octet-stream")) {
    const all = [];
    while (payload.length > 0) {
      const end = payload.indexOf(255);
      const length = Number([...payload.subarray(1, end)].join(""));
      const data = payload.subarray(end + 1, end + 1 + length);
      all.push(payload[0] === 0 ? data.toString() : `binary ${data.toString("hex")}`);
      payload = payload.subarray(end + 1 + length);
    }
    return all;
  }
  let text = payload.toString();
  const script = /^___eio\[\d*\]\((".*")\);$/s.exec(text);
  if (script) text = JSON.parse(script[1]);
  if (!step.old) return text.split("\x1e");
  const all = [];
  for (let rest = text; rest; ) {
    const colon = rest.indexOf(":");
    const end = colon + 1 + Number(rest.slice(0, colon));
    if (!(end > colon)) return [...all, `rest ${rest}`];
    all.push(rest.slice(colon + 1, end));
    rest = rest.slice(end);
  }
  return all;
}

class Player {
  #pending = new Map();
  #ws;
  #others = [];

  constructor(address, script) {
    this.address = address;
    this.script = script;
    this.sid = "";
    this.base = "EIO=4&transport=polling";
  }

  async play() {
    const answers = [];
    for (const step of this.script.steps) answers.push(await this[step.do](step));
    if (this.#ws) answers.push([this.#ws.ended ? "ended" : "stays open"]);
    for (const ws of [...this.#others, this.#ws]) ws?.terminate();
    for (const r of this.#pending.values()) r.cut();
    return answers;
  }

  #path(query) {
    return `/socket.io/?${query.replace("{sid}", this.sid)}`;
  }

  #send(step) {
    const query = step.query ?? `${this.base}&sid={sid}${step.more ?? ""}`;
    return request(this.address, { ...step, headers: { ...page, ...step.headers }, path: this.#path(query) });
  }

  async #answer(r) {
    const answer = await Promise.race([r.answer, later(answerMs)]);
    if (answer === undefined) r.cut();
    return answer;
  }

  async request(step) {
    const r = this.#send(step);
    if (step.name) {
      this.#pending.set(step.name, r);
      await r.sent;
      await this.settle();
      return [];
    }
    const answer = await this.#answer(r);
    if (step.opens) {
      this.sid = /"sid\\*":\\*"([^"\\]*)/.exec(String(answer?.body))?.[1] ?? "none";
      this.base = step.query;
    }
    return noted(answer, this.script.packed);
  }

  async finish({ name }) {
    const r = this.#pending.get(name);
    this.#pending.delete(name);
    r.end();
    return noted(await this.#answer(r));
  }

  async cut({ name }) {
    this.#pending.get(name).cut();
    this.#pending.delete(name);
    return this.settle();
  }

  // settle lets a server take what lies in its sockets: it answers a stranger,
  // before and after a moment.
  async settle() {
    for (const ms of [0, 25]) {
      await later(ms);
      await this.#answer(request(this.address, { path: "/socket.io/?EIO=4&transport=none" }));
    }
    return [];
  }

  async connect(step) {
    if (step.beside) this.#others.push(this.#ws);
    else if (this.#ws) {
      this.#ws.terminate();
      await this.settle();
    }
    this.#ws = undefined;
    const { status, body, protocol, extensions, ws } = await WebSocket.open(this.address, this.#path(step.query), step.headers, step.early);
    if (!ws) return [`status ${status}`, `body ${anonymous(show(body))}`];
    this.#ws = ws;
    if (step.candidate) await this.settle();
    else await ws.sync();
    return ["status 101", ...(protocol ? [`subprotocol ${protocol}`] : []), ...(extensions ? [`extensions ${extensions.split("; ").sort().join("; ")}`] : []), ...this.#heard()];
  }

  #heard() {
    return (this.#ws?.take() ?? []).map((frame) => {
      if (typeof frame === "string") return anonymous(frame);
      return anonymous(this.script.packed ? unpacked(frame) : `binary ${frame.toString("hex")}`);
    });
  }

  async raw({ bytes }) {
    this.#ws?.write(bytes);
    await this.#ws?.sync();
    return this.#heard();
  }

  send({ message }) {
    return this.raw({ bytes: typeof message === "string" ? textFrame(message) : binaryFrame(message) });
  }

  async offer({ message, bytes }) {
    this.#ws?.write(bytes ?? (typeof message === "string" ? textFrame(message) : binaryFrame(message)));
    await this.#ws?.heard(silenceMs);
    await this.settle(); // what follows the first may be a write of its own
    return this.#heard();
  }

  async drain(step) {
    const all = [];
    const more = step.more ?? "";
    let payload = step.old ? v3(sentinel3) : sentinel;
    if (step.jsonp) payload = `d=${encodeURIComponent(payload)}`;
    const posted = await this.#answer(this.#send({ method: "POST", body: payload, more }));
    all.push(`posted ${posted?.status ?? posted?.error}`);
    for (let i = 0; i < 8; i++) {
      const [name, waiting] = this.#pending.entries().next().value ?? [];
      this.#pending.delete(name);
      const answer = await this.#answer(waiting ?? this.#send({ more }));
      if (answer?.status !== 200) return [...all, `polled ${answer ? `${answer.status ?? answer.error} ${show(answer.body ?? Buffer.alloc(0))}` : "in vain"}`];
      const got = packets(answer, step).map(anonymous);
      all.push(...got);
      if (got.some(isEnd)) return all;
    }
    return [...all, "no end"];
  }
}

// play returns the answers to a script, a list for each of its steps.
export function play(address, script) {
  return new Player(address, script).play();
}
