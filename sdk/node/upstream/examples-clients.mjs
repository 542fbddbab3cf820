// How stock clients use the examples whose pages want a build, or which have none: they say what the pages say.

import assert from "node:assert/strict";

import { client, connected, heard } from "../../../test/lib/browser-like.mjs";
import { until } from "../../../test/lib/until.mjs";

const ask = (socket, ...args) => socket.timeout(15_000).emitWithAck(...args);
const of = (socket, name) => socket.heard.filter(([event]) => event === name);

// A client of each transport, and what both see.
export async function privateMessages({ t, origin }) {
  const at = { url: origin };
  await assert.rejects(connected(client(t, at)), { message: "invalid username" });
  const ada = await connected(client(t, at, { auth: { username: "Ada" } }));
  await until(() => of(ada, "users").length === 1, "Ada is told who is there");
  const [[, session]] = of(ada, "session");
  const [[, users]] = of(ada, "users");
  assert.deepEqual(users.map(({ username, connected }) => [username, connected]), [["Ada", true]]);

  const bob = await connected(client(t, at, { auth: { username: "Bob" }, transports: ["websocket"] }));
  await until(() => of(bob, "users").length === 1 && of(ada, "user connected").length === 1, "both know of each other");
  const [[, { userID: bobID }]] = of(bob, "session");
  assert.deepEqual(of(ada, "user connected")[0][1], { userID: bobID, username: "Bob", connected: true, messages: [] });
  const tab = await connected(client(t, at, { auth: { sessionID: session.sessionID }, transports: ["polling"] }));
  await until(() => of(tab, "users").length === 1, "the other tab is told who is there");
  assert.deepEqual(of(tab, "session"), [["session", session]]);

  // To the recipient and the sender's other tab, and not back.
  ada.emit("private message", { content: "hello", to: bobID });
  const message = { content: "hello", from: session.userID, to: bobID };
  for (const socket of [bob, tab]) await until(() => of(socket, "private message").length > 0, "the message is heard");
  for (const socket of [bob, tab]) assert.deepEqual(of(socket, "private message"), [["private message", message]]);
  bob.emit("private message", { content: "hello, Ada", to: session.userID });
  for (const socket of [ada, tab]) await until(() => of(socket, "private message").at(-1)?.[1].content === "hello, Ada", "the answer is heard");
  assert.equal(of(ada, "private message").length, 1);

  // Only with the last tab is a user gone; the messages are there on return.
  ada.disconnect();
  tab.disconnect();
  await until(() => of(bob, "user disconnected").length > 0, "the end is heard");
  assert.deepEqual(new Set(of(bob, "user disconnected").map(([, id]) => id)), new Set([session.userID]));
  const back = await connected(client(t, at, { auth: { sessionID: session.sessionID } }));
  await until(() => of(back, "users").length === 1, "Ada is told who is there");
  const bobs = of(back, "users")[0][1].find(({ userID }) => userID === bobID);
  assert.deepEqual([bobs.username, bobs.connected, bobs.messages.map(({ content }) => content)], ["Bob", true, ["hello", "hello, Ada"]]);
}

export async function crud({ t, origin }) {
  const at = { url: origin };
  const [a, b] = [await connected(client(t, at)), await connected(client(t, at, { transports: ["websocket"] }))];
  assert.deepEqual(await ask(a, "todo:list"), { data: [] });
  const { data: id } = await ask(a, "todo:create", { title: "write", completed: false });
  const wrong = await ask(a, "todo:create", { completed: "false", description: true });
  assert.deepEqual([wrong.error, wrong.errorDetails.map(({ message }) => message)], ["invalid payload", ['"title" is required']]);
  assert.deepEqual(await ask(b, "todo:read", id), { data: { id, title: "write", completed: false } });
  assert.deepEqual(await ask(b, "todo:read", "nobody's"), { error: "entity not found" });
  await ask(a, "todo:update", { id, title: "write", completed: true });
  assert.deepEqual(await ask(b, "todo:list"), { data: [{ id, title: "write", completed: true }] });
  await ask(a, "todo:delete", id);
  assert.deepEqual(await heard(b, 3), [
    ["todo:created", { id, title: "write", completed: false }],
    ["todo:updated", { id, title: "write", completed: true }],
    ["todo:deleted", id],
  ]);
  assert.deepEqual(a.heard, []);
}

export async function tweets({ t, origin, program }) {
  const at = { url: origin };
  const about = ["socket.io", "javascript"];
  const early = await connected(client(t, at));
  for (let n = 1; n <= 12; n++) {
    program.process.kill("SIGUSR2");
    await heard(early, n + 1);
  }
  const late = await connected(client(t, at, { transports: ["websocket"] }));
  await heard(late, 1);
  program.process.kill("SIGUSR2");
  for (const [socket, n] of [[early, 14], [late, 2]]) await heard(socket, n);
  const numbers = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
  assert.deepEqual(early.heard, [["buffer", []], ...numbers(1, 13).map((n) => ["tweet", { n, about }])]);
  assert.deepEqual(late.heard, [["buffer", numbers(3, 12).reverse().map((n) => ({ n, about }))], ["tweet", { n: 13, about }]]);
}
