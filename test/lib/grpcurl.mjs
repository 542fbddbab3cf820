// The real grpcurl, as a person at a terminal uses it.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

import { root } from "./daemon.mjs";

const program = process.env.GRPCURL ?? path.join(root, "bin/grpcurl");
const run = promisify(execFile);

// What grpcurl adds to the status code to make its exit code.
const exitBase = 64;

// Runs a line as the README has it, word for word but for the daemon's
// address, with input on its standard input. Resolves with what it prints, as
// JSON if it is JSON.
export async function line(daemon, text, input = "") {
  if (!existsSync(program)) throw new Error(`${program} is not there: run "make bin/grpcurl" first`);
  if (!text.startsWith("grpcurl ")) throw new Error(`not a grpcurl line: ${text}`);
  const command = `"$0" ${text.slice("grpcurl ".length).replace("localhost:8081", '"$1"')}`;
  const running = run("sh", ["-c", command, program, daemon.control], { timeout: 20_000 });
  running.child.stdin.end(input);
  return parse((await running).stdout);
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
