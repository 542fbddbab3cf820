// What the README shows, as it stands there: its lines are pasted in their order into a terminal
// beside two tabs, its page is opened in a browser and its program is built.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { backend } from "./lib/backend.mjs";
import { client, connected } from "./lib/browser-like.mjs";
import { browser, openTab, skip } from "./lib/browser.mjs";
import { binary, Daemon, freePorts, root } from "./lib/daemon.mjs";
import { page } from "./lib/docs.mjs";
import { call, follow, line } from "./lib/grpcurl.mjs";
import { members, Program } from "./lib/program.mjs";
import { until } from "./lib/until.mjs";

const run = promisify(execFile);
const readme = page("README.md");
const chat = process.env.CHAT ?? path.join(root, "bin/chat");

// Runs what "make run" runs, at ports that the variables name which the README has for it.
async function makeRun(t) {
  const daemon = new Daemon({}); // only for its addresses
  await daemon.choosePorts();
  const [listen, ...others] = Object.entries(daemon.addresses).map(([name, value]) => [`FANOUTD_${name.toUpperCase().replaceAll("-", "_")}`, value]);
  for (const [name] of [listen, ...others]) assert.ok(readme.prose.includes(name), `the README does not name ${name}`);
  // Every interface's, as the default is.
  const env = Object.fromEntries([[listen[0], listen[1].replace("127.0.0.1", "")], ...others]);
  daemon.program = Program.start(t, "examples/chat/run.sh", [], { env: { ...env, DAEMON: binary, CHAT: chat } });
  await until(() => {
    assert.equal(daemon.program.end, null, daemon.program.log);
    return daemon.program.log.includes("Ctrl-C ends the daemon");
  }, "it says where it is");
  daemon.api = backend(t, daemon);
  await members(daemon.api, "chat", 1);
  return daemon;
}

test("what make run serves is where it says", async (t) => {
  const daemon = await makeRun(t);
  const { log } = daemon.program;
  const [, url] = log.match(/the demo page is at (\S+) /);
  assert.equal(url, daemon.url.replace("127.0.0.1", "localhost"));
  assert.match(await (await fetch(url)).text(), /<title>.*fanoutd/);
  const [, ops] = log.match(/metrics are at (\S+)\. /);
  assert.equal((await fetch(`${ops}/readyz`)).status, 200);
  const lines = [...log.matchAll(/^ {2}(grpcurl .*)$/gm)].map(([, it]) => it);
  assert.equal(lines.length, 2);
  const tab = await connected(client(t, daemon));
  for (const it of lines) {
    assert.ok(it.includes(` ${daemon.control} `), it);
    await line(daemon, it.replace(daemon.control, "localhost:8081"));
  }
  await until(() => tab.heard.some(([event]) => event === "new message"), "the line sends something");
});

test("what make run says when it cannot start", async (t) => {
  const refused = await Program.start(t, "examples/chat/run.sh", [], { env: { FANOUTD_LISTEN: "nowhere", DAEMON: binary, CHAT: chat } });
  assert.equal((await refused.ended).code, 2);
  assert.match(refused.log, /listen \(environment variable FANOUTD_LISTEN\)/);
});

test("the lines, pasted in their order: each changes both tabs, or shows something", { skip, timeout: 180_000 }, async (t) => {
  const daemon = await makeRun(t);
  const context = await (await browser(t)).newContext();
  const tabs = [(await openTab(context, daemon)).page, (await openTab(context, daemon)).page];
  const id = (tab) => tab.locator("#socket-id").textContent();
  const rooms = async (tab) => (await tab.locator("#rooms li").allTextContents()).join();
  const events = (tab) => tab.locator("#log .event-name").allTextContents();
  const inBoth = (check, what) => Promise.all(tabs.map((tab) => until(() => check(tab), what)));
  const talk = (n) => inBoth(async (tab) => (await tab.locator("#talk .what").allTextContents()).filter((text) => text === "hello").length === n, "it shows the message");
  const lines = readme.lines("grpcurl").map(([it]) => it);
  assert.equal(lines.length, 7);

  const [emit, join, emitToRoom, disconnect, list, connections, tail] = lines;
  assert.deepEqual(await line(daemon, emit), { matched: 2 });
  await talk(1);
  await inBoth(async (tab) => !(await rooms(tab)).includes("some room"), "it is in no room");
  assert.deepEqual(await line(daemon, join), { affected: 2 });
  await inBoth(async (tab) => (await rooms(tab)).includes("some room"), "it is in the room");
  assert.deepEqual(await line(daemon, emitToRoom), { matched: 2 });
  await inBoth(async (tab) => (await events(tab)).includes("some event"), "it shows what is said in the room");
  const before = await Promise.all(tabs.map(id));
  assert.deepEqual(await line(daemon, disconnect), { affected: 2 });
  await inBoth(async (tab) => !before.includes(await id(tab)) && (await tab.locator('#state[data-state="connected"]').count()) === 1, "it is back with another id");

  const services = (await line(daemon, list)).split("\n");
  for (const name of ["fanout.v1.EmitterService", "fanout.v1.RegistryService", "fanout.v1.EventService", "fanout.v1.AdminService", "grpc.health.v1.Health"]) {
    assert.ok(services.includes(name), `${name} is not listed`);
  }
  assert.deepEqual(new Set((await line(daemon, connections)).connections.map((it) => it.id)), new Set(await Promise.all(tabs.map(id))));
  const shown = follow(t, daemon, tail);
  await tabs[0].getByLabel("Message", { exact: true }).fill("to be seen");
  // Until the line is there to hear it.
  const saying = setInterval(() => tabs[0].locator("#chat-form").evaluate((form) => form.requestSubmit()).then(() => tabs[0].getByLabel("Message", { exact: true }).fill("to be seen")).catch(() => {}), 200);
  t.after(() => clearInterval(saying));
  for (;;) {
    const { event } = await shown.next();
    if (event?.event === "send message" && event.args[0] === "to be seen") break;
  }
  clearInterval(saying);

  const [[curl]] = readme.lines("curl");
  const { stdout } = await run("sh", ["-c", curl.replace("localhost:8081", daemon.control)], { timeout: 20_000 });
  assert.deepEqual(JSON.parse(stdout), { matched: 2 });
  await talk(2);
});

test("the page", { skip, timeout: 60_000 }, async (t) => {
  const html = readme.block("<script src=");
  const [port] = await freePorts(1);
  const origin = `http://localhost:${port}`;
  assert.ok(readme.prose.includes("A page of another origin has to be let in: `--origins "));
  const daemon = await Daemon.start(t, { origins: origin });
  const text = html.replaceAll("http://localhost:8080", daemon.url.replace("127.0.0.1", "localhost"));
  assert.equal(text.split(new URL(daemon.url).port).length, 3);
  const server = http.createServer((_, response) => response.setHeader("content-type", "text/html").end(text)).listen(port, "localhost");
  t.after(() => server.close());
  await once(server, "listening");
  const tab = await (await browser(t)).newPage();
  const said = [];
  tab.on("console", async (message) => said.push(...(await Promise.all(message.args().map((it) => it.jsonValue())))));
  await tab.goto(origin);
  await until(async () => (await call(daemon, "RegistryService/CountConnections", { to: { all: true } })).total === 1, "it is connected");
  await call(daemon, "EmitterService/Emit", { to: { all: true }, event: "new message", args: [{ msg: "hello" }] });
  await until(() => said.length > 0, "it logs the message");
  assert.deepEqual(said, [{ msg: "hello" }]);
});

test("the backend in Go", { timeout: 180_000 }, async (t) => {
  const dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-readme-"));
  t.after(() => rm(dir, { recursive: true }));
  const daemon = await Daemon.start(t);
  const snippet = readme.block("daemon, err := backend.Dial").replace("localhost:8081", daemon.control);
  const program = `package main

import (
	"context"
	"log"
	"os/signal"
	"syscall"

	"github.com/fanoutd/fanoutd/backend"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := chat(ctx); err != nil {
		log.Fatal(err)
	}
}

func chat(ctx context.Context) error {
${snippet.replace("// ...\n", "if err != nil {\n\t\treturn err\n\t}\n\tdefer daemon.Close()\n")}return err
}
`;
  await writeFile(path.join(dir, "main.go"), program);
  await run("go", ["build", "-o", path.join(dir, "chat"), path.join(dir, "main.go")], { cwd: root, timeout: 150_000 });
  const backendInGo = Program.start(t, path.join(dir, "chat"), []);
  await members(backend(t, daemon), "chat", 1);
  const tabs = [await connected(client(t, daemon)), await connected(client(t, daemon))];
  tabs[0].emit("send message", "hello");
  for (const tab of tabs) {
    await until(() => tab.heard.length > 0, "the message is heard");
    assert.deepEqual(tab.heard, [["new message", "hello"]]);
  }
  assert.deepEqual(await backendInGo.stop(), { code: 0, signal: null }, backendInGo.log);
});
