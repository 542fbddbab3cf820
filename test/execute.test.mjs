// One ordered stream of commands, from a backend in another language: what browsers
// get keeps its order, whatever kinds of commands it is made of.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend, status } from "./lib/backend.mjs";
import { client, connected } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until } from "./lib/until.mjs";

// An Execute stream: send(operation) numbers and sends, results() has what came so far.
function executor(api) {
  const stream = api.execute();
  const results = [];
  let sequence = 0;
  const ended = new Promise((resolve, reject) => {
    stream.on("data", (message) => results.push(...message.results));
    stream.on("end", resolve);
    stream.on("error", reject);
  });
  return {
    send: (operation) => stream.write({ command: { sequence: ++sequence, operation } }),
    cancel: (number) => stream.write({ cancel: { sequence: number } }),
    results,
    end: () => (stream.end(), ended),
  };
}

test("Execute: joins, emits, calls and leaves in one order", async (t) => {
  const daemon = await Daemon.start(t);
  const api = backend(t, daemon);
  const socket = await connected(client(t, daemon));
  const heard = [];
  socket.onAny((event, ...args) => {
    if (typeof args.at(-1) === "function") args.pop()(`answer to ${event}`);
    heard.push([event, ...args]);
  });
  const me = { ids: [socket.id] };
  const commands = executor(api);
  const want = [];
  for (let i = 0; i < 200; i++) {
    const to = { rooms: [`room ${i}`] };
    commands.send({ join: { to: me, ...to } });
    commands.send({ emit: { to, event: "in", args_json: `[${i}]` } });
    if (i % 20 === 0) commands.send({ call: { id: socket.id, event: `call ${i}`, timeout: { seconds: 10 } } });
    commands.send({ leave: { to: me, ...to } });
    commands.send({ emit: { to, event: "out", args_json: `[${i}]` } });
    want.push(["in", i]);
    if (i % 20 === 0) want.push([`call ${i}`]);
  }
  await commands.end();
  await until(() => heard.length === want.length, "the browser has heard all");
  assert.deepEqual(heard, want);
  assert.deepEqual(commands.results.filter(({ result }) => result.status), []);
  assert.equal(commands.results.length, 810);
  const answers = commands.results.filter(({ result }) => result.call).map(({ result }) => result.call.args_json);
  assert.deepEqual(answers.toSorted(), Array.from({ length: 10 }, (_, i) => `["answer to call ${20 * i}"]`).toSorted());
});

test("Execute: a reply keeps its place, and a call can be canceled", async (t) => {
  const daemon = await Daemon.start(t);
  const api = backend(t, daemon);
  const socket = await connected(client(t, daemon));
  const consumer = api.consume();
  t.after(() => consumer.cancel());
  consumer.on("error", () => {}); // it is canceled in the end
  consumer.write({ open: { group: "g" } });
  const question = new Promise((resolve) => consumer.on("data", ({ events }) => events && resolve(events.events[0])));
  const heard = [];
  socket.onAny((event) => heard.push(event));
  await until(async () => (await api.listConsumers({})).groups?.length === 1, "the consumer is there");
  socket.emit("question", (answer) => heard.push(answer));
  const { delivery_id } = await question;

  const commands = executor(api);
  const to = { ids: [socket.id] };
  commands.send({ emit: { to, event: "before" } });
  commands.send({ reply: { delivery_id, args_json: '["the answer"]' } });
  commands.send({ emit: { to, event: "after" } });
  commands.send({ call: { id: socket.id, event: "never answered", timeout: { seconds: 3600 } } });
  await until(() => heard.length === 4, "the browser has heard all");
  assert.deepEqual(heard, ["before", "the answer", "after", "never answered"]);
  commands.cancel(4);
  await commands.end();
  const { result } = commands.results.find(({ sequence }) => Number(sequence) === 4);
  assert.equal(result.status.code, status.CANCELLED);
});

test("Batch: what can be done is done", async (t) => {
  const daemon = await Daemon.start(t);
  const api = backend(t, daemon);
  const socket = await connected(client(t, daemon));
  const heard = [];
  socket.onAny((event) => heard.push(event));
  const to = { rooms: ["room"] };
  const { results } = await api.batch({
    operations: [
      { join: { to: { ids: [socket.id] }, ...to } },
      { emit: { to, event: "heard" } },
      { emit: { to, event: "" } },
      { update: { id: socket.id, data_json: '{"plan":"pro"}' } },
      { disconnect: { to } },
    ],
  });
  assert.deepEqual(results.map((result) => result.status?.message ?? Object.keys(result).find((name) => name !== "status")), ["join", "emit", "operations[2].emit.event: must not be empty", "update", "disconnect"]);
  await until(() => !socket.connected, "the browser is disconnected");
  assert.deepEqual(heard, ["heard"]);
});
