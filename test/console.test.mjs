// The console in a real browser.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { backend } from "./lib/backend.mjs";
import { browser, skip } from "./lib/browser.mjs";
import { client, connected } from "./lib/browser-like.mjs";
import { openConsole } from "./lib/console.mjs";
import { Daemon, root } from "./lib/daemon.mjs";
import { page as guidePage } from "./lib/docs.mjs";
import { until } from "./lib/until.mjs";

const guide = guidePage("docs/console.md");
const key = "a key of thirty-two bytes or more";

test("the overview and the connections are live", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.startAlone(t, {});
  const api = backend(t, daemon);
  const sockets = await Promise.all([connected(client(t, daemon)), connected(client(t, daemon))]);
  const it = await browser(t);
  const { page, complaints } = await openConsole(await it.newContext(), daemon);
  await page.getByText("Nothing is wrong that the daemon knows of.").waitFor();
  await page.locator(".number-card", { hasText: "Connections" }).getByText("2", { exact: true }).waitFor();
  assert.equal(await page.locator(".chart canvas").count(), 4);

  await page.getByRole("link", { name: "Connections", exact: true }).first().click();
  const rows = page.locator(".rows .all .row");
  await until(async () => (await rows.count()) === 2, "both are listed");
  await connected(client(t, daemon));
  await until(async () => (await rows.count()) === 3, "a new one comes by itself");
  await api.join({ to: { ids: [sockets[0].id] }, rooms: ["lobby"] });
  await page.getByLabel("Search for").fill("LOBB");
  await until(async () => (await rows.count()) === 1, "a part of a room finds it");
  await rows.getByRole("link").first().click();

  await page.getByRole("heading", { name: "Connection", exact: true }).waitFor();
  await page.getByRole("link", { name: "lobby" }).waitFor();
  await until(async () => (await api.getServerInfo({})) && (await page.getByText("What the browser sends from now on").count()) === 1, "the page is there");
  await until(async () => {
    sockets[0].emit("hello", { n: 1 });
    return (await page.locator(".events li").count()) > 0;
  }, "its events pass");
  assert.match(await page.locator(".events li").first().textContent(), /hello \[{"n":1}\]/);
  sockets[0].on("question", (n, answer) => answer(n + 1));
  await page.getByRole("button", { name: "Call" }).click();
  await page.getByLabel("Event", { exact: true }).fill("question");
  await page.getByLabel("Arguments").fill("[41");
  await page.getByText("This is no JSON").waitFor();
  await page.getByLabel("Arguments").fill("[41]");
  await page.locator("dialog").getByRole("button", { name: "Call" }).click();
  await page.locator("dialog pre", { hasText: '"argsJson": "[42]"' }).waitFor();
  assert.deepEqual(complaints, []);
});

test("charts have what was before the page was opened", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.startAlone(t, {});
  const api = backend(t, daemon);
  await connected(client(t, daemon));
  const kept = async () => (await (await fetch(`${daemon.ops}/console/api/history`, { headers: { "fanoutd-console": "1" } })).json()).figures;
  await until(async () => {
    await api.emit({ to: { all: true }, event: "tick" });
    const [first, ...more] = await kept();
    return more.some((f) => f.connections === 1 && f.sent > first.sent);
  }, "the daemon has figures of it");
  const it = await browser(t);
  const { page, complaints } = await openConsole(await it.newContext(), daemon);
  await page.locator(".chart canvas").first().waitFor();
  const said = await page.locator(".chart figcaption").allTextContents();
  assert.equal(said.length, 4);
  assert.deepEqual(said.filter((text) => text.includes("nothing yet")), []);
  assert.match(said[1], /to browsers: now [\d.]+, most [\d.]*[1-9]/);
  assert.deepEqual(complaints, []);
});

test("a key is asked for, and says what may be done", { skip, timeout: 120_000 }, async (t) => {
  const keys = path.join(os.tmpdir(), `fanoutd-console-keys-${process.pid}.yaml`);
  await writeFile(keys, `- name: operator\n  key: ${key.replaceAll(" ", "-")}\n- name: reader\n  key: ${"r".repeat(32)}\n  scopes: [read, tail]\n`);
  const daemon = await Daemon.startAlone(t, { "control-keys-file": keys });
  const socket = await connected(client(t, daemon));
  const it = await browser(t);
  const context = await it.newContext();
  const { page, complaints } = await openConsole(context, daemon);
  const signIn = async (secret, to) => {
    await page.getByLabel("Control key").fill(secret);
    await page.getByLabel("To", { exact: true }).selectOption(to);
    await page.getByRole("button", { name: "Sign in" }).click();
  };
  await signIn("wrong", "act");
  await page.getByText("the key is not valid").waitFor();
  complaints.length = 0; // the browser tells of the 401
  await signIn("r".repeat(32), "act");
  await page.getByText("lacks the scope admin").waitFor();
  assert.equal(await page.evaluate(() => document.cookie), "");
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Strict", "/console/"]);
  await page.getByRole("button", { name: "Sign out" }).click();

  await signIn(key.replaceAll(" ", "-"), "view");
  await page.locator(".whoami", { hasText: "operator looking only" }).waitFor();
  await page.goto(`${daemon.ops}/console/#/connection/${socket.id}?namespace=/`);
  await page.getByRole("button", { name: "Disconnect" }).click();
  await page.getByText("You have signed in to look only").waitFor();
  assert.ok(await page.locator("dialog").getByRole("button", { name: "Disconnect" }).isDisabled());
  assert.deepEqual(complaints, []);

  // The line for programs.
  const line = guide.blocks[0].text.replaceAll("localhost:8082", daemon.ops.slice("http://".length));
  const { stdout } = await promisify(execFile)("sh", ["-c", line], { env: { ...process.env, KEY: key.replaceAll(" ", "-") } });
  assert.equal(JSON.parse(stdout).nodes.length, 1);
});

test("a page that only listens is signed out with its session", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.startAlone(t, { "control-key": key.replaceAll(" ", "-") });
  const it = await browser(t);
  const context = await it.newContext();
  const { page } = await openConsole(context, daemon);
  for (const [hash, live] of [["#/connections", /connections?, live$/], ["#/events", /^Live\. /]]) {
    await page.goto(`${daemon.ops}/console/${hash}`);
    await page.getByLabel("Control key").fill(key.replaceAll(" ", "-"));
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText(live).waitFor();
    const { status } = await page.evaluate(async () => ({ status: (await fetch("session", { method: "DELETE", headers: { "fanoutd-console": "1" } })).status })); // as another tab does
    assert.equal(status, 200);
    await page.getByLabel("Control key").waitFor();
  }
});

test("an action is about what is on the page, and a secret is nowhere on it", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.startAlone(t, { "trusted-proxies": "127.0.0.1" });
  const api = backend(t, daemon);
  const extraHeaders = { "x-forwarded-for": "2001:db8::1:2" };
  const socket = await connected(client(t, daemon, { extraHeaders, query: { api_token: "not-for-all" } }));
  await api.join({ to: { all: true }, rooms: ["full"] });
  const it = await browser(t);
  const { page, complaints } = await openConsole(await it.newContext(), daemon, `#/connection/${socket.id}?namespace=/`);
  await page.getByRole("button", { name: "Block the address" }).click();
  await page.getByText("Whoever comes from 2001:db8::1:2 is disconnected").waitFor();
  await page.locator("dialog").getByRole("button", { name: "Close" }).click();
  assert.ok(!(await page.locator("main").textContent()).includes("not-for-all"));
  await page.getByRole("button", { name: "Show URL" }).click();
  await page.getByText("api_token=not-for-all").waitFor();

  await page.goto(`${daemon.ops}/console/#/emit`);
  await page.getByLabel("Rooms, divided by commas").fill("empty");
  await page.getByText("It would reach 0 connections now.").waitFor();
  let counts = () => {};
  await page.route("**/RegistryService/CountConnections", async (route) => {
    await new Promise((resolve) => (counts = resolve));
    await route.continue();
  });
  await page.getByLabel("Rooms, divided by commas").fill("full");
  await page.getByText("Counting whom it would reach…").waitFor();
  await until(() => (counts(), page.getByText("It would reach 1 connection now.").count()), "it is counted");
  assert.deepEqual(complaints, []);
});

test("a connection that says much costs its page little", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.startAlone(t, { "max-event-rate": 0 });
  const socket = await connected(client(t, daemon));
  const it = await browser(t);
  const { page, complaints } = await openConsole(await it.newContext(), daemon, `#/connection/${socket.id}?namespace=/`);
  const lines = page.locator(".events li");
  await until(async () => (socket.emit("first"), (await lines.count()) > 0), "its events pass");
  await page.evaluate(() => {
    globalThis.draws = 0;
    new MutationObserver(() => globalThis.draws++).observe(document.querySelector(".events"), { childList: true });
  });
  for (let n = 0; n < 2_000; n++) {
    socket.emit("many", n);
    if (n % 20 === 19) await new Promise((resolve) => setImmediate(resolve)); // in several messages of the stream
  }
  const last = async () => (socket.emit("last"), (await lines.first().textContent()).includes("last"));
  await until(last, "the last is shown");
  const draws = await page.evaluate(() => globalThis.draws);
  assert.ok(draws < 200, `drawn ${draws} times`);
  assert.deepEqual(complaints, []);
});

test("an action as code does what the action does", { skip, timeout: 120_000 }, async (t) => {
  const daemon = await Daemon.startAlone(t, {});
  const socket = await connected(client(t, daemon));
  const it = await browser(t);
  const { page, complaints } = await openConsole(await it.newContext(), daemon, "#/emit");
  const args = [`it's "quoted" $HOME \\ \`id\` \u2028 ü`, { n: 12345678901234567 }];
  await page.getByLabel("To", { exact: true }).selectOption("ids");
  await page.getByLabel("Ids, divided by commas").fill(socket.id);
  await page.getByText("It would reach 1 connection now.").waitFor();
  await page.getByLabel("Event", { exact: true }).fill("it's");
  await page.getByLabel("Arguments, a JSON array").fill(JSON.stringify(args));
  await page.getByText("As code").click();
  const shell = { file: "sh", args: ["-c"] };
  const env = { ...process.env, PATH: `${path.join(root, "bin")}${path.delimiter}${process.env.PATH}` };
  let sent = 0;
  for (const [language, { file, args: flags }] of Object.entries({ curl: shell, grpcurl: shell, "Node.js": { file: process.execPath, args: ["--input-type=module", "-e"] }, Python: { file: "python3", args: ["-c"] } })) {
    await page.getByRole("button", { name: language, exact: true }).click();
    const text = await page.locator(".code pre").textContent();
    const missing = await promisify(execFile)(file, [...flags, text], { env }).then(() => false, (err) => {
      if (err.code !== "ENOENT" && err.code !== 127) throw err;
      return true;
    });
    if (missing) {
      t.diagnostic(`${language} is not installed: its code was not run`);
      continue;
    }
    await until(() => socket.heard.length === sent + 1, `${language} sends it`);
    assert.deepEqual(socket.heard[sent++], ["it's", ...args], language);
  }
  await page.getByRole("button", { name: "Go", exact: true }).click();
  assert.match(await page.locator(".code pre").textContent(), /NewEmitterServiceClient\(conn\)\.Emit\(ctx, request\)/);
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("Sent to 1 connection.").waitFor();
  assert.deepEqual(complaints, []);
});
