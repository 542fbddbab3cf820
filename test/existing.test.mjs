// A group is told of the browsers that are there before it, with stock clients: at
// its first start, and when the daemon has restarted and they are back first.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend } from "./lib/backend.mjs";
import { client, connected } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until } from "./lib/until.mjs";

// Joins a group, settles what comes and returns a list of it, by connection.
async function consume(t, api, open) {
  const heard = new Map();
  const stream = api.consume();
  const ended = new Promise((resolve) => stream.on("error", resolve).on("end", resolve));
  let joined = false;
  stream.on("data", ({ ready, events }) => {
    joined ||= ready !== null;
    for (const { delivery_id, connection_id, kind, existing } of events?.events ?? []) {
      heard.set(connection_id, [...(heard.get(connection_id) ?? []), existing ? `existing ${kind}` : kind]);
      stream.write({ ack: { delivery_ids: [delivery_id] } });
    }
  });
  stream.write({ open: { lifecycle: true, ...open } });
  t.after(() => {
    stream.end();
    return ended;
  });
  await until(() => joined, "the consumer has joined");
  return { heard, ended };
}

test("whoever is there before a group, and back before it", async (t) => {
  const daemon = await Daemon.start(t);
  let api = backend(t, daemon);
  const sockets = await Promise.all(
    [{}, { transports: ["polling"] }, { transports: ["websocket"] }].map((options) => connected(client(t, daemon, options))),
  );
  const ids = () => sockets.map((socket) => socket.id).sort();
  const everybody = ({ heard }) => ids().every((id) => heard.get(id)?.length);

  for (const round of ["before the group", "back before the group"]) {
    const consumer = await consume(t, api, { group: "chat" });
    // One speaks at once: nothing of it may come before its CONNECTED.
    sockets[0].emit("hello");
    await until(() => everybody(consumer) && consumer.heard.get(sockets[0].id).length === 2, `all ${round} are told of`);
    assert.deepEqual([...consumer.heard.keys()].sort(), ids(), "each of them, and nobody else");
    assert.deepEqual(consumer.heard.get(sockets[0].id), ["existing CONNECTED", "MESSAGE"]);
    assert.deepEqual(consumer.heard.get(sockets[1].id), ["existing CONNECTED"]);
    if (round === "back before the group") break;

    const gone = ids();
    await daemon.stop();
    await consumer.ended;
    for (const id of gone) assert.equal(consumer.heard.get(id).at(-1), "DISCONNECTED");
    await daemon.run();
    api = backend(t, daemon);
    await until(() => sockets.every((socket) => socket.connected && !gone.includes(socket.id)), "all are back");
  }

  // The last to come is told of as new, and all ends are.
  const consumer = await consume(t, api, { group: "other", skip_existing: true });
  const late = await connected(client(t, daemon));
  await until(() => consumer.heard.has(late.id), "the last one is told of");
  sockets[1].disconnect();
  const { id } = late;
  late.disconnect();
  await until(() => consumer.heard.get(id).length === 2 && consumer.heard.size === 2, "both ends are told of");
  assert.deepEqual(consumer.heard.get(id), ["CONNECTED", "DISCONNECTED"]);
  assert.ok([...consumer.heard.values()].some((kinds) => kinds.join() === "DISCONNECTED"));
});
