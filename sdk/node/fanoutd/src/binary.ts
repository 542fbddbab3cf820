import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";

const releases = "https://github.com/fanoutd/fanoutd/releases";

/**
 * Where the daemon's program is: `named`, or what $FANOUTD_BINARY says, or a fanoutd on the PATH. Throws a sentence
 * that says how to get one where there is none.
 */
export function findBinary(named: string | undefined = process.env.FANOUTD_BINARY || undefined): string {
  if (named !== undefined) {
    if (!isProgram(named)) throw new Error(`${path.resolve(named)} is no program that may be run; it was named by the option binary or by $FANOUTD_BINARY`);
    return path.resolve(named);
  }
  for (const dir of (process.env.PATH ?? "").split(path.delimiter)) {
    const file = path.join(dir, "fanoutd");
    if (dir !== "" && isProgram(file) && !isNode(file)) return file;
  }
  throw new Error(
    `the daemon's program is not there: no fanoutd on the PATH, and $FANOUTD_BINARY names none. ` +
      `Take the archive for ${os.platform()}-${os.arch() === "x64" ? "amd64" : os.arch()} from ${releases}, unpack it, and put its fanoutd on the PATH or its name into FANOUTD_BINARY`,
  );
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

// Whether it is this package's own command, which npm puts on the PATH of what it runs, or that of another copy of it.
function isNode(file: string): boolean {
  const start = Buffer.alloc(64);
  const fd = openSync(file, "r");
  try {
    readSync(fd, start);
  } finally {
    closeSync(fd);
  }
  return /^#!.*\bnode\b/.test(start.toString("latin1"));
}
