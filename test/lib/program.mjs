// A backend of ours as a process of its own.

import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

import { root } from "./daemon.mjs";
import { until } from "./until.mjs";

// Only the latest part of what it says is kept.
const maxLog = 1 << 18; // characters

export class Program {
  // Starts a program for one test; it ends with it.
  static start(t, command, args, options = {}) {
    const program = new Program(command, args, options);
    program.run();
    t.after(() => program.stop());
    return program;
  }

  constructor(command, args, options) {
    Object.assign(this, { command, args, options, log: "" });
  }

  run() {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FANOUTD_")));
    const { env: more, ...options } = this.options;
    const child = spawn(this.command, this.args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], ...options, env: { ...env, ...more } });
    this.process = child;
    this.end = null;
    this.ended = new Promise((resolve) => {
      child.on("error", (error) => resolve({ code: null, signal: null, error }));
      child.on("close", (code, signal) => resolve({ code, signal }));
    });
    this.ended.then((how) => (this.end = how));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.log = (this.log + text).slice(-maxLog)));
    }
  }

  // Ends it and says how it ended: {code, signal}.
  async stop(signal = "SIGTERM") {
    if (this.end) return this.end;
    this.process.kill(signal);
    const hurry = setTimeout(() => this.process.kill("SIGKILL"), 15_000);
    try {
      return await this.ended;
    } finally {
      clearTimeout(hurry);
    }
  }
}

// Waits until a consumer group has n members.
export function members(api, group, n) {
  return until(async () => {
    const { groups } = await api.listConsumers({ group });
    return groups.reduce((sum, { consumers }) => sum + consumers.length, 0) === n;
  }, `the group ${group} has ${n} consumers`);
}

const run = promisify(execFile);

// The Python that has the example's libraries, in a folder of the example's
// own; or why there is none.
export async function python() {
  const dir = path.join(root, "examples/chat/python");
  const program = path.join(dir, ".venv/bin/python");
  const works = () => run(program, ["-c", "import grpc, grpc_tools"], { timeout: 60_000 });
  try {
    if (!existsSync(program)) await run("python3", ["-m", "venv", path.join(dir, ".venv")], { timeout: 120_000 });
    await works().catch(async () => {
      await run(program, ["-m", "pip", "install", "--quiet", "--requirement", path.join(dir, "requirements.txt")], { timeout: 300_000 });
      await works();
    });
    return { program };
  } catch (err) {
    return { why: `Python with grpcio is not to be had here: ${String(err.stderr || err.message).trim().split("\n").at(-1)}` };
  }
}
