// Runs the tests of the socket.io server, of its own repository, against @fanoutd/socket.io and the built daemon. They are fetched
// when they run, and never stored: source.mjs says from where.
//
// It fails for a test that fails and stands in no list of differences, and for one that stands there and passes.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { differences, leftOut, tests as listed } from "./differences.mjs";
import { fetchFiles } from "./source.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, "../../..");

const work = path.join(here, "work/tests");
rmSync(work, { recursive: true, force: true });
mkdirSync(work, { recursive: true });
console.log(fetchFiles(work, "packages/socket.io/", ["test"]));
cpSync(path.join(here, "server.cjs"), path.join(work, "index.js"));
// The tests compare what is served with the version of the package beside them.
const { version } = JSON.parse(readFileSync(path.join(here, "../node_modules/socket.io/package.json"), "utf8"));
writeFileSync(path.join(work, "package.json"), JSON.stringify({ private: true, version }));
standIns();

const index = readFileSync(path.join(work, "test/index.ts"), "utf8");
const chosen = [...index.matchAll(/require\("\.\/([^"]+)"\)/g)].map(([, name]) => `${name}.ts`).filter((name) => !(name in leftOut));
const report = path.join(work, "report.json");
const { status } = spawnSync(
  path.join(here, "node_modules/.bin/mocha"),
  // Order among clients of their own is the network's, and the tests count milliseconds: each may try six times.
  ["--import=tsx", "--reporter=json", `--reporter-option=output=${report}`, "--timeout=5000", "--retries=5", "--exit", ...chosen.map((name) => `test/${name}`)],
  { cwd: work, stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, DAEMON: process.env.DAEMON ?? path.join(root, "bin/fanoutd") } },
);
if (!existsSync(report)) process.exit(status || 1);

const { tests, failures, passes } = JSON.parse(readFileSync(report, "utf8"));
// One that is done twice in a try counts as a failure for good with Mocha, though a later try passes.
const passed = new Set(passes.map(({ fullTitle }) => fullTitle));
const failed = new Map(failures.filter(({ fullTitle }) => !passed.has(fullTitle)).map(({ fullTitle, err }) => [fullTitle, err.message]));
const unlisted = [...failed].filter(([title]) => !(title in differences));
const mended = Object.keys(differences).filter((title) => !failed.has(title));
console.log(`\n${tests.length - failed.size} of ${tests.length} tests of the socket.io server pass.`);
for (const [title, reason] of Object.entries(differences)) console.log(`differs: ${title}: ${reason}`);
for (const [name, reason] of Object.entries(leftOut)) console.log(`left out: ${name}: ${reason}`);
for (const [title, message] of unlisted) console.log(`FAILED: ${title}: ${message}`);
for (const title of mended) console.log(`PASSES NOW, and is listed as a difference: ${title}`);
if (tests.length !== listed) console.log(`THERE ARE ${tests.length} TESTS, and differences.mjs says ${listed}`);
process.exitCode = unlisted.length + mended.length > 0 || tests.length !== listed ? 1 : 0;

// A copy of the repository may lack its largest files, of which only the size matters.
function standIns() {
  const make = (name, content) => {
    const file = path.join(work, "test", name);
    if (!existsSync(file)) writeFileSync(file, content());
  };
  make("support/doge.jpg", () => randomBytes(30_000));
  make("fixtures/big.jpg", () => randomBytes(300_000));
  make("fixtures/big.json", () => JSON.stringify(Array.from({ length: 2_000 }, (_, i) => ({ i, text: "some text ".repeat(12) }))));
}
