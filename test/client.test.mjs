// The stock client over every transport it has, against the daemon: what a
// backend does by gRPC, the browser's side sees.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { backend } from "./lib/backend.mjs";
import { client, connected, heard, upgraded } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { sleep, until, within } from "./lib/until.mjs";

const modes = [
  { name: "polling only", options: { transports: ["polling"] }, transport: "polling", ready: connected },
  { name: "websocket only", options: { transports: ["websocket"] }, transport: "websocket", ready: connected },
  { name: "polling, then an upgrade", options: {}, transport: "websocket", ready: upgraded },
];

for (const mode of modes) {
  describe(mode.name, () => {
    const join = (t, daemon, options) => mode.ready(client(t, daemon, { ...mode.options, ...options }));

    test("events arrive as they were emitted, text and binary", async (t) => {
      const daemon = await Daemon.start(t);
      const api = backend(t, daemon);
      const socket = await join(t, daemon);
      const to = { ids: [socket.id] };

      // Large integers and the order of keys survive in args_json.
      await api.emit({ to, event: "text", args_json: '[{"b":1,"a":"é\\u2028\\ud83d\\ude00"},9007199254740993,null]' });
      await api.emit({ to, event: "no arguments" });
      await api.emit({
        to,
        event: "values",
        args: [{ structValue: { fields: { msg: { stringValue: "hello" }, n: { numberValue: 1.5 } } } }, { boolValue: true }],
      });
      await api.emit({
        to,
        event: "binary",
        args_json: '[{"_placeholder":true,"num":1},{"deep":[{"_placeholder":true,"num":0}]}]',
        attachments: [Buffer.from("hello"), Buffer.from([0, 255, 30, 10])],
      });
      await api.emit({ to, event: "empty attachment", args_json: '[{"_placeholder":true,"num":0}]', attachments: [Buffer.alloc(0)] });
      await api.emit({ to, event: "large", args_json: JSON.stringify(["é".repeat(300_000)]) });

      assert.deepEqual(await heard(socket, 6), [
        // JSON.parse rounds the integer; the digits on the wire are checked in Go.
        ["text", { b: 1, a: "é\u2028😀" }, JSON.parse("9007199254740993"), null],
        ["no arguments"],
        ["values", { msg: "hello", n: 1.5 }, true],
        ["binary", Buffer.from([0, 255, 30, 10]), { deep: [Buffer.from("hello")] }],
        ["empty attachment", Buffer.alloc(0)],
        ["large", "é".repeat(300_000)],
      ]);
      assert.deepEqual(Object.keys(socket.heard[0][1]), ["b", "a"]);
    });

    test("the registry knows the connection", async (t) => {
      const daemon = await Daemon.start(t);
      const api = backend(t, daemon);
      const socket = await join(t, daemon, { query: { tenant: "acme" }, auth: { secret: "of the handshake" } });

      const { connections } = await api.listConnections({ to: { all: true }, view: "FULL" });
      assert.equal(connections.length, 1);
      const [connection] = connections;
      assert.equal(connection.id, socket.id);
      assert.equal(connection.namespace, "/");
      assert.equal(connection.transport, mode.transport);
      assert.equal(connection.protocol, 4);
      assert.deepEqual(connection.rooms, [socket.id]);
      assert.equal(connection.handshake.query.tenant, "acme");
      assert.notEqual(connection.node, "");
      assert.match(connection.handshake.address, /^127\.0\.0\.1:\d+$/);

      // The Engine.IO sid and the handshake's auth are secrets.
      const everything = JSON.stringify(connections);
      assert.ok(!everything.includes(socket.io.engine.id), "the sid is exposed");
      assert.ok(!everything.includes("of the handshake"), "the auth is exposed");

      const { connection: same } = await api.getConnection({ id: socket.id });
      assert.deepEqual(same.rooms, connection.rooms);
      const { counts } = await api.countConnections({ to: { all: true }, group_by: "TRANSPORT" });
      assert.deepEqual(counts, { [mode.transport]: 1 });
    });

    test("rooms: join, emit, except, leave", async (t) => {
      const daemon = await Daemon.start(t);
      const api = backend(t, daemon);
      const [a, b] = await Promise.all([join(t, daemon), join(t, daemon)]);
      const room = { rooms: ["some room"] };
      const emit = async (to, event, matched) => {
        const answer = await api.emit({ to, event });
        assert.equal(answer.matched, matched, event);
      };

      await emit(room, "nobody is in it", 0);
      assert.equal((await api.join({ to: { ids: [a.id] }, ...room })).affected, 1);
      assert.equal((await api.join({ to: { ids: [a.id] }, ...room })).affected, 1, "joining is idempotent");
      assert.deepEqual((await api.getConnection({ id: a.id })).connection.rooms, [a.id, "some room"].sort());
      await emit(room, "to the room", 1);
      await emit({ all: true }, "to all", 2);
      await emit({ all: true, except: ["some room"] }, "to all but the room", 1);
      await emit({ rooms: ["some room", b.id], ids: [a.id] }, "to a union, once each", 2);
      await emit({ all: true, except: [b.id] }, "an id is a room too", 1);
      await api.leave({ to: { all: true }, ...room });
      await emit(room, "the room is empty", 0);
      await emit({ all: true }, "the end", 2);

      await Promise.all([until(() => a.heard.at(-1)?.[0] === "the end", "a hears the end"), until(() => b.heard.at(-1)?.[0] === "the end", "b hears the end")]);
      assert.deepEqual(a.heard.flat(), ["to the room", "to all", "to a union, once each", "an id is a room too", "the end"]);
      assert.deepEqual(b.heard.flat(), ["to all", "to all but the room", "to a union, once each", "the end"]);
    });

    test("disconnect TRANSPORT: the client comes back by itself", async (t) => {
      const daemon = await Daemon.start(t);
      const api = backend(t, daemon);
      const socket = await join(t, daemon);
      const before = socket.id;

      assert.equal((await api.disconnect({ to: { ids: [before] }, mode: "TRANSPORT" })).affected, 1);
      await until(() => socket.connected && socket.id !== before, "the client is back with a new id");
      assert.deepEqual(socket.ends, ["transport close"]);
      await mode.ready(socket);
      await api.emit({ to: { ids: [socket.id] }, event: "welcome back" });
      assert.deepEqual(await heard(socket, 1), [["welcome back"]]);
      assert.equal((await api.emit({ to: { ids: [before] }, event: "to the old id" })).matched, 0);
    });

    test("disconnect NAMESPACE: the client stays away", async (t) => {
      const daemon = await Daemon.start(t);
      const api = backend(t, daemon);
      const socket = await join(t, daemon);

      assert.equal((await api.disconnect({ to: { ids: [socket.id] }, mode: "NAMESPACE" })).affected, 1);
      await until(() => !socket.connected, "the client is disconnected");
      assert.deepEqual(socket.ends, ["io server disconnect"]);
      await sleep(500); // many times its reconnection delay
      assert.equal(socket.active, false);
      assert.equal(socket.connected, false);
      assert.equal((await api.countConnections({ to: { all: true } })).total, 0);
      // It comes when it is told to.
      socket.connect();
      await connected(socket);
    });

    test("an ill-mannered end is noticed at once", async (t) => {
      const daemon = await Daemon.start(t);
      const api = backend(t, daemon);
      const socket = await join(t, daemon);
      const to = { ids: [socket.id] }; // the client comes back soon, as another
      socket.io.engine.close();
      await until(async () => (await api.countConnections({ to })).total === 0, "the connection is gone");
    });

    test("what a client sends does not disturb its connection", async (t) => {
      const daemon = await Daemon.start(t);
      const api = backend(t, daemon);
      const socket = await join(t, daemon);
      const id = socket.id;
      socket.emit("text", { a: [1, "é"] });
      socket.emit("binary", Buffer.from([0, 1, 2]), { deep: [Buffer.from("x")] });
      socket.emit("with ack", 1, () => {});
      socket.volatile.emit("volatile");
      socket.emit("large", "x".repeat(500_000));
      // The answer to the ping comes after all of it, on the same connection.
      await api.emit({ to: { ids: [id] }, event: "still here" });
      assert.deepEqual(await heard(socket, 1), [["still here"]]);
      assert.deepEqual(socket.ends, []);
      assert.equal(socket.id, id);
    });

    test("the server's heartbeat keeps an idle client, and its silence ends nobody too early", async (t) => {
      const daemon = await Daemon.start(t, { "ping-interval": "100ms", "ping-timeout": "5s" });
      const socket = await join(t, daemon);
      let pings = 0;
      socket.io.on("ping", () => pings++);
      await until(() => pings >= 5, "five pings have come");
      assert.deepEqual(socket.ends, []);
    });
  });
}

describe("namespaces", () => {
  test("one session carries several, each with its own id and end", async (t) => {
    const daemon = await Daemon.start(t, { namespaces: "/,/chat" });
    const api = backend(t, daemon);
    const main = client(t, daemon);
    await connected(main);
    const chat = main.io.socket("/chat", {});
    chat.heard = [];
    chat.onAny((...event) => chat.heard.push(event));
    await connected(chat);
    assert.notEqual(main.id, chat.id);

    assert.equal((await api.emit({ to: { all: true }, event: "to /" })).matched, 1);
    assert.equal((await api.emit({ to: { namespace: "chat", all: true }, event: "to /chat" })).matched, 1);
    assert.deepEqual(await heard(main, 1), [["to /"]]);
    assert.deepEqual(await heard(chat, 1), [["to /chat"]]);
    const { namespaces } = await api.listNamespaces({});
    assert.deepEqual(
      namespaces.map(({ name, connections }) => [name, connections]),
      [
        ["/", 1],
        ["/chat", 1],
      ],
    );

    await api.disconnect({ to: { namespace: "/chat", ids: [chat.id] }, mode: "NAMESPACE" });
    await until(() => !chat.connected, "/chat is disconnected");
    await api.emit({ to: { ids: [main.id] }, event: "still here" });
    assert.deepEqual(await heard(main, 2), [["to /"], ["still here"]]);
  });

  test("an unknown one is refused, and the client does not retry", async (t) => {
    const daemon = await Daemon.start(t);
    const socket = client(t, daemon, { namespace: "/nowhere" });
    const err = await within(new Promise((resolve) => socket.once("connect_error", resolve)), "connect_error");
    assert.equal(err.message, "Invalid namespace");
    assert.equal(socket.active, false);
  });
});

describe("the daemon's own end", () => {
  test("nobody is waited for who was disconnected before", async (t) => {
    const daemon = await Daemon.start(t);
    const api = backend(t, daemon);
    const sockets = await Promise.all(modes.map((mode) => mode.ready(client(t, daemon, mode.options))));
    const before = sockets.map((socket) => socket.id);
    await api.disconnect({ to: { all: true }, mode: "TRANSPORT" });
    await until(() => sockets.every((socket, i) => socket.connected && socket.id !== before[i]), "all are back");
    assert.deepEqual(await daemon.stop("SIGTERM"), { code: 0, signal: null });
    assert.ok(!daemon.log.includes("grace period was too short"), daemon.log);
  });

  test("SIGTERM closes transports, exits 0, and the clients come back to the next one", async (t) => {
    const daemon = await Daemon.start(t);
    const api = backend(t, daemon);
    const sockets = await Promise.all([
      connected(client(t, daemon, { transports: ["polling"] })),
      connected(client(t, daemon, { transports: ["websocket"] })),
      upgraded(client(t, daemon)),
    ]);
    const before = sockets.map((socket) => socket.id);

    assert.deepEqual(await daemon.stop("SIGTERM"), { code: 0, signal: null });
    await until(() => sockets.every((socket) => socket.ends.length > 0), "all clients have noticed");
    for (const socket of sockets) {
      // "io server disconnect" would keep them away for good.
      assert.ok(socket.active, `gave up after ${socket.ends}`);
    }

    await daemon.run();
    await Promise.all(sockets.map(connected));
    for (const [i, socket] of sockets.entries()) assert.notEqual(socket.id, before[i]);
    // The channel to the old daemon reconnects too, by gRPC's own backoff.
    await until(async () => (await api.countConnections({ to: { all: true } }).catch(() => null))?.total === 3, "all are registered again");
    await api.emit({ to: { all: true }, event: "a new day" });
    for (const socket of sockets) assert.deepEqual(await heard(socket, 1), [["a new day"]]);
  });
});
