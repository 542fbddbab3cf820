// What the daemon serves besides Socket.IO: the client's files, health, its
// command line.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { binary, Daemon } from "./lib/daemon.mjs";

const require = createRequire(import.meta.url);
const dist = path.join(path.dirname(require.resolve("socket.io-client/package.json")), "dist");
const { version } = require("socket.io-client/package.json");
const run = promisify(execFile);

const files = ["socket.io", "socket.io.min", "socket.io.esm.min", "socket.io.msgpack.min"].flatMap((name) => [`${name}.js`, `${name}.js.map`]);

test("the client's files are those of the npm package, whatever the coding", async (t) => {
  const daemon = await Daemon.start(t);
  for (const file of files) {
    const want = await readFile(path.join(dist, file), "utf8");
    for (const coding of ["identity", "gzip", "br"]) {
      const answer = await fetch(`${daemon.url}/socket.io/${file}?v=1`, { headers: { "accept-encoding": coding } });
      assert.equal(answer.status, 200, file);
      assert.equal(answer.headers.get("content-encoding"), coding === "identity" ? null : coding, file);
      assert.equal(answer.headers.get("etag"), `"${version}"`);
      assert.equal(answer.headers.get("vary"), "Origin, Accept-Encoding") // which pages may use it, and the coding;
      assert.equal(await answer.text(), want, `${file} as ${coding}`);
    }
  }
  const cached = await fetch(`${daemon.url}/socket.io/socket.io.js`, { headers: { "if-none-match": `W/"${version}"` } });
  assert.equal(cached.status, 304);
});

test("serve-client off: the path says so, and Socket.IO is served all the same", async (t) => {
  const daemon = await Daemon.start(t, { "serve-client": false });
  for (const file of files) {
    const answer = await fetch(`${daemon.url}/socket.io/${file}`);
    assert.equal(answer.status, 404);
    assert.match(await answer.text(), /serve-client/);
  }
  const handshake = await fetch(`${daemon.url}/socket.io/?EIO=4&transport=polling`);
  assert.equal(handshake.status, 200);
});

test("without --demo there is no page", async (t) => {
  const daemon = await Daemon.start(t);
  assert.equal((await fetch(`${daemon.url}/`)).status, 404);
  assert.equal((await fetch(`${daemon.url}/demo/config`)).status, 404);
});

test("/socket.io without its slash is served as with it", async (t) => {
  const daemon = await Daemon.start(t);
  assert.equal((await fetch(`${daemon.url}/socket.io?EIO=4&transport=polling`, { redirect: "manual" })).status, 200);
});

test("health is for operators only", async (t) => {
  const daemon = await Daemon.start(t);
  assert.equal((await fetch(`${daemon.ops}/livez`)).status, 200);
  assert.equal((await fetch(`${daemon.ops}/readyz`)).status, 200);
  assert.equal((await fetch(`${daemon.url}/readyz`)).status, 404);
});

test("version and help", async () => {
  assert.match((await run(binary, ["version"])).stdout, /fanoutd/);
  assert.match((await run(binary, ["help", "serve"])).stdout, /--control-listen/);
});

for (const [name, args, env, said] of [
  ["an unknown flag", ["--nonsense=1"], {}, /nonsense/],
  ["a bad duration", ["--ping-interval=fast"], {}, /ping-interval/],
  ["a bad value in the environment", [], { FANOUTD_MAX_PAYLOAD: "much" }, /max-payload|FANOUTD_MAX_PAYLOAD/i],
  ["a bad origin", ["--origins=example.com"], {}, /origins/],
  ["a control listener that others can reach", ["--control-listen=0.0.0.0:0"], {}, /control-key|insecure-control/],
]) {
  test(`the daemon refuses to start: ${name}`, async () => {
    const addresses = ["--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--control-listen=127.0.0.1:0"];
    const err = await run(binary, [...addresses, ...args], { env: { PATH: process.env.PATH, ...env }, timeout: 10_000 }).then(
      () => assert.fail("it started"),
      (err) => err,
    );
    assert.equal(err.killed, false, "it went on running");
    assert.notEqual(err.code, 0);
    assert.match(err.stderr + err.stdout, said);
  });
}
