#!/usr/bin/env node

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

import { findBinary, start } from "./index.js";

const usage = `Usage:
  npx fanoutd [dev] [flags] [-- program ...]
      run the daemon for development, at localhost:8080 for browsers and
      localhost:8081 for backends, with the settings that @fanoutd/socket.io
      wants; with a program, run that too, and end with it.
      Flags are the daemon's: npx fanoutd help serve lists them.
  npx fanoutd COMMAND ...
      any other command of the daemon, such as token, config or version
`;

async function main(args: string[]): Promise<number> {
  const [command] = args;
  if (command === "--help" || command === "-h") {
    process.stdout.write(usage);
    return 0;
  }
  if (command !== undefined && command !== "dev" && command !== "--" && !command.startsWith("-")) return through(spawn(findBinary(), args, { stdio: "inherit" }));
  const ours = command === "dev" ? args.slice(1) : args;
  const split = ours.indexOf("--");
  return development(split < 0 ? ours : ours.slice(0, split), split < 0 ? [] : ours.slice(split + 1));
}

async function development(args: string[], [program, ...programArgs]: string[]): Promise<number> {
  const daemon = await start({ args, usualPorts: true });
  const local = (address: string) => address.replace("127.0.0.1", "localhost");
  console.log(`fanoutd ${daemon.version} is running, for development
  browsers:   ${local(daemon.url)}
  backends:   ${local(daemon.address)}
  operators:  ${local(daemon.ops)}/metrics`);
  if (program === undefined) {
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    const alive = setInterval(() => {}, 1 << 30);
    const asked = Promise.race(signals.map((signal) => once(process, signal))).then(() => daemon.stop());
    const { code } = await Promise.race([daemon.ended, asked.then(() => ({ code: 0 }))]);
    clearInterval(alive);
    if (code !== 0) console.error(`fanoutd ended with ${code}`);
    return code ?? 1;
  }
  const code = await through(spawn(program, programArgs, { stdio: "inherit", env: { ...process.env, FANOUTD_ADDRESS: daemon.address } }));
  await daemon.stop();
  return code;
}

// The code that a program ends with; it hears the signals that this process is sent, but for those that a terminal sends to both.
async function through(child: ChildProcess): Promise<number> {
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (err: Error) => {
    console.error(`fanoutd: ${err.message}`);
    process.exit(1);
  },
);
