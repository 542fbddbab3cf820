// The backends of examples/socketio, heard by stock clients that say what the
// pages of Socket.IO's own examples say.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend } from "./lib/backend.mjs";
import { client, connected, heard } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { members, Program } from "./lib/program.mjs";
import { until } from "./lib/until.mjs";

async function start(t, name, flags = {}) {
  const daemon = await Daemon.start(t, flags);
  const program = Program.start(t, process.execPath, [`examples/socketio/${name}.mjs`, daemon.control]);
  await members(backend(t, daemon), name, 1).catch((err) => assert.fail(`${err.message}: ${program.log}`));
  return daemon;
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
