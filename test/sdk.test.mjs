// The npm packages of sdk/node against the built daemon.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";

import { io } from "socket.io-client";

import { startCluster } from "./lib/cluster.mjs";
import { Daemon as Process, root } from "./lib/daemon.mjs";
import { Program } from "./lib/program.mjs";
import { until, within } from "./lib/until.mjs";

const require = createRequire(import.meta.url);
const sdk = path.join(root, "sdk/node");
const { Daemon, EmitRequest_Wait, FanoutdError, PartialError, Refusal, Reply } = require(path.join(sdk, "client"));
const { daemonFlags, Server } = require(path.join(sdk, "socket.io"));
const { Emitter } = require(path.join(sdk, "emitter"));

function client(t, daemon, options) {
  const socket = io(daemon.url, { reconnectionDelay: 50, reconnectionDelayMax: 100, forceNew: true, ...options });
  t.after(() => socket.close());
  return socket;
}

function backend(t, daemon) {
  const it = new Daemon({ address: daemon.control });
  t.after(() => it.close());
  return it;
}

// A process of the program, which is a member of its group when this resolves.
async function program(t, daemon, admin) {
  const before = await members(admin);
  const it = Program.start(t, process.execPath, [path.join(root, "test/testdata/sdk-program.cjs"), daemon.control]);
  await until(async () => {
    assert.equal(it.end, null, it.log);
    return (await members(admin)).some((id) => !before.includes(id));
  }, "the program is there");
  return it;
}

async function members(daemon, group = "socket.io") {
  const { groups = [] } = await daemon.unary(({ admin }, metadata, options, done) => admin.listConsumers({ group }, metadata, options, done));
  return (groups[0]?.consumers ?? []).map(({ consumerId }) => consumerId);
}

// A test that waits for what never comes, and so says nothing of it, ends with this.
const timeout = 120_000;

test("@fanoutd/client: a backend hears, answers and sends, in order and with binary values", { timeout }, async (t) => {
  const daemon = await Process.start(t);
  const it = backend(t, daemon);
  const ends = [];
  const consumer = it
    .consumer({ group: "test", onError: () => {} })
    .connecting((_, auth) => {
      if (auth.name === "mallory") throw new Refusal("not you", { why: 1 });
      return { userId: auth.name, rooms: ["lobby"], data: { seat: 7 } };
    })
    .connected(({ connection, data }) => void it.emit({ rooms: ["lobby"] }, "welcome", connection.userId, data))
    .on("double", ({ data }, bytes, n) => {
      assert.equal(data, undefined); // an event of a browser's comes without its connection
      return new Reply(bytes, n * 2);
    })
    .disconnected(({ reason, data }) => void ends.push([reason, data]));
  const ran = consumer.run();
  t.after(() => consumer.close());
  await until(async () => (await members(it, "test")).length === 1, "the consumer is there"); // before it, nobody decides

  const socket = client(t, daemon, { auth: { name: "alice" } });
  const welcome = once(socket, "welcome");
  assert.deepEqual(await welcome, ["alice", { seat: 7 }]);
  assert.deepEqual(await new Promise((resolve) => socket.emit("double", Buffer.from("abc"), 21, (...args) => resolve(args))), [Buffer.from("abc"), 42]);

  const numbers = [];
  socket.on("n", (n) => numbers.push(n));
  socket.on("ask", (n, answer) => answer(n + 1, Buffer.from([n])));
  const sent = [];
  for (let n = 0; n < 500; n++) sent.push(it.emit({ users: ["alice"] }, "n", n));
  assert.deepEqual(await it.call({ id: socket.id }, 5_000, "ask", 1), [2, Buffer.from([1])]);
  assert.deepEqual(numbers, [...Array(500).keys()]);
  assert.equal((await Promise.all(sent)).every(({ matched, forwarded = 0 }) => (matched || forwarded) === 1), true);
  const { acks, summary } = await it.emitWithAck({ all: true }, 5_000, "ask", 2);
  assert.deepEqual([acks[0].args[0], summary.expected, summary.acked], [3, 1, 1]);

  await it.update({ id: socket.id, data: { table: "2" } });

  const mallory = client(t, daemon, { auth: { name: "mallory" } });
  const [refused] = await once(mallory, "connect_error");
  assert.deepEqual([refused.message, refused.data], ["not you", { why: 1 }]);
  await assert.rejects(it.emit({ rooms: ["lobby"] }, "connect"), { code: "INVALID_ARGUMENT" });

  socket.close();
  await until(() => ends.length === 1, "the end was heard");
  assert.deepEqual(ends, [["client namespace disconnect", { seat: 7, table: "2" }]]);
  consumer.close();
  await ran;
});

test("@fanoutd/client: counts and lists that lack a node's connections fail, unless they may", { timeout }, async (t) => {
  const nodes = await startCluster(t, 2);
  const it = backend(t, nodes[0]);
  const socket = client(t, nodes[0], { transports: ["websocket"] });
  await once(socket, "connect");
  await once(client(t, nodes[1], { transports: ["websocket"], reconnection: false }), "connect");
  assert.equal(await it.count({ all: true }), 2);
  await nodes[1].stop("SIGKILL");
  const partial = (err) => {
    assert.ok(err instanceof PartialError && err instanceof FanoutdError);
    assert.deepEqual([err.name, err.code, err.reason, err.temporary, err.count, err.unreachable], ["PartialError", "UNAVAILABLE", "NODE_UNREACHABLE", true, 1, ["n2"]]);
    return true;
  };
  await assert.rejects(it.count({ all: true }), partial);
  assert.equal(await it.count({ all: true }, { allowPartial: true }), 1);
  const listed = [];
  const list = async (options) => {
    for await (const { id } of it.list({ all: true }, undefined, options)) listed.push(id);
  };
  await assert.rejects(list(), partial);
  await list({ allowPartial: true });
  assert.deepEqual(listed, [socket.id, socket.id]);

  // What is done does not fail, and says that it may have missed some.
  const missed = { partial: true, unreachable: ["n2"] };
  socket.on("ask", (answer) => answer());
  const { partial: emitted, unreachable } = await it.emitWith({ wait: EmitRequest_Wait.APPLIED }, { all: true }, "news");
  assert.deepEqual({ partial: emitted, unreachable }, missed);
  assert.deepEqual((await it.emitWithAck({ all: true }, 500, "ask")).summary.unreachable, ["n2"]);
  for (const does of [it.join({ all: true }, "a"), it.leave({ all: true }, "a"), it.disconnect({ all: true })]) assert.deepEqual(await does, { affected: 1, ...missed });
});

test("@fanoutd/client: what was done says how many it reached", { timeout }, async (t) => {
  const daemon = await Process.start(t);
  const it = backend(t, daemon);
  await Promise.all([client(t, daemon), client(t, daemon)].map((socket) => once(socket, "connect")));
  const reached = { affected: 2, partial: false, unreachable: [] };
  for (const does of [it.join({ all: true }, "a"), it.leave({ rooms: ["a"] }, "a"), it.disconnect({ all: true })]) assert.deepEqual(await does, reached);
});

test("@fanoutd/socket.io: what lacks a node's sockets or processes is an error", { timeout }, async (t) => {
  const flags = daemonFlags({});
  const nodes = await startCluster(t, 2, flags);
  const server = new Server({ fanoutd: { address: nodes[0].control } });
  t.after(() => server.close());
  server.on("connection", () => {});
  const socket = client(t, nodes[0], { transports: ["websocket"] });
  socket.on("ask", (answer) => answer("here"));
  await once(socket, "connect");
  const other = client(t, nodes[1], { transports: ["websocket"], reconnection: false });
  other.on("ask", (answer) => answer("there"));
  await once(other, "connect");
  await until(() => server.sockets.sockets.size === 2, "the program has both");
  assert.equal((await server.fetchSockets()).length, 2);
  assert.deepEqual((await server.timeout(5_000).emitWithAck("ask")).sort(), ["here", "there"]);
  await nodes[1].stop("SIGKILL");
  const partial = ({ name, count, unreachable }) => {
    assert.deepEqual([name, count, unreachable], ["PartialError", 1, ["n2"]]);
    return true;
  };
  await assert.rejects(server.fetchSockets(), partial);
  await assert.rejects(server.allSockets(), partial);
  await assert.rejects(server.timeout(500).emitWithAck("ask"), ({ message, responses }) => {
    assert.deepEqual([message, responses], ["operation has timed out", ["here"]]);
    return true;
  });
  await assert.rejects(server.serverSideEmitWithAck("ask"), ({ message, responses }) => {
    assert.match(message, /^timeout reached: .* n2$/);
    assert.deepEqual(responses, []);
    return true;
  });
});

test("@fanoutd/client: close resolves when what is under way is done", { timeout }, async (t) => {
  const daemon = await Process.start(t);
  const it = backend(t, daemon);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  let began = false;
  const steps = [];
  const consumer = it.consumer({ group: "test", includeConnection: true }).on("hold", async ({ data }) => {
    assert.deepEqual(data, {}); // nothing is kept with it
    began = true;
    await held;
    steps.push("handled");
  });
  const ran = consumer.run();
  const socket = client(t, daemon);
  await once(socket, "connect");
  socket.emit("hold");
  await until(() => began, "the handler is at it");
  const closed = consumer.close().then(() => steps.push("closed"));
  await it.count({ all: true }); // one round trip: it could have closed meanwhile
  release();
  await closed;
  assert.deepEqual(steps, ["handled", "closed"]);
  await ran;
});

test("@fanoutd/client: close says nothing of what ended run", { timeout }, async (t) => {
  const daemon = await Process.start(t);
  const it = backend(t, daemon);
  const consumer = it.consumer({ group: "" });
  await assert.rejects(consumer.run(), { code: "INVALID_ARGUMENT" });
  await consumer.close();
});

test("@fanoutd/client: what follows an event whose handler throws waits for it, and is not lost", async (t) => {
  const daemon = await Process.start(t);
  const it = backend(t, daemon);
  const handled = [];
  const errors = [];
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const consumer = it
    .consumer({ group: "test", includeConnection: true, onError: (err, event) => errors.push([err.message, event?.args[0]]) })
    .on("hold", async () => {
      await held;
      return "released";
    })
    .on("n", ({ connection }, n) => {
      if (n % 3 === 2 && !errors.some(([, failed]) => failed === n)) throw new Error("once");
      handled.push([n, connection.id]);
    });
  const ran = consumer.run();
  t.after(() => consumer.close());
  const [socket, slow] = [client(t, daemon), client(t, daemon)];
  await Promise.all([once(socket, "connect"), once(slow, "connect")]);

  // A handler of another connection takes its time.
  const answer = slow.emitWithAck("hold");
  for (let n = 1; n <= 8; n++) socket.emit("n", n);
  await until(() => handled.length >= 8, "all is handled, while another handler runs");
  assert.deepEqual(handled, [1, 2, 3, 4, 5, 6, 7, 8].map((n) => [n, socket.id]));
  assert.deepEqual(errors, [2, 5, 8].map((n) => ["once", n]));
  release();
  assert.equal(await answer, "released");
  consumer.close();
  await within(ran, "the consumer to end by itself", 8_000); // in 10 s it ends anyhow
});

test("@fanoutd/socket.io: a process that is killed takes nobody with it, and nothing is missed", { timeout }, async (t) => {
  const daemon = await Process.start(t, daemonFlags({}));
  const admin = backend(t, daemon);
  const first = await program(t, daemon, admin);
  const browsers = ["alice", "bob", "carol"].map((name) => client(t, daemon, { auth: { name } }));
  const ends = [];
  const heard = browsers.map(() => []);
  for (const [i, socket] of browsers.entries()) {
    socket.on("disconnect", (reason) => ends.push(reason));
    socket.on("left", (name) => ends.push(`${name} left`));
    socket.on("said", (n) => heard[i].push(n));
    await socket.emitWithAck("join", "den");
  }
  const ids = browsers.map(({ id }) => id);

  const n = 200;
  let answered = 0;
  for (let i = 0; i < n; i++) {
    browsers[i % 3].emit("say", i, () => answered++);
    if (i === n / 2) first.stop("SIGKILL");
    await new Promise((resolve) => setImmediate(resolve));
  }
  const second = await program(t, daemon, admin);
  // An event whose process died with the answer in its hands comes again, and so is there twice, or is answered by nobody.
  await until(() => heard.every((list) => new Set(list).size === n), "all has been heard");
  assert.deepEqual(ends, []);
  assert.deepEqual(browsers.map(({ id }) => id), ids);
  assert.deepEqual(await new Promise((resolve) => browsers[0].emit("rooms", (...args) => resolve(args))), [["den"], { room: "den" }]);

  // And one that ends in order hands over to the next.
  const third = await program(t, daemon, admin);
  for (let i = 0; i < n; i++) {
    browsers[i % 3].emit("say", n + i);
    if (i === n / 2) second.stop();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(await second.ended, { code: 0, signal: null }, second.log);
  await until(() => heard.every((list) => new Set(list).size === 2 * n), "nothing was lost between the two");
  assert.equal(await browsers[1].emitWithAck("say", 2 * n), third.process.pid);
  assert.deepEqual(ends, []);
  browsers[2].close();
  await until(() => ends.length >= 2, "the others have heard that one left");
  assert.deepEqual(ends.toSorted(), ["carol left", "carol left", "io client disconnect"]);
});

test("@fanoutd/socket.io: two processes share the browsers, and hear each other", { timeout }, async (t) => {
  const daemon = await Process.start(t, daemonFlags({}));
  const admin = backend(t, daemon);
  const processes = [await program(t, daemon, admin), await program(t, daemon, admin)];
  const browsers = Array.from({ length: 12 }, (_, i) => client(t, daemon, { auth: { name: `n${i}` } }));
  // A connection that moves is welcomed again, by the process that has it now.
  const owners = browsers.map(() => undefined);
  browsers.forEach((socket, i) => socket.on("welcome", (pid) => (owners[i] = pid)));
  await until(() => new Set(owners).size === 2 && owners.every(Boolean), "both processes have some");
  await Promise.all(browsers.map((socket) => socket.emitWithAck("join", "den")));

  const everybody = await browsers[0].emitWithAck("everybody");
  assert.deepEqual(everybody.toSorted(), browsers.map(({ id }, i) => [id, "den", `n${i}`]).toSorted());
  const heard = browsers.map(() => 0);
  browsers.forEach((socket, i) => socket.on("said", () => heard[i]++));
  await browsers[0].emitWithAck("say", 1);
  await until(() => heard.every((count) => count === 1), "the room has heard it");

  const hellos = browsers.map(() => undefined);
  browsers.forEach((socket, i) => socket.on("hello", (pid) => (hellos[i] = pid)));
  await until(() => {
    for (const socket of browsers) socket.emit("local");
    return hellos.every((pid, i) => pid === owners[i]);
  }, "everybody has heard hello of the own process");

  const [others, own] = await new Promise((resolve) => browsers[0].emit("processes", (...args) => resolve(args)));
  assert.deepEqual([...others, own].toSorted(), processes.map((it) => it.process.pid).toSorted());

  const emitter = new Emitter({ address: daemon.control });
  t.after(() => emitter.close());
  const told = browsers.map(() => undefined);
  browsers.forEach((socket, i) => socket.on("told", (text, pid) => (told[i] = [text, pid])));
  emitter.serverSideEmit("tell", "news");
  await until(() => told.every(Boolean), "every process has told its own");
  assert.deepEqual(new Set(told.map(([text]) => text)), new Set(["news"]));
  assert.deepEqual(new Set(told.map(([, pid]) => pid)), new Set(processes.map((it) => it.process.pid)));

  // The process that has a socket learns what others do to it.
  emitter.in(browsers[0].id).socketsJoin(["vip"]);
  await until(async () => (await browsers[0].emitWithAck("room list")).includes("vip"), "the socket's own process knows of the room");
  const vip = once(browsers[0], "vip");
  emitter.to("vip").except("nobody").compress(true).emit("vip", Buffer.from("x"), { a: 1 });
  assert.deepEqual(await vip, [Buffer.from("x"), { a: 1 }]);
  emitter.in("vip").socketsLeave("vip");
  const gone = once(browsers[0], "disconnect");
  emitter.to(browsers[0].id).disconnectSockets(true);
  assert.deepEqual((await gone)[0], "io server disconnect");
  assert.throws(() => emitter.emit("disconnect"), /reserved event name/);
});

// A program in this process, whose "connection" handler is the last argument.
async function server(t, daemon, options, prepare, connected = () => {}) {
  const io = new Server({ fanoutd: { address: daemon.control }, ...options });
  io.engine.on("fanoutd_error", () => {}); // the daemon ends first
  t.after(() => io.close());
  prepare(io);
  io.on("connection", connected);
  await io.engine.joined;
  return io;
}

test("@fanoutd/socket.io: a middleware of io.engine.use() that keeps sessions", { timeout }, async (t) => {
  const session = createRequire(path.join(root, "examples/socketio/package.json"))("express-session");
  const sessions = session({ secret: "changeit", resave: true, saveUninitialized: true });
  const daemon = await Process.start(t, { ...daemonFlags({}), "expose-cookies": "connect.sid" });
  const ended = [];
  const connected = (socket) => {
    const { request } = socket;
    socket.on("incr", async (done) => {
      request.session.reload((err) => {
        if (err) return done(err.message);
        request.session.count = (request.session.count ?? 0) + 1;
        request.session.save(() => done(request.session.count, request.session.id));
      });
    });
  };
  const use = (io) => io.engine.use(sessions).use((request, response, next) => void response.on("finish", () => ended.push(response.statusCode)) || next());
  await server(t, daemon, {}, use, connected);

  // It begins one for who has none, and keeps it before the program has the socket.
  const first = client(t, daemon);
  const [one, id] = await new Promise((resolve) => first.emit("incr", (...args) => resolve(args)));
  assert.equal(one, 1);
  assert.deepEqual(await first.emitWithAck("incr"), 2);
  assert.deepEqual(ended, [200]);

  // And it finds the one that a cookie names.
  const { sign } = createRequire(path.join(root, "examples/socketio/node_modules/express-session/package.json"))("cookie-signature");
  const cookie = `connect.sid=${encodeURIComponent(`s:${sign(id, "changeit")}`)}`;
  const second = client(t, daemon, { extraHeaders: { cookie } });
  assert.deepEqual(await new Promise((resolve) => second.emit("incr", (...args) => resolve(args))), [3, id]);
});

test("@fanoutd/socket.io: a middleware of io.engine.use() that turns clients away", { timeout }, async (t) => {
  const session = createRequire(path.join(root, "examples/socketio/package.json"))("express-session");
  const daemon = await Process.start(t, { ...daemonFlags({}), "expose-headers": "authorization" });
  const use = (io) => {
    io.engine.use(session({ secret: "changeit", resave: true, saveUninitialized: true }));
    io.engine.use((request, response, next) => {
      if (request.headers.authorization === "error") return next(new Error("no good"));
      if (request.headers.authorization) return next();
      response.writeHead(401, { "www-authenticate": "Bearer" });
      response.end();
    });
  };
  const names = [];
  const program = await server(t, daemon, {}, use, ({ request }) => names.push(request.headers.authorization));
  const refusals = [];
  for (const authorization of [undefined, "error"]) {
    const socket = client(t, daemon, { autoUnref: true, extraHeaders: authorization ? { authorization } : {} });
    const [{ message }] = await once(socket, "connect_error");
    assert.equal(socket.active, false);
    refusals.push(message);
  }
  assert.deepEqual(refusals, ["refused by a middleware of io.engine.use()", "no good"]);
  await once(client(t, daemon, { extraHeaders: { authorization: "bearer x" } }), "connect");
  await until(() => names.length === 1, "one has come");
  assert.deepEqual(names, ["bearer x"]);
  const { engine } = program;
  await program.close();
  assert.equal(engine.clientsCount, 0);
});

test("@fanoutd/socket.io: a broadcast asks no socket whether somebody listens to what is sent, until somebody does", { timeout }, async (t) => {
  const daemon = await Process.start(t, daemonFlags({}));
  const server = new Server({ fanoutd: { address: daemon.control } });
  t.after(() => server.close());
  const { Socket } = require(path.join(sdk, "socket.io"));
  const asked = t.mock.method(Socket.prototype, "listenersAnyOutgoing");
  const heard = [];
  server.use((socket, next) => {
    if (socket.handshake.auth.overheard) socket.onAnyOutgoing((...packet) => heard.push(packet)); // before it is connected
    next();
  });
  const sockets = [client(t, daemon), client(t, daemon)];
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  await until(() => server.sockets.sockets.size === 2, "the program has both");
  const told = (socket) => once(socket, "news");
  const first = told(sockets[0]);
  server.emit("news", 1);
  assert.deepEqual(await first, [1]);
  assert.equal(asked.mock.callCount(), 0);
  const overheard = client(t, daemon, { auth: { overheard: true } });
  await once(overheard, "connect");
  await until(() => server.sockets.sockets.size === 3, "the program has the third");
  const second = told(overheard);
  server.emit("news", 2);
  assert.deepEqual(await second, [2]);
  assert.deepEqual(heard, [["news", 2]]);
  overheard.close();
  await until(() => server.sockets.sockets.size === 2, "it has gone");
  const third = told(sockets[0]);
  server.emit("news", 3);
  assert.deepEqual(await third, [3]);
  const calls = asked.mock.callCount();
  const fourth = told(sockets[0]);
  server.emit("news", 4);
  assert.deepEqual(await fourth, [4]);
  assert.equal(asked.mock.callCount(), calls);
  assert.deepEqual(heard, [["news", 2]]);
});

test("@fanoutd/socket.io: data and rooms that the daemon does not keep are told of", { timeout }, async (t) => {
  const daemon = await Process.start(t, { namespaces: "*", "max-rooms": 3 });
  const server = new Server({ fanoutd: { address: daemon.control } });
  t.after(() => server.close());
  const told = [];
  server.engine.on("fanoutd_error", (err) => told.push(err.message));
  server.on("connection", (socket) => {
    socket.on("keep", (length, done) => {
      socket.data.text = "x".repeat(length);
      done();
    });
    socket.on("join", (...rooms) => socket.join(rooms));
  });
  const socket = client(t, daemon);
  await once(socket, "connect");
  await socket.timeout(20_000).emitWithAck("keep", 1000);
  assert.deepEqual(told, []);
  await socket.timeout(20_000).emitWithAck("keep", 70_000);
  await until(() => told.length === 1, "too much data are told of");
  assert.match(told[0], /64 KiB/);
  socket.emit("join", "a", "b", "c");
  await until(() => told.length === 2, "too many rooms are told of");
  assert.match(told[1], /rooms/);
});

test("@fanoutd/socket.io: the room of the empty name keeps nobody out of others", { timeout }, async (t) => {
  const daemon = await Process.start(t, { namespaces: "*" });
  const server = new Server({ fanoutd: { address: daemon.control } });
  t.after(() => server.close());
  const told = [];
  server.engine.on("fanoutd_error", (err) => told.push(err.message));
  server.use((socket, next) => {
    socket.join(["early", ""]);
    next();
  });
  server.on("connection", (socket) => {
    socket.on("join", (...rooms) => socket.join(rooms));
  });
  const socket = client(t, daemon);
  await once(socket, "connect");
  socket.emit("join", "a", "", "b");
  await until(() => told.length === 2, "the empty name is told of");
  server.socketsJoin(["", "c"]);
  server.socketsJoin("");
  server.socketsLeave(["", "b"]);
  const [{ rooms }] = await server.fetchSockets();
  assert.deepEqual([...rooms].sort(), [socket.id, "a", "c", "early"].sort());
  const listed = [];
  for await (const connection of backend(t, daemon).list({ all: true })) listed.push(...connection.rooms);
  assert.deepEqual(listed.filter((room) => room !== socket.id).sort(), ["a", "c", "early"]);
  assert.equal(told.length, 4);
  for (const message of told) assert.match(message, /no room of the empty name/);
});

test("@fanoutd/socket.io: proxy: upgrades at other paths are ended, unless the program has a listener for them", { timeout }, async (t) => {
  const daemon = await Process.start(t, daemonFlags({}));
  const web = http.createServer();
  const server = new Server(web, { fanoutd: { address: daemon.control, proxy: true } });
  t.after(() => server.close());
  web.listen(0, "127.0.0.1");
  await once(web, "listening");
  const upgrade = async () => {
    const socket = net.connect({ port: web.address().port, host: "127.0.0.1", allowHalfOpen: true });
    t.after(() => socket.destroy());
    socket.write("GET /other HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let text = "";
    for await (const data of socket.setEncoding("utf8")) text += data;
    return text.split("\r\n")[0];
  };
  assert.equal(await upgrade(), "HTTP/1.1 400 Bad Request");
  web.on("upgrade", (_request, socket) => socket.end("HTTP/1.1 404 Mine\r\n\r\n"));
  assert.equal(await upgrade(), "HTTP/1.1 404 Mine");
});

test("@fanoutd/socket.io: what a handler throws is an uncaught exception, and nothing else ends by it", { timeout }, async (t) => {
  const daemon = await Process.start(t, { namespaces: "*", "expose-auth": true });
  const it = backend(t, daemon);
  const throwing = Program.start(t, process.execPath, [path.join(root, "test/testdata/sdk-throwing.cjs"), daemon.control]);
  await until(async () => (await members(it, "socket.io")).length === 1, "the program is there");

  const first = client(t, daemon, { auth: { throws: true } });
  first.on("question", (done) => done());
  await first.timeout(20_000).emitWithAck("ask"); // its handler of "connection" threw, behind this one
  first.emit("ask all");
  await until(() => /uncaught: acks;/.test(throwing.log), "the callback of a broadcast threw");
  const emitter = new Emitter({ address: daemon.control });
  t.after(() => emitter.close());
  emitter.serverSideEmit("tell");
  await until(() => /uncaught: tell;/.test(throwing.log), "what hears other processes threw");
  await first.timeout(20_000).emitWithAck("ask");
  first.close();
  await until(() => /uncaught: disconnect;/.test(throwing.log), "a handler of the end threw");

  const second = client(t, daemon);
  await second.timeout(20_000).emitWithAck("ask");
  assert.deepEqual(throwing.log.match(/(?<=uncaught: )\w+/g), ["connection", "acks", "tell", "disconnect"]);
  assert.equal(throwing.end, null);
});

test("@fanoutd/client: an admission that is none turns one client away, and no stream ends by it", { timeout }, async (t) => {
  const daemon = await Process.start(t);
  const it = backend(t, daemon);
  const errors = [];
  const consumer = it
    .consumer({ group: "test", onError: (err) => errors.push(err.message) })
    .connecting((_, { name }) => ({ ada: { expireAt: 2_000_000_000 }, eve: { rooms: "lobby" }, mallory: false, oscar: new Refusal("not you") })[name] ?? { userId: name })
    .on("ask", () => "answer");
  const ran = consumer.run();
  await until(async () => (await members(it, "test")).length === 1, "the consumer is there");
  const bob = client(t, daemon, { auth: { name: "bob" } });
  await once(bob, "connect");
  const ada = client(t, daemon, { auth: { name: "ada" } });
  await until(() => errors.length > 1, "she has tried twice");
  assert.equal(ada.connected, false);
  assert.equal(await bob.timeout(20_000).emitWithAck("ask"), "answer");
  assert.deepEqual([...new Set(errors)], ["date.getTime is not a function"]); // and nothing of a stream
  const eve = client(t, daemon, { auth: { name: "eve" } });
  await until(() => errors.includes('rooms: "lobby" is no array'), "she is told of");
  assert.equal(eve.connected, false);
  const mallory = client(t, daemon, { auth: { name: "mallory" } });
  await until(() => errors.some((err) => err.startsWith("connecting returned false")), "she is told of");
  assert.equal(mallory.connected, false);
  const [refused] = await once(client(t, daemon, { auth: { name: "oscar" } }), "connect_error");
  assert.equal(refused.message, "not you");
  ada.close();
  await consumer.close();
  await ran;
});

test("@fanoutd/client: a client whose verdict the daemon cannot take is refused, and that is told", { timeout }, async (t) => {
  const daemon = await Process.start(t, { "verdict-timeout": "1h" });
  const it = backend(t, daemon);
  const errors = [];
  const consumer = it.consumer({ group: "test", onError: (err) => errors.push(err.message) }).connecting((_, { way }) => {
    if (way === "refuse") throw new Refusal("not you", { why: "x".repeat(10_000) });
    if (way === "neither") throw new Refusal("not you", { why: 1n });
    return { rooms: way === "allow" ? [""] : [] };
  });
  const ran = consumer.run();
  await until(async () => (await members(it, "test")).length === 1, "the consumer is there");
  for (const [way, field] of [["allow", /allow\.rooms\[0\]/], ["refuse", /refuse\.data/], ["neither", /BigInt/]]) {
    const socket = client(t, daemon, { auth: { way } });
    const [refused] = await once(socket, "connect_error");
    assert.equal(refused.message, "not authorized", way);
    await until(() => errors.length === 1, "it was told");
    assert.match(errors.pop(), field);
  }
  await once(client(t, daemon), "connect");
  await consumer.close();
  await ran;
});

test("@fanoutd/socket.io: a client whose verdict the daemon cannot take is refused, and that is told", { timeout }, async (t) => {
  const daemon = await Process.start(t, { "verdict-timeout": "1h" });
  const server = new Server({ fanoutd: { address: daemon.control } });
  t.after(() => server.close());
  const told = [];
  server.engine.on("fanoutd_error", (err) => told.push(err.message));
  server.use((socket, next) => {
    if (socket.handshake.auth.way === "refuse") return next(Object.assign(new Error("not you"), { data: "x".repeat(10_000) }));
    socket.join("x".repeat(2000));
    next();
  });
  await server.engine.joined;
  for (const [way, field] of [["allow", /allow\.rooms/], ["refuse", /refuse\.data/]]) {
    const socket = client(t, daemon, { auth: { way } });
    const [refused] = await once(socket, "connect_error");
    assert.equal(refused.message, "not authorized", way);
    await until(() => told.length === 1, "it was told");
    assert.match(told.pop(), field);
  }
  assert.deepEqual(await server.fetchSockets(), []);
});

test("values that are nested as deep as a message is long are no end of a backend", { timeout }, async (t) => {
  const daemon = await Process.start(t);
  const it = backend(t, daemon);
  const depth = 100_000;
  const depths = [];
  const consumer = it.consumer({ group: "test" }).on("deep", (_, value, bytes) => {
    let n = 0;
    for (; Array.isArray(value); value = value[0]) n++;
    depths.push([n, value, bytes]);
  });
  const ran = consumer.run();
  await until(async () => (await members(it, "test")).length === 1, "the consumer is there");

  const { sid } = JSON.parse((await (await fetch(`${daemon.url}/socket.io/?EIO=4&transport=polling`)).text()).slice(1));
  const session = `${daemon.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
  const say = async (body) => assert.equal((await fetch(session, { method: "POST", body })).status, 200);
  await say("40");
  const nested = (inside) => `${"[".repeat(depth)}${inside}${"]".repeat(depth)}`;
  await say(`42["deep",${nested("")}]\x1e452-["deep",${nested('{"_placeholder":true,"num":1}')},{"_placeholder":true,"num":0}]\x1ebAQ==\x1ebAg==`);
  await until(() => depths.length === 2, "both are handled");
  assert.deepEqual(depths, [[depth, undefined, undefined], [depth, Buffer.from([2]), Buffer.from([1])]]);
  await consumer.close();
  await ran;
});

test("@fanoutd/socket.io: what cannot be is refused with a sentence", { timeout }, async (t) => {
  const daemon = await Process.start(t, daemonFlags({}));
  const fanoutd = { address: daemon.control };
  const refused = {
    "allowRequest: browsers connect to fanoutd": () => new Server({ fanoutd, allowRequest: () => {} }),
    "wsEngine, destroyUpgrade": () => new Server({ fanoutd, wsEngine: class {} }),
    "parser: fanoutd reads JSON": () => new Server({ fanoutd, parser: { Encoder: class { encode() { return ["?"]; } } } }),
    "attachApp: browsers connect": (io) => io.attachApp({}),
    "io.engine.generateId: fanoutd makes": (io) => (io.engine.generateId = () => "mine"),
    'io.engine.on("connection_error"): fanoutd answers': (io) => io.engine.on("connection_error", () => {}),
    'io.engine.on("initial_headers"): fanoutd answers': (io) => io.engine.on("initial_headers", () => {}),
    'io.engine.on("headers"): fanoutd answers': (io) => io.engine.once("headers", () => {}),
  };
  const io = await server(t, daemon, {}, () => {});
  for (const [sentence, act] of Object.entries(refused)) {
    assert.throws(() => act(io), ({ message }) => message.startsWith(sentence) && message.length > 60, sentence);
  }

  // It can be, and is less than it may seem.
  const { Adapter } = createRequire(path.join(sdk, "socket.io/package.json"))("socket.io-adapter");
  const warnings = [];
  const warn = ({ name, message }) => name === "FanoutdWarning" && warnings.push(message);
  process.on("warning", warn);
  t.after(() => process.off("warning", warn));
  const { Adapter: ours } = require(path.join(sdk, "socket.io"));
  for (const adapter of [class extends ours {}, Adapter]) {
    const it = new Server({ fanoutd, adapter });
    t.after(() => it.close());
    it.of("/other");
  }
  io.adapter(function (nsp) {
    return new Adapter(nsp);
  });
  await until(() => warnings.length === 2, "the adapters that are not fanoutd's are warned of");
  for (const message of warnings) assert.match(message, /^adapter: fanoutd does not know the rooms of another adapter/);
});

test("@fanoutd/socket.io: an option that is the daemon's is warned of, with the setting to use instead", { timeout }, async (t) => {
  const daemon = await Process.start(t, daemonFlags({}));
  const fanoutd = { address: daemon.control };
  let warnings = [];
  const warn = ({ name, message }) => name === "FanoutdWarning" && warnings.push(message);
  process.on("warning", warn);
  t.after(() => process.off("warning", warn));
  const warned = async (options, attach) => {
    warnings = [];
    const it = new Server({ fanoutd, ...options });
    t.after(() => it.close());
    for (const more of attach ?? []) it.attach(http.createServer(), more); // which listens nowhere
    await new Promise((resolve) => setImmediate(resolve));
    return warnings;
  };
  const options = {
    cors: { origin: ["https://a.example", "https://b.example"], credentials: true },
    path: "/rt",
    pingInterval: 10_000,
    pingTimeout: 5_000,
    maxHttpBufferSize: 1e7,
    connectTimeout: 1_000,
    upgradeTimeout: 2_000,
    transports: ["websocket"],
    allowEIO3: true,
    perMessageDeflate: { threshold: 1 },
    httpCompression: false,
    cookie: { name: "sid" },
    connectionStateRecovery: {},
  };
  const here = {
    cors: "is for the client's files that this process serves",
    path: "is for the client's files that this process serves",
    connectTimeout: "bounds how long middlewares take",
    connectionStateRecovery: "skips the middlewares for who comes back",
  };
  const flags = [
    "origins=https://a.example,https://b.example", "path=/rt", "ping-interval=10000ms", "ping-timeout=5000ms", "max-payload=10000000",
    "connect-timeout=1000ms", "upgrade-timeout=2000ms", "transports=websocket", "allow-eio3=true", "per-message-deflate=true",
    "http-compression=false", "cookie=sid", "recovery-window=120000ms",
  ];
  assert.deepEqual(
    await warned(options, [{}, {}]), // once, however many servers it has
    Object.keys(options).map((option, i) => `${option}: browsers connect to fanoutd, whose setting ${flags[i].split("=")[0]} counts; here the option ${here[option] ?? "is for nothing"}. Start fanoutd with --${flags[i]}`),
  );
  assert.match((await warned({ cors: { origin: () => {} } }))[0], /^cors: .* Start fanoutd with --origins$/);
  assert.match((await warned({ fanoutd: undefined }, [{ fanoutd, pingTimeout: 1 }]))[0] ?? "", /^pingTimeout: /);
  assert.deepEqual(await warned({ serveClient: false, pingInterval: undefined }, [{}]), []);
  assert.deepEqual(await warned({ fanoutd: { ...fanoutd, proxy: true }, path: "/rt", cors: { origin: "*" } }, [{}]), []);
});

test("the packages' types say any nowhere but where socket.io's own do", () => {
  const found = [];
  for (const entry of readdirSync(sdk, { recursive: true })) {
    if (!/^[^/]+\/dist\/.*\.d\.ts$/.test(entry) || /\/gen\/google\//.test(entry)) continue;
    const text = readFileSync(path.join(sdk, entry), "utf8").replace(/\/\*[^]*?\*\/|\/\/.*/g, "");
    // What is said of enums as JSON takes anything.
    for (const line of text.split("\n")) if (/\bany\b/.test(line.replace(/FromJSON\(object: any\)|".*"/, ""))) found.push(`${entry}: ${line.match(/\w+ (=|:)[^=:]*\bany\b/)?.[0] ?? line}`);
  }
  assert.deepEqual(found, ["socket.io/dist/server.d.ts: EventsMap = Record<string, any", "socket.io/dist/server.d.ts: SocketData = any"]);
});
