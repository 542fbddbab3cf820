// The drain of a node, with stock clients behind a balancer.

import assert from "node:assert/strict";
import { test } from "node:test";

import { client, connected } from "./lib/browser-like.mjs";
import { startBalancer, startCluster } from "./lib/cluster.mjs";
import { sleep, until } from "./lib/until.mjs";

const transports = [["polling"], ["polling", "websocket"], ["websocket"]];

test("stock clients come back by themselves, as who they were, and miss nothing", { timeout: 120_000 }, async (t) => {
  const nodes = await startCluster(t, 2, { "recovery-window": "30s" });
  const [leaving, staying] = nodes;
  const behind = [leaving];
  const balancer = { url: await startBalancer(t, behind) };
  const asStock = { reconnectionDelay: 1000, reconnectionDelayMax: 5000 };
  const sockets = await Promise.all(
    Array.from({ length: 12 }, (_, i) => connected(client(t, balancer, { ...asStock, transports: transports[i % 3] }))),
  );
  const ids = sockets.map(({ id }) => id);
  const recoveries = sockets.map(() => []);
  sockets.forEach((socket, i) => socket.on("connect", () => recoveries[i].push(socket.recovered)));
  behind.push(staying);

  let [numbers, emitting] = [0, true];
  t.after(() => (emitting = false));
  const emits = (async () => {
    for (; emitting; await sleep(20)) await staying.api.emit({ to: { all: true }, event: "n", args_json: `[${numbers++}]` });
  })();
  await until(() => numbers > 10, "there is traffic");
  const progress = await staying.api.drain({ node: "n1", delay: { seconds: 1 }, time: { seconds: 3 } });
  const { code } = await leaving.ended;
  await until(() => sockets.every((socket, i) => socket.connected && recoveries[i].length > 0), "all are back");
  emitting = false;
  await emits;
  await until(() => sockets.every((socket) => socket.heard.at(-1)[1] === numbers - 1), "all have the last event");

  assert.equal(code, 0);
  assert.equal(progress.at(0).phase, "NOT_READY");
  const { phase, sessions, closed } = progress.at(-1);
  assert.deepEqual({ phase, sessions, closed }, { phase: "DONE", sessions: 0, closed: sockets.length });
  for (const [i, socket] of sockets.entries()) {
    assert.deepEqual(recoveries[i], [true], `client ${i}`);
    assert.equal(socket.id, ids[i]);
    assert.deepEqual(
      socket.heard.map(([, n]) => n),
      Array.from({ length: numbers }, (_, n) => n),
      `client ${i}`,
    );
  }
});

test("who has a node drained with nobody at it hears that it is done", { timeout: 120_000 }, async (t) => {
  const [leaving, staying] = await startCluster(t, 2);
  const progress = await staying.api.drain({ node: "n1", delay: { seconds: 0 }, time: { seconds: 0 } });
  const { code } = await leaving.ended;
  assert.equal(code, 0);
  const { phase, sessions } = progress.at(-1);
  assert.deepEqual({ phase, sessions }, { phase: "DONE", sessions: 0 });
});
