// A backend of ours as a process of its own.

import { execFile, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

import { root } from "./daemon.mjs";
import { sleep, until } from "./until.mjs";

// Only the latest part of what it says is kept.
const maxLog = 1 << 18; // characters

export class Program {
  // Starts a program for one test; it ends with it, and with the option detached, as which it has a group of processes of its
  // own, all that it has started. If it has ended by itself until then,
  // the test says what it said last.
  static start(t, command, args, options = {}) {
    const program = new Program(command, args, options);
    program.run();
    t.after(async () => {
      if (program.end && !program.stopped && program.end.code !== 0) t.diagnostic(`${args[0]} ended by itself, ${JSON.stringify(program.end)}: ${program.log.slice(-2000)}`);
      await program.stop();
    });
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
    this.stopped = false;
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

  // Ends it, by force after so many milliseconds, and says how it ended: {code, signal}.
  async stop(signal = "SIGTERM", patience = 15_000) {
    if (this.end && !this.options.detached) return this.end;
    this.stopped = !this.end;
    this.#kill(signal);
    const late = Date.now() + patience;
    const hurry = setTimeout(() => this.#kill("SIGKILL"), patience);
    try {
      const how = await this.ended;
      while (this.options.detached && this.#kill(0) && Date.now() < late) await sleep(20);
      return how;
    } finally {
      clearTimeout(hurry);
      if (this.options.detached) this.#kill("SIGKILL");
    }
  }

  // Has it do nothing more until it is killed. The signal alone says nothing of when: a busy process goes on for a moment.
  async freeze() {
    this.process.kill("SIGSTOP");
    const pid = this.process.pid;
    const state = async () =>
      process.platform === "linux"
        ? (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ").at(-1)
        : (await promisify(execFile)("ps", ["-o", "stat=", "-p", String(pid)])).stdout;
    await until(async () => (await state()).startsWith("T"), "the program is stopped");
  }

  // Sends it a signal, or all of its group; says whether any was there.
  #kill(signal) {
    if (!this.options.detached) return this.process.kill(signal);
    try {
      return process.kill(-this.process.pid, signal);
    } catch {
      return false;
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
