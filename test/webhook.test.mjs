// An endpoint that the daemon calls by HTTP goes away under load and comes back: nothing is
// lost or out of order, and a backend on a stream notices nothing.

import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { backend } from "./lib/backend.mjs";
import { client, connected } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until } from "./lib/until.mjs";
import { Webhook } from "./lib/webhook.mjs";

const awayMs = Number(process.env.WEBHOOK_AWAY_MS ?? 3_000);
const everyMs = 50;

// An HTTP server that notes the numbers that came, by connection, each event once.
class Endpoint {
  came = new Map();
  events = new Set();

  async listen(port) {
    this.server = http.createServer(async (request, response) => {
      let body = "";
      for await (const text of request) body += text;
      const event = JSON.parse(body);
      if (!this.events.has(event.deliveryId)) {
        this.events.add(event.deliveryId);
        this.came.set(event.connectionId, [...(this.came.get(event.connectionId) ?? []), event.args[0]]);
      }
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ reply: { args: event.args } }));
    });
    await new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
  }

  async close() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }
}

test(`an endpoint is away for ${awayMs / 1000} s under load`, { timeout: 180_000 }, async (t) => {
  const webhook = await Webhook.at(t, "hooks");
  const endpoint = new Endpoint();
  await endpoint.listen(Number(webhook.port));
  t.after(() => endpoint.close());
  const daemon = await Daemon.start(t, { ...webhook.flags, "webhook-lifecycle": false });
  const other = new Map(); // what a backend on a stream hears
  let slowest = 0; // ms, from the browser to it
  const stream = backend(t, daemon).consume();
  stream.on("error", () => {});
  t.after(() => stream.cancel());
  const ready = new Promise((resolve) => stream.on("data", ({ ready, events }) => {
    if (ready) resolve();
    for (const { delivery_id, connection_id, args_json } of events?.events ?? []) {
      const [n, at] = JSON.parse(args_json);
      other.set(connection_id, [...(other.get(connection_id) ?? []), n]);
      slowest = Math.max(slowest, Date.now() - at);
      stream.write({ ack: { delivery_ids: [delivery_id] } });
    }
  }));
  stream.write({ open: { group: "other" } });
  await ready;

  const sockets = await Promise.all(Array.from({ length: 20 }, (_, i) => connected(client(t, daemon, i % 2 ? { transports: ["websocket"] } : {}))));
  const replies = sockets.map(() => []);
  let said = 0;
  const sayFor = async (ms) => {
    for (const end = Date.now() + ms; Date.now() < end; said++) {
      sockets.forEach((socket, i) => socket.emit("n", said, Date.now(), (n) => replies[i].push(n)));
      await sleep(everyMs);
    }
  };
  await sayFor(1_000);
  await endpoint.close();
  await sayFor(awayMs);
  await endpoint.listen(Number(webhook.port));
  await sayFor(1_000);
  const all = Array.from({ length: said }, (_, n) => n);
  await until(() => replies.every((numbers) => numbers.length === said), "every reply has come", 90_000);
  for (const [i, { id, ends }] of sockets.entries()) {
    assert.deepEqual(endpoint.came.get(id), all, `what the endpoint heard of client ${i}`);
    assert.deepEqual(other.get(id), all, `what the other backend heard of client ${i}`);
    assert.deepEqual(replies[i], all, `the replies to client ${i}`);
    assert.deepEqual(ends, []);
  }
  t.diagnostic(`${said * sockets.length} events; the other backend had each within ${slowest} ms`);
  const metrics = await (await fetch(`${daemon.ops}/metrics`)).text();
  const counted = (outcome) => Number(metrics.match(new RegExp(`fanoutd_webhook_requests_total{group="hooks",outcome="${outcome}"} (\\d+)`))?.[1] ?? NaN);
  if (!process.env.CLUSTER) {
    assert.equal(counted("handled"), said * sockets.length);
    assert.ok(counted("unavailable") > 0, "some requests found nobody");
    assert.equal(counted("failed") + counted("rejected"), 0);
  }
});
