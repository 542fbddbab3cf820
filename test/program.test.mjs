// How tests end the programs that they start.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Program } from "./lib/program.mjs";
import { until } from "./lib/until.mjs";

// Whether a process runs: one that has ended and that nobody has asked for is none.
function runs(pid) {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("a program of a group of its own ends with all that it has started", { skip: process.platform !== "linux" && "reads /proc", timeout: 60_000 }, async (t) => {
  for (const [how, script] of [
    ["one that passes nothing on", 'sleep 600 & echo "$!."; wait'],
    ["one that has ended", 'sleep 600 >/dev/null 2>&1 & echo "$!."'],
    ["one that ignores SIGTERM, as do those", `trap "" TERM; sh -c 'trap "" TERM; sleep 600 & wait; sleep 600' & echo "$!."; wait`],
  ]) {
    const program = new Program("sh", ["-c", script], { detached: true });
    program.run();
    await until(() => program.log.includes("."), `${how} says what it has started`);
    if (how === "one that has ended") await program.ended;
    await program.stop("SIGTERM", 1_000);
    await until(() => !runs(Number.parseInt(program.log)), `what ${how} has started has ended`);
    assert.ok(program.end, how);
  }
});
