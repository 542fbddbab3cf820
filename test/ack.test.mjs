// Backends ask, stock clients answer through the callback of their handlers.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend, status } from "./lib/backend.mjs";
import { client, connected } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";

test("EmitWithAck: every connection has its outcome", async (t) => {
  const daemon = await Daemon.start(t);
  const api = backend(t, daemon);
  const polling = await connected(client(t, daemon, { transports: ["polling"] }));
  const binary = await connected(client(t, daemon, { transports: ["websocket"] }));
  const mute = await connected(client(t, daemon));
  const leaver = await connected(client(t, daemon));
  polling.on("ask", (question, answer) => answer({ z: 1, a: question }, null));
  binary.on("ask", (question, answer) => answer(Buffer.from([0, 255]), [Buffer.from("x")]));
  leaver.on("ask", () => leaver.disconnect());

  const messages = await api.emitWithAck({
    emit: { to: { all: true }, event: "ask", args_json: '["why"]' },
    timeout: { seconds: 1 },
    decode: true,
  });
  const { summary } = messages.pop();
  const outcomes = Object.fromEntries(messages.map((m) => [(m.ack ?? m.failed).connection_id, m.ack ?? m.failed.reason]));
  assert.deepEqual({ ...summary }, { expected: 4, acked: 2, timed_out: 1, disconnected: 1, unreachable: [] });
  assert.equal(outcomes[polling.id].args_json, '[{"z":1,"a":"why"},null]');
  assert.equal(outcomes[polling.id].args[0].structValue.fields.a.stringValue, "why");
  assert.equal(outcomes[binary.id].args_json, '[{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]');
  assert.deepEqual(outcomes[binary.id].attachments, [Buffer.from([0, 255]), Buffer.from("x")]);
  assert.equal(outcomes[mute.id], "TIMEOUT");
  // The client forgets its id when it leaves.
  assert.equal(Object.values(outcomes).filter((outcome) => outcome === "DISCONNECTED").length, 1);
});

test("Call: one client's answer, and each way it can fail", async (t) => {
  const daemon = await Daemon.start(t);
  const api = backend(t, daemon);
  const socket = await connected(client(t, daemon));
  socket.on("sum", (a, b, answer) => answer(a + b));
  socket.on("leave", () => socket.disconnect());
  const call = (event, more = {}) => api.call({ id: socket.id, event, timeout: { seconds: 1 }, ...more });
  const fails = async (promise, code) => {
    const err = await promise.then(
      () => assert.fail("no error"),
      (err) => err,
    );
    assert.equal(err.code, code, err.message);
  };

  assert.equal((await call("sum", { args_json: "[1,2]" })).args_json, "[3]");
  await Promise.all(
    Array.from({ length: 100 }, async (_, i) => assert.equal((await call("sum", { args_json: `[${i},1]` })).args_json, `[${i + 1}]`)),
  );
  await fails(call("nobody listens", { timeout: { nanos: 1e8 } }), status.DEADLINE_EXCEEDED);
  await fails(call("sum", { id: "nobody" }), status.NOT_FOUND);
  await fails(call("sum", { timeout: undefined }), status.INVALID_ARGUMENT);
  await fails(call("leave"), status.ABORTED);
});
