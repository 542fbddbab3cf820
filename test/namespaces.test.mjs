// Namespaces that clients bring into being, within the patterns that the
// operator allows.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Manager } from "socket.io-client";

import { backend, status } from "./lib/backend.mjs";
import { client, connected, heard } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until, within } from "./lib/until.mjs";

test("children of a pattern come and go with their clients", async (t) => {
  const daemon = await Daemon.start(t, { namespaces: "/,/tenant-*" });
  const api = backend(t, daemon);
  const names = async () => (await api.listNamespaces({})).namespaces.map((n) => `${n.name} ${n.connections}`);
  const emit = (namespace) => api.emit({ to: { namespace, all: true }, event: "hello", args_json: `["${namespace}"]` });
  assert.deepEqual(await names(), ["/ 0"]);
  assert.equal((await emit("/tenant-1")).matched, 0, "a tenant that is not there is no error");

  const a = await connected(client(t, daemon, { namespace: "/tenant-1" }));
  const b = await connected(client(t, daemon, { namespace: "/tenant-2" }));
  assert.deepEqual(await names(), ["/ 0", "/tenant-1 1", "/tenant-2 1"]);
  assert.equal((await emit("/tenant-1")).matched, 1);
  assert.equal((await emit("/tenant-2")).matched, 1);
  assert.deepEqual(await heard(a, 1), [["hello", "/tenant-1"]]);
  assert.deepEqual(await heard(b, 1), [["hello", "/tenant-2"]]);

  a.disconnect();
  b.disconnect();
  await until(async () => (await names()).length === 1, "the empty children are gone");
});

test("one session in several namespaces, and a name outside the patterns", async (t) => {
  const daemon = await Daemon.start(t, { namespaces: "/,/tenant-*" });
  const api = backend(t, daemon);
  // Without reconnection, or closing its engine would bring it back for ever.
  const manager = new Manager(daemon.url, { reconnection: false });
  t.after(() => manager.engine.close());
  const sockets = ["/", "/tenant-1", "/tenant-2"].map((name) => manager.socket(name));
  await Promise.all(sockets.map(connected));
  const { connections } = await api.listConnections({ to: { namespace: "/tenant-2", all: true } });
  assert.deepEqual(connections.map((connection) => connection.id), [sockets[2].id]);

  const stranger = manager.socket("/other");
  const err = await within(new Promise((resolve) => stranger.on("connect_error", resolve)), "the refusal");
  assert.equal(err.message, "Invalid namespace");
  await assert.rejects(api.emit({ to: { namespace: "/other", all: true }, event: "x" }), (err) => err.code === status.INVALID_ARGUMENT);
});
