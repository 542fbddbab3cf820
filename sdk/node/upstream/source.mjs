// Where what is Socket.IO's own comes from: its repository at one commit, fetched when it is needed and never stored.
// SOCKETIO is the repository's URL, or its git directory on this machine.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

const source = process.env.SOCKETIO || "https://github.com/socketio/socket.io.git";
const commit = process.env.SOCKETIO_COMMIT || "d2d753fed4435015c2d83fe62e676b44e07fa3f7"; // 4.8.3 and what came after it

let git;

// Writes the files under the folders into dir, without the prefix, and says what it wrote.
export function fetchFiles(dir, prefix, folders) {
  git ??= existsSync(source) ? source : clone();
  const run = (...args) => execFileSync("git", ["--git-dir", git, ...args], { maxBuffer: 64 << 20, stdio: ["ignore", "pipe", "ignore"] });
  const names = run("ls-tree", "-r", "--name-only", commit, ...folders.map((folder) => prefix + folder)).toString().trim().split("\n");
  let fetched = 0;
  for (const name of names) {
    const file = path.join(dir, name.slice(prefix.length));
    mkdirSync(path.dirname(file), { recursive: true });
    try {
      writeFileSync(file, run("show", `${commit}:${name}`));
      fetched++;
    } catch {
      console.log(`not there: ${name}`);
    }
  }
  return `${fetched} files of ${prefix}${folders.length === 1 ? folders[0] : ""} at ${commit.slice(0, 12)}, from ${source}`;
}

function clone() {
  const dir = mkdtempSync(path.join(os.tmpdir(), "socketio-"));
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  const { status } = spawnSync("git", ["clone", "--quiet", "--bare", "--filter=blob:none", source, dir], { stdio: "inherit" });
  if (status !== 0) {
    console.error(`${source} is not to be had; SOCKETIO may name another copy of it`);
    process.exit(1);
  }
  return dir;
}
