// A page with 10,000 connections that change: it makes the rows in sight and no others. How
// long its tasks take is told; SMOOTH=1, on a machine that does nothing else, insists on 50 ms.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend } from "./lib/backend.mjs";
import { browser, skip } from "./lib/browser.mjs";
import { batch, crowd, goTo, openConsole } from "./lib/console.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until } from "./lib/until.mjs";

const insists = Boolean(process.env.SMOOTH);
const number = insists ? 10_000 : 2_000;
const secondsLong = insists ? 20 : 5;

test("a page with many changing connections makes the rows in sight", { skip, timeout: 240_000 }, async (t) => {
  const daemon = await Daemon.startAlone(t, {});
  const api = backend(t, daemon);
  const ids = await crowd(t, daemon, number);
  await batch(api, ids.map((id, i) => ({ join: { to: { ids: [id] }, rooms: [`part ${i % 10}`] } })));
  const it = await browser(t);
  const { page, complaints } = await openConsole(await it.newContext({ viewport: { width: 1280, height: 900 } }), daemon);
  await goTo(page, "Connections");
  const all = number.toLocaleString("en");
  await page.getByText(`${all} of ${all} connections, live`).waitFor();
  await page.evaluate(() => {
    globalThis.tasks = [];
    new PerformanceObserver((list) => globalThis.tasks.push(...list.getEntries().map((e) => Math.round(e.duration)))).observe({ type: "longtask" });
  });
  const [first] = await page.locator(".rows .all .row").allTextContents();
  for (let n = 0; n < secondsLong * 10; n++) { // a tenth of them every 100 ms: each changes once a second
    await api.updateConnections({ to: { rooms: [`part ${n % 10}`] }, user_id: `user ${n}` });
    if (n % 10 === 5) await page.locator(".rows").evaluate((box, at) => (box.scrollTop = at), n * 200);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await page.locator(".rows").evaluate((box) => (box.scrollTop = 0));
  await until(async () => (await page.locator(".rows .all .row").first().textContent()) !== first, "the changes are shown");
  assert.ok((await page.locator(".rows .all .row").count()) < 100, "it makes rows that nobody sees");
  const tasks = await page.evaluate(() => globalThis.tasks);
  t.diagnostic(`${number} connections, each changed once a second for ${secondsLong} s: tasks above 50 ms: ${tasks.length === 0 ? "none" : tasks.join(", ")}`);
  if (insists) assert.deepEqual(tasks, []);
  assert.deepEqual(complaints, []);
});
