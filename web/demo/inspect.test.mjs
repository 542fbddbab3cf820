import assert from "node:assert/strict";
import test from "node:test";

import { count, inspect } from "./inspect.js";

const text = (value) => inspect(value).map((token) => token.text).join("");
const kinds = (value) => new Set(inspect(value).map((token) => token.kind));

const bytes = (...values) => Uint8Array.from(values).buffer;

for (const [name, value, want] of [
  ["a short object on one line", { msg: "hello", n: [1, 2] }, '{"msg": "hello", "n": [1, 2]}'],
  ["literals", [null, true, 1.5], "[null, true, 1.5]"],
  ["an empty list and object", [[], {}], "[[], {}]"],
  ["a long one broken up", { a: "x".repeat(40), b: "y".repeat(40) }, `{\n  "a": "${"x".repeat(40)}",\n  "b": "${"y".repeat(40)}"\n}`],
  ["a string of its own", "it's <b>", '"it\'s <b>"'],
  ["printable bytes", bytes(0x68, 0x69), '<2 bytes 68 69 "hi">'],
  ["other bytes", bytes(0, 255), "<2 bytes 00 ff>"],
  ["one byte in an object", { a: bytes(7) }, '{"a": <1 byte 07>}'],
  ["no bytes", bytes(), "<0 bytes>"],
  ["a view", Uint8Array.from([1, 2, 3]).subarray(1), "<2 bytes 02 03>"],
]) {
  test(`inspect: ${name}`, () => assert.equal(text(value), want));
}

test("inspect: a narrower line breaks sooner", () => {
  const tokens = inspect({ sku: "A-1", qty: 2 }, 12);
  assert.equal(tokens.map((token) => token.text).join(""), '{\n  "sku": "A-1",\n  "qty": 2\n}');
});

test("inspect: many bytes show their size and their beginning", () => {
  const shown = text(new Uint8Array(5000).buffer);
  assert.match(shown, /^<5,000 bytes 00 /);
  assert.match(shown, / …>$/);
  assert.ok(shown.length < 200);
});

test("inspect: every dimension is bounded", () => {
  const deep = JSON.parse("[".repeat(5000) + "]".repeat(5000));
  for (const huge of ["x".repeat(5e6), Array(1e6).fill(0), deep, { ["k".repeat(1e6)]: 1 }]) {
    assert.ok(text(huge).length < 13_000);
    assert.ok(kinds(huge).has("cut"));
  }
});

test("count", () => {
  assert.equal(count(1, "event"), "1 event");
  assert.equal(count(12345, "event"), "12,345 events");
});
