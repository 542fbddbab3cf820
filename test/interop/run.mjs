// Runs real Socket.IO clients of many kinds against the built daemon, all
// through the same scenario, and prints what each could do: a table, then what
// failed and why, then what could not be run and why. Exits with 1 if any
// client that ran failed, or none could be run.
//
// With CLUSTER=1 the clients are at one node of a cluster and their backend is at
// another. Words after the command choose clients whose title or folder has one of them.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";

import { backend } from "../lib/backend.mjs";
import { apart, Daemon } from "../lib/daemon.mjs";
import { Program } from "../lib/program.mjs";
import { clients, here, others } from "./clients.mjs";
import { Backend, Peer, checks, ping } from "./scenario.mjs";

const installMs = 15 * 60_000; // a first build may compile all dependencies
const transports = ["websocket", "polling", "upgrade"];
const columns = Object.keys(checks);

// What a client can do over one transport: the outcome of every check by its
// name.
async function row(hub, daemon, client, transport) {
  const without = client.without?.[transport];
  if (without) return Object.fromEntries(columns.map((name) => [name, { lack: without }]));
  return scope(async (t) => {
    const { url, wire } = await tap(t, daemon);
    let program;
    const launch = (token) => {
      const [command, ...args] = client.start;
      return (program = Program.start(t, command, [...args, url, transport, token], { cwd: path.join(here, client.dir) }));
    };
    const peer = new Peer(hub, transport, launch, wire);
    const cells = {};
    for (const name of columns) {
      cells[name] = await peer.check(name, client.lacks?.[`${transport}: ${name}`] ?? client.lacks?.[name]);
      cells[name].log = program.log;
    }
    return cells;
  });
}

// A way to the daemon that notes which transports requests name.
async function tap(t, daemon) {
  const wire = new Set();
  const { hostname, port } = new URL(daemon.url);
  const server = net.createServer((client) => {
    const behind = net.connect(port, hostname);
    client.on("data", (chunk) => {
      const [, transport] = chunk.toString("latin1").match(/^(?:GET|POST) \S*[?&]transport=(\w+)/) ?? [];
      if (transport) wire.add(transport);
    });
    client.pipe(behind).pipe(client);
    for (const [one, other] of [[client, behind], [behind, client]]) one.on("error", () => {}).on("close", () => other.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${server.address().port}`, wire };
}

// Ends what was started for run(t), the latest first.
async function scope(run) {
  const ends = [];
  try {
    return await run({ after: (end) => ends.unshift(end) });
  } finally {
    for (const end of ends) await end();
  }
}

// Installs what a client needs unless that very thing is there, and says why
// not if it cannot.
function install({ dir, needs, pins, install: commands }) {
  if (spawnSync(needs, ["--version"]).error) return `no ${needs} on this machine`;
  const cwd = path.join(here, dir);
  const stamp = path.join(cwd, "target/installed");
  const hash = createHash("sha256").update(JSON.stringify(commands));
  for (const pin of pins) hash.update(readFileSync(path.join(cwd, pin)));
  const want = hash.digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === want) return "";
  for (const [command, ...args] of commands) {
    console.log(`   ${dir}: ${command} ${args.join(" ")}`);
    const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8", timeout: installMs });
    if (status !== 0) return `"${command} ${args[0]}" failed: ${error?.message ?? (stderr + stdout).trim().split("\n").at(-1)}`;
  }
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, want);
  return "";
}

function table(rows) {
  const lines = [["client", "version", "transport", ...columns], ...rows];
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  const text = (line) => `| ${line.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`;
  return [text(lines[0]), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...lines.slice(1).map(text)].join("\n");
}

// The latest of what a program said.
const tail = (log) => log.trim().split("\n").slice(-15).join("\n").replace(/^/gm, "      ");

if (apart) console.log("   with two nodes: clients at the one, their backend at the other");
const words = process.argv.slice(2);
const chosen = clients.filter(({ title, dir }) => words.length === 0 || words.some((word) => `${title} ${dir}`.includes(word)));
const rows = [];
const lacks = []; // each has a number in the table
const failures = [];
const missing = [];

function cell({ ok, lack }) {
  if (ok) return "ok";
  if (!lack) return "FAILED";
  if (!lacks.includes(lack)) lacks.push(lack);
  return `no (${lacks.indexOf(lack) + 1})`;
}

// All before the backend listens: it would not hear anything meanwhile, not even that
// the daemon asks whether it is still there.
const installed = chosen.filter((client) => {
  const why = install(client);
  if (why) missing.push([`${client.title} ${client.version}`, why]);
  return !why;
});

await scope(async (t) => {
  const flags = { "allow-eio3": true, "ping-interval": `${ping.intervalMs}ms`, "ping-timeout": `${ping.timeoutMs}ms` };
  const daemon = await Daemon.start(t, flags);
  const hub = new Backend(backend(t, daemon));
  await hub.run(t);
  for (const client of installed) {
    // At once, since much of it is waiting.
    const results = await Promise.all(transports.map((transport) => row(hub, daemon, client, transport)));
    for (const [i, cells] of results.entries()) {
      const name = [client.title, client.version, transports[i]];
      const failed = columns.filter((column) => cells[column].failed);
      rows.push([...name, ...columns.map((column) => cell(cells[column]))]);
      failures.push(...failed.map((column) => `${name.join(", ")}: ${column}: ${cells[column].failed}\n${tail(cells[column].log)}`));
      console.log(failed.length > 0 ? `FAIL  ${name.join(", ")}: ${failed.join(", ")}` : `ok    ${name.join(", ")}`);
    }
  }
});

if (words.length === 0) {
  for (const [name, tool] of others) {
    missing.push([name, spawnSync(tool, ["--version"]).error ? `no ${tool} on this machine` : "no program is written for it yet"]);
  }
}
console.log(`\n${table(rows)}`);
for (const [i, lack] of lacks.entries()) console.log(`(${i + 1}) not supported by this client: ${lack}`);
for (const failure of failures) console.log(`\nFAILED: ${failure}`);
console.log();
for (const [name, why] of missing) console.log(`not run: ${name}: ${why}`);
console.log(`${rows.length} rows, ${failures.length} failures, ${missing.length} clients not run`);
process.exitCode = failures.length > 0 || rows.length === 0 ? 1 : 0;
