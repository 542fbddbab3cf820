import { fork } from "node:child_process";
import path from "node:path";

import { findBinary } from "./binary.js";
import { environment, flags, type Settings } from "./settings.js";
import type { Report, Run } from "./supervisor.js";

export { findBinary, type Settings };

/** A line of the daemon's log: these, and attributes that docs/logging.md lists. */
export interface LogLine {
  time: string;
  level: "DEBUG" | "INFO" | "WARN" | "ERROR";
  msg: string;
  [attribute: string]: unknown;
}

export interface StartOptions {
  /** Settings beside those for development; they win. */
  settings?: Settings;
  /** More flags, as on a command line. */
  args?: readonly string[];
  /** Listen at the daemon's usual ports, 8080 for browsers, 8081 for backends and 8082 for operators, and not at free ones. */
  usualPorts?: boolean;
  /** The daemon's program. Unset: $FANOUTD_BINARY, or a fanoutd on the PATH. */
  binary?: string;
  /** Hears the daemon's log. Unset: its warnings and errors are written to stderr. */
  onLog?: (line: LogLine) => void;
}

/** A daemon that runs. */
export interface RunningDaemon {
  /** Where browsers connect: `io(url)`. */
  readonly url: string;
  /** Where backends call: `new Server({ fanoutd: { address } })`. */
  readonly address: string;
  /** Where operators look: `/readyz`, `/metrics`. */
  readonly ops: string;
  readonly version: string;
  /** Resolves when it has ended, by itself or by `stop`. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Ends it, in order. */
  stop(): Promise<void>;
}

/**
 * Starts a daemon for development or a test, at free ports of this machine alone, with the settings that
 * `@fanoutd/socket.io` wants; resolves when it is ready. It ends with this process, however that ends, and does not keep it
 * running. Rejects if there is no program, or if the daemon does not start, with what its log says.
 */
export async function start(options: StartOptions = {}): Promise<RunningDaemon> {
  const { settings = {}, args = [], usualPorts = false, onLog = complain } = options;
  const given = ["serve", ...flags(settings), ...args];
  const at = (port: number) => `127.0.0.1:${usualPorts ? port : 0}`;
  const run: Run = {
    binary: findBinary(options.binary),
    args: [...given, "--log-format=json", `--log-level=${wantsDebug(given) ? "debug" : "info"}`], // addresses are told at level info
    env: environment({ listen: at(8080), "control-listen": at(8081), "ops-listen": at(8082) }),
  };
  // In a group of its own, a terminal's Ctrl-C is this process's business alone.
  const supervisor = fork(path.join(__dirname, "supervisor.js"), { detached: true, stdio: ["ignore", "ignore", "inherit", "ipc"], execArgv: [] });
  const { promise: ended, resolve: end } = settled<{ code: number | null; signal: NodeJS.Signals | null }>();
  const listeners: Record<string, string> = {};
  const said: string[] = []; // until it is ready, for the error
  const version = await new Promise<string>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${run.binary} did not start: ${why}`));
    supervisor.on("error", reject);
    supervisor.on("exit", (code, signal) => {
      fail("it ended");
      end({ code, signal });
    });
    supervisor.on("message", (report: Report) => {
      if ("failed" in report) return fail(report.failed);
      if ("code" in report) {
        fail(said.slice(-5).join("\n") || `it ended at once, with ${report.code ?? report.signal}`);
        return end(report);
      }
      const line = parse(report.line);
      if (!line || line.level === "ERROR") said.push(line ? `${line.msg}${line.error ? `: ${String(line.error)}` : ""}` : report.line);
      if (!line) return;
      onLog(line);
      if (line.msg === "serving") listeners[String(line.who)] = String(line.address);
      if (line.msg === "ready") resolve(String(line.version));
    });
    supervisor.send(run);
  });
  supervisor.unref();
  supervisor.channel?.unref();
  const { browsers = "", backends = "", operators = "" } = listeners;
  return {
    url: `http://${reachable(browsers)}`,
    address: reachable(backends),
    ops: `http://${reachable(operators)}`,
    version,
    ended,
    async stop() {
      supervisor.ref();
      supervisor.channel?.ref();
      if (supervisor.connected) supervisor.disconnect();
      await ended;
    },
  };
}

function wantsDebug(args: readonly string[]): boolean {
  return process.env.FANOUTD_LOG_LEVEL === "debug" || /--?log-level[= ]debug/.test(args.join(" "));
}

function settled<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

// A listener at every interface is at this machine too.
function reachable(address: string): string {
  return address.replace(/^(\[::\]|0\.0\.0\.0)?:/, "localhost:");
}

function parse(line: string): LogLine | undefined {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return undefined; // what is said before there is a log
  }
}

/** Writes what somebody should look at to stderr. */
export function complain({ time: _, level, msg, ...attributes }: LogLine): void {
  if (level !== "WARN" && level !== "ERROR") return;
  console.error(`fanoutd: ${msg}${Object.entries(attributes).map(([name, value]) => ` ${name}=${String(value)}`).join("")}`);
}
