// The commands for people: every line of docs/command-line.md, and what they make of keys, TLS
// and what browsers say.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";

import { backend } from "./lib/backend.mjs";
import { client, connected } from "./lib/browser-like.mjs";
import { certificate } from "./lib/certificate.mjs";
import { startCluster } from "./lib/cluster.mjs";
import { fanoutd, masked } from "./lib/command-line.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { page } from "./lib/docs.mjs";
import { until } from "./lib/until.mjs";

// A browser of user 42 in the room news, which answers what it is asked.
async function browser(t, daemon, api) {
  const socket = await connected(client(t, daemon, { transports: ["websocket"] }));
  socket.on("which version", (answer) => answer("4.8"));
  await named(api, socket);
  return socket;
}

async function named(api, socket) {
  await api.updateConnection({ id: socket.id, user_id: "42" });
  await api.join({ to: { ids: [socket.id] }, rooms: ["news"] });
}

// A consumer that gives back what it gets but what it is asked to take: {refuse}.
async function consumer(t, daemon) {
  const how = { refuse: true };
  const chat = backend(t, daemon).consume();
  how.ended = new Promise((resolve) => chat.on("error", resolve));
  chat.on("data", ({ events }) => {
    if (events) chat.write({ [how.refuse ? "nack" : "ack"]: { delivery_ids: events.events.map((e) => e.delivery_id) } });
  });
  chat.write({ open: { group: "chat", consumer_id: "chat-1" } });
  await until(async () => (await daemon.api.listConsumers({})).groups.some(({ name, consumers }) => name === "chat" && consumers.length === 1), "the consumer is there");
  return how;
}

const refused = (daemon, events) => until(async () => (await daemon.api.listDeadLetters({})).dead_letters.length === events, "there are dead letters");

test("each line of the guide shows what stands below it", { timeout: 120_000 }, async (t) => {
  const lines = page("docs/command-line.md").lines("fanoutd");
  const begin = (line) => lines.findIndex(([it]) => it === line);
  const tasks = begin("fanoutd connections user:42");
  const nodes = await startCluster(t, 2, { "max-attempts": 1 });
  const [daemon, leaving] = nodes;
  const socket = await browser(t, daemon, daemon.api);
  let chat, saying;

  // What has to be there before a line.
  const before = {
    "fanoutd tail --limit 1": () => (saying = setInterval(() => socket.emit("hello", "world"), 100)),
    "fanoutd groups": async () => {
      chat = await consumer(t, daemon);
      socket.emit("an order", { id: 7 });
      await refused(daemon, 1);
    },
  };
  const after = {
    "fanoutd tail --limit 1": () => clearInterval(saying),
    'fanoutd disconnect user:42 --mode transport --reason "a test"': async () => {
      const was = socket.id;
      await until(() => socket.connected && socket.id !== was, "the browser is back");
      await named(daemon.api, socket);
    },
    "fanoutd consumers end chat chat-1": () => chat.ended,
  };
  for (const [line, below] of lines.slice(0, tasks)) {
    await t.test(line, async () => {
      await before[line]?.();
      const { code, stdout, stderr } = await fanoutd(daemon, line.replace("…", socket.id));
      await after[line]?.();
      const shown = masked(stdout).replace(/(?<=alive  \d  )\d\.\d\d  \S+/g, "0.00  1.0.0");
      assert.equal(shown, masked(below), stderr);
      assert.equal(code, 0, stderr);
    });
  }

  chat = await consumer(t, daemon);
  socket.emit("an order", { id: 8 });
  await refused(daemon, 1);
  const [{ id: letter }] = (await daemon.api.listDeadLetters({})).dead_letters;
  const said = {
    "fanoutd connections user:42": /websocket/,
    "fanoutd connections id:…": /^user +42$/m,
    "fanoutd groups": /^chat +1 /m,
    "fanoutd top --once": /^connections +1 +websocket 1$.*^GROUP +MEMBERS.*^chat +1 .*^NODE +STATE.*^n2 +alive /ms,
    "fanoutd top --once --slow": /looked at 1 connection, all there are$/m,
    "fanoutd connections --from 127.0.0.1": /^\S{20} +42 /m,
    "fanoutd block user:42 --for 1h --reason spam": /^blocked user:42; 1 connection ended$/m,
    "fanoutd dead-letters": /^\S+ +chat +\d+s +NACKED +an order /m,
    "fanoutd dead-letters show …": /^arguments +\[\{"id":8\}\]$/m,
    "fanoutd dead-letters replay …": /^1 event delivered once more$/m,
    "fanoutd nodes": /^n2 +alive/m,
    "fanoutd drain n2 --delay 0s --over 1s": /n2 {2}(done: 0 connections|has left)/,
  };
  for (const [line] of lines.slice(tasks)) {
    await t.test(line, async () => {
      if (line.includes("replay")) chat.refuse = false;
      const { code, stdout, stderr } = await fanoutd(daemon, line.replace("…", line.includes("dead") ? letter : socket.id));
      assert.ok(said[line], `nothing is known of what this line shows: ${line}`);
      assert.match(stdout, said[line], stderr);
      assert.equal(code, 0, stderr);
      if (line.includes("replay")) await refused(daemon, 0);
    });
  }
  assert.equal(socket.connected, false);
  assert.equal((await leaving.ended).code, 0);
});

test("the lines of the README", async (t) => {
  const daemon = await Daemon.startAlone(t);
  const socket = await connected(client(t, daemon));
  const [emit, connections] = page("README.md").lines("bin/fanoutd").map(([line]) => line.replace("bin/", ""));
  assert.equal((await fanoutd(daemon, emit)).stdout, "sent to 1 connection\n");
  await until(() => socket.heard.length === 1, "the browser has it");
  assert.deepEqual(socket.heard, [["new message", { msg: "hello" }]]);
  assert.ok((await fanoutd(daemon, connections)).stdout.includes(socket.id));
});

test("exit codes, and what is said with them", async (t) => {
  const daemon = await Daemon.startAlone(t);
  const socket = await connected(client(t, daemon));
  for (const [line, code, says] of [
    ["fanoutd emit room:nobody x", 3, /nobody is there: room:nobody in \//],
    ["fanoutd join user:7 room", 3, /nobody is there: user:7/],
    ["fanoutd connections gone", 3, /no connection "gone"/],
    ["fanoutd dead-letters show gone", 3, /there is no dead letter gone/],
    ["fanoutd consumers end chat gone", 3, /no such group/],
    ["fanoutd emit all connect", 2, /event: .*reserved/],
    ["fanoutd emit all x --namespace /nowhere", 2, /to\.namespace/],
    ["fanoutd emit news x", 2, /"news" is no target/],
    ["fanoutd emit all", 2, /write fanoutd emit TARGET EVENT/],
    ["fanoutd emit all x -5", 2, /write -- in front/],
    ["fanoutd emitt all x", 2, /unknown command "emitt"/],
    ["fanoutd drain", 2, /name the node/],
    ["fanoutd dead-letters replay --all", 2, /--group/],
    ["fanoutd call all x --timeout 300ms", 1, /0 of 1 connection answered/],
    ["fanoutd drain nowhere", 3, /nowhere/],
  ]) {
    await t.test(line, async () => {
      const ended = await fanoutd(daemon, line);
      assert.match(ended.stderr, says);
      assert.equal(ended.code, code, ended.stderr);
    });
  }
  const away = await fanoutd({ control: "127.0.0.1:1" }, "fanoutd nodes");
  assert.match(away.stderr, /no daemon answers at 127\.0\.0\.1:1 .*is it running\? --address or FANOUTD_ADDRESS/);
  assert.equal(away.code, 1);
  const second = await fanoutd({ control: `127.0.0.1:1,${daemon.control}` }, "fanoutd nodes");
  assert.equal(second.code, 0, second.stderr);

  const piped = await fanoutd(daemon, "fanoutd emit all piped - 5 --json", { input: '{"a":1}\n[2]\n' });
  assert.deepEqual(JSON.parse(piped.stdout), { matched: 1 });
  await until(() => socket.heard.some(([event]) => event === "piped"), "the browser has it");
  assert.deepEqual(socket.heard.find(([event]) => event === "piped"), ["piped", { a: 1 }, [2], 5]);
});

test("what browsers say moves no cursor", async (t) => {
  const daemon = await Daemon.startAlone(t);
  const socket = await connected(client(t, daemon));
  const evil = "\u001b[2J\u009b31m\u202eevil\r\n";
  const saying = setInterval(() => socket.emit(evil, evil), 50);
  t.after(() => clearInterval(saying));
  await backend(t, daemon).join({ to: { all: true }, rooms: [evil] });
  for (const line of ["fanoutd tail --limit 1 --kind message", "fanoutd tail --limit 1 --kind message --json", "fanoutd rooms", "fanoutd rooms --json", "fanoutd connections", `fanoutd connections id:${socket.id}`, `fanoutd connections -- ${socket.id}`]) {
    const { code, stdout, stderr } = await fanoutd(daemon, line);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /evil/, line);
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/, line);
    if (line.includes("--json")) assert.ok(JSON.stringify(JSON.parse(stdout)).includes(JSON.stringify(evil).slice(1, -1)) || line.includes("tail"), stdout);
  }
});

test("keys and TLS", async (t) => {
  const dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-tls-"));
  t.after(() => rm(dir, { recursive: true }));
  await certificate(dir);
  const file = (name) => path.join(dir, name);
  const key = "correct-horse-battery-staple";
  await writeFile(file("key"), `${key}\n`);
  await writeFile(file("keys"), `- name: reader\n  key: ${key}-reads\n  scopes: [read]\n`);
  const daemon = await Daemon.startAlone(t, {
    "control-key": key, "control-keys-file": file("keys"), "control-tls-cert-file": file("CERT.pem"), "control-tls-key-file": file("KEY.pem"),
  });
  const ca = `--tls-ca-file ${file("CERT.pem")}`;
  for (const [line, env, code, says] of [
    ["fanoutd rooms", { FANOUTD_CONTROL_KEY: key }, 1, /try --tls/],
    ["fanoutd rooms --tls", { FANOUTD_CONTROL_KEY: key }, 1, /no TLS with .*--tls-ca-file names/],
    [`fanoutd rooms ${ca}`, {}, 1, /wants a key: set FANOUTD_CONTROL_KEY/],
    [`fanoutd rooms ${ca}`, { FANOUTD_CONTROL_KEY: "wrong" }, 1, /does not know this key/],
    [`fanoutd rooms ${ca}`, { FANOUTD_CONTROL_KEY: key }, 0, /^$/],
    [`fanoutd rooms ${ca} --key-file ${file("key")}`, {}, 0, /^$/],
    ["fanoutd rooms", { FANOUTD_CONTROL_CA_FILE: file("CERT.pem"), FANOUTD_CONTROL_KEY_FILE: file("key") }, 0, /^$/],
    [`fanoutd nodes ${ca}`, { FANOUTD_CONTROL_KEY: `${key}-reads` }, 1, /the key may not do this: .*admin/],
  ]) {
    const ended = await fanoutd(daemon, line, { env });
    assert.match(ended.stderr, says, line);
    assert.equal(ended.code, code, ended.stderr);
    assert.ok(!ended.stderr.includes(key));
  }
});

test("shells complete targets, and names that the daemon knows", async (t) => {
  const daemon = await Daemon.startAlone(t);
  const socket = await connected(client(t, daemon));
  await backend(t, daemon).join({ to: { all: true }, rooms: ["news", "news;rm"] });
  const completed = async (...words) => {
    const { stdout } = await fanoutd(daemon, `fanoutd __complete ${words.map((word) => `'${word}'`).join(" ")}`);
    return stdout.trim().split("\n").slice(0, -1).map((line) => line.split("\t")[0]);
  };
  assert.deepEqual(await completed("emit", ""), ["all", "room:", "user:", "id:", "owner:"]);
  assert.deepEqual(await completed("emit", "room:ne"), ["room:news"]);
  assert.deepEqual(await completed("emit", `id:${socket.id.slice(0, 5)}`), [`id:${socket.id}`]);
  assert.deepEqual(await completed("leave", "all", "n"), ["news"]);
  assert.deepEqual(await completed("disconnect", "all", "--mode", ""), ["namespace", "session", "transport"]);
  assert.deepEqual(await completed("serve", "--control-tls-c"), ["--control-tls-cert-file="]);
  for (const shell of ["bash", "zsh", "fish"]) assert.match((await fanoutd(daemon, `fanoutd completion ${shell}`)).stdout, /fanoutd/);
});
