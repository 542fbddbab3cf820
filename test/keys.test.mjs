// Tenants that share a daemon, each with a key of its own: what one does and hears is its own.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";

import { App } from "./lib/app.mjs";
import { backend, status } from "./lib/backend.mjs";
import { client, connected, heard } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { within } from "./lib/until.mjs";

const keys = { one: "key-of-tenant-one-0123456789", two: "key-of-tenant-two-0123456789", rooms: "key-with-rooms-0123456789", full: "key-without-limits-0123456789" };
const file = `
- {name: one, key: ${keys.one}, namespaces: [/one, "/one-*"]}
- {name: two, key: ${keys.two}, namespaces: [/two]}
- {name: rooms, key: ${keys.rooms}, rooms: ["order:*"]}
- {name: full, key: ${keys.full}}
`;

// A daemon with these keys, and a backend with each.
async function start(t) {
  const dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-keys-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await writeFile(path.join(dir, "keys.yaml"), file, { mode: 0o600 });
  const daemon = await Daemon.start(t, { namespaces: "/,/one,/one-*,/two", "control-keys-file": path.join(dir, "keys.yaml") });
  const as = (name) => backend(t, { control: daemon.control, key: keys[name] });
  return { daemon, one: as("one"), two: as("two"), rooms: as("rooms"), full: as("full") };
}

const limited = (err) => err.code === status.PERMISSION_DENIED && /key "(one|two|rooms)"/.test(err.details);

test("two tenants in one group hear and answer their own clients", { timeout: 60_000 }, async (t) => {
  const { daemon, one, two } = await start(t);
  const connections = []; // by whom, and where
  for (const [name, api] of Object.entries({ one, two })) {
    const app = new App(api, "app"); // which names no namespaces, and authorizes
    for (const namespace of ["/", "/one", "/one-more", "/two"]) {
      app.onConnection(namespace, () => connections.push(`${name} ${namespace}`));
      app.on(namespace, "who", (_, reply) => reply(name));
    }
    await app.run(t);
    t.after(() => assert.deepEqual(app.errors, []));
  }
  const sockets = {};
  for (const namespace of ["/one", "/two", "/one-more"]) sockets[namespace] = await connected(client(t, daemon, { namespace }));
  await connected(client(t, daemon)); // nobody has to allow it
  const who = async (namespace) => sockets[namespace].timeout(10_000).emitWithAck("who");
  assert.deepEqual([await who("/one"), await who("/two"), await who("/one-more")], ["one", "two", "one"]);
  assert.deepEqual(connections.toSorted(), ["one /one", "one /one-more", "two /two"]);

  const names = async (api) => (await api.listNamespaces({})).namespaces.map((n) => `${n.name} ${n.connections}`);
  assert.deepEqual(await names(one), ["/one 1", "/one-more 1"]);
  assert.deepEqual(await names(two), ["/two 1"]);
  assert.equal((await one.emit({ to: { namespace: "/one", all: true }, event: "hello" })).matched, 1);
  assert.deepEqual(await heard(sockets["/one"], 1), [["hello"]]);
  await assert.rejects(one.emit({ to: { namespace: "/two", all: true }, event: "hello" }), limited);
  assert.deepEqual(sockets["/two"].heard, []);
});

// What a Consume that opens so ends with.
const opened = (api, open) =>
  within(new Promise((resolve) => {
    const stream = api.consume();
    stream.on("error", resolve).on("data", (message) => message.ready && resolve(stream.end() && null));
    stream.write({ open });
  }), "an answer");

test("a tenant cannot reach into another's work", { timeout: 60_000 }, async (t) => {
  const { daemon, one, two } = await start(t);
  const stream = two.consume();
  t.after(() => stream.end());
  const events = [];
  const ready = new Promise((resolve) => stream.on("data", (m) => (m.ready ? resolve() : events.push(...(m.events?.events ?? [])))));
  const ends = [];
  stream.on("error", (err) => ends.push(err));
  stream.write({ open: { group: "app", consumer_id: "worker" } });
  await within(ready, "the worker is ready");

  assert.ok(limited(await opened(one, { group: "app", consumer_id: "worker" })), "its consumer is taken over");
  assert.ok(limited(await opened(one, { group: "app", namespaces: ["/two"] })), "its events are heard");
  assert.ok(limited(await opened(one, { group: "app", namespaces: ["/*"] })), "its events are heard by a pattern");

  const socket = await connected(client(t, daemon, { namespace: "/two" }));
  const answer = socket.timeout(10_000).emitWithAck("who");
  await within((async () => { while (events.length === 0) await new Promise((resolve) => stream.once("data", resolve)); })(), "the event");
  const [{ delivery_id }] = events;
  await assert.rejects(one.reply({ delivery_id, args_json: '["one"]' }), { code: status.FAILED_PRECONDITION });
  await two.reply({ delivery_id, args_json: '["two"]' });
  assert.equal(await answer, "two");
  assert.deepEqual(ends, []);
});

test("a key with rooms sees these", { timeout: 60_000 }, async (t) => {
  const { daemon, rooms, full } = await start(t);
  const a = await connected(client(t, daemon));
  const b = await connected(client(t, daemon));
  await full.join({ to: { ids: [a.id, b.id] }, rooms: ["order:1", "staff"] });
  await full.join({ to: { ids: [a.id] }, rooms: ["order:2"] });
  const listed = (await rooms.listRooms({})).rooms.map((r) => `${r.name} ${r.connections}`);
  assert.deepEqual(listed, ["order:1 2", "order:2 1"]);
  const { total, counts } = await rooms.countConnections({ to: { rooms: ["order:1"] }, group_by: "ROOM" });
  assert.deepEqual([total, counts], [2, { "order:1": 2, "order:2": 1 }]);
  await assert.rejects(rooms.listNamespaces({}), limited);
  assert.ok(limited(await opened(rooms, { group: "app" })), "it consumes");
});
