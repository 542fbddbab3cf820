// The stream of events of @fanoutd/client, against a server that sends what it is told to and records what comes.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";

import { root } from "./lib/daemon.mjs";
import { until } from "./lib/until.mjs";

const sdk = path.join(root, "sdk/node");
const require = createRequire(path.join(sdk, "client/dist/index.js"));
const grpc = require("@grpc/grpc-js");
const { Daemon, EventServiceService, Subscription } = require(path.join(sdk, "client"));
const { Reader } = require(path.join(sdk, "client/dist/reader.js"));
const { BinaryWriter } = require("@bufbuild/protobuf/wire");

// A server whose streams of Consume are in `streams`: each with the messages that came, and whether it has ended.
async function serve(t) {
  const streams = [];
  const server = new grpc.Server();
  const unimplemented = (call, done) => done({ code: grpc.status.UNIMPLEMENTED });
  const handlers = Object.fromEntries(Object.keys(EventServiceService).map((name) => [name, unimplemented]));
  server.addService(EventServiceService, {
    ...handlers,
    consume(call) {
      const stream = { call, messages: [], ended: false };
      streams.push(stream);
      call.on("data", ({ request }) => stream.messages.push(request));
      call.on("error", () => {});
      call.on("end", () => {
        stream.ended = true;
        call.end();
      });
    },
  });
  const port = await new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (err, at) => (err ? reject(err) : resolve(at))),
  );
  const daemon = new Daemon({ address: `127.0.0.1:${port}` });
  t.after(async () => {
    await daemon.close();
    server.forceShutdown();
  });
  return { daemon, streams };
}

const say = (stream, $case, value) => stream.call.write({ response: { $case, value } });
const acked = (stream) => stream.messages.filter(({ $case }) => $case === "ack").flatMap(({ value }) => value.deliveryIds);

test("a subscription that leaves ends its stream once each delivery is settled, or was taken back", async (t) => {
  const { daemon, streams } = await serve(t);
  const deliveries = new Map();
  const subscription = new Subscription(daemon, { group: "g" }, { delivery: (delivery) => deliveries.set(delivery.event.deliveryId, delivery) });
  const run = subscription.run();
  await until(() => streams.length === 1);
  const [stream] = streams;
  const send = (...ids) => say(stream, "events", { events: ids.map((deliveryId) => ({ deliveryId })) });
  say(stream, "ready", {});
  send("c.1", "c.2", "d.1");
  send("e.1", "e.2");
  await until(() => deliveries.size === 5);
  subscription.ack(deliveries.get("c.2"));
  subscription.ack(deliveries.get("c.2")); // which does not count twice
  say(stream, "cancelled", { deliveryIds: ["c.2", "e.1", "nobody's"], reason: "ACK_WAIT" });
  subscription.leave();
  await until(() => stream.messages.some(({ $case }) => $case === "leave"));
  say(stream, "draining", {});
  subscription.nack(deliveries.get("d.1"));
  subscription.ack(deliveries.get("e.1")); // too late
  say(stream, "cancelled", { deliveryIds: ["e.2"], reason: "ACK_WAIT" });
  await until(() => acked(stream).length === 3);
  assert.equal(stream.ended, false); // c.1 is not settled
  subscription.ack(deliveries.get("c.1"));
  await run;
  assert.deepEqual(acked(stream), ["c.2", "c.2", "e.1", "c.1"]);
  assert.equal(stream.ended, true);
});

test("a delivery of a stream that has ended is settled nowhere", async (t) => {
  const { daemon, streams } = await serve(t);
  const deliveries = [];
  const subscription = new Subscription(daemon, { group: "g" }, { delivery: (delivery) => deliveries.push(delivery) });
  const run = subscription.run();
  for (let i = 0; i < 2; i++) {
    await until(() => streams.length === i + 1);
    say(streams[i], "ready", {});
    say(streams[i], "events", { events: [{ deliveryId: "c.1" }] });
    await until(() => deliveries.length === i + 1);
    if (i === 0) streams[i].call.end();
  }
  assert.equal(subscription.holds(deliveries[0]), false);
  subscription.ack(deliveries[0]);
  subscription.leave();
  await until(() => streams[1].messages.some(({ $case }) => $case === "leave"));
  say(streams[1], "draining", {});
  subscription.ack(deliveries[1]);
  await run;
  assert.deepEqual(acked(streams[1]), ["c.1"]);
});

test("texts are read as they were written, whatever was read before", () => {
  const texts = ["", "a", "e", "/", "/admin", "AAAAAbcdefghijklmnop", "AAAAAbcdefghijklmno", "é", "Ã©", "\u00e9a", "日本", "\u{1f600}", "\0", "\uffff", "x".repeat(20), "x".repeat(21), "x".repeat(200)];
  // The bytes of the second are the characters of the first, and one place in what is kept is theirs.
  texts.push("é\x8f¿", "鏿");
  for (let i = 0; i < 20_000; i++) texts.push(`${i}`.padEnd(20, "q"));
  for (let round = 0; round < 2; round++) {
    const writer = new BinaryWriter();
    for (const text of texts) writer.string(text);
    const reader = new Reader(Buffer.from(writer.finish()));
    assert.deepEqual(texts.map(() => reader.string()), texts);
  }
  for (const bytes of [[1, 0xe9], [2, 0xc3, 0x28], [3, 0xe2, 0x82, 0x41]]) {
    assert.equal(new Reader(Buffer.from(bytes)).string(), Buffer.from(bytes.slice(1)).toString("utf8"));
  }
  assert.throws(() => new Reader(Buffer.from([3, 97])).string(), RangeError);
});
