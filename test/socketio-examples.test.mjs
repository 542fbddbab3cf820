// The backends of examples/socketio, heard by stock clients that say what the
// pages of Socket.IO's own examples say.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { backend } from "./lib/backend.mjs";
import { client, connected, heard } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { members, Program } from "./lib/program.mjs";
import { until } from "./lib/until.mjs";

// Starts the daemon and a backend; .program of the result is the latter.
async function start(t, name, flags = {}) {
  const daemon = await Daemon.start(t, flags);
  return Object.assign(daemon, { program: await run(t, name, daemon) });
}

async function run(t, name, daemon, args = [], env = {}, dir = "examples/socketio") {
  const program = Program.start(t, process.execPath, [`${dir}/${name}.mjs`, daemon.control, ...args], { env });
  await members(backend(t, daemon), name, 1).catch((err) => assert.fail(`${err.message}: ${program.log}`));
  return program;
}

// What is another when a stream has ended, or an event was given up.
async function streamAndDeadLetters(t, daemon, group) {
  const { groups } = await backend(t, daemon).listConsumers({ group });
  return groups.map(({ consumers, dead_letters }) => [consumers.map(({ consumer_id }) => consumer_id), dead_letters]);
}

// Ends a program and starts it again, as a deploy does.
async function restart(t, name, daemon, program) {
  await program.stop();
  await members(backend(t, daemon), name, 0);
  program.run();
  await members(backend(t, daemon), name, 1);
}

// Runs one that serves a page too, and finds out the origin of that.
async function runWithPage(t, name, daemon, env = {}) {
  const page = path.join(daemon.dir, "index.html");
  await writeFile(page, "<title>the page</title>");
  const program = await run(t, name, daemon, [page], { PORT: "0", ...env });
  const origin = await until(() => program.log.match(/http:\S+/)?.[0], "the page is served");
  assert.equal(await (await fetch(origin)).text(), "<title>the page</title>");
  return { origin, program };
}

const ask = (socket, ...args) => socket.timeout(15_000).emitWithAck(...args);

test("chat", { timeout: 60_000 }, async (t) => {
  const daemon = await start(t, "chat");
  const ada = await connected(client(t, daemon));
  const bob = await connected(client(t, daemon));
  ada.emit("add user", "Ada");
  await heard(ada, 1);
  bob.emit("add user", "Bob");
  await heard(bob, 2);
  bob.emit("typing");
  bob.emit("new message", "hello");
  bob.emit("stop typing");
  await heard(ada, 5);
  bob.disconnect();
  assert.deepEqual(await heard(ada, 6), [
    ["login", { numUsers: 1 }],
    ["user joined", { username: "Bob", numUsers: 2 }],
    ["typing", { username: "Bob" }],
    ["new message", { username: "Bob", message: "hello" }],
    ["stop typing", { username: "Bob" }],
    ["user left", { username: "Bob", numUsers: 1 }],
  ]);
  assert.deepEqual(bob.heard, [["user joined", { username: "Ada", numUsers: 1 }], ["login", { numUsers: 2 }]]);
});

test("whiteboard", { timeout: 60_000 }, async (t) => {
  const daemon = await start(t, "whiteboard");
  const [a, b] = [await connected(client(t, daemon)), await connected(client(t, daemon))];
  const lines = [0.1, 0.2, 0.3].map((x0) => ({ x0, y0: 0.5, x1: 1, y1: 1, color: "red" }));
  for (const line of lines) a.emit("drawing", line);
  assert.deepEqual(await heard(b, 3), lines.map((line) => ["drawing", line]));
  assert.deepEqual(a.heard, []);
});

test("private-messaging", { timeout: 60_000 }, async (t) => {
  const daemon = await start(t, "private-messaging");
  await assert.rejects(connected(client(t, daemon)), { message: "invalid username" });
  const ada = await connected(client(t, daemon, { auth: { username: "Ada" } }));
  const [[, session], [, users]] = await heard(ada, 2);
  const me = { userID: session.userID, username: "Ada", connected: true, messages: [] };
  assert.deepEqual(users, [me]);
  const bob = await connected(client(t, daemon, { auth: { username: "Bob" } }));
  const [[, { userID: bobID }]] = await heard(bob, 2);
  const tab = await connected(client(t, daemon, { auth: { sessionID: session.sessionID } }));
  assert.deepEqual((await heard(tab, 2))[0], ["session", session]);

  // To the recipient and the sender's other tab, and not back.
  ada.emit("private message", { content: "hello", to: bobID });
  const message = { content: "hello", from: session.userID, to: bobID };
  for (const socket of [bob, tab]) await until(() => socket.heard.some(([name]) => name === "private message"), "the message is heard");
  assert.deepEqual(bob.heard.at(-1), ["private message", message]);
  assert.equal(ada.heard.some(([name]) => name === "private message"), false);

  // Only with the last tab is a user gone; the messages are there on return.
  ada.disconnect();
  tab.disconnect();
  await until(() => bob.heard.at(-1)[0] === "user disconnected", "the end is heard");
  assert.deepEqual(bob.heard.filter(([name]) => name === "user disconnected"), [["user disconnected", session.userID]]);
  const back = await connected(client(t, daemon, { auth: { sessionID: session.sessionID } }));
  const [, [, again]] = await heard(back, 2);
  assert.deepEqual(again.map((user) => [user.username, user.connected, user.messages]), [["Ada", true, []], ["Bob", true, [message]]]);
});

test("basic-crud-application", { timeout: 60_000 }, async (t) => {
  const daemon = await start(t, "basic-crud-application");
  const [a, b] = [await connected(client(t, daemon)), await connected(client(t, daemon))];
  const { data: id } = await ask(a, "todo:create", { title: "write", completed: false });
  const todo = { id, title: "write", completed: false };
  assert.deepEqual(await ask(b, "todo:read", id), { data: todo });
  assert.deepEqual(await ask(b, "todo:list"), { data: [todo] });
  assert.equal(await ask(a, "todo:update", { ...todo, completed: true }), undefined);
  assert.equal(await ask(a, "todo:delete", id), undefined);
  for (const event of ["todo:read", "todo:delete"]) assert.deepEqual(await ask(a, event, "123"), { error: "entity not found" });
  const { error, errorDetails } = await ask(a, "todo:update", { id: "123", completed: "false", description: true });
  assert.equal(error, "invalid payload");
  assert.deepEqual(errorDetails.map(({ path, type }) => [path, type]), [[["id"], "string.guid"], [["title"], "any.required"]]);
  assert.deepEqual(await heard(b, 3), [["todo:created", todo], ["todo:updated", { ...todo, completed: true }], ["todo:deleted", id]]);
  assert.deepEqual(a.heard, []);
});

test("connection-state-recovery", { timeout: 60_000 }, async (t) => {
  const daemon = await start(t, "connection-state-recovery", { "recovery-window": "2m" });
  const socket = await connected(client(t, daemon));
  await heard(socket, 1);
  const { id } = socket;
  socket.io.engine.close();
  await until(() => socket.ends.length === 1 && socket.connected, "the client is back");
  assert.equal(socket.recovered, true);
  assert.equal(socket.id, id);
  assert.deepEqual((await backend(t, daemon).getConnection({ id })).connection.rooms, [id, "sample room"].sort());
});

test("express-session", { timeout: 60_000 }, async (t) => {
  const daemon = await Daemon.start(t, { "expose-cookies": "connect.sid" });
  const { origin, program } = await runWithPage(t, "express-session", daemon);
  // A browser: its cookie goes to all ports of the host, and so to the daemon.
  const browser = async () => {
    const [cookie] = (await fetch(origin)).headers.get("set-cookie").split(";");
    const headers = { cookie: `theme=dark; ${cookie}` };
    return { headers, post: async (to) => (await fetch(origin + to, { method: "post", headers })).text() };
  };
  const { headers, post } = await browser();
  await assert.rejects(connected(client(t, daemon)), { message: "no session" });
  const forged = headers.cookie.slice(0, -1) + (headers.cookie.endsWith("x") ? "y" : "x");
  await assert.rejects(connected(client(t, daemon, { extraHeaders: { cookie: forged } })), { message: "no session" });

  // Both tabs count with the page, and hear of what it counts.
  const tabs = [];
  for (const transports of [["polling", "websocket"], ["websocket"]]) {
    tabs.push(await connected(client(t, daemon, { transports, extraHeaders: headers })));
  }
  const [a, b] = tabs;
  const stranger = await connected(client(t, daemon, { extraHeaders: (await browser()).headers }));
  assert.equal(await post("/incr"), "1");
  assert.equal(await ask(a, "incr"), 2);
  assert.equal(await ask(b, "incr"), 3);
  assert.equal(await post("/incr"), "4");
  for (const tab of tabs) assert.deepEqual(await heard(tab, 2), [["current count", 1], ["current count", 4]]);
  assert.equal(await ask(stranger, "incr"), 1);

  // The logout ends the tabs of its session, for good, and no others.
  await post("/logout");
  for (const tab of tabs) await until(() => tab.ends.length > 0, "the tab is disconnected");
  assert.deepEqual([a.ends, b.ends], [["io server disconnect"], ["io server disconnect"]]);
  await assert.rejects(connected(a.connect()), { message: "no session" });
  assert.equal(await ask(stranger, "incr"), 2);
  assert.deepEqual(stranger.heard, []);

  // So does the end of the store, at the next that a tab says.
  await restart(t, "express-session", daemon, program);
  stranger.emit("incr", () => {});
  await until(() => stranger.ends.length > 0, "the tab is disconnected");
  assert.deepEqual(stranger.ends, ["io server disconnect"]);
});

test("passport-jwt", { timeout: 60_000 }, async (t) => {
  const secret = "a secret as long as the hash, or longer";
  const claims = { "jwt-algorithms": "HS256", "jwt-issuer": "accounts.examplesoft.com", "jwt-audience": "yoursite.net" };
  const daemon = await Daemon.start(t, { "jwt-secret": secret, ...claims });
  const file = path.join(daemon.dir, "secret");
  await writeFile(file, secret + "\n");
  const { origin, program } = await runWithPage(t, "passport-jwt", daemon, { FANOUTD_JWT_SECRET_FILE: file });
  const login = (body) => fetch(`${origin}/login`, { method: "post", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const self = (token) => fetch(`${origin}/self`, { headers: { authorization: `bearer ${token}` } });

  assert.equal((await login({ username: "john", password: "wrong" })).status, 401);
  const { token } = await (await login({ username: "john", password: "changeit" })).json();
  assert.deepEqual(await (await self(token)).json(), { id: 1, username: "john" });
  const socket = await connected(client(t, daemon, { extraHeaders: { authorization: `bearer ${token}` } }));
  assert.equal(await ask(socket, "whoami"), "john");
  assert.equal((await backend(t, daemon).countConnections({ to: { users: ["1"] } })).total, 1);

  const [header, payload, signature] = token.split(".");
  const eve = Buffer.from(payload, "base64url").toString().replace("john", "eve");
  const forged = [header, Buffer.from(eve).toString("base64url"), signature].join(".");
  for (const wrong of [forged, "nonsense"]) {
    assert.equal((await self(wrong)).status, 401);
    await assert.rejects(connected(client(t, daemon, { extraHeaders: { authorization: `bearer ${wrong}` } })), { message: "token invalid" });
  }
  await assert.rejects(connected(client(t, daemon)), { message: "token missing" });

  // Who is there stays who it is when the backend starts anew.
  await restart(t, "passport-jwt", daemon, program);
  assert.equal(await ask(socket, "whoami"), "john");
});

test("an event that no handler is for", { timeout: 60_000 }, async (t) => {
  const daemon = await start(t, "connection-state-recovery");
  const state = () => streamAndDeadLetters(t, daemon, "connection-state-recovery");
  const before = await state();
  const socket = await connected(client(t, daemon));
  for (const name of ["some event", "toString"]) socket.emit(name, 1);
  const { id } = socket;
  socket.disconnect();
  await until(() => daemon.program.log.includes(`disconnect ${id}`), "its end is heard, after its events");
  assert.deepEqual(await state(), before, daemon.program.log);
});

test("a handler that throws once", { timeout: 60_000 }, async (t) => {
  const daemon = await Daemon.start(t);
  const program = await run(t, "throwing-once", daemon, [], {}, "test/lib");
  const state = () => streamAndDeadLetters(t, daemon, "throwing-once");
  const before = await state();
  const [a, b] = [await connected(client(t, daemon)), await connected(client(t, daemon))];
  const numbers = [1, 2, 3, 4, 5];
  for (const n of numbers) {
    a.emit("number", n, n === 2);
    b.emit("number", n, false);
  }
  for (const socket of [a, b]) assert.deepEqual(await heard(socket, 5), numbers.map((n) => ["number", n]));
  assert.match(program.log, /number of \S+: once/);
  assert.deepEqual(await state(), before, program.log);
});

test("private-messaging: no message, no recipient, no session", { timeout: 60_000 }, async (t) => {
  const daemon = await start(t, "private-messaging");
  const state = () => streamAndDeadLetters(t, daemon, "private-messaging");
  const before = await state();
  const ada = await connected(client(t, daemon, { auth: { username: "Ada" } }));
  for (const args of [[], [null], ["hello"], [{ content: "hello", to: "nobody" }]]) assert.deepEqual(await ask(ada, "private message", ...args), undefined);
  assert.deepEqual(await state(), before, daemon.program.log);

  // Another process does not know the session of a browser that was there before.
  await restart(t, "private-messaging", daemon, daemon.program);
  const again = await state();
  assert.deepEqual(await ask(ada, "private message", { content: "hello", to: "nobody" }), undefined);
  const bob = await connected(client(t, daemon, { auth: { username: "Bob" } }));
  await heard(bob, 2);
  ada.disconnect();
  bob.disconnect();
  await until(async () => (await backend(t, daemon).listConsumers({ group: "private-messaging" })).groups[0].pending_events === 0, "all events are settled");
  assert.doesNotMatch(daemon.program.log, /^fanoutd: /m);
  assert.deepEqual(await state(), again, daemon.program.log);
});
