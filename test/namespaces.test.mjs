// Namespaces that clients bring into being, within the patterns that the
// operator allows, or within what a backend does.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Manager } from "socket.io-client";

import { backend, status } from "./lib/backend.mjs";
import { client, connected, heard } from "./lib/browser-like.mjs";
import { App } from "./lib/app.mjs";
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

test("with a star a group's verdict says which namespaces there are", async (t) => {
  const daemon = await Daemon.start(t, { namespaces: "*,/open" });
  const api = backend(t, daemon);
  const names = async () => (await api.listNamespaces({})).namespaces.map((n) => `${n.name} ${n.connections}`);
  assert.deepEqual(await names(), ["/open 0"]);
  await connected(client(t, daemon, { namespace: "/open" }));

  // Nobody authorises: nobody gets in, and all come back until somebody does.
  const early = client(t, daemon, { namespace: "/rooms/1/2/3/4" });
  const refusals = [];
  let closed = 0;
  early.on("connect_error", (err) => refusals.push(err.message));
  early.io.on("close", () => closed++);
  await until(() => closed >= 2, "it was closed, and has come back");
  assert.deepEqual(refusals, []);
  assert.deepEqual(await names(), ["/open 1"]);
  assert.equal((await api.emit({ to: { namespace: "/rooms/1", all: true }, event: "x" })).matched, 0);

  const app = new App(api, "app");
  app.use("/", ({ auth }) => {
    if (auth.name !== "alice") throw new Error("who are you?");
  });
  app.use("*", (_, namespace) => {
    if (!namespace.startsWith("/rooms/")) throw new Error("no such namespace");
  });
  app.on("/rooms/5", "say", (socket, text, reply) => reply(`${socket.namespace} ${text}`));
  await app.run(t);

  await connected(early);
  const five = await connected(client(t, daemon, { namespace: "/rooms/5" }));
  const root = await connected(client(t, daemon, { namespace: "/", auth: { name: "alice" } }));
  assert.equal(await five.emitWithAck("say", "hello"), "/rooms/5 hello");
  assert.deepEqual(await names(), ["/ 1", "/open 1", "/rooms/1/2/3/4 1", "/rooms/5 1"]);

  for (const [namespace, message] of [["/", "who are you?"], ["/other", "no such namespace"], [`/rooms/${"x".repeat(250)}`, "Invalid namespace"]]) {
    const stranger = client(t, daemon, { namespace });
    const err = await within(new Promise((resolve) => stranger.on("connect_error", resolve)), "the refusal");
    assert.equal(err.message, message);
  }
  assert.deepEqual(await names(), ["/ 1", "/open 1", "/rooms/1/2/3/4 1", "/rooms/5 1"], "who is refused leaves nothing");
  assert.equal((await api.emit({ to: { namespace: "*", all: true }, event: "all" })).matched, 4);
  for (const socket of [early, five, root]) socket.disconnect();
  await until(async () => (await names()).join() === "/open 1", "the empty ones are gone");
  assert.deepEqual(app.errors, []);
});
