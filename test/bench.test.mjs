// What `make bench` measures, with so few clients that it shows no more than that each figure can be taken.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { root } from "./lib/daemon.mjs";

const daemon = process.env.DAEMON ?? path.join(root, "bin/fanoutd");

test("the table of the benchmark has every figure of fanoutd", { timeout: 5 * 60_000 }, async () => {
  const { stdout } = await promisify(execFile)("go", ["run", "./compare", "-table", "-quick", "-peers", "", "-daemon", daemon], {
    cwd: path.join(root, "bench"),
  });
  const [, table] = stdout.split(/^ *figure +fanoutd$/m);
  assert.ok(table, stdout);
  const rows = table.trim().split("\n\n")[0].split("\n");
  assert.ok(rows.length >= 15, stdout);
  for (const row of rows) {
    assert.match(row, /  -?\d+(\.\d+)?$/, `no figure: ${row}`);
  }
});
