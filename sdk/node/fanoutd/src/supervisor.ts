// Runs the daemon for the process that forked this one, and ends it when that process ends, however it does.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

// A daemon ends within its setting grace, 10 s by default.
const longestEndMs = 30_000;

/** What to run. */
export interface Run {
  binary: string;
  args: string[];
  env: NodeJS.ProcessEnv;
}

/** What the daemon does: lines of its log, and its end. */
export type Report = { line: string } | { failed: string } | { code: number | null; signal: NodeJS.Signals | null };

process.once("message", ({ binary, args, env }: Run) => {
  const child = spawn(binary, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  // Whoever forked this process may be gone already, of which "disconnect" tells next: a report that finds
  // nobody must not end this process, which would leave the daemon running.
  const report = (what: Report) => {
    if (process.connected) process.send!(what, undefined, undefined, () => {});
  };
  createInterface({ input: child.stderr }).on("line", (line) => report({ line }));
  child.on("error", ({ message }) => {
    report({ failed: message });
    process.disconnect?.();
  });
  child.on("close", (code, signal) => {
    report({ code, signal });
    process.exitCode = code ?? 1;
    if (process.connected) process.disconnect();
  });
  process.on("disconnect", () => {
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), longestEndMs).unref();
  });
});
