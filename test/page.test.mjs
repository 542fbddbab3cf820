// The demo page in a real browser: two tabs, and the lines they offer.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { backend } from "./lib/backend.mjs";
import { artifacts, browser, openTab, skip } from "./lib/browser.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { line } from "./lib/grpcurl.mjs";
import { until } from "./lib/until.mjs";

const id = (page) => page.locator("#socket-id").textContent();
const commandLine = (page, name) => page.locator(`[data-command="${name}"] .line`).textContent();
const events = (page) => page.locator("#log .event .event-name").allTextContents();
const rooms = (page) => page.locator("#rooms .room:not(.own)").allTextContents();

test("two tabs follow the lines they offer", { skip, timeout: 120_000 }, async (t) => {
  await mkdir(artifacts, { recursive: true });
  const daemon = await Daemon.start(t, { demo: true });
  const it = await browser(t);
  const context = await it.newContext({ viewport: { width: 1280, height: 900 } });
  const [a, b] = [await openTab(context, daemon), await openTab(context, daemon)];
  const [idA, idB] = [await id(a.page), await id(b.page)];
  assert.notEqual(idA, idB);
  assert.equal(await a.page.locator("#transport").textContent(), "polling→websocket");

  // One line changes both tabs.
  assert.deepEqual(await line(daemon, await commandLine(a.page, "emit-all")), { matched: 2 });
  for (const tab of [a, b]) {
    await until(async () => (await events(tab.page)).length === 1, "the event is shown");
    assert.deepEqual(await events(tab.page), ["new message"]);
    assert.equal(await tab.page.locator("#log .event .arg").textContent(), '{"msg": "hello, all"}');
  }

  // One tab joins a room; only that one hears it, and shows it.
  assert.deepEqual(await line(daemon, await commandLine(a.page, "join")), { affected: 1 });
  await until(async () => (await rooms(a.page)).includes("some room"), "the first tab shows its room");
  assert.deepEqual(await rooms(b.page), []);
  assert.deepEqual(await line(daemon, await commandLine(b.page, "emit-room")), { matched: 1 });
  await until(async () => (await events(a.page)).length === 2, "the first tab shows the room's event");
  assert.equal(await a.page.locator("#log .event .arg").first().textContent(), '{"msg": "hello, room"}');
  await line(daemon, await commandLine(b.page, "emit-id"));
  await line(daemon, await commandLine(b.page, "emit-bytes"));
  await until(async () => (await events(b.page)).length === 3, "the second tab shows its own");
  assert.equal(await b.page.locator("#log .event .arg").first().textContent(), '<5 bytes 68 65 6c 6c 6f "hello">');
  assert.equal((await events(a.page)).length, 2);
  const listed = await line(daemon, await commandLine(a.page, "list"));
  assert.equal(listed.connections.length, 2);

  for (const [name, tab] of Object.entries({ a, b })) {
    await tab.page.screenshot({ path: path.join(artifacts, `two-tabs-${name}.png`) });
  }

  // TRANSPORT: it comes back with another id, and the lines follow.
  await line(daemon, await commandLine(a.page, "disconnect-transport"));
  await until(async () => (await id(a.page)) !== idA, "the first tab is back with a new id");
  await a.page.locator('#state[data-state="connected"]').waitFor();
  const idA2 = await id(a.page);
  assert.ok((await commandLine(a.page, "emit-id")).includes(idA2));
  await until(async () => (await rooms(a.page)).length === 0, "its rooms are gone");

  // NAMESPACE: it stays away until its button is pressed.
  await line(daemon, await commandLine(b.page, "disconnect-namespace"));
  await b.page.locator('#state[data-state="away"]').waitFor();
  await b.page.screenshot({ path: path.join(artifacts, "disconnected.png") });
  const api = backend(t, daemon);
  assert.equal((await api.countConnections({ to: { all: true } })).total, 1);
  await b.page.getByRole("button", { name: "Connect again" }).click();
  await b.page.locator('#state[data-state="connected"]').waitFor();
  assert.notEqual(await id(b.page), idB);

  assert.deepEqual([...a.complaints, ...b.complaints], []);
});

test("the page connects at the path that is set", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.start(t, { demo: true, path: "/rt/socket.io" });
  const it = await browser(t);
  const tab = await openTab(await it.newContext(), daemon);
  assert.deepEqual(await line(daemon, await commandLine(tab.page, "emit-id")), { matched: 1 });
  await until(async () => (await events(tab.page)).length === 1, "the event is shown");
  assert.deepEqual(tab.complaints, []);
});

test("what arrives is text, whatever it looks like, and the list is bounded", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.start(t, { demo: true });
  const api = backend(t, daemon);
  const it = await browser(t);
  const { page, complaints } = await openTab(await it.newContext(), daemon);
  const markup = '<img src=x onerror="document.title=1">';
  await api.emit({ to: { all: true, rooms: [] }, event: markup, args_json: JSON.stringify([markup, { [markup]: markup }]) });
  await until(async () => (await events(page)).length === 1, "the event is shown");
  assert.deepEqual(await events(page), [markup]);
  assert.equal(await page.locator("#log img").count(), 0);
  assert.notEqual(await page.title(), "1");

  const emits = Array.from({ length: 500 }, (_, n) => ({ to: { all: true }, event: `event ${n}` }));
  await api.emitBatch({ emits });
  await until(async () => (await page.locator("#tally").textContent()).startsWith("501 events received"), "all are counted");
  assert.equal(await page.locator("#log li").count(), 200);
  assert.equal((await events(page))[0], "event 499");
  await page.getByRole("button", { name: "Clear" }).click();
  assert.equal(await page.locator("#log li").count(), 0);
  assert.deepEqual(complaints, []);
});

test("copying works by the clipboard API and without it", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.start(t, { demo: true });
  const it = await browser(t);
  for (const withApi of [true, false]) {
    const context = await it.newContext();
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: daemon.url });
    const { page } = await openTab(context, daemon);
    const want = await commandLine(page, "join");
    if (!withApi) {
      // As on plain http from another machine.
      await page.evaluate(() => {
        globalThis.realClipboard = navigator.clipboard;
        Object.defineProperty(navigator, "clipboard", { value: undefined });
      });
    }
    const button = page.locator('[data-command="join"] button');
    await button.click();
    await until(async () => (await button.textContent()) === "Copied", "the button says so");
    assert.equal(await page.evaluate(() => (globalThis.realClipboard ?? navigator.clipboard).readText()), want);
    await context.close();
  }
});

for (const [name, width, height, colorScheme] of [
  ["desktop-light", 1280, 900, "light"],
  ["desktop-dark", 1280, 900, "dark"],
  ["phone-light", 360, 740, "light"],
  ["phone-dark", 360, 740, "dark"],
]) {
  test(`the page fits: ${name}`, { skip, timeout: 120_000 }, async (t) => {
    await mkdir(artifacts, { recursive: true });
    const daemon = await Daemon.start(t, { demo: true });
    const api = backend(t, daemon);
    const it = await browser(t);
    const phone = width < 400;
    const context = await it.newContext({ viewport: { width, height }, colorScheme, isMobile: phone, hasTouch: phone, deviceScaleFactor: phone ? 2 : 1 });
    const { page, complaints } = await openTab(context, daemon);
    await api.join({ to: { all: true }, rooms: ["some room", `a room with a long name ${"x".repeat(60)}`] });
    await api.emit({ to: { all: true }, event: "new message", args_json: '[{"msg":"hello, all"}]' });
    await api.emit({ to: { all: true }, event: `long ${"x".repeat(120)}`, args_json: JSON.stringify(["y".repeat(200)]) });
    await api.emit({
      to: { all: true },
      event: "order update",
      args_json: '[{"order":918273645,"state":"packed","items":[{"sku":"A-1","qty":2},{"sku":"B-77","qty":1}],"total":129.9,"paid":true,"coupon":null}]',
    });
    await until(async () => (await events(page)).length === 3 && (await rooms(page)).length === 2, "all is shown");
    const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(await overflow(), 0, "the events are wider than the screen");
    await page.screenshot({ path: path.join(artifacts, `${name}.png`) });
    if (phone) {
      await page.getByRole("button", { name: "Commands" }).click();
      assert.ok(await page.locator("#commands").isVisible());
      assert.ok(!(await page.locator("#events").isVisible()));
      assert.equal(await overflow(), 0, "the commands are wider than the screen");
      await page.screenshot({ path: path.join(artifacts, `${name}-commands.png`) });
    }
    assert.deepEqual(complaints, []);
  });
}
