// The Python package of sdk/python, built as a wheel and installed in a folder of its own.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { root } from "./daemon.mjs";

const run = promisify(execFile);

export const dir = path.join(root, "sdk/python");

// The Python that has the package as it is now, and what its tests need; or why there is none.
// What has not changed since it was installed is not built again.
export async function pythonSDK() {
  const venv = path.join(dir, ".venv");
  const program = path.join(venv, "bin/python");
  const pip = (...args) => run(program, ["-m", "pip", "--quiet", ...args], { cwd: dir, timeout: 300_000 });
  const requirements = [await readFile(path.join(dir, "tests/requirements.txt")), "build", "setuptools>=77", "grpcio-tools"];
  const stamp = path.join(venv, "requirements.sha256");
  try {
    if (!existsSync(program)) await run("python3", ["-m", "venv", venv], { timeout: 120_000 });
    await once(stamp, requirements, () => pip("install", "--requirement", "tests/requirements.txt", ...requirements.slice(1)));
  } catch (err) {
    return { why: `Python with what the package needs is not to be had here: ${String(err.stderr || err.message).trim().split("\n").at(-1)}` };
  }
  await once(path.join(venv, "package.sha256"), await sources(), async () => {
    const wheels = await mkdtemp(path.join(os.tmpdir(), "fanoutd-wheel-"));
    try {
      await run(program, ["-m", "build", "--no-isolation", "--outdir", wheels, dir], { timeout: 300_000 });
      const wheel = (await readdir(wheels)).find((name) => name.endsWith(".whl"));
      await pip("install", path.join(wheels, wheel));
      await pip("install", "--force-reinstall", "--no-deps", path.join(wheels, wheel));
    } finally {
      await rm(wheels, { recursive: true });
    }
  });
  return { program };
}

// The Pythons from 3.10 on that are installed, one for each minor release: those in the PATH, and
// pyenv's.
export async function pythons() {
  const shims = path.join(process.env.PYENV_ROOT ?? path.join(os.homedir(), ".pyenv"), "versions");
  const installed = existsSync(shims) ? (await readdir(shims)).map((name) => path.join(shims, name, "bin/python")) : [];
  const named = ["python3", ...Array.from({ length: 10 }, (_, i) => `python3.${10 + i}`)];
  const found = new Map();
  for (const command of [...named, ...installed]) {
    try {
      const { stdout } = await run(command, ["-c", "import sys, venv; print(sys.version_info.minor, sys.executable)"]);
      const [minor, program] = stdout.trim().split(" ");
      if (Number(minor) >= 10 && !found.has(minor)) found.set(minor, program);
    } catch {
      // it is not there, or not whole
    }
  }
  return [...found.values()];
}

// Does something unless it was done with the same content, which the file notes.
async function once(file, content, act) {
  const hash = createHash("sha256");
  for (const part of content) hash.update(part);
  const digest = hash.digest("hex");
  if (existsSync(file) && (await readFile(file, "utf8")) === digest) return;
  await act();
  await writeFile(file, digest);
}

// All that the package is built of: names and contents.
async function sources() {
  const files = ["pyproject.toml", "MANIFEST.in", "README.md"].map((name) => path.join(dir, name));
  for (const folder of [path.join(dir, "src"), path.join(dir, "tools"), path.join(root, "proto/fanout/v1")]) {
    const names = (await readdir(folder, { recursive: true })).filter((name) => /\.(py|proto|typed)$/.test(name) && !name.endsWith("_version.py"));
    files.push(...names.sort().map((name) => path.join(folder, name)));
  }
  return [...files, ...(await Promise.all(files.map((name) => readFile(name))))];
}
