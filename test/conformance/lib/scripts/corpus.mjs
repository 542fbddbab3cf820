// The corpora of the Go fuzz targets, sent wherever a client may send: as first
// message and after a CONNECT, over WebSockets and as polls' bodies.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { connect, drain, get, open, polling3, post, raw, send, sentinel, sentinel3, settle, websocket3 } from "../steps.mjs";
import { frame } from "../wire.mjs";
import { packed } from "./msgpack.mjs";

const internal = fileURLToPath(new URL("../../../../internal/", import.meta.url));

const escapes = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, "\\": 92, '"': 34, "'": 39 };

// unquote reads a Go string literal as bytes.
function unquote(literal) {
  const parts = literal.matchAll(/\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})|\\([0-7]{3})|\\(.)|[^\\]+/gis);
  return Buffer.concat([...parts].map(([all, hex, u, U, octal, c]) => {
    if (hex) return Buffer.from(hex, "hex");
    if (u ?? U) return Buffer.from(String.fromCodePoint(parseInt(u ?? U, 16)));
    if (octal) return Buffer.from([parseInt(octal, 8)]);
    return c ? Buffer.from([escapes[c]]) : Buffer.from(all);
  }));
}

// values returns the byte slices and strings of one corpus file.
function values(file) {
  const [version, ...lines] = readFileSync(file, "utf8").split("\n");
  if (version !== "go test fuzz v1") throw new Error(`${file} is no corpus file`);
  return lines.flatMap((line) => {
    const match = /^(?:\[\]byte|string)\("(.*)"\)$/s.exec(line);
    return match ? [unquote(match[1])] : [];
  });
}

// corpora returns every value, with the name of its fuzz target.
function corpora() {
  const files = readdirSync(internal, { recursive: true, withFileTypes: true }).filter((f) => f.isFile() && f.path.includes(`testdata${path.sep}fuzz`));
  const all = files.map((f) => path.join(f.path, f.name)).sort().flatMap((file) => values(file).map((value) => ({ target: path.basename(path.dirname(file)), value })));
  return [...new Map(all.map((v) => [`${v.target} ${v.value.toString("hex")}`, v])).values()];
}

const text = (bytes) => raw(frame(1, bytes));
const message = (value) => text(Buffer.concat([Buffer.from("4"), value]));
const waiting = send('451-["message",{"_placeholder":true,"num":0}]');
const end = send(sentinel);
const octets = { headers: { "Content-Type": "application/octet-stream" } };

function v4({ value }) {
  return [
    [connect(), text(value), end], [connect(), send("40"), text(value), end], [connect(), send("40"), message(value), end],
    [connect(), send(value), end], [connect(), send("40"), waiting, send(value), end],
    [open(), post(value), drain()], [open(), post("40"), get(), post(value), drain()], [open(), post("40"), get(), post(Buffer.concat([Buffer.from("4"), value])), drain()],
  ].map((steps) => ({ kind: "fuzz corpora", steps }));
}

function v3({ value }) {
  const joined = [open(polling3), settle, drain({ old: true })];
  return [
    [connect(websocket3), text(value), send(sentinel3)], [connect(websocket3), send(value), send(sentinel3)], [connect(websocket3), message(value), send(sentinel3)],
    [...joined, post(value), drain({ old: true })], [...joined, post(value, octets), drain({ old: true })],
  ].map((steps) => ({ kind: "fuzz corpora", steps }));
}

export const scripts = corpora().flatMap((v) => [
  ...v4(v),
  ...(v.target.endsWith("V3") ? v3(v) : []),
  ...(v.target === "FuzzMessagePack" ? [{ ...packed(v.value), kind: "fuzz corpora" }] : []),
]);
