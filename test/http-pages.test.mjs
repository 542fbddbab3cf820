// Web pages in a real browser that try to call the control API of the daemon beside it.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { test } from "node:test";

import { browser, skip } from "./lib/browser.mjs";
import { client, connected, heard } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { call } from "./lib/grpcurl.mjs";

const emitPath = "/fanout.v1.EmitterService/Emit";

// Serves an empty page, and returns its origin.
async function site(t) {
  const server = http.createServer((_, response) => response.end("<!doctype html>")).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

// What a page gets that sends this; the name of the error if it gets nothing.
const send = (page, url, event, options) =>
  page.evaluate(
    ([url, body, options]) => fetch(url, { method: "POST", body, ...options }).then(({ type, status }) => ({ type, status }), ({ name }) => name),
    [url, JSON.stringify({ to: { all: true }, event }), options],
  );
const json = { headers: { "content-type": "application/json" } };

test("pages of other sites, and such whose name leads here, do nothing; those that are let in do", { skip, timeout: 120_000 }, async (t) => {
  const [evil, admin] = [await site(t), await site(t)];
  const daemon = await Daemon.start(t, { "control-origins": admin });
  const socket = await connected(client(t, daemon));
  const it = await browser(t, ["--host-resolver-rules=MAP evil.example 127.0.0.1"]);
  const page = await it.newPage();
  const url = `http://${daemon.control}${emitPath}`;

  await page.goto(evil);
  assert.equal(await send(page, url, "json", json), "TypeError"); // the preflight is refused
  assert.deepEqual(await send(page, url, "text", { mode: "no-cors" }), { type: "opaque", status: 0 }); // which says nothing
  await page.evaluate(([url, body]) => navigator.sendBeacon(url, body), [url, '{"to":{"all":true},"event":"beacon"}']);

  const rebound = `http://evil.example:${daemon.control.split(":")[1]}`;
  await page.goto(`${rebound}/healthz`);
  assert.deepEqual(await send(page, emitPath, "rebound", json), { type: "basic", status: 403 });

  await page.goto(admin);
  assert.deepEqual(await send(page, url, "let in", json), { type: "cors", status: 200 });
  await call(daemon, "EmitterService/Emit", { to: { all: true }, event: "the last one" });
  assert.deepEqual(await heard(socket, 2), [["let in"], ["the last one"]]);
  assert.match(daemon.log, /reason=ORIGIN_REFUSED/);
  assert.match(daemon.log, /reason=HOST_REFUSED/);
});
