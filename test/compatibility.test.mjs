// Callers that were written for another level of the API than this daemon's: those of earlier levels, whose contract is kept in
// testdata, are served as they were, and those of a later one are told so.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

import { client, connected, heard } from "./lib/browser-like.mjs";
import { Daemon, root } from "./lib/daemon.mjs";
import { until, within } from "./lib/until.mjs";

const testdata = path.join(root, "test/testdata");
const header = "fanoutd-api-level";
const levels = readdirSync(testdata)
  .flatMap((name) => /^api-level-(\d+)\.binpb$/.exec(name)?.[1] ?? [])
  .map(Number)
  .sort((a, b) => a - b);

// The services as a caller of that level knows them.
function api(t, daemon, level) {
  const options = { keepCase: true, longs: String, enums: String, defaults: true };
  const definition = protoLoader.loadFileDescriptorSetFromBuffer(readFileSync(path.join(testdata, `api-level-${level}.binpb`)), options);
  const { v1 } = grpc.loadPackageDefinition(definition).fanout;
  const metadata = new grpc.Metadata();
  metadata.set(header, String(level));
  const services = Object.fromEntries(
    ["Emitter", "Registry", "Event", "Admin"].map((name) => [name, new v1[`${name}Service`](daemon.control, grpc.credentials.createInsecure())]),
  );
  t.after(() => Object.values(services).forEach((service) => service.close()));
  return {
    call: (service, method, request = {}) =>
      new Promise((resolve, reject) => {
        services[service][method](request, metadata, { deadline: Date.now() + 15_000 }, (err, answer) => (err ? reject(err) : resolve(answer)));
      }),
    stream: (service, method) => services[service][method](metadata),
  };
}

test("the levels that were are all kept", () => {
  const [, current] = /^const APILevel = (\d+)$/m.exec(readFileSync(path.join(root, "internal/control/level.go"), "utf8"));
  assert.deepEqual(levels, Array.from({ length: Number(current) }, (_, i) => i + 1));
  for (const [file, pattern] of [
    ["backend/client.go", /apiLevel\s+= "(\d+)"/],
    ["sdk/node/client/src/address.ts", /apiLevel = "(\d+)"/],
    ["sdk/python/src/fanoutd/_channel.py", /API_LEVEL = "(\d+)"/],
  ]) {
    const [, level] = pattern.exec(readFileSync(path.join(root, file), "utf8"));
    assert.ok(levels.includes(Number(level)), `${file} is written for level ${level}`);
  }
});

for (const level of levels) {
  test(`a caller of level ${level} hears browsers, answers them, sends and looks`, async (t) => {
    const daemon = await Daemon.start(t, { "expose-auth": "true" });
    const old = api(t, daemon, level);
    const consumer = old.stream("Event", "Consume");
    const events = [];
    let ready = false;
    consumer.on("data", (message) => {
      ready ||= Boolean(message.ready);
      events.push(...(message.events?.events ?? []));
      for (const event of message.events?.events ?? []) {
        const { delivery_id } = event;
        if (event.kind === "CONNECTING") consumer.write({ verdict: { delivery_id, allow: { user_id: "42", rooms: ["den"] } } });
        else if (event.reply_expected) consumer.write({ reply: { delivery_id, args_json: JSON.stringify([`${JSON.parse(event.args_json)[0]}!`]) } });
        else consumer.write({ ack: { delivery_ids: [delivery_id] } });
      }
    });
    const ended = new Promise((resolve) => consumer.on("error", resolve).on("end", resolve));
    t.after(() => {
      consumer.end();
      return within(ended, "the stream's end");
    });
    consumer.write({ open: { group: "old", lifecycle: true, authorize: true } });
    await until(() => ready, "the consumer is there");

    const socket = await connected(client(t, daemon, { auth: { name: "alice" } }));
    assert.equal(await within(socket.emitWithAck("ask", "hello"), "the answer"), "hello!");
    assert.deepEqual(events.map(({ kind, event }) => event || kind), ["CONNECTING", "CONNECTED", "ask"]);

    const commands = old.stream("Emitter", "Execute");
    commands.on("error", () => {});
    t.after(() => commands.cancel());
    const results = [];
    commands.on("data", (message) => results.push(...message.results));
    commands.write({ command: { sequence: 1, operation: { join: { to: { users: ["42"] }, rooms: ["hall"] } } } });
    commands.write({ command: { sequence: 2, operation: { emit: { to: { rooms: ["hall"] }, event: "first", args_json: "[1]" } } } });
    await until(() => results.length === 2, "both commands have a result");
    assert.deepEqual(results.map(({ sequence, result }) => [Number(sequence), result.status?.code ?? 0]), [[1, 0], [2, 0]]);
    await old.call("Emitter", "Emit", { to: { rooms: ["den"] }, event: "second", args_json: '[{"n":2}]' });
    assert.deepEqual(await heard(socket, 2), [["first", 1], ["second", { n: 2 }]]);

    const { connections } = await old.call("Registry", "ListConnections", { to: { all: true } });
    assert.deepEqual(connections.map(({ id, user_id, rooms }) => [id, user_id, rooms.toSorted()]), [[socket.id, "42", [socket.id, "den", "hall"].toSorted()]]);
    assert.notEqual((await old.call("Admin", "GetServerInfo")).version, "");
    await old.call("Registry", "Disconnect", { to: { ids: [socket.id] } });
    await until(() => events.at(-1).kind === "DISCONNECTED", "the end is told");
    await until(() => socket.ends.length > 0, "the browser has heard it");
    assert.deepEqual(socket.ends, ["io server disconnect"]);
  });
}

test("a caller of a later level is told that the daemon is too old, by gRPC and by HTTP", async (t) => {
  const daemon = await Daemon.start(t);
  const future = levels.at(-1) + 1;
  const said = `the caller was written for level ${future} of the API and this daemon has level ${levels.at(-1)}: upgrade fanoutd, or use an older package`;
  const current = api(t, daemon, levels.at(-1));
  assert.deepEqual(await current.call("Registry", "CountConnections", { to: { all: true } }).then(({ total }) => Number(total)), 0);

  const definition = protoLoader.loadFileDescriptorSetFromBuffer(readFileSync(path.join(testdata, `api-level-${levels.at(-1)}.binpb`)), {});
  const { v1 } = grpc.loadPackageDefinition(definition).fanout;
  const events = new v1.EventService(daemon.control, grpc.credentials.createInsecure());
  t.after(() => events.close());
  const metadata = new grpc.Metadata();
  metadata.set(header, String(future));
  const stream = events.Consume(metadata);
  stream.on("data", () => {});
  const err = await within(new Promise((resolve) => stream.on("error", resolve)), "the refusal");
  assert.deepEqual([err.code, err.details], [grpc.status.UNIMPLEMENTED, said]);

  const post = (headers) => fetch(`http://${daemon.control}/fanout.v1.RegistryService/CountConnections`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: '{"to":{"all":true}}' });
  const answer = await post({ [header]: String(future) });
  const { code, message } = await answer.json();
  assert.deepEqual([answer.status, code, message], [501, "unimplemented", said]);
  assert.equal((await post({ [header]: String(levels.at(-1)) })).status, 200);
  assert.equal((await post({})).status, 200);
});
