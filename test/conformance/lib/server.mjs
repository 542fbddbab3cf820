// Starts the conformance server that a file of checks talks to.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));

// start builds the server and starts it with these flags; it returns its address
// and how to end it.
export async function start(...flags) {
  const dir = mkdtempSync(path.join(tmpdir(), "conformance-"));
  const binary = path.join(dir, "server");
  const built = spawnSync("go", ["build", "-o", binary, "./test/conformance/server"], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  if (built.status !== 0) throw new Error("the conformance server does not build");
  const child = spawn(binary, ["-leash", ...flags], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const address = await new Promise((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve);
    ended.then(() => reject(new Error("the conformance server ended")));
  });
  return {
    address,
    async stop() {
      child.kill();
      await ended;
      rmSync(dir, { recursive: true });
    },
  };
}
