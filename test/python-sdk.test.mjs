// The tests of sdk/python, by pytest, of its wheel, and python-socketio's own: each is a test
// here. PYTHON_SDK=install has the package installed by each Python there is, "kills" has its
// programs killed for ten minutes.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";

import { binary } from "./lib/daemon.mjs";
import { dir, pythons, pythonSDK } from "./lib/python-sdk.mjs";

const skipped = 77; // what upstream/run.py ends with when it has nothing to run
const pytest = ["-m", "pytest", "-rA", "-q", "-p", "no:cacheprovider"];

const kinds = {
  short: {
    "the Python package": [...pytest, "-n", "4", "--timeout=120"],
    "python-socketio's own tests, of the Python package": ["upstream/run.py", "-rA"],
  },
  install: { "the Python package, installed": [...pytest, "tests/test_install.py"] },
  kills: { "the Python package, killed": [...pytest, "-s", "--timeout=1200", "-k", "killed_under_traffic"] },
};
const kind = process.env.PYTHON_SDK ?? "short";
const env = {
  short: async () => ({}),
  install: async () => ({ INSTALL_WITH: (await pythons()).join(" ") }),
  kills: async () => ({ KILL_SECONDS: "600", KILL_CLIENTS: "50", KILL_RATE: "10" }),
};

let python;
for (const [name, args] of Object.entries(kinds[kind])) {
  test(name, { timeout: kind === "short" ? 540_000 : 1_800_000 }, async (t) => {
    python ??= await pythonSDK();
    if (!python.program) return t.skip(python.why);
    const child = spawn(python.program, args, { cwd: dir, env: { ...process.env, ...(await env[kind]()), DAEMON: binary } });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
    const code = await new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
    if (code === skipped) return t.skip(output.trim().split("\n").at(-1));
    const outcomes = [...output.matchAll(/^(PASSED|FAILED|ERROR) (\S+::\S+.*)$/gm)];
    assert.ok(outcomes.length > 0, output);
    for (const [, outcome, what] of outcomes) {
      await t.test(what.split(" - ")[0], () => assert.equal(outcome, "PASSED", output));
    }
    for (const [, line] of output.matchAll(/^SKIPPED (.*)$/gm)) console.log(`not run: ${line}`);
    for (const [line] of output.matchAll(/^(?:Python \d\.|\d+ kills).*$/gm)) console.log(line);
    assert.equal(code, 0, output);
  });
}
