// The stock client in a real browser, over WebTransport. Browsers want a
// secure page for it, and a certificate: one that no authority has signed will
// do if the page names its hash and it is good for two weeks at most.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import dgram from "node:dgram";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import tls from "node:tls";

import { App } from "./lib/app.mjs";
import { backend } from "./lib/backend.mjs";
import { browser, skip as noBrowser } from "./lib/browser.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until, within } from "./lib/until.mjs";

const skip = noBrowser || noOpenssl();
const everybody = { to: { all: true } };

// More than a record whose length has 16 bits, and than a stream's window.
const large = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => i % 251));

test("a session that begins on WebTransport", { skip, timeout: 120_000 }, async (t) => {
  const { daemon, edge, api } = await start(t, { "ping-interval": "300ms" });
  const app = new App(api, "app");
  app.on("/", "echo", (_, n, bytes, reply) => reply([n + 1, bytes]));
  await app.run(t);
  const page = await open(t, edge.url, edge);
  await connect(page, edge.url, ["webtransport"]);
  const { id, opened } = await state(page);
  assert.deepEqual(opened, ["webtransport"]);
  assert.deepEqual(await transports(api), { [id]: "webtransport" });

  // Both ways, with and without attachments, small and large.
  for (const bytes of [Buffer.from([0, 255, 1]), large]) {
    await api.emit({ ...everybody, event: "bytes", args_json: '["é",{"_placeholder":true,"num":0}]', attachments: [bytes] });
    const [name, text, digest] = await next(page);
    assert.deepEqual([name, text, digest], ["bytes", "é", sha256(bytes)]);
    const echo = await page.evaluate(async (bytes) => {
      const [n, back] = await socket.timeout(10_000).emitWithAck("echo", 1, new Uint8Array(bytes));
      return [n, await digest(back)];
    }, [...bytes]);
    assert.deepEqual(echo, [2, sha256(bytes)]);
  }
  const answer = await api.call({ id, event: "ask", args_json: "[20,22]", timeout: { seconds: 10 } });
  assert.equal(answer.args_json, "[42]");
  assert.deepEqual(app.errors, []);
  await until(async () => (await state(page)).pings >= 3, "pings have come");

  // It comes back by itself, by the same way and as another.
  await api.disconnect({ ...everybody, mode: "TRANSPORT" });
  await until(async () => ![undefined, id].includes((await state(page)).id), "the page is back with another id");
  const after = await state(page);
  assert.deepEqual(after.opened, ["webtransport", "webtransport"]);
  assert.equal(after.ends.length, 1);
  assert.match(after.ends[0], /^transport (close|error)$/);
  assert.deepEqual(await transports(api), { [after.id]: "webtransport" });
  await api.emit({ to: { ids: [after.id] }, event: "again" });
  assert.deepEqual(await next(page), ["again"]);

  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
});

test("events through an upgrade from polling to WebTransport", { skip, timeout: 120_000 }, async (t) => {
  const { edge, api } = await start(t);
  const page = await open(t, edge.url, edge);
  await connect(page, edge.url, ["polling", "webtransport"]);
  const { id } = await state(page);

  // As many as it takes for the upgrade, and some after it.
  let sent = 0;
  const emit = () => api.emit({ ...everybody, event: "n", args_json: `[${sent++}]` });
  await until(async () => {
    await emit();
    return (await transports(api))[id] === "webtransport";
  }, "the session is on WebTransport");
  for (let i = 0; i < 50; i++) await emit();
  await until(async () => (await state(page)).heard.length >= sent, "every event has come");

  const { heard, opened, upgraded, ends, transport, id: still } = await state(page);
  assert.deepEqual(heard, Array.from({ length: sent }, (_, n) => ["n", n]));
  assert.deepEqual({ opened, upgraded, ends, transport }, { opened: ["polling"], upgraded: ["webtransport"], ends: [], transport: "webtransport" });
  assert.equal(still, id);
});

test("pages of another origin", { skip, timeout: 120_000 }, async (t) => {
  const friend = await Edge.listen(t);
  const { daemon, edge, api } = await start(t, { origins: friend.url });
  friend.to(daemon);

  // They differ in nothing but the setting that names one of them.
  const foreign = await open(t, daemon.url, edge);
  const message = await connect(foreign, edge.url, ["webtransport"]).catch((err) => err.message);
  assert.match(String(message), /webtransport error/);
  await until(() => daemon.log.includes(`origin=${daemon.url}`), "the log says who was refused");
  assert.match(daemon.log, /refused a page of another origin/);
  assert.deepEqual(await transports(api), {});

  const named = await open(t, friend.url, edge);
  await connect(named, edge.url, ["webtransport"]);
  assert.deepEqual(await transports(api), { [(await state(named)).id]: "webtransport" });
});

// A daemon behind an edge that has its HTTP at the port of its WebTransport.
async function start(t, flags = {}) {
  const edge = await Edge.listen(t);
  const daemon = await Daemon.start(t, {
    "webtransport-listen": edge.address,
    "webtransport-cert-file": edge.files.cert,
    "webtransport-key-file": edge.files.key,
    ...flags,
  });
  edge.to(daemon);
  return { daemon, edge, api: backend(t, daemon) };
}

// What stands before a daemon to give its pages https. Its UDP port is free,
// for the daemon.
class Edge {
  static async listen(t) {
    const edge = new Edge();
    const dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-edge-"));
    edge.files = makeCertificate(dir);
    const [cert, key] = await Promise.all([readFile(edge.files.cert), readFile(edge.files.key)]);
    edge.hash = [...createHash("sha256").update(new X509Certificate(cert).raw).digest()];
    edge.open = new Set();
    edge.server = tls.createServer({ cert, key }, (socket) => edge.pass(socket));
    t.after(async () => {
      edge.server.close();
      for (const socket of edge.open) socket.destroy();
      await rm(dir, { recursive: true });
    });
    edge.port = await listenBeside(edge.server);
    edge.address = `127.0.0.1:${edge.port}`;
    edge.url = `https://${edge.address}`;
    return edge;
  }

  to(daemon) {
    this.target = new URL(daemon.url).port;
  }

  pass(client) {
    const daemon = net.connect(this.target, "127.0.0.1");
    for (const [from, into] of [
      [client, daemon],
      [daemon, client],
    ]) {
      this.open.add(from);
      from.on("error", () => into.destroy()).on("close", () => this.open.delete(from));
      from.pipe(into);
    }
  }
}

// Listens at a TCP port whose UDP twin is free too, and returns it.
async function listenBeside(server) {
  for (let attempt = 1; ; attempt++) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address();
    const twin = dgram.createSocket("udp4");
    try {
      twin.bind(port, "127.0.0.1");
      await once(twin, "listening");
      return port;
    } catch (err) {
      if (attempt === 5) throw err;
      server.close();
      await once(server, "close");
    } finally {
      await new Promise((resolve) => twin.close(resolve));
    }
  }
}

function noOpenssl() {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return false;
  } catch {
    return "no certificate can be made: openssl is not installed";
  }
}

// Hashes are only taken of a certificate with an ECDSA key.
function makeCertificate(dir) {
  const files = { cert: path.join(dir, "cert.pem"), key: path.join(dir, "key.pem") };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", files.key];
  const name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync("openssl", ["req", "-x509", ...key, ...name, "-days", "10", "-out", files.cert], { stdio: "pipe" });
  return files;
}

// Opens a page with the client that is served at url, and the means to connect
// to what has the edge's certificate.
async function open(t, url, edge) {
  const it = await browser(t);
  const context = await it.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const client = `${url}/socket.io/socket.io.js`;
  await page.goto(client); // any page of that origin
  await page.addScriptTag({ url: client });
  await page.evaluate((hash) => {
    globalThis.certificate = { algorithm: "sha-256", value: new Uint8Array(hash) };
    globalThis.seen = { opened: [], upgraded: [], ends: [], heard: [], pings: 0 };
    globalThis.digest = async (buffer) => {
      const sum = await crypto.subtle.digest("SHA-256", buffer);
      return Array.from(new Uint8Array(sum), (byte) => byte.toString(16).padStart(2, "0")).join("");
    };
  }, edge.hash);
  return page;
}

// Connects the page, or fails with the client's error.
function connect(page, url, transports) {
  const connecting = page.evaluate(
    ([url, transports]) =>
      new Promise((resolve, reject) => {
        const socket = (globalThis.socket = io(url, {
          transports,
          reconnectionDelay: 20,
          reconnectionDelayMax: 200,
          transportOptions: { webtransport: { serverCertificateHashes: [certificate] } },
        }));
        socket.io.on("open", () => {
          seen.opened.push(socket.io.engine.transport.name);
          socket.io.engine.on("upgrade", ({ name }) => seen.upgraded.push(name));
        });
        socket.io.on("ping", () => seen.pings++);
        socket.on("disconnect", (reason) => seen.ends.push(reason));
        socket.on("ask", (a, b, answer) => answer(a + b));
        // Their order must not depend on how long a digest takes.
        let last = Promise.resolve();
        socket.onAny((name, ...args) => {
          if (name === "ask") return;
          const shown = args.map((arg) => (arg instanceof ArrayBuffer ? digest(arg) : arg));
          last = last.then(async () => seen.heard.push([name, ...(await Promise.all(shown))]));
        });
        // Only the first attempt is the last: later ones are reconnections.
        const refused = (err) => {
          socket.disconnect();
          reject(err);
        };
        socket.on("connect_error", refused);
        socket.once("connect", () => {
          socket.off("connect_error", refused);
          resolve();
        });
      }),
    [url, transports],
  );
  return within(connecting, "the page to connect");
}

const state = (page) => page.evaluate(() => ({ ...seen, id: socket.id, transport: socket.io.engine.transport.name }));

// The event that the page has heard next.
async function next(page) {
  await until(() => page.evaluate(() => seen.heard.length > 0), "the page has heard an event");
  return page.evaluate(() => seen.heard.shift());
}

// What the daemon says carries each connection, by id.
async function transports(api) {
  const { connections } = await api.listConnections(everybody);
  return Object.fromEntries(connections.map(({ id, transport }) => [id, transport]));
}

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
