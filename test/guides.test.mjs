// The guides about presence, recovery and what goes wrong: their lines, beside stock clients.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { client, connected, heard } from "./lib/browser-like.mjs";
import { Daemon, root } from "./lib/daemon.mjs";
import { page } from "./lib/docs.mjs";
import { call, follow, line } from "./lib/grpcurl.mjs";
import { Program } from "./lib/program.mjs";
import { until } from "./lib/until.mjs";

const run = promisify(execFile);

test("docs/presence.md: asking, watching, and keeping something with a connection", async (t) => {
  const doc = page("docs/presence.md");
  const lines = doc.lines("grpcurl").map(([it]) => it);
  const of = (method) => {
    const found = lines.filter((it) => it.endsWith(`/${method}`));
    assert.equal(found.length > 0, true, method);
    return found;
  };
  const daemon = await Daemon.start(t);
  const [one, two] = [await connected(client(t, daemon)), await connected(client(t, daemon))];
  assert.deepEqual(await line(daemon, of("CountConnections")[0]), { total: 2 });
  await call(daemon, "RegistryService/Join", { to: { ids: [one.id] }, rooms: ["lobby"] });
  assert.deepEqual((await line(daemon, of("ListRooms")[0])).rooms, [{ name: "lobby", connections: 1 }]);
  assert.deepEqual((await line(daemon, of("ListConnections")[0])).connections.map(({ id }) => id).sort(), [one.id, two.id].sort());
  assert.equal((await line(daemon, of("ListUsers")[0])).users, undefined);

  const watch = follow(t, daemon, of("Watch")[0]);
  const changes = async () => {
    for (;;) {
      const { changes = [] } = await watch.next();
      if (changes.length) return changes;
    }
  };
  await until(async () => Object.keys(await watch.next())[0] !== undefined, "the watch has begun");
  const [login, status] = of("UpdateConnection");
  assert.match(login, /user_id/);
  await line(daemon, login.replace("…", one.id));
  await line(daemon, login.replace("…", two.id));
  assert.match(JSON.stringify(await changes()), /userOnline.*42|42.*userOnline/);
  assert.deepEqual((await line(daemon, of("ListUsers")[0])).users, [{ userId: "42", connections: 2 }]);
  one.disconnect();
  two.disconnect();
  assert.match(JSON.stringify(await changes()), /userOffline/);

  const third = await connected(client(t, daemon));
  await line(daemon, status.replace("…", third.id));
  const { connection } = await call(daemon, "RegistryService/GetConnection", { id: third.id });
  assert.deepEqual(connection.data, { status: "busy" });

  const [[curl]] = doc.lines("curl");
  const lines2 = spawn("sh", ["-c", `exec ${curl.replace("localhost:8081", daemon.control)}`], { stdio: ["ignore", "pipe", "ignore"] });
  t.after(() => lines2.kill());
  let said = "";
  lines2.stdout.setEncoding("utf8").on("data", (text) => (said += text));
  await until(() => said.includes("synced"), "curl shows the watch as lines of JSON");
  for (const it of said.trim().split("\n")) JSON.parse(it);
});

test("docs/presence.md: a backend that tells browsers how many are there", async (t) => {
  const daemon = await Daemon.start(t);
  const dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-presence-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await mkdir(path.join(dir, "node_modules/@fanoutd"), { recursive: true });
  await symlink(path.join(root, "sdk/node/client"), path.join(dir, "node_modules/@fanoutd/client"));
  await writeFile(path.join(dir, "presence.mjs"), page("docs/presence.md").block("import { Daemon }"));
  Program.start(t, process.execPath, ["presence.mjs"], { cwd: dir, env: { FANOUTD_ADDRESS: daemon.control } });
  const one = await connected(client(t, daemon));
  await until(() => one.heard.some(([name, n]) => name === "online" && n === 1), "it is told of itself");
  const two = await connected(client(t, daemon));
  await until(() => one.heard.some(([name, n]) => name === "online" && n === 2), "it is told of another");
  two.disconnect();
  await until(() => one.heard.at(-1)?.[1] === 1, "it is told that the other has left");
});

test("docs/recovery.md: a page that was cut off, and one that is new", async (t) => {
  const doc = page("docs/recovery.md");
  const [, name, value] = /^fanoutd --(\S+) (\S+)$/.exec(doc.block("fanoutd").trim());
  const daemon = await Daemon.start(t, { [name]: value });
  const code = doc.block("const socket").replace(/^const socket = .*$/m, "");
  let loads = 0;
  const socket = client(t, daemon);
  new Function("socket", "loadEverything", code)(socket, () => loads++);
  await connected(socket);
  await call(daemon, "EmitterService/Emit", { to: { ids: [socket.id] }, event: "first", wait: "APPLIED" });
  await heard(socket, 1);
  assert.equal(loads, 1);
  socket.io.engine.close();
  await until(() => socket.ends.length === 1, "it is cut off");
  await until(async () => (await call(daemon, "RegistryService/CountConnections", { to: { all: true } })).total === undefined || socket.connected, "the daemon knows");
  await call(daemon, "EmitterService/Emit", { to: { all: true }, event: "second" });
  await until(() => socket.heard.some(([event]) => event === "second"), "it has what it missed");
  assert.equal(socket.recovered, true);
  assert.equal(loads, 1);
});

test("docs/troubleshooting.md: what a page hears, and the lines that follow an event", async (t) => {
  const doc = page("docs/troubleshooting.md");
  const daemon = await Daemon.start(t);
  const said = [];
  const socket = client(t, daemon, { namespace: "/nobody" });
  new Function("socket", "console", doc.block("socket.on"))(socket, { log: (...words) => said.push(words) });
  await until(() => said.length === 1, "it is told why not");
  assert.equal(said[0][0], "Invalid namespace");

  const theirs = await connected(client(t, daemon));
  const [list, emit, consumers, tail, nodes] = doc.lines("grpcurl").map(([it]) => it);
  assert.deepEqual(await line(daemon, list), {});
  await call(daemon, "RegistryService/UpdateConnection", { id: theirs.id, user_id: "42" });
  assert.deepEqual((await line(daemon, list)).connections.map(({ id }) => id), [theirs.id]);
  assert.deepEqual(await line(daemon, emit), { matched: 1 });
  assert.deepEqual((await heard(theirs, 1))[0], ["test"]);
  assert.deepEqual((await line(daemon, consumers)).groups, undefined);
  const shown = follow(t, daemon, tail);
  const speaking = setInterval(() => theirs.emit("hello"), 50); // until the tail has begun
  t.after(() => clearInterval(speaking));
  await until(async () => JSON.stringify(await shown.next()).includes("hello"), "the tail shows it");
  assert.equal((await line(daemon, nodes)).nodes.length, 1);
  const handshake = doc.code.find(({ text }) => text.startsWith("curl ")).text.replace("http://HOST", daemon.url).replace("&", "\\&");
  assert.match((await run("sh", ["-c", handshake])).stdout, /^0\{"sid":/);
});

test("docs/moving-from-nodejs.md: a process that takes over lets nobody in again, and greets nobody again", async (t) => {
  const daemon = await Daemon.start(t, { namespaces: "*", "expose-auth": true, "require-verdict": true });
  const dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-state-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const text = `import { Server } from "@fanoutd/socket.io";\n${page("docs/moving-from-nodejs.md").block("import { randomUUID }").replace("io.use", "const io = new Server({ fanoutd: {} });\nio.use")}`;
  await mkdir(path.join(dir, "node_modules/@fanoutd"), { recursive: true });
  await symlink(path.join(root, "sdk/node/socket.io"), path.join(dir, "node_modules/@fanoutd/socket.io"));
  await writeFile(path.join(dir, "server.mjs"), text);
  const start = () => Program.start(t, process.execPath, ["server.mjs"], { cwd: dir, env: { FANOUTD_ADDRESS: daemon.control } });

  const first = start();
  const [alice, bob] = ["alice", "bob"].map((username) => client(t, daemon, { auth: { username } }));
  const of = (socket, event) => socket.heard.filter(([name]) => name === event);
  await until(() => of(alice, "welcome").length === 1 && of(bob, "welcome").length === 1, "both are welcome");
  const [[, bobsId]] = of(bob, "welcome");
  for (const socket of [alice, bob]) socket.ends.length = 0; // while nobody decided, they came in vain
  await assert.rejects(connected(client(t, daemon)), { message: "invalid username" });

  await first.stop("SIGKILL");
  alice.emit("message", bobsId, "are you there?");
  start();
  await until(() => of(bob, "message").length === 1, "what was said meanwhile arrives");
  assert.deepEqual(of(bob, "message"), [["message", { from: "alice", text: "are you there?" }]]);
  for (const socket of [alice, bob]) {
    assert.equal(of(socket, "welcome").length, 1);
    assert.deepEqual(socket.ends, []);
  }
});
