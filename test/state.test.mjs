// What a backend sees of a client, from its handshake to its end, and how it sends
// one away for good: with the stock client.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Manager } from "socket.io-client";

import { backend } from "./lib/backend.mjs";
import { connected } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until } from "./lib/until.mjs";

const cookie = "connect.sid=s%3Aabc.def";

// consume joins a group that authorises, lets everybody in and keeps what it hears.
async function consume(t, api, open) {
  const stream = api.consume();
  const ended = new Promise((resolve) => stream.on("error", resolve).on("end", resolve));
  t.after(() => (stream.end(), ended));
  const heard = [];
  await new Promise((resolve, reject) => {
    ended.then(reject);
    stream.on("data", ({ ready, events }) => {
      if (ready) resolve();
      for (const event of events?.events ?? []) {
        heard.push(event);
        const { delivery_id } = event;
        stream.write(event.kind === "CONNECTING" ? { verdict: { delivery_id, allow: { user_id: "ada" } } } : { ack: { delivery_ids: [delivery_id] } });
      }
    });
    stream.write({ open: { group: "g", lifecycle: true, authorize: true, include_connection: true, ...open } });
  });
  return heard;
}

const ways = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

for (const [way, transports] of Object.entries(ways)) {
  test(`a client's state and its end, ${way}`, async (t) => {
    const daemon = await Daemon.start(t, {
      namespaces: "/,/chat",
      "expose-cookies": "connect.sid",
      "expose-headers": "x-tenant",
      "expose-auth": "name",
      "trusted-proxies": "127.0.0.1",
    });
    const api = backend(t, daemon);
    const heard = await consume(t, api);
    const manager = new Manager(daemon.url, {
      transports,
      query: { a: "1" },
      reconnectionDelay: 10,
      reconnectionDelayMax: 20,
      extraHeaders: { Cookie: `other=secret; ${cookie}`, "X-Tenant": "t1", "X-Forwarded-Proto": "https" },
    });
    t.after(() => (manager.reconnection(false), manager._close()));
    let attempts = 0;
    manager.on("reconnect_attempt", () => attempts++);
    const sockets = ["/", "/chat"].map((name) => manager.socket(name, { auth: { name: "ada", token: "secret" } }));
    const [root, chat] = await Promise.all(sockets.map(connected));

    // Who asks to come in is seen as whoever has come in.
    await until(() => heard.filter(({ kind }) => kind === "CONNECTED").length === 2, "both are in");
    for (const { kind, connection } of heard) {
      assert.deepEqual(connection.handshake.headers, { cookie, "x-tenant": "t1" }, kind);
      assert.equal(connection.handshake.auth_json, '{"name":"ada"}');
      assert.match(connection.handshake.url, /^\/socket\.io\/\?/);
      assert.match(connection.handshake.url, /\ba=1\b/);
      assert.doesNotMatch(connection.handshake.url, /sid=/);
      assert.equal(connection.handshake.secure, true);
      assert.equal(connection.session, heard[0].connection.session);
    }
    assert.match(heard[0].connection.session, /^[\w-]{20}$/);
    assert.notEqual(heard[0].connection.session, manager.engine.id);

    // A message shows what has become of its connection.
    await api.join({ to: { namespace: "/chat", ids: [chat.id] }, rooms: ["lobby"] });
    await api.updateConnection({ namespace: "/chat", id: chat.id, data_json: '{"score":12345678901234567890}' });
    const id = chat.id;
    chat.emit("hello");
    await until(() => heard.at(-1).event === "hello", "the message has come");
    assert.deepEqual([...heard.at(-1).connection.rooms].sort(), [id, "lobby"].sort());
    assert.equal(heard.at(-1).connection.data_json, '{"score":12345678901234567890}');

    // Out of every namespace, for good.
    const ends = sockets.map((socket) => new Promise((resolve) => socket.once("disconnect", resolve)));
    assert.equal((await api.disconnect({ to: { ids: [root.id] }, mode: "SESSION", reason: "spam" })).affected, 2);
    assert.deepEqual(await Promise.all(ends), ["io server disconnect", "io server disconnect"]);
    await until(() => heard.filter(({ kind }) => kind === "DISCONNECTED").length === 2, "both ends are told");
    for (const { namespace, cause, detail, reason, connection } of heard.slice(-2)) {
      assert.deepEqual([cause, detail, reason, connection.user_id], ["BACKEND", "spam", "server namespace disconnect", "ada"]);
      assert.equal(connection.rooms.includes("lobby"), namespace === "/chat");
      assert.equal(connection.data_json, namespace === "/chat" ? '{"score":12345678901234567890}' : "");
    }
    await new Promise((resolve) => setTimeout(resolve, 300)); // many times the delay of a reconnect
    assert.equal(attempts, 0, "it stays away");
    assert.equal((await api.countConnections({ to: { all: true }, group_by: "NAMESPACE" })).total, 0);
  });
}
