// The control API as people type it: the lines of docs/backends.md and docs/operating.md, the whole
// story of two browsers, and every refusal with its field.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { describe, test } from "node:test";

import { backend, status } from "./lib/backend.mjs";
import { client, connected, heard, upgraded } from "./lib/browser-like.mjs";
import { apart, Daemon } from "./lib/daemon.mjs";
import { certificate } from "./lib/certificate.mjs";
import { page } from "./lib/docs.mjs";
import { call, follow, line, refusal } from "./lib/grpcurl.mjs";
import { sleep, until } from "./lib/until.mjs";

// Each line of docs/backends.md that ends by itself, in its order, on a group whose consumer chat-1 gives
// back whatever it gets. A consumer by hand sends the first of the messages that
// are shown, then its input ends. What chat-1 is asked by another backend it answers, and "…"
// is the browser's id.
test("the lines for those who write backends", async (t) => {
  const lines = page("docs/backends.md").lines("grpcurl").map(([it, below]) => [it, below.split("\n")[0]]);
  const daemon = await Daemon.start(t, { "max-attempts": 1 });
  const socket = await connected(client(t, daemon));
  const chat = backend(t, daemon).consume();
  const ended = new Promise((resolve) => chat.on("error", resolve));
  chat.on("data", ({ events, published }) => {
    if (published?.reply_expected) chat.write({ answer: { publish_id: published.publish_id, args_json: "[7]" } });
    if (events) chat.write({ nack: { delivery_ids: events.events.map((e) => e.delivery_id) } });
  });
  chat.write({ open: { group: "chat", consumer_id: "chat-1", topics: ["cache", "load"] } });
  const group = async () => (await call(daemon, "AdminService/ListConsumers", {})).groups?.find(({ name }) => name === "chat");
  await until(async () => (await group())?.consumers?.length === 1, "the consumer is there");
  socket.emit("some event");
  await until(async () => Number((await group()).deadLetters ?? 0) === 1, "the event is a dead letter");

  const published = [];
  const told = {
    // It may be told of the browser, too, before its input has ended.
    Consume: (answer) => {
      const { ready } = typeof answer === "string" ? JSON.parse(answer.slice(0, answer.indexOf("\n}\n") + 2)) : answer;
      assert.equal(ready.maxInFlight, 1000);
    },
    // With two nodes the browser is at the other one, which nobody waited for.
    Emit: (answer) => assert.deepEqual(answer, answer.forwarded ? { forwarded: 1 } : { matched: 1 }),
    Publish: (answer) => published.push(answer),
    ListDeadLetters: (answer) => assert.equal(answer.deadLetters[0].event.event, "some event"),
    ReplayDeadLetters: (answer) => assert.deepEqual(answer, { affected: 1 }),
    DeleteDeadLetters: (answer) => assert.deepEqual(answer, { affected: 1 }),
    ListConsumers: (answer) => assert.equal(answer.groups.find(({ name }) => name === "chat").consumers[0].consumerId, "chat-1"),
    DisconnectConsumer: async (answer) => {
      assert.deepEqual(answer, {});
      assert.equal((await ended).code, status.ABORTED);
    },
    UpdateConnection: ({ connection }) => assert.equal(connection.userId, "42"),
    UpdateConnections: (answer) => assert.deepEqual(answer, { affected: 1 }),
    DeleteGroup: async (answer) => {
      assert.deepEqual(answer, {});
      assert.equal(await group(), undefined);
    },
  };
  const run = [];
  for (const [it, input] of lines) {
    const method = it.slice(it.lastIndexOf("/") + 1);
    if (["Tail", "Watch"].includes(method)) continue; // they go on until they are interrupted: see below
    assert.ok(told[method], `nothing is known of what this line does: ${it}`);
    await told[method](await line(daemon, it.replace("…", socket.id), input));
    run.push(method);
  }
  assert.deepEqual([...new Set(run)], Object.keys(told));
  assert.deepEqual(published, [
    { matched: 1 },
    { matched: 1, answers: [{ group: "chat", consumerId: "chat-1", args: [7], argsJson: "[7]" }] },
  ]);
});

test("the lines for those who write backends that go on", async (t) => {
  const lines = page("docs/backends.md").lines("grpcurl").map(([it]) => it).filter((it) => /\/(?:Tail|Watch)$/.test(it));
  assert.equal(lines.length, 3);
  const [tail, encrypted, watch] = lines;
  const daemon = await Daemon.start(t);
  const watched = follow(t, daemon, watch);
  const { changes } = await watched.next();
  assert.deepEqual(changes, [{ synced: {} }]);
  const socket = await connected(client(t, daemon));
  await call(daemon, "RegistryService/UpdateConnection", { id: socket.id, user_id: "42" });
  await call(daemon, "RegistryService/Join", { to: { ids: [socket.id] }, rooms: ["some room"] });
  assert.deepEqual((await watched.next()).changes, [{ userOnline: { namespace: "/", userId: "42" } }]);

  // Until the line is there to hear it.
  const shows = async (shown, socket) => {
    const saying = setInterval(() => socket.emit("something"), 100);
    t.after(() => clearInterval(saying));
    for (;;) {
      const { event } = await shown.next();
      if (event?.event === "something") return;
    }
  };
  await shows(follow(t, daemon, tail), socket);
  socket.disconnect();
  assert.deepEqual((await watched.next()).changes, [{ userOffline: { namespace: "/", userId: "42" } }]);

  const dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-tls-"));
  t.after(() => rm(dir, { recursive: true }));
  await certificate(dir);
  const file = (name) => path.join(dir, name);
  const key = "correct-horse-battery-staple";
  const closed = await Daemon.start(t, { "control-key": key, "control-tls-cert-file": file("CERT.pem"), "control-tls-key-file": file("KEY.pem") });
  await shows(follow(t, closed, encrypted.replace("ca.pem", file("CERT.pem")), { KEY: key }), await connected(client(t, closed)));
});

test("a consumer by hand says what docs/backends.md shows", async (t) => {
  const [consume, shown] = page("docs/backends.md").lines("grpcurl").find(([it]) => it.endsWith("/Consume"));
  const messages = shown.trim().split("\n");
  assert.deepEqual(messages.map((message) => Object.keys(JSON.parse(message))), [["open"], ["ack"], ["reply"]]);
  const [open, ack, reply] = messages;
  const daemon = await Daemon.start(t);
  const consumer = follow(t, daemon, consume);
  consumer.say(open);
  assert.equal((await consumer.next()).ready.group, "by hand");
  const socket = await connected(client(t, daemon));
  const event = async () => (await consumer.next()).events.events[0];
  const came = await event();
  assert.deepEqual([came.kind, came.connectionId], ["CONNECTED", socket.id]);
  consumer.say(ack.replace("…", came.deliveryId));
  const answer = socket.timeout(20_000).emitWithAck("a question");
  const asked = await event();
  assert.deepEqual([asked.event, asked.replyExpected], ["a question", true]);
  consumer.say(reply.replace("…", asked.deliveryId));
  assert.equal(await answer, "an answer");
  await until(async () => !Number((await call(daemon, "AdminService/ListConsumers", {})).groups[0].consumers[0].inFlight ?? 0), "all is settled");
});

test("the lines for operators about sessions that are to go elsewhere", async (t) => {
  const lines = page("docs/operating.md").lines("grpcurl").map(([it]) => it).filter((it) => /\/(?:Drain|Rebalance)$/.test(it));
  assert.equal(lines.length, 2);
  const [drain, rebalance] = lines;
  const daemon = await Daemon.start(t);
  if (apart) assert.equal((await follow(t, daemon, rebalance).next()).nodes.length, 2);
  else await assert.rejects(line(daemon, rebalance), ({ stderr }) => /FailedPrecondition/.test(stderr));

  const sooner = drain.replace('"5s"', '"0s"').replace('"60s"', '"0s"');
  assert.match(sooner, /"delay":"0s","time":"0s"/);
  const drained = follow(t, daemon, sooner);
  let phase;
  while (phase !== "DONE") ({ phase } = await drained.next());
});

test("two browsers, one of them in a room", async (t) => {
  const daemon = await Daemon.start(t);
  const [a, b] = await Promise.all([upgraded(client(t, daemon)), upgraded(client(t, daemon))]);
  const room = { rooms: ["some room"] };
  const emit = (to, event) => call(daemon, "EmitterService/Emit", { to, event, wait: "APPLIED" });

  assert.deepEqual(await call(daemon, "RegistryService/Join", { to: { ids: [a.id] }, ...room }), { affected: 1 });
  assert.deepEqual(await emit(room, "1: to the room"), { matched: 1 });
  assert.deepEqual(await emit({ all: true }, "2: to all"), { matched: 2 });
  assert.deepEqual(await emit({ all: true, except: ["some room"] }, "3: to the others"), { matched: 1 });
  assert.deepEqual(await call(daemon, "RegistryService/Leave", { to: { ids: [a.id] }, ...room }), { affected: 1 });
  assert.deepEqual(await emit(room, "4: to nobody"), {});
  assert.deepEqual(await emit({ all: true }, "5: the end"), { matched: 2 });
  assert.deepEqual((await heard(a, 3)).flat(), ["1: to the room", "2: to all", "5: the end"]);
  assert.deepEqual((await heard(b, 3)).flat(), ["2: to all", "3: to the others", "5: the end"]);

  const { connections } = await call(daemon, "RegistryService/ListConnections", { to: { all: true } });
  assert.deepEqual(new Set(connections.map(({ id }) => id)), new Set([a.id, b.id]));
  for (const connection of connections) {
    assert.equal(connection.transport, "websocket");
    assert.deepEqual(connection.rooms, [connection.id]);
  }

  const before = a.id;
  assert.deepEqual(await call(daemon, "RegistryService/Disconnect", { to: { ids: [a.id] }, mode: "TRANSPORT" }), { affected: 1 });
  await until(() => a.connected && a.id !== before, "a is back");
  assert.deepEqual(await call(daemon, "RegistryService/Disconnect", { to: { ids: [b.id] }, mode: "NAMESPACE" }), { affected: 1 });
  await until(() => !b.connected, "b is gone");
  await sleep(500); // many times its reconnection delay
  assert.equal(b.connected, false);
  assert.deepEqual(b.ends, ["io server disconnect"]);
  assert.deepEqual((await call(daemon, "RegistryService/ListConnections", { to: { all: true } })).connections.length, 1);
});

test("the rest of the registry, and the server about itself", async (t) => {
  const daemon = await Daemon.start(t, { namespaces: "/,/chat" });
  const socket = await upgraded(client(t, daemon));
  await call(daemon, "RegistryService/Join", { to: { ids: [socket.id] }, rooms: ["news:1", "news:2"] });

  const rooms = await call(daemon, "RegistryService/ListRooms", { prefix: "news:" });
  assert.deepEqual(rooms, {
    rooms: [
      { name: "news:1", connections: 1 },
      { name: "news:2", connections: 1 },
    ],
  });
  const first = await call(daemon, "RegistryService/ListRooms", { prefix: "news:", page_size: 1 });
  assert.deepEqual(first.rooms, [{ name: "news:1", connections: 1 }]);
  const second = await call(daemon, "RegistryService/ListRooms", { prefix: "news:", page_size: 1, page_token: first.nextPageToken });
  assert.deepEqual(second.rooms, [{ name: "news:2", connections: 1 }]);
  assert.deepEqual(await call(daemon, "RegistryService/CountConnections", { to: { all: true }, group_by: "NAMESPACE" }), { total: 1, counts: { "/": 1 } });
  assert.deepEqual((await call(daemon, "RegistryService/ListNamespaces", {})).namespaces.map(({ name }) => name), ["/", "/chat"]);

  await call(daemon, "RegistryService/UpdateConnection", { id: socket.id, data: { plan: "pro", seats: 3 } });
  const { connection } = await call(daemon, "RegistryService/UpdateConnection", { id: socket.id, data: { seats: null, city: "Pune" } });
  assert.deepEqual(connection.data, { plan: "pro", city: "Pune" });

  const info = await call(daemon, "AdminService/GetServerInfo", {});
  assert.deepEqual(info.namespaces, ["/", "/chat"]);
  assert.equal(info.connections, 1);
  assert.equal(info.maxPayloadBytes, 1_000_000);

  const batch = await call(daemon, "EmitterService/EmitBatch", {
    emits: [
      { to: { all: true }, event: "first" },
      { to: { all: true }, event: "connect" },
      { to: { all: true }, event: "third" },
    ],
  });
  assert.equal(batch.results.length, 3);
  assert.deepEqual(await heard(socket, 2), [["first"], ["third"]]);
});

describe("refusals name their field, and nothing is sent", () => {
  const all = { to: { all: true } };
  const eleven = Array.from({ length: 11 }, (_, num) => ({ _placeholder: true, num }));
  const rows = [
    ["an empty target", "EmitterService/Emit", { event: "x" }, ["to"]],
    ["a target that is there and empty", "EmitterService/Emit", { to: {}, event: "x" }, ["to"]],
    ["all together with rooms", "EmitterService/Emit", { to: { all: true, rooms: ["a"] }, event: "x" }, ["to"]],
    ["an unknown namespace", "EmitterService/Emit", { to: { all: true, namespace: "/nowhere" }, event: "x" }, ["to.namespace"]],
    ["no event name", "EmitterService/Emit", all, ["event"]],
    ["a reserved event name", "EmitterService/Emit", { ...all, event: "disconnect" }, ["event"]],
    ["invalid JSON", "EmitterService/Emit", { ...all, event: "x", args_json: "[1," }, ["args_json"]],
    ["JSON that is no array", "EmitterService/Emit", { ...all, event: "x", args_json: '{"a":1}' }, ["args_json"]],
    ["both kinds of arguments", "EmitterService/Emit", { ...all, event: "x", args: [1], args_json: "[1]" }, ["args_json"]],
    ["11 attachments", "EmitterService/Emit", { ...all, event: "x", args: eleven, attachments: Array(11).fill("AA==") }, ["attachments"]],
    ["several at once", "EmitterService/Emit", { to: {}, event: "connect", args_json: "x" }, ["to", "event", "args_json"]],
    ["nothing to join", "RegistryService/Join", all, ["rooms"]],
    ["an empty room name", "RegistryService/Join", { ...all, rooms: ["a", ""] }, ["rooms[1]"]],
    ["leave without a target", "RegistryService/Leave", { rooms: ["a"] }, ["to"]],
    ["disconnect without a target", "RegistryService/Disconnect", {}, ["to"]],
    ["disconnect in an unknown namespace", "RegistryService/Disconnect", { to: { all: true, namespace: "/nowhere" } }, ["to.namespace"]],
    ["a page too large", "RegistryService/ListConnections", { ...all, page_size: 1001 }, ["page_size"]],
    ["a page token of nowhere", "RegistryService/ListConnections", { ...all, page_token: "garbage" }, ["page_token"]],
  ];

  test("INVALID_ARGUMENT", async (t) => {
    const daemon = await Daemon.start(t);
    const socket = await connected(client(t, daemon));
    const id = socket.id;
    for (const [name, method, request, fields] of rows) {
      await t.test(name, async () => {
        const refused = await refusal(daemon, method, request);
        assert.equal(refused.code, status.INVALID_ARGUMENT, refused.message);
        assert.deepEqual(refused.fields, fields);
      });
    }
    await call(daemon, "EmitterService/Emit", { ...all, event: "the first that was sent" });
    assert.deepEqual(await heard(socket, 1), [["the first that was sent"]]);
    assert.equal(socket.id, id);
    assert.deepEqual((await call(daemon, "RegistryService/GetConnection", { id })).connection.rooms, [id]);
  });

  test("NOT_FOUND, and an emit to nobody is OK", async (t) => {
    const daemon = await Daemon.start(t);
    assert.equal((await refusal(daemon, "RegistryService/GetConnection", { id: "gone" })).code, status.NOT_FOUND);
    assert.equal((await refusal(daemon, "RegistryService/UpdateConnection", { id: "gone", data: { a: 1 } })).code, status.NOT_FOUND);
    assert.deepEqual(await call(daemon, "EmitterService/Emit", { to: { all: true }, event: "x" }), {});
    assert.deepEqual(await call(daemon, "EmitterService/Emit", { to: { ids: ["gone"] }, event: "x" }), {});
  });

  test("UNAUTHENTICATED without the key, served with it", async (t) => {
    const key = "correct-horse-battery-staple";
    const daemon = await Daemon.start(t, { "control-key": key });
    const method = "RegistryService/ListConnections";
    const request = { to: { all: true } };
    // Without a key grpcurl cannot even ask for the schema.
    await assert.rejects(call(daemon, method, request), /Unauthenticated/);
    await assert.rejects(line(daemon, `grpcurl -plaintext -H 'authorization: Bearer wrong' localhost:8081 list`), /Unauthenticated/);
    assert.match(await line(daemon, `grpcurl -plaintext -H 'authorization: Bearer ${key}' localhost:8081 list`), /EmitterService/);
    const refused = await refusal(daemon, method, {}, ["-H", `authorization: Bearer ${key}`]);
    assert.equal(refused.code, status.INVALID_ARGUMENT);
  });
});
