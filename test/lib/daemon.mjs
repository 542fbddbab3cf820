// Starts the real, built daemon on free ports and ends it again.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { until } from "./until.mjs";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const binary = process.env.DAEMON ?? path.join(root, "bin/fanoutd");

// Only the latest part of the log is kept: a chatty failure must not fill memory.
const maxLog = 1 << 20; // characters

// How long a daemon may take to end, in a test, and with one: then nobody waits for what it
// would still deliver.
const patienceMs = 15_000;
const patienceAfterMs = 1_000;

// With CLUSTER=1 every daemon that a test starts is two nodes, browsers at the one and
// backends at the other.
export const apart = Boolean(process.env.CLUSTER);

export class Daemon {
  // Starts a daemon for one test, or one file of tests; it ends with it. flags
  // are settings by name: {"ping-interval": "300ms", demo: true}.
  static start(t, flags = {}) {
    return (apart ? Pair : Daemon).startAlone(t, flags);
  }

  static async startAlone(t, flags) {
    const daemon = new this(flags);
    daemon.dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-test-"));
    t.after(async () => {
      await daemon.stop("SIGTERM", patienceAfterMs);
      await rm(daemon.dir, { recursive: true });
    });
    // A port that was free may be taken by the time the daemon wants it.
    for (let attempt = 1; ; attempt++) {
      await daemon.choosePorts();
      try {
        await daemon.run();
        return daemon;
      } catch (err) {
        if (attempt === 3 || !daemon.log.includes("address already in use")) throw err;
      }
    }
  }

  constructor(flags) {
    this.flags = flags;
    this.log = "";
    this.process = null;
  }

  async choosePorts() {
    const [listen, control, ops] = await freePorts(3);
    this.url = `http://127.0.0.1:${listen}`;
    this.control = `127.0.0.1:${control}`;
    this.ops = `http://127.0.0.1:${ops}`;
    this.addresses = {
      listen: `127.0.0.1:${listen}`,
      "control-listen": this.control,
      "ops-listen": `127.0.0.1:${ops}`,
    };
  }

  // Runs the daemon on the ports it has, until it is ready.
  async run() {
    if (!existsSync(binary)) throw new Error(`${binary} is not there: run "make build" first`);
    const args = Object.entries({ ...this.addresses, ...this.flags }).map(([name, value]) => `--${name}=${value}`);
    // Settings of whoever runs the tests must not leak in.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FANOUTD_")));
    const child = spawn(binary, args, { cwd: this.dir, env, stdio: ["ignore", "pipe", "pipe"] });
    this.process = child;
    this.ended = new Promise((resolve) => {
      child.on("error", (err) => resolve({ code: null, signal: null, error: err }));
      child.on("close", (code, signal) => resolve({ code, signal }));
    });
    this.ended.then((how) => (this.end = how));
    this.end = null;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.log = (this.log + text).slice(-maxLog)));
    }
    await until(async () => {
      if (this.end) throw new Error(`the daemon ended at once, ${JSON.stringify(this.end)}:\n${this.log}`);
      return (await fetch(`${this.ops}/readyz`).catch(() => null))?.ok;
    }, "the daemon is ready");
  }

  // Ends the daemon, by force after so many milliseconds, and says how it ended: {code, signal}.
  async stop(signal = "SIGTERM", patience = patienceMs) {
    if (!this.process) return this.end;
    const child = this.process;
    this.process = null;
    if (!this.end) child.kill(signal);
    const hurry = setTimeout(() => child.kill("SIGKILL"), patience);
    try {
      return await this.ended;
    } finally {
      clearTimeout(hurry);
    }
  }
}

// Pair is two daemons that are one cluster, and that tests take for one: browsers connect
// to the first, which it is itself, backends to the second.
class Pair extends Daemon {
  constructor({ listen, "webtransport-listen": webTransport, ...rest }) { // ports of a test's choice are the first's
    super({ ...rest, ...(listen && { listen }), ...(webTransport && { "webtransport-listen": webTransport }), "node-name": "n1" });
    this.second = new Daemon({ ...rest, "node-name": "n2" });
  }

  async choosePorts() {
    await super.choosePorts();
    await this.second.choosePorts();
    const routes = (await freePorts(2)).map((port) => `127.0.0.1:${port}`);
    for (const [i, node] of [this, this.second].entries()) Object.assign(node.addresses, { "cluster-listen": routes[i], "cluster-peers": routes.join() });
    this.control = this.second.control;
  }

  async run() {
    this.second.dir = this.dir;
    try {
      await Promise.all([super.run(), this.second.run()]);
    } catch (err) {
      await this.stop();
      this.log += this.second.log;
      throw err;
    }
    for (const { ops } of [this, this.second]) {
      await until(async () => /^fanoutd_nodes_alive 1$/m.test(await (await fetch(`${ops}/metrics`)).text()), "the nodes have met");
    }
  }

  // The first ends before the second, which tells its backends of all ends.
  async stop(signal, patience) {
    const end = await super.stop(signal, patience);
    await this.second.stop(signal, patience);
    return end;
  }
}

// Ports below those that systems hand out by themselves, to connections and to who
// listens at port 0, and below those of the tests in Go, which run beside these: so nothing
// takes one between its choice and its use, or while its daemon restarts. It begins
// anywhere, since other processes may choose likewise.
const lowestPort = 20_000;
const ports = 6_000;
let nextPort = Math.floor(Math.random() * ports);

// n ports that were free a moment ago.
export async function freePorts(n) {
  const chosen = [];
  for (let tries = 0; chosen.length < n; tries++) {
    const port = lowestPort + (nextPort++ % ports);
    const server = net.createServer();
    try {
      await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
    } catch (err) {
      if (tries === 100 + n) throw err;
      continue;
    }
    await new Promise((resolve) => server.close(resolve));
    chosen.push(port);
  }
  return chosen;
}
