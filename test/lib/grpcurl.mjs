// The real grpcurl, as a person at a terminal uses it.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { promisify } from "node:util";

import { root } from "./daemon.mjs";
import { within } from "./until.mjs";

const program = process.env.GRPCURL ?? path.join(root, "bin/grpcurl");
const run = promisify(execFile);

// What grpcurl adds to the status code to make its exit code.
const exitBase = 64;

// Runs a line as the README has it, word for word but for the daemon's
// address, with input on its standard input. Resolves with what it prints, as
// JSON if it is JSON.
export async function line(daemon, text, input = "") {
  const running = run("sh", ["-c", command(text), program, daemon.control], { timeout: 20_000 });
  running.child.stdin.end(input);
  return parse((await running).stdout);
}

// Runs a line that goes on, with these variables, until the test ends. say writes a line of its
// input, next resolves with the next message that it prints.
export function follow(t, daemon, text, env = {}) {
  const child = spawn("sh", ["-c", `exec ${command(text)}`, program, daemon.control], { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit"); // the daemon may end first, and with it the line
  child.stdin.on("error", () => {});
  t.after(async () => {
    child.kill();
    await ended;
  });
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const message = async () => {
    let json = "";
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error(`it has ended, after ${json}`);
      json += value;
      if (value === "}") return JSON.parse(json);
    }
  };
  return { say: (line) => child.stdin.write(`${line}\n`), next: () => within(message(), `a message of ${text}`) };
}

// A line for the shell, in which $0 is the program and $1 the address.
function command(text) {
  if (!existsSync(program)) throw new Error(`${program} is not there: run "make bin/grpcurl" first`);
  if (!text.startsWith("grpcurl ")) throw new Error(`not a grpcurl line: ${text}`);
  return `"$0" ${text.slice("grpcurl ".length).replace(/(?:localhost|127\.0\.0\.1|fanoutd\.example):8081/, () => '"$1"')}`;
}

export function call(daemon, method, request) {
  return line(daemon, `grpcurl -plaintext -d '${JSON.stringify(request).replaceAll("'", "\\u0027")}' localhost:8081 fanout.v1.${method}`);
}

// Runs a call that must fail. Resolves with its status: {code, message,
// fields: the field paths of a BadRequest detail, details}.
export async function refusal(daemon, method, request, flags = []) {
  const args = ["-plaintext", "-format-error", ...flags, "-d", typeof request === "string" ? request : JSON.stringify(request), daemon.control, `fanout.v1.${method}`];
  const err = await run(program, args, { timeout: 20_000 }).then(
    ({ stdout }) => {
      throw new Error(`${method} was not refused: ${stdout}`);
    },
    (err) => err,
  );
  if (!(err.code > exitBase)) throw err;
  const status = parse(err.stderr.slice(err.stderr.indexOf("{")));
  const details = status.details ?? [];
  const violations = details.flatMap((detail) => detail.fieldViolations ?? []);
  return { code: err.code - exitBase, message: status.message, details, fields: violations.map((violation) => violation.field) };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
