// The console of a daemon in a real browser, and what it has to show.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import WebSocket from "ws";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// Opens it. What the browser or the page complains about, a breach of the content security
// policy too, fails the test by the list it returns.
export async function openConsole(context, daemon, at = "") {
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (err) => complaints.push(String(err)));
  await page.goto(`${daemon.ops}/console/${at}`);
  await page.locator("h1").waitFor();
  return { page, complaints };
}

// Goes to a page of the console by its title in the menu.
export async function goTo(page, title) {
  await page.getByRole("navigation", { name: "Pages", exact: true }).getByRole("link", { name: title, exact: true }).click();
  await page.getByRole("heading", { level: 1, name: title, exact: true }).waitFor();
}

// What axe-core finds wrong with how a page is reached by those who do not see or point: a
// line for each.
export async function barriers(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 160)).join(" | ")}`);
}

// So many browsers of the least kind: a WebSocket each, that answers pings and says nothing.
// Resolves with their ids once all are in.
export async function crowd(t, daemon, number, atOnce = 100) {
  const ids = [];
  const all = [];
  t.after(() => all.forEach((ws) => ws.terminate()));
  const one = () =>
    new Promise((resolve, reject) => {
      const ws = new WebSocket(`${daemon.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: false });
      all.push(ws);
      ws.on("error", reject);
      ws.on("message", (data) => {
        const text = data.toString();
        if (text[0] === "0") ws.send("40");
        else if (text === "2") ws.send("3");
        else if (text.startsWith("40")) {
          ids.push(JSON.parse(text.slice(2)).sid);
          resolve();
        }
      });
    });
  while (ids.length < number) await Promise.all(Array.from({ length: Math.min(atOnce, number - ids.length) }, one));
  return ids;
}

// A consumer of a group, which handles each event but those that it is told to give back.
export async function worker(t, api, open, givesBack = () => false) {
  const stream = api.consume();
  const ended = new Promise((resolve) => stream.on("error", resolve).on("end", resolve));
  t.after(() => (stream.end(), ended));
  await new Promise((resolve) => {
    stream.on("data", ({ ready, events }) => {
      if (ready) resolve();
      for (const { delivery_id, event } of events?.events ?? []) {
        stream.write(givesBack(event) ? { nack: { delivery_ids: [delivery_id] } } : { ack: { delivery_ids: [delivery_id] } });
      }
    });
    stream.write({ open });
  });
  return stream;
}

// Does operations for many, a thousand at a time.
export async function batch(api, operations) {
  for (let at = 0; at < operations.length; at += 1000) {
    const { results } = await api.batch({ operations: operations.slice(at, at + 1000) });
    assert.deepEqual(results.filter(({ status }) => status), []);
  }
}
