// What "make run" runs, in a real browser: two tabs that chat.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { backend } from "./lib/backend.mjs";
import { artifacts, browser, openTab, skip } from "./lib/browser.mjs";
import { binary, Daemon, root } from "./lib/daemon.mjs";
import { members, Program } from "./lib/program.mjs";
import { until } from "./lib/until.mjs";

const chat = process.env.CHAT ?? path.join(root, "bin/chat");

const status = (page) => page.locator("#chat-status").textContent();
const talk = (page) => page.locator("#talk .what").allTextContents();
const targets = (page) => page.locator("#chat-to option").allTextContents();

async function say(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

test("two tabs chat by what make run starts, and Ctrl-C ends it all", { skip, timeout: 180_000 }, async (t) => {
  await mkdir(artifacts, { recursive: true });
  const daemon = new Daemon({}); // only for its addresses
  await daemon.choosePorts();
  const flags = Object.entries(daemon.addresses).map(([name, value]) => `--${name}=${value}`);
  // A process group of its own, as a terminal gives it.
  const program = Program.start(t, "examples/chat/run.sh", flags, { env: { DAEMON: binary, CHAT: chat }, detached: true });
  await until(async () => {
    assert.equal(program.end, null, program.log);
    return (await fetch(`${daemon.ops}/readyz`).catch(() => null))?.ok;
  }, "the daemon is ready");
  const api = backend(t, daemon);
  await members(api, "chat", 1);

  const it = await browser(t);
  const context = await it.newContext({ viewport: { width: 1280, height: 900 } });
  const [a, b] = [await openTab(context, daemon), await openTab(context, daemon)];
  for (const { page } of [a, b]) await until(async () => (await status(page)) === "2 people here", "both know that they are two");

  // A message typed in one appears in both.
  await a.page.getByLabel("Name", { exact: true }).fill("Ada");
  await b.page.getByLabel("Name", { exact: true }).fill("<i>Bob</i>");
  await say(a.page, "hello, Bob");
  await say(b.page, "<img src=x onerror='document.title=1'>");
  for (const { page } of [a, b]) {
    await until(async () => (await talk(page)).length === 2, "both show both messages");
    assert.deepEqual((await talk(page)).sort(), ["<img src=x onerror='document.title=1'>", "hello, Bob"]);
    assert.deepEqual((await page.locator("#talk .who").allTextContents()).sort(), ["<i>Bob</i>", "Ada"]);
    assert.equal(await page.locator("#talk img").count(), 0);
  }
  assert.equal(await a.page.getByLabel("Message", { exact: true }).inputValue(), "");

  // A room: who is in it hears it, who has left does not.
  await a.page.getByLabel("Room to join").fill("tea");
  await a.page.getByRole("button", { name: "Join", exact: true }).click();
  await until(async () => (await targets(a.page)).includes("room: tea"), "the first tab is in the room");
  await a.page.locator("#chat-to").selectOption("tea");
  await say(a.page, "tea is ready");
  await until(async () => (await talk(a.page)).includes("tea is ready"), "the member shows it");
  for (const [name, tab] of Object.entries({ a, b })) await tab.page.screenshot({ path: path.join(artifacts, `chat-${name}.png`) });
  await a.page.getByRole("button", { name: "Leave the room tea" }).click();
  await until(async () => !(await targets(a.page)).includes("room: tea"), "the first tab has left");
  await say(b.page, "and now?");
  for (const { page } of [a, b]) await until(async () => (await talk(page)).includes("and now?"), "both show the last");
  assert.equal((await talk(b.page)).includes("tea is ready"), false);

  // A room joined here is joined again after the connection was lost.
  await a.page.getByLabel("Room to join").fill("tea");
  await a.page.getByRole("button", { name: "Join", exact: true }).click();
  await until(async () => (await targets(a.page)).includes("room: tea"), "the first tab is in the room");
  const before = await a.page.locator("#socket-id").textContent();
  await api.disconnect({ to: { ids: [before] }, mode: "TRANSPORT" });
  await until(async () => (await api.countConnections({ to: { rooms: ["tea"] } })).total === 1 && (await a.page.locator("#socket-id").textContent()) !== before, "it is back in the room");

  // Closing a tab lowers the count.
  await until(async () => (await status(b.page)) === "2 people here", "they are two again");
  await a.page.close();
  await until(async () => (await status(b.page)) === "1 person here", "the other knows that it is alone");
  assert.deepEqual([...a.complaints, ...b.complaints], []);
  await b.page.close();

  // Ctrl-C ends both programs.
  const group = program.process.pid;
  const children = execFileSync("ps", ["-A", "-o", "pid=,ppid=,comm="], { encoding: "utf8" })
    .split("\n")
    .map((row) => row.trim().split(/\s+/))
    .filter(([, parent, name]) => Number(parent) === group && name !== "sleep")
    .map(([pid]) => Number(pid));
  assert.equal(children.length, 2, "the daemon and the chat run");
  process.kill(-group, "SIGINT");
  assert.deepEqual(await program.ended, { code: 0, signal: null }, program.log);
  for (const pid of children) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

test("without a chat backend the page says so, and finds the one that comes", { skip, timeout: 180_000 }, async (t) => {
  await mkdir(artifacts, { recursive: true });
  const daemon = await Daemon.start(t, { demo: true });
  const it = await browser(t);
  const context = await it.newContext({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2, colorScheme: "dark" });
  const { page, complaints } = await openTab(context, daemon);
  await until(async () => (await status(page)) === "no backend", "the page has found none");
  assert.ok(await page.locator("#events").isVisible(), "the events are in front");
  await page.getByRole("button", { name: "Chat" }).click();
  assert.ok(await page.locator("#chat-hint").isVisible());
  assert.ok(await page.getByRole("button", { name: "Send" }).isDisabled());
  await page.screenshot({ path: path.join(artifacts, "chat-nobody.png") });

  Program.start(t, chat, [daemon.control]);
  await until(async () => (await status(page)) === "1 person here", "the page has found it");
  assert.ok(!(await page.locator("#chat-hint").isVisible()));
  await say(page, "hello");
  await until(async () => (await talk(page)).length === 1, "it chats");
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(overflow, 0, "the chat is wider than the screen");
  await page.screenshot({ path: path.join(artifacts, "chat-phone.png") });
  assert.deepEqual(complaints, []);
});
