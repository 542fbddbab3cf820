// The commands for people, as somebody at a terminal types them.

import { spawn } from "node:child_process";

import { binary } from "./daemon.mjs";

// Runs a line as documentation has it, word for word, with a daemon's address in the
// environment. Resolves with {code, stdout, stderr}.
export function fanoutd(daemon, text, { env = {}, input = "", signal } = {}) {
  if (!text.startsWith("fanoutd ")) throw new Error(`not a line of fanoutd: ${text}`);
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FANOUTD_")));
  const child = spawn("sh", ["-c", `exec "$0" ${text.slice("fanoutd ".length)}`, binary], {
    env: { ...clean, FANOUTD_ADDRESS: daemon.control, TZ: "UTC", ...env }, stdio: ["pipe", "pipe", "pipe"], timeout: 30_000, signal,
  });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (more) => (said[name] += more));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...said }));
  });
}

// What a line shows, with what differs from run to run replaced, and columns two blanks apart.
export function masked(text) {
  return text
    .replace(/\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b/g, "DATE")
    .replace(/\b\d\d:\d\d:\d\d\b/g, "TIME")
    .replace(/127\.0\.0\.1:\d+/g, "ADDRESS")
    .replace(/(?<![\w-])[\w-]{20}(?![\w-])/g, "ID")
    .replace(/(?<![\w.])\d+(?:s|m\d\ds|h\d\dm|d)(?![\w.])/g, "AGE")
    .replace(/ {2,}/g, "  ")
    .replace(/ +$/gm, "");
}
