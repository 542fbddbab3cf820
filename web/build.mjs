// Fills dist/, the folder that the Go package beside this file embeds: the
// Socket.IO client as npm installed it, the demo page, the console, and next to each file
// its gzip and brotli form, so that the daemon never compresses while serving.
//
// Run it after "npm ci". It needs no network and writes the same bytes each
// time it runs on the same input.

import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import zlib from "node:zlib";

import { build } from "esbuild";

const gzip = promisify(zlib.gzip);
const brotli = promisify(zlib.brotliCompress);

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(here, "dist");

// What the reference server offers under its path, each with its source map
// (packages/socket.io/lib/index.ts, attachServe).
const clientFiles = ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"].flatMap(
  (name) => [name, `${name}.map`],
);

// The demo's own files; tests stay behind.
async function demoFiles(dir) {
  const names = await readdir(dir);
  return names.filter((name) => !name.endsWith(".test.mjs")).sort();
}

// The console's programs, the page's and its worker's, become one file each; uPlot's style
// goes in front of its own.
async function buildConsole(to) {
  const from = path.join(here, "console");
  const common = { bundle: true, minify: true, format: "esm", target: "es2022", jsx: "automatic", jsxImportSource: "preact", legalComments: "inline", logLevel: "warning" };
  await Promise.all([
    build({ ...common, entryPoints: [path.join(from, "main.tsx")], outfile: path.join(to, "console.js") }),
    build({ ...common, entryPoints: [path.join(from, "watcher.ts")], outfile: path.join(to, "watcher.js") }),
    build({ stdin: { contents: '@import "uplot/dist/uPlot.min.css"; @import "./console.css";', loader: "css", resolveDir: from }, bundle: true, minify: true, outfile: path.join(to, "console.css"), logLevel: "warning" }),
    ...["index.html", "icon.svg"].map((name) => copyFile(path.join(from, name), path.join(to, name))),
  ]);
  return ["console.css", "console.js", "icon.svg", "index.html", "watcher.js"];
}

async function findClient() {
  const require = createRequire(import.meta.url);
  let file;
  try {
    file = require.resolve("socket.io-client/package.json");
  } catch (cause) {
    throw new Error('socket.io-client is not installed: run "npm ci" in web/ first', { cause });
  }
  const { version } = JSON.parse(await readFile(file, "utf8"));
  return { dir: path.join(path.dirname(file), "dist"), version };
}

// Writes one file and those compressed forms that are smaller than it.
async function put(from, to) {
  const plain = await readFile(from);
  const forms = [
    [".gz", await gzip(plain, { level: 9 })],
    [
      ".br",
      await brotli(plain, {
        params: {
          [zlib.constants.BROTLI_PARAM_QUALITY]: zlib.constants.BROTLI_MAX_QUALITY,
          [zlib.constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
        },
      }),
    ],
  ];
  await writeFile(to, plain);
  for (const [suffix, packed] of forms) {
    if (packed.length < plain.length) await writeFile(to + suffix, packed);
  }
  return plain.length;
}

async function putAll(names, from, to) {
  await mkdir(to, { recursive: true });
  const sizes = await Promise.all(names.map((name) => put(path.join(from, name), path.join(to, name))));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function main() {
  const client = await findClient();
  const demo = path.join(here, "demo");

  await mkdir(dist, { recursive: true });
  for (const name of await readdir(dist)) {
    if (name !== ".keep") await rm(path.join(dist, name), { recursive: true });
  }
  const built = await mkdtemp(path.join(os.tmpdir(), "fanoutd-web-"));
  let bytes;
  try {
    bytes =
      (await putAll(clientFiles, client.dir, path.join(dist, "client"))) +
      (await putAll(await demoFiles(demo), demo, path.join(dist, "demo"))) +
      (await putAll(await buildConsole(built), built, path.join(dist, "console")));
  } finally {
    await rm(built, { recursive: true });
  }

  // Written last: the Go side takes a folder with a manifest for a complete one.
  await writeFile(path.join(dist, "manifest.json"), `${JSON.stringify({ client: client.version })}\n`);
  console.log(`web: socket.io-client ${client.version}, the demo page and the console are in web/dist (${bytes} bytes before compression)`);
}

await main();
