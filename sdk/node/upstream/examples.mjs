// Runs examples of the socket.io server, of its own repository, with @fanoutd/socket.io and the built daemon: their import
// and their addresses are changed, and nothing else. They are fetched when they run, and never stored: source.mjs says
// from where. Each is then used as people use it, by two of them at least.
//
// Words after the command choose those whose title has one of them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { Daemon, freePorts } from "../../../test/lib/daemon.mjs";
import { Program } from "../../../test/lib/program.mjs";
import { until } from "../../../test/lib/until.mjs";
import { examples, reached } from "./examples-list.mjs";
import { fetchFiles } from "./source.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const work = path.join(here, "work/examples");
const { daemonFlags } = createRequire(import.meta.url)("../socket.io");

rmSync(work, { recursive: true, force: true });
const words = process.argv.slice(2);
const chosen = examples.filter(({ title }) => words.length === 0 || words.some((word) => title.includes(word)));
const outcomes = { ok: 0, failed: 0, skipped: 0 };
console.log(fetchFiles(work, "examples/", [...new Set(chosen.map(({ dir }) => dir))]));
for (const example of chosen) {
  const { title, how } = example;
  const why = await example.lacks?.();
  if (why) {
    outcomes.skipped++;
    console.log(`not run: ${title}: ${why}`);
    continue;
  }
  const log = { text: "" };
  try {
    const changed = await run(example, log);
    outcomes.ok++;
    console.log(`ok    ${title}: ${how}; ${changed} lines changed`);
  } catch (err) {
    outcomes.failed++;
    console.log(`FAIL  ${title}: ${err.stack}\n${log.text.trim().split("\n").slice(-20).join("\n").replace(/^/gm, "      ")}`);
  }
}
console.log(`\n${outcomes.ok} of ${chosen.length} examples of the socket.io server run, ${outcomes.failed} failed, ${outcomes.skipped} not run.`);
process.exitCode = outcomes.failed > 0 || outcomes.ok === 0 ? 1 : 0;

// Starts a daemon, the example and whatever else it wants, and has it used. Returns how many lines of the example were changed.
async function run({ dir, compile, program: file, options = {}, flags, env, needs, warns, changes, use }, log) {
  const ends = [];
  const t = { after: (end) => ends.unshift(end) };
  try {
    const daemon = await Daemon.start(t, { ...daemonFlags(options), ...flags });
    const [port] = await freePorts(1);
    const more = (await needs?.(t, path.join(work, dir))) ?? {};
    const addresses = { daemon: daemon.control, port, ...more };
    const changed = change(path.join(work, dir), changes, addresses);
    if (compile) build(path.join(work, dir, compile));
    const cwd = path.dirname(path.join(work, dir, file));
    const program = Program.start(t, process.execPath, [path.basename(file)], { cwd, env: { PORT: String(port), ...env } });
    const origin = `http://localhost:${port}`;
    try {
      await until(async () => {
        if (program.end) throw new Error(`it ended at once: ${JSON.stringify(program.end)}`);
        return reached(port);
      }, "it listens", 60_000);
      await use({ t, origin, program, daemon, addresses });
    } finally {
      log.text = `${program.log}\n${daemon.log}`;
    }
    for (const warning of program.log.match(/^.*Warning: .*$/gm) ?? []) assert.match(warning, warns ?? /^$/);
    return changed;
  } finally {
    for (const end of ends) await end();
  }
}

// Compiles an example by its own configuration, and fails for what does not fit the types.
function build(dir) {
  const { status, stdout } = spawnSync(path.join(here, "node_modules/.bin/tsc"), ["--project", dir, "--skipLibCheck"], { encoding: "utf8" });
  assert.equal(status, 0, stdout);
}

// Changes what is imported, and the addresses: what a file says once, and what it is to say. Returns the number of lines that
// differ.
function change(dir, changes, addresses) {
  let lines = 0;
  for (const [name, before, after] of changes) {
    const file = path.join(dir, name);
    const text = readFileSync(file, "utf8");
    const parts = text.split(before);
    assert.equal(parts.length, 2, `${name} says ${before} ${parts.length - 1} times`);
    const now = parts.join(after(addresses));
    writeFileSync(file, now);
    const old = text.split("\n");
    lines += now.split("\n").filter((line, i) => line !== old[i]).length;
  }
  return lines;
}
