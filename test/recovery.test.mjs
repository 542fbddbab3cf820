// Connection state recovery with the stock client: cut off, it comes back as
// the same connection and misses nothing, or starts afresh and is told so.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import msgpack from "socket.io-msgpack-parser";

import { backend } from "./lib/backend.mjs";
import { client, connected, heard } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until } from "./lib/until.mjs";

const modes = [
  { name: "polling only", options: { transports: ["polling"] } },
  { name: "websocket only", options: { transports: ["websocket"] } },
  { name: "polling, then an upgrade", options: {} },
  { name: "MessagePack over websocket", options: { transports: ["websocket"], parser: msgpack } },
];

// Cuts the network under a client, as far as it is concerned.
function cut(socket) {
  socket.io.engine.close();
}

const reconnected = async (socket) => {
  await until(() => socket.ends.length > 0 && socket.connected, "the client is back");
  socket.ends.length = 0;
};

for (const { name, options } of modes) {
  describe(name, () => {
    test("1,000 numbered events through cuts: the same connection, none missed", async (t) => {
      const daemon = await Daemon.start(t, { "recovery-window": "30s" });
      const api = backend(t, daemon);
      const socket = await connected(client(t, daemon, options));
      const { id } = socket;
      await api.join({ to: { ids: [id] }, rooms: ["some room"] });
      await api.updateConnection({ id, data: { fields: { seat: { stringValue: "7a" } } } });
      const recoveries = [];
      socket.on("connect", () => recoveries.push(socket.recovered));

      for (let batch = 0; batch < 100; batch++) {
        const emits = Array.from({ length: 10 }, (_, i) => ({
          to: { rooms: ["some room"] },
          event: "n",
          args_json: `[${batch * 10 + i}]`,
        }));
        await api.emitBatch({ emits });
        if (batch % 25 === 10) cut(socket);
        if (batch % 25 === 20) await reconnected(socket);
      }
      await heard(socket, 1000);
      // The last argument of each is its offset.
      assert.deepEqual(
        socket.heard.map((event) => event.slice(0, 2)),
        Array.from({ length: 1000 }, (_, i) => ["n", i]),
      );
      assert.deepEqual(recoveries, [true, true, true, true]);
      assert.equal(socket.id, id);
      const { connection } = await api.getConnection({ id });
      assert.deepEqual(connection.rooms, [id, "some room"].sort());
      assert.equal(connection.data.fields.seat.stringValue, "7a");
      assert.equal(connection.recovered, true);
    });
  });
}

test("after the window a client starts afresh", async (t) => {
  const daemon = await Daemon.start(t, { "recovery-window": "1s" });
  const api = backend(t, daemon);
  const told = [];
  let joined = false;
  const stream = api.consume();
  const ended = new Promise((resolve) => stream.on("error", resolve).on("end", resolve));
  t.after(() => {
    stream.end();
    return ended;
  });
  stream.on("data", ({ ready, events }) => {
    joined ||= ready !== null;
    for (const event of events?.events ?? []) {
      told.push(event);
      stream.write({ ack: { delivery_ids: [event.delivery_id] } });
    }
  });
  stream.write({ open: { group: "g", lifecycle: true, recovery_expired: true } });
  await until(() => joined, "the consumer has joined");
  const socket = await connected(client(t, daemon, { reconnectionDelay: 2500, reconnectionDelayMax: 2500, randomizationFactor: 0 }));
  const { id } = socket;
  await api.emit({ to: { all: true }, event: "before" });
  await heard(socket, 1);
  cut(socket);
  await api.emit({ to: { all: true }, event: "missed" });
  await reconnected(socket);
  assert.equal(socket.recovered, false);
  assert.notEqual(socket.id, id);
  await api.emit({ to: { all: true }, event: "after" });
  await heard(socket, 2);
  assert.deepEqual(socket.heard.map(([event]) => event), ["before", "after"]);
  await until(() => told.length === 4, "the consumer is told");
  assert.deepEqual(
    told.map((event) => [event.kind, event.connection_id, event.recoverable, event.recovery, event.connection?.recovery ?? null]),
    [
      ["CONNECTED", id, false, "NONE", "NONE"],
      ["DISCONNECTED", id, true, "NONE", "NONE"],
      ["RECOVERY_EXPIRED", id, false, "EXPIRED", null],
      ["CONNECTED", socket.id, false, "NONE", "EXPIRED"],
    ],
  );
});

test("a stolen pid is no use", async (t) => {
  const daemon = await Daemon.start(t, { "recovery-window": "30s" });
  const api = backend(t, daemon);
  const owner = await connected(client(t, daemon, { transports: ["websocket"] }));
  const { id } = owner;
  // What a thief says who knows the pid, while its owner is there.
  const thief = await connected(client(t, daemon, { auth: { pid: owner._pid } }));
  assert.notEqual(thief.id, id);
  cut(owner);
  await reconnected(owner);
  assert.equal(owner.recovered, true);
  assert.equal(owner.id, id);
  // A pid is good for nothing after its owner said goodbye.
  const pid = owner._pid;
  owner.disconnect();
  await until(async () => (await api.countConnections({ to: { all: true } })).total === 1, "the owner is gone");
  const late = await connected(client(t, daemon, { auth: { pid } }));
  assert.notEqual(late.id, id);
});

test("without a window nothing is added to events", async (t) => {
  const daemon = await Daemon.start(t);
  const api = backend(t, daemon);
  const socket = await connected(client(t, daemon));
  await api.emit({ to: { all: true }, event: "plain", args_json: "[1]" });
  assert.deepEqual(await heard(socket, 1), [["plain", 1]]);
  const { id } = socket;
  cut(socket);
  await reconnected(socket);
  assert.ok(!socket.recovered);
  assert.notEqual(socket.id, id);
});

test("a login after the connect outlasts a cut, and a logout is not undone", async (t) => {
  const daemon = await Daemon.start(t, { "recovery-window": "30s" });
  const api = backend(t, daemon);
  const socket = await connected(client(t, daemon, { transports: ["websocket"] }));
  const { id } = socket;
  const users = async () => (await api.listUsers({})).users.map(({ user_id, connections }) => [user_id, connections]);
  const { connection } = await api.updateConnection({ id, user_id: "42" });
  assert.deepEqual([connection.user_id, connection.handshake], ["42", null]);
  assert.deepEqual(await users(), [["42", 1]]);

  cut(socket);
  await reconnected(socket);
  assert.deepEqual([socket.recovered, socket.id], [true, id]);
  await api.emit({ to: { users: ["42"] }, event: "hello" });
  await heard(socket, 1);
  const seen = (await api.getConnection({ id })).connection;
  assert.deepEqual([seen.user_id, seen.handshake.query.transport], ["42", "websocket"]);

  assert.equal((await api.updateConnections({ to: { users: ["42"] }, user_id: "" })).affected, 1);
  assert.deepEqual(await users(), []);
  cut(socket);
  await reconnected(socket);
  assert.equal((await api.getConnection({ id })).connection.user_id, "");
});
