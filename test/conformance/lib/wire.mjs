// HTTP requests and WebSockets as bytes: a client that may say what is wrong,
// and notes what comes back, control frames and the connection's end included.

import { randomBytes } from "node:crypto";
import http from "node:http";
import net from "node:net";
import { deflateRawSync, inflateRawSync, constants } from "node:zlib";

const opcodes = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

// How long anything that has to come may take. Nothing waits for so long but
// what never comes.
const patience = 5_000;

// show is data as text where it is text, in quotes where that is not plain to see.
export function show(data) {
  const text = data.toString();
  return Buffer.from(text).equals(data) ? text : `bytes ${data.toString("hex")}`;
}

// request sends one request over a connection of its own. It returns what lets
// the caller await the answer, or cut the connection.
export function request(address, { method = "GET", path, headers = {}, body, unfinished }) {
  const [host, port] = address.split(":");
  const req = http.request({ host, port, method, path, agent: false, setHost: false });
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) req.setHeader(name, value);
  req.setHeader("Host", "conformance");
  const answer = new Promise((resolve) => {
    let failed = (e) => resolve({ error: e.code });
    req.on("error", (e) => failed(e));
    req.on("response", (res) => {
      const chunks = [];
      const done = (cut) => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks), cut });
      failed = () => done(!res.complete); // it came before the request was all written
      res.on("data", (chunk) => chunks.push(chunk));
      res.on("end", () => done(false));
      res.on("close", () => done(!res.complete));
    });
  });
  if (unfinished) {
    req.flushHeaders();
    req.write(body);
  } else req.end(body);
  const sent = new Promise((resolve) => req.once("socket", (socket) => socket.once("connect", () => setImmediate(resolve))));
  return { answer, sent, end: () => req.writableEnded || req.end(), cut: () => req.destroy() };
}

// frame lays out a client's frame. Whatever has to be right in it may be wrong.
// For whoever explains the answers it keeps what is in it.
export function frame(opcode, data, { fin = true, rsv = 0, masked = true, length = data.length } = {}) {
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const mask = masked ? 0x80 : 0;
  if (length < 126) head.push(mask | length);
  else if (length < 65536) head.push(mask | 126, length >> 8, length & 255);
  else head.push(mask | 127, 0, 0, 0, 0, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255);
  const key = randomBytes(masked ? 4 : 0);
  const bytes = Buffer.concat([Buffer.from(head), key, masked ? Buffer.from(data.map((b, i) => b ^ key[i & 3])) : data]);
  return Object.assign(bytes, { opcode, payload: data });
}

export const textFrame = (text) => frame(opcodes.text, Buffer.from(text));
export const binaryFrame = (data) => frame(opcodes.binary, data);

// A compressed message lacks the empty block that its flush ends with (RFC 7692, 7.2.1).
const emptyBlock = Buffer.from([0, 0, 0xff, 0xff]);

// deflated is a compressed text frame.
export function deflated(text, options) {
  const data = deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH, ...options });
  return Object.assign(frame(opcodes.text, data.subarray(0, -emptyBlock.length), { rsv: 4 }), { payload: Buffer.from(text) });
}

function inflated(data) {
  try {
    return inflateRawSync(Buffer.concat([data, emptyBlock]), { finishFlush: constants.Z_SYNC_FLUSH });
  } catch (e) {
    return Buffer.from(`broken: ${e.code}`);
  }
}

// refusal reads the answer to a WebSocket's handshake, as far as it came.
function refusal(all) {
  const end = all.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = all.subarray(0, end).toString();
  const rest = all.subarray(end + 4);
  const a = { status: Number(head.split(" ")[1]), rest, body: rest };
  a.protocol = /\nsec-websocket-protocol: *(.*)/i.exec(head)?.[1];
  a.extensions = /\nsec-websocket-extensions: *(.*)/i.exec(head)?.[1].trim();
  const length = /\ncontent-length: (\d+)/i.exec(head);
  if (length) a.complete = rest.length >= Number(length[1]);
  if (/\ntransfer-encoding: chunked/i.test(head)) {
    a.complete = rest.toString().endsWith("0\r\n\r\n");
    a.body = Buffer.from(rest.toString().replace(/[0-9a-f]+\r\n(.*)\r\n/g, "$1").replace(/\r\n$/, ""));
  }
  return a;
}

// WebSocket is the client's end of one connection.
export class WebSocket {
  #socket;
  #rest = Buffer.alloc(0);
  #seen = [];
  #pongs = 0;
  #pings = 0;
  #wake = () => {};
  ended = false;

  constructor(socket, rest) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#read(chunk));
    socket.on("close", () => this.#end());
    this.#read(rest);
  }

  // open asks for a WebSocket, with what is sent in one piece with that. It returns
  // the WebSocket, or the refusal.
  static open(address, path, headers = {}, early = Buffer.alloc(0)) {
    const [host, port] = address.split(":");
    const lines = Object.entries({
      Host: "conformance", Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "AAECAwQFBgcICQoLDA0ODw==", ...headers,
    }).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}\r\n`);
    return new Promise((resolve) => {
      const socket = net.connect(Number(port), host);
      let all = Buffer.alloc(0);
      socket.on("error", () => {}); // the close that follows tells
      socket.on("data", (chunk) => {
        all = Buffer.concat([all, chunk]);
        const a = refusal(all);
        if (a?.status === 101) {
          socket.removeAllListeners("data").removeAllListeners("close");
          resolve({ ...a, ws: new WebSocket(socket, a.rest) });
        } else if (a?.complete) socket.end();
      });
      socket.on("end", () => socket.end());
      socket.on("close", () => resolve({ status: 0, body: Buffer.alloc(0), ...refusal(all) }));
      socket.setNoDelay(true);
      socket.write(Buffer.concat([Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`), early]));
    });
  }

  #read(chunk) {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const b = this.#rest;
      if (b.length < 2) return;
      let length = b[1] & 127;
      let at = 2;
      if (length === 126) [length, at] = [b.length < 4 ? Infinity : b.readUInt16BE(2), 4];
      else if (length === 127) [length, at] = [b.length < 10 ? Infinity : Number(b.readBigUInt64BE(2)), 10];
      if (b.length < at + length) return;
      this.#rest = b.subarray(at + length);
      this.#take(b[0], b.subarray(at, at + length));
    }
  }

  #take(first, data) {
    switch (first) {
      case 0x80 | opcodes.text:
        this.#seen.push(show(data));
        break;
      case 0x80 | opcodes.binary:
        this.#seen.push(Buffer.from(data));
        break;
      case 0xc0 | opcodes.text:
        this.#seen.push(`deflated ${show(inflated(data))}`);
        break;
      case 0x80 | opcodes.pong:
        if (data.toString() === `sync ${this.#pongs + 1}`) this.#pongs++;
        else this.#seen.push(`pong ${show(data)}`);
        break;
      case 0x80 | opcodes.close:
        this.#seen.push(data.length < 2 ? "closed" : `closed ${data.readUInt16BE(0)} ${show(data.subarray(2))}`.trim());
        this.ended = true;
        this.#socket.end(frame(opcodes.close, data.subarray(0, 2)));
        break;
      default:
        this.#seen.push(`frame ${first.toString(16)} ${show(data)}`);
    }
    this.#wake();
  }

  #end() {
    if (!this.ended) this.#seen.push("cut");
    this.ended = true;
    this.#wake();
  }

  // #until waits for a condition, the connection's end, or ms to pass.
  #until(condition, ms = patience) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms, false);
      this.#wake = () => {
        if (!condition() && !this.ended) return;
        clearTimeout(timer);
        resolve(true);
      };
      this.#wake();
    });
  }

  write(bytes) {
    if (!this.ended) this.#socket.write(bytes);
  }

  // sync waits until the server has dealt with all that was written: a server
  // answers pings in turn, and three round trips give what it does a little
  // later the time for that.
  async sync() {
    for (let i = 0; i < 3 && !this.ended; i++) {
      const n = ++this.#pings;
      this.write(frame(opcodes.ping, Buffer.from(`sync ${n}`)));
      if (!(await this.#until(() => this.#pongs >= n))) this.#seen.push("no pong");
    }
  }

  // heard waits for anything at all.
  async heard(ms) {
    await this.#until(() => this.#seen.length > 0, ms);
  }

  // take returns what came since the last time.
  take() {
    return this.#seen.splice(0);
  }

  terminate() {
    this.#socket.destroy();
  }
}
