// Several nodes that are one: stock clients behind a balancer that knows nothing of
// sessions, backends at any node.

import assert from "node:assert/strict";
import { test } from "node:test";

import { client, connected, upgraded } from "./lib/browser-like.mjs";
import { startBalancer, startCluster } from "./lib/cluster.mjs";
import { until, within } from "./lib/until.mjs";

const transports = [["polling"], ["polling", "websocket"], ["websocket"]];

test("a balancer without sticky sessions: polling only, with upgrade, WebSocket only", async (t) => {
  for (const number of [2, 3]) {
    const nodes = await startCluster(t, number, { "max-payload": 2_000_000 });
    const balancer = { url: await startBalancer(t, nodes) };
    const sockets = await Promise.all(Array.from({ length: 24 }, (_, i) => connected(client(t, balancer, { transports: transports[i % 3] }))));
    const ends = [];
    sockets.forEach((socket) => socket.on("disconnect", (why) => ends.push(why)));
    await Promise.all(sockets.filter((_, i) => i % 3 > 0).map((socket) => upgraded(socket)));

    const counts = (await nodes[0].api.countConnections({ to: { all: true }, group_by: "NODE" })).counts;
    assert.equal(Object.keys(counts).length, number, JSON.stringify(counts));

    // To all, from each node, and answers from all.
    for (const [i, node] of nodes.entries()) {
      const heard = sockets.map((socket) => new Promise((resolve) => socket.once(`from ${i}`, (n, b) => resolve([n, b.length]))));
      const big = Buffer.alloc(600_000, i);
      const { matched, forwarded, partial } = await node.api.emit({
        to: { all: true }, event: `from ${i}`, args_json: '[7,{"_placeholder":true,"num":0}]', attachments: [big],
      });
      assert.deepEqual([forwarded, partial], [number - 1, false]);
      assert.ok(matched > 0 && matched < sockets.length);
      for (const got of await within(Promise.all(heard), "all hear it")) assert.deepEqual(got, [7, big.length]);
    }
    sockets.forEach((socket, i) => socket.on("ask", (answer) => answer(i)));
    const messages = await nodes[1].api.emitWithAck({ emit: { to: { all: true }, event: "ask" }, timeout: { seconds: 10 } });
    assert.equal(messages.pop().summary.acked, sockets.length);
    assert.deepEqual(new Set(messages.map((m) => m.ack.args_json)), new Set(sockets.map((_, i) => `[${i}]`)));

    // What browsers send, large and binary, to a consumer at one node; and its answers.
    const worker = nodes[0].api.consume();
    t.after(() => worker.cancel());
    worker.on("error", () => {}); // it is canceled in the end
    const sizes = new Map();
    worker.on("data", ({ events }) => {
      for (const e of events?.events ?? []) {
        sizes.set(e.connection_id, e.args_json.length + (e.attachments[0]?.length ?? 0));
        worker.write({ reply: { delivery_id: e.delivery_id, args_json: `["${e.event}"]` } });
      }
    });
    worker.write({ open: { group: "g", max_in_flight: 10 } });
    await until(async () => (await nodes.at(-1).api.listConsumers({})).groups.length === 1, "the consumer is there");
    const answers = await Promise.all(sockets.map((socket, i) => socket.timeout(10_000).emitWithAck("big", i % 2 ? "x".repeat(700_000) : Buffer.alloc(700_000))));
    assert.deepEqual(answers, sockets.map(() => "big"));
    assert.equal(sizes.size, sockets.length);
    for (const size of sizes.values()) assert.ok(size > 700_000);

    assert.deepEqual(ends, []);
    // A node that leaves: its clients come back by themselves, to the others.
    const reconnected = sockets.map((socket) => new Promise((resolve) => socket.once("connect", resolve)));
    const { nodes: listed } = await nodes[0].api.listNodes({});
    const epoch = listed.find(({ name }) => name === `n${number}`).epoch;
    const theirs = sockets.map((socket, i) => (socket.id.startsWith(epoch) ? reconnected[i] : null)).filter(Boolean);
    assert.ok(theirs.length > 0);
    await nodes.at(-1).stop();
    await within(Promise.all(theirs), "the clients of the node that left are back");
    await until(async () => (await nodes[0].api.countConnections({ to: { all: true } })).total === sockets.length, "all are there");
    sockets.forEach((socket) => socket.disconnect());
  }
});

test("the registry is one, from any node", async (t) => {
  const nodes = await startCluster(t, 3);
  const sockets = [];
  for (const node of nodes) for (let i = 0; i < 5; i++) sockets.push(await connected(client(t, node)));
  const ids = sockets.map((socket) => socket.id).sort();
  for (const [i, { api }] of nodes.entries()) {
    const target = { to: { all: true } };
    await until(async () => (await api.countConnections(target)).total === 15, "all are counted");
    const listed = [];
    for (let token = ""; ; ) {
      const page = await api.listConnections({ ...target, page_size: 4, page_token: token });
      listed.push(...page.connections.map(({ id }) => id));
      if (!(token = page.next_page_token)) break;
    }
    assert.deepEqual(listed.sort(), ids);
    const other = sockets[(i * 5 + 7) % 15]; // at another node
    const one = { ids: [other.id] };
    assert.equal((await api.join({ to: one, rooms: [`r${i}`] })).affected, 1);
    for (const { api } of nodes) assert.equal((await api.emit({ to: { rooms: [`r${i}`] }, event: "e", wait: "APPLIED" })).matched, 1);
    await api.updateConnection({ id: other.id, data: { fields: { k: { stringValue: "v" } } } });
    const { connection } = await nodes[0].api.getConnection({ id: other.id });
    assert.equal(connection.node, `n${Math.floor(((i * 5 + 7) % 15) / 5) + 1}`);
    assert.equal(connection.data.fields.k.stringValue, "v");
    assert.deepEqual((await nodes[1].api.listRooms({ prefix: "r" })).rooms.map(({ name }) => name), Array.from({ length: i + 1 }, (_, j) => `r${j}`));
    assert.equal((await api.leave({ to: one, rooms: [`r${i}`, "none"] })).affected, 1);
    assert.equal((await api.join({ to: one, rooms: [`r${i}`] })).affected, 1);
    other.on("ask", (answer) => answer("yes"));
    assert.equal((await api.call({ id: other.id, event: "ask", timeout: { seconds: 10 } })).args_json, '["yes"]');
  }
  const left = new Promise((resolve) => sockets[14].once("disconnect", resolve));
  assert.equal((await nodes[0].api.disconnect({ to: { ids: [sockets[14].id] } })).affected, 1);
  assert.equal(await left, "io server disconnect");
});
