// The stream of commands of @fanoutd/client, against a server that records what comes and answers what it is told to.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { isDeepStrictEqual as same } from "node:util";

import { root } from "./lib/daemon.mjs";
import { until } from "./lib/until.mjs";

const sdk = path.join(root, "sdk/node");
const require = createRequire(path.join(sdk, "client/dist/index.js"));
const grpc = require("@grpc/grpc-js");
const { Daemon, EmitterServiceService, FanoutdError } = require(path.join(sdk, "client"));

// A server whose streams of Execute are in `streams`: each with the messages that came.
async function serve(t, options) {
  const streams = [];
  const server = new grpc.Server();
  const unimplemented = (call, done) => done({ code: grpc.status.UNIMPLEMENTED });
  const handlers = Object.fromEntries(Object.keys(EmitterServiceService).map((name) => [name, unimplemented]));
  server.addService(EmitterServiceService, {
    ...handlers,
    execute(call) {
      const stream = { call, messages: [] };
      streams.push(stream);
      call.on("data", ({ request }) => stream.messages.push(request));
      call.on("error", () => {});
      call.on("end", () => call.end());
    },
  });
  const port = await new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (err, at) => (err ? reject(err) : resolve(at))),
  );
  const daemon = new Daemon({ address: `127.0.0.1:${port}`, ...options });
  t.after(async () => {
    daemon.commands.abort();
    await daemon.close();
    server.forceShutdown();
  });
  return { daemon, streams };
}

const emit = (event, idempotencyKey) => ({ operation: { $case: "emit", value: { to: { all: true }, event, idempotencyKey } } });

// What a stream was told, in short: the events of each message, or what else it was.
const told = (stream) =>
  (stream?.messages ?? []).map(({ $case, value }) => ($case === "commands" ? value.commands.map(({ operation }) => operation.operation.value.event).join() : $case));

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("what is given in one turn of the event loop is one message, and what is asked is asked once", async (t) => {
  const { daemon, streams } = await serve(t);
  const { commands } = daemon;
  const heard = [];
  const quiet = (event) => commands.send(emit(event), (result, last) => heard.push([event, result.status?.code, last]), { quiet: true });
  for (const event of ["a", "b", "c"]) quiet(event);
  const first = commands.barrier();
  const second = commands.barrier(50);
  await until(() => same(told(streams[0]), ["a,b,c", "sync"]), "the first turn");
  quiet("d");
  await Promise.resolve();
  quiet("e");
  await until(() => same(told(streams[0]).slice(0, 3), ["a,b,c", "sync", "d,e"]), "the second turn");
  assert.deepEqual(streams[0].messages[0].value.commands.map(({ sequence, quiet }) => [sequence, quiet]), [[1, true], [2, true], [3, true]]);
  // One of them was refused, and the others are done.
  streams[0].call.write({ ackedThrough: 3, results: [{ sequence: 2, last: true, result: { status: { code: 3, message: "no" } } }] });
  await Promise.all([first, second]);
  assert.deepEqual(heard, [["b", 3, true]]);
  assert.equal(commands.pending, 2);
  const closed = commands.close();
  await until(() => same(told(streams[0]).at(-1), "sync"), "closing asks how far it is");
  streams[0].call.write({ ackedThrough: 5 });
  await closed;
  assert.equal(commands.pending, 0);
});

test("a message has at most 1000 commands, and not many long ones", async (t) => {
  const { daemon, streams } = await serve(t);
  for (let n = 0; n < 2500; n++) daemon.commands.send(emit("e"), undefined, { quiet: true });
  const long = emit("long");
  long.operation.value.argsJson = JSON.stringify(["x".repeat(100_000)]);
  for (let n = 0; n < 5; n++) daemon.commands.send(long, undefined, { quiet: true });
  const sizes = () => streams[0]?.messages.filter(({ $case }) => $case === "commands").map(({ value }) => value.commands.length) ?? [];
  await until(() => same(sizes().reduce((sum, n) => sum + n, 0), 2505), "all has come");
  assert.ok(sizes().every((n) => n <= 1000), String(sizes()));
  assert.ok(streams[0].messages.every(({ value }) => (value.commands ?? []).filter(({ operation }) => operation.operation.value.event === "long").length <= 2), "messages are bounded in bytes");
  const sequences = streams[0].messages.flatMap(({ value }) => (value.commands ?? []).map(({ sequence }) => sequence));
  assert.deepEqual(sequences, [...Array(2505).keys()].map((n) => n + 1));
});

test("after a stream broke, what had a key is sent once more before what waited, and the rest fails", async (t) => {
  const { daemon, streams } = await serve(t);
  const { commands } = daemon;
  const failed = [];
  const give = (event, key) => commands.send(emit(event, key), (result) => {
    failed.push([event, result instanceof FanoutdError && result.code]);
    give("waited");
  }, { quiet: true });
  give("done");
  give("without a key");
  give("with a key", "k");
  await until(() => told(streams[0])[0] === "done,without a key,with a key", "sent");
  streams[0].call.write({ ackedThrough: 1 });
  await until(() => same(commands.pending, 2), "the first is done");
  streams[0].call.emit("error", { code: grpc.status.UNAVAILABLE, details: "broken" });
  await until(() => same(failed, [["without a key", "UNAVAILABLE"]]), "the stream broke");
  const done = commands.barrier();
  await until(() => same(told(streams[1]), ["with a key,waited", "sync"]), "sent once more");
  await turn();
  streams[1].call.write({ ackedThrough: 4 });
  await done;
  assert.equal(commands.pending, 0);
  assert.equal(failed.length, 1);
});

test("after a message that was too large nothing is sent once more", async (t) => {
  const { daemon, streams } = await serve(t);
  const { commands } = daemon;
  const failed = [];
  for (const key of ["k", undefined]) commands.send(emit("large", key), (result) => failed.push(result.code));
  await until(() => told(streams[0]).join() === "large,large", "sent");
  streams[0].call.emit("error", { code: grpc.status.RESOURCE_EXHAUSTED, details: "received message larger than max" });
  await until(() => failed.length === 2, "both have failed");
  assert.deepEqual(failed, ["RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"]);
  commands.send(emit("next"));
  await until(() => told(streams[1]).join() === "next", "others are sent");
});

test("what hears of a result and throws holds up no other", async (t) => {
  const { daemon, streams } = await serve(t);
  const { commands } = daemon;
  const thrown = [];
  // The test runner takes uncaught exceptions for its own.
  const others = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException").on("uncaughtException", (err) => thrown.push(err.message));
  t.after(() => {
    process.removeAllListeners("uncaughtException");
    for (const listener of others) process.on("uncaughtException", listener);
  });
  const heard = [];
  for (const event of ["a", "b", "c"]) {
    commands.send(emit(event), (result) => {
      heard.push(result instanceof FanoutdError ? result.code : event);
      throw new Error(event);
    });
  }
  await until(() => same(told(streams[0]), ["a,b,c"]), "they are there");
  streams[0].call.write({ ackedThrough: 2, results: [1, 2].map((sequence) => ({ sequence, last: true, result: {} })) });
  await until(() => commands.pending === 1, "both results are heard");
  streams[0].call.end();
  await until(() => commands.pending === 0, "the last one failed");
  assert.deepEqual(heard, ["a", "b", "UNAVAILABLE"]);
  assert.deepEqual(thrown, ["a", "b", "c"]);
  const closed = commands.barrier();
  await closed;
});

test("a command that cannot be encoded fails alone", async (t) => {
  const { daemon, streams } = await serve(t);
  const { commands } = daemon;
  const before = daemon.execute(emit("before"));
  await assert.rejects(daemon.update({ id: "x", expireAt: new Date(Number.NaN) }), { code: "INVALID_ARGUMENT" });
  const wrong = ["call", "update"].map((kind) => (kind === "call" ? daemon.call({ id: "x" }, Number.POSITIVE_INFINITY, "ask") : daemon.update({ id: "x", data: { big: 1n }, idempotencyKey: "k" })));
  const after = daemon.execute(emit("after"));
  for (const one of wrong) await assert.rejects(one, { code: "INVALID_ARGUMENT", message: /cannot be sent/ });
  await until(() => told(streams[0]).join() === "before,after", "the others are there");
  streams[0].call.write({ ackedThrough: 5, results: [1, 5].map((sequence) => ({ sequence, last: true, result: { answer: { $case: "emit", value: { matched: sequence } } } })) });
  assert.deepEqual(await Promise.all([before, after]), [1, 5].map((matched) => ({ $case: "emit", value: { matched } })));
  assert.equal(commands.pending, 0);
  assert.equal(streams.length, 1);
});

test("a name where a list of names belongs is refused, not taken letter by letter", async (t) => {
  const { daemon, streams } = await serve(t);
  const to = { rooms: ["lobby"] };
  const wrong = {
    rooms: daemon.emit({ rooms: "lobby" }, "x"),
    ids: daemon.disconnect({ ids: "lobby" }),
    users: daemon.emitWithAck({ users: "lobby" }, 1000, "x"),
    except: daemon.join({ all: true, except: "lobby" }, "room"),
  };
  for (const [field, call] of Object.entries(wrong)) await assert.rejects(call, { code: "INVALID_ARGUMENT", message: `to.${field}: "lobby" is no array` });
  await assert.rejects(daemon.count({ rooms: "lobby" }), { code: "INVALID_ARGUMENT" });
  await assert.rejects(daemon.list({ rooms: "lobby" }).next(), { code: "INVALID_ARGUMENT" });
  daemon.emit(to, "after").catch(() => {});
  await until(() => told(streams[0]).join() === "after", "the other is there");
});

test("a command that is larger than the daemon takes fails alone", async (t) => {
  const { daemon, streams } = await serve(t, { maxRequestBytes: 2000 });
  const large = (n, quiet) => new Promise((resolve) => daemon.commands.send(emit("x".repeat(n)), resolve, { quiet }));
  const before = daemon.execute(emit("before"));
  const failures = Promise.all([large(2000, false), large(5000, true)]);
  const after = daemon.execute(emit("after"));
  for (const { code, message } of await failures) {
    assert.equal(code, "RESOURCE_EXHAUSTED");
    assert.match(message, /fanoutd takes 2000/);
  }
  await until(() => told(streams[0]).join() === "before,after", "the others are there");
  streams[0].call.write({ ackedThrough: 4, results: [1, 4].map((sequence) => ({ sequence, last: true, result: { answer: { $case: "emit", value: { matched: sequence } } } })) });
  assert.deepEqual(await Promise.all([before, after]), [1, 4].map((matched) => ({ $case: "emit", value: { matched } })));
  assert.equal(daemon.commands.pending, 0);
  assert.equal(streams.length, 1);
});
