// Browsers' own TLS, without a proxy: the stock client over https and wss, and in a real
// browser, which polls by HTTP/2.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";

import { App } from "./lib/app.mjs";
import { backend } from "./lib/backend.mjs";
import { browser, openTab, skip } from "./lib/browser.mjs";
import { client, connected, heard, upgraded } from "./lib/browser-like.mjs";
import { certificate } from "./lib/certificate.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until, within } from "./lib/until.mjs";

// A daemon that shows a certificate of its own to browsers; .ca is who signed it.
async function start(t, flags = {}) {
  const dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-tls-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const ca = await certificate(dir);
  const tls = { "tls-cert-file": path.join(dir, "CERT.pem"), "tls-key-file": path.join(dir, "KEY.pem") };
  const daemon = await Daemon.start(t, { ...tls, ...flags });
  daemon.ca = ca;
  daemon.url = daemon.url.replace("http://127.0.0.1", "https://localhost");
  return daemon;
}

const bytes = Buffer.from([0, 255, 1]);

for (const [name, options, ready, transport] of [
  ["https", { transports: ["polling"] }, connected, "polling"],
  ["wss", { transports: ["websocket"] }, connected, "websocket"],
  ["an upgrade from https to wss", {}, upgraded, "websocket"],
]) {
  test(`the stock client over ${name}`, { timeout: 60_000 }, async (t) => {
    const daemon = await start(t, { "ping-interval": "300ms" });
    const api = backend(t, daemon);
    const app = new App(api, "app");
    app.on("/", "echo", (_, n, got, reply) => reply([n + 1, got]));
    await app.run(t);
    const socket = client(t, daemon, { ca: daemon.ca, ...options });
    let pings = 0;
    socket.io.on("ping", () => pings++);
    await ready(socket);
    assert.equal(socket.io.engine.transport.name, transport);
    const [n, back] = await socket.timeout(10_000).emitWithAck("echo", 1, bytes);
    assert.deepEqual([n, Buffer.from(back)], [2, bytes]);
    await api.emit({ to: { ids: [socket.id] }, event: "hello", args_json: '["you",{"_placeholder":true,"num":0}]', attachments: [bytes] });
    assert.deepEqual((await heard(socket, 1))[0], ["hello", "you", bytes]);
    const { connection } = await api.getConnection({ id: socket.id });
    assert.deepEqual([connection.handshake.secure, connection.transport], [true, transport]);
    await until(() => pings >= 3, "pings have come");
    assert.deepEqual(app.errors, []);
    assert.deepEqual(socket.ends, []);
  });
}

test("a client that does not trust the certificate stays away", { timeout: 60_000 }, async (t) => {
  const daemon = await start(t);
  for (const transports of [["polling"], ["websocket"]]) {
    const socket = client(t, daemon, { transports, reconnection: false });
    const err = await within(new Promise((resolve, reject) => {
      socket.on("connect", () => reject(new Error(`connected over ${transports}`)));
      socket.on("connect_error", resolve);
    }), "an error");
    assert.match(err.message, /xhr poll error|websocket error/);
  }
});

// The protocols of the page's requests to a transport.
const protocols = (page, transport) =>
  page.evaluate((transport) => {
    const requests = performance.getEntriesByType("resource").filter(({ name }) => name.includes(`transport=${transport}`));
    return [...new Set(requests.map(({ nextHopProtocol }) => nextHopProtocol))];
  }, transport);

// What else a test wants of a browser that takes any certificate.
const untrusting = { ignoreHTTPSErrors: true };

test("the demo page by HTTP/2, and its upgrade to wss", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await start(t, { demo: true });
  const it = await browser(t);
  const { page, complaints } = await openTab(await it.newContext(untrusting), daemon);
  assert.deepEqual(await protocols(page, "polling"), ["h2"]);
  const { connections } = await backend(t, daemon).listConnections({ to: { all: true }, view: "FULL" });
  assert.deepEqual(connections.map(({ transport, handshake }) => [transport, handshake.secure]), [["websocket", true]]);
  assert.deepEqual(complaints, []);
});

test("events by polls over HTTP/2, and through the upgrade", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await start(t, { demo: true, "max-payload": "100000" });
  const api = backend(t, daemon);
  const app = new App(api, "app");
  const said = [];
  app.on("/", "n", (_, n, text, reply) => reply(said.push(n)));
  await app.run(t);
  const it = await browser(t);
  const context = await it.newContext(untrusting);
  for (const transports of [["polling"], ["polling", "websocket"]]) {
    said.length = 0;
    const page = await context.newPage();
    await page.goto(`${daemon.url}/socket.io/socket.io.js`); // of the same origin, and no client runs in it
    await page.addScriptTag({ url: `${daemon.url}/socket.io/socket.io.js` });
    const id = await page.evaluate(async (transports) => {
      globalThis.heard = [];
      globalThis.ends = [];
      globalThis.socket = io({ transports, reconnection: false });
      socket.on("n", (n) => heard.push(n));
      socket.on("disconnect", (reason) => ends.push(reason));
      await new Promise((resolve, reject) => socket.on("connect", resolve).on("connect_error", reject));
      return socket.id;
    }, transports);
    const to = { ids: [id] };
    const last = transports.at(-1);
    let sent = 0;
    const emit = () => api.emit({ to, event: "n", args_json: `[${sent++}]` });
    await until(async () => {
      await emit();
      return (await page.evaluate(() => socket.io.engine.transport.name)) === last;
    }, `the page is on ${last}`);
    for (let i = 0; i < 200; i++) await emit();
    // POSTs meanwhile, some with much in them.
    const counts = await page.evaluate(async () => {
      const acks = [];
      for (let n = 0; n < 50; n++) acks.push(socket.timeout(20_000).emitWithAck("n", n, "x".repeat(n * 100)).catch(String));
      return Promise.all(acks);
    });
    assert.deepEqual(counts, Array.from({ length: 50 }, (_, n) => n + 1));
    await until(async () => (await page.evaluate(() => heard.length)) >= sent, "the page has heard every event");
    assert.deepEqual(await page.evaluate(() => heard), Array.from({ length: sent }, (_, n) => n));
    assert.deepEqual(said, Array.from({ length: 50 }, (_, n) => n));
    assert.deepEqual(await page.evaluate(() => ends), []);
    assert.deepEqual(await protocols(page, "polling"), ["h2"]);
    await page.close();
  }
});
