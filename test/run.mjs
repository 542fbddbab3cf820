// Runs every test there is: the Go packages with the race detector, and beside
// them, since both mostly wait, the files of Node's own test runner. Says what was
// skipped and why, and ends with one line that adds all up.
//
// Words after the command choose what runs: "go", "web", "peers", "nodes",
// "conformance"; none is all. "docs" is those of the peers that documentation is held to by.

import { readdirSync } from "node:fs";
import path from "node:path";
import { run } from "node:test";

import { rows } from "./docs-blocks.mjs";
import { goTests } from "./lib/go-tests.mjs";
import { root } from "./lib/daemon.mjs";
import { Tally } from "./lib/tally.mjs";

// One file of tests takes a few minutes at most; this ends one that hangs.
const fileTimeoutMs = 10 * 60_000;

// Files of "peers" that "nodes" leaves out, and why.
const ofOneNode = {
  "bench.test.mjs": "it starts daemons of its own",
  "chat-page.test.mjs": "it is about one daemon, started as make run does",
  "cluster.test.mjs": "it starts nodes of its own",
  "console.test.mjs": "it is about what pages show, in a browser",
  "console-pages.test.mjs": "it starts nodes of its own",
  "console-smooth.test.mjs": "it is about what a page shows, in a browser",
  "console-tasks.test.mjs": "it starts nodes of its own",
  "docs-pages.test.mjs": "it starts daemons of its own",
  "docs.test.mjs": "it is about documents",
  "command-line.test.mjs": "it starts nodes of its own",
  "drain.test.mjs": "it starts nodes of its own",
  "errors.test.mjs": "no backend takes part",
  "first-application.test.mjs": "it is about one daemon, as somebody begins with it",
  "go-dump.test.mjs": "no daemon takes part",
  "guides.test.mjs": "it is about documents",
  "http-pages.test.mjs": "it is about the API of one daemon, and pages of other sites",
  "limits.test.mjs": "no backend takes part",
  "nodejs-docs.test.mjs": "it is about documents",
  "page.test.mjs": "it is about what a page shows, in a browser",
  "program.test.mjs": "no daemon takes part",
  "proxies.test.mjs": "it starts nodes of its own",
  "python-sdk.test.mjs": "it starts daemons of its own",
  "readme.test.mjs": "it is about one daemon, started as make run does",
  "sdk-commands.test.mjs": "no daemon takes part",
  "sdk-kills.test.mjs": "it starts nodes of its own",
  "sdk-packages.test.mjs": "it is about packages, and starts daemons of its own",
  "sdk-subscription.test.mjs": "no daemon takes part",
  "serve.test.mjs": "no backend takes part",
  "tls.test.mjs": "it is about how browsers reach one daemon",
  "webtransport.test.mjs": "it is about one session's transport",
};

// Files that run blocks of pages and that "docs" leaves to "peers", and why.
const long = {
  "sdk-packages.test.mjs": "it installs packages, for minutes",
};

// In the order of their start; those of Node's test runner come one after the other.
const kinds = {
  go: ["the Go packages, with the race detector", () => goTests(root, tally)],
  web: ["the demo page's own parts", () => nodeTests("web/demo")],
  peers: ["the built daemon with real peers", () => nodeTests("test")],
  nodes: ["the same with two nodes: browsers at the one, backends at the other", overNodes],
  docs: ["what documentation says", documented],
  conformance: ["the protocols byte by byte, and beside the reference", () => nodeTests("test/conformance")],
};

const tally = new Tally();
const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !(name in kinds));
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(", ")}; there are: ${Object.keys(kinds).join(", ")}`);
  process.exit(2);
}
const start = Object.keys(kinds).filter((name) => (chosen.length === 0 ? name !== "docs" : chosen.includes(name)));
await Promise.all([oneByOne(start.filter((name) => name === "go")), oneByOne(start.filter((name) => name !== "go"))]);
tally.print();
process.exitCode = tally.failed > 0 ? 1 : 0;

async function oneByOne(names) {
  for (const name of names) {
    const [title, tests] = kinds[name];
    console.log(`\n\x1b[1m== test: ${title}\x1b[0m`);
    await tests();
  }
}

// The tests that test/docs-blocks.mjs names, and the one that holds it to that.
async function documented() {
  const named = Object.values(rows).flat().flatMap(({ by }) => by ?? []).map(([file]) => path.relative("test", file));
  for (const [name, reason] of Object.entries(long)) console.log(`left to make test: test/${name}: ${reason}`);
  await nodeTests("test", (name) => name === "docs.test.mjs" || (named.includes(name) && !(name in long)));
}

async function overNodes() {
  for (const [name, reason] of Object.entries(ofOneNode)) console.log(`not run with two nodes: test/${name}: ${reason}`);
  process.env.CLUSTER = "1"; // for the processes that the files run in
  try {
    await nodeTests("test", (name) => !(name in ofOneNode), " with two nodes");
  } finally {
    delete process.env.CLUSTER;
  }
}

// Files run one at a time: each starts daemons and clients of its own, and a
// machine that is busy with three of them only makes all slow.
async function nodeTests(dir, chosen = () => true, how = "") {
  const files = readdirSync(path.join(root, dir))
    .filter((name) => name.endsWith(".test.mjs") && chosen(name))
    .sort()
    .map((name) => path.join(root, dir, name));
  const stream = run({ files, concurrency: 1, timeout: fileTimeoutMs });
  // Results come children first. Only a test without subtests counts, or one
  // that fails by itself.
  let children = [];
  const take = (event) => {
    const { name, nesting, details, skip, todo } = event;
    const hadChildren = children[nesting + 1] > 0;
    children.length = nesting + 1;
    children[nesting] = (children[nesting] ?? 0) + 1;
    const where = `${path.relative(root, event.file ?? dir)}${how}: ${name}`;
    const failed = details.error !== undefined && todo === undefined;
    if (details.type === "suite" || hadChildren) {
      if (failed && details.error.failureType !== "subtestsFailed") tally.fail(where, reason(details.error));
      return;
    }
    if (skip !== undefined) tally.skip(where, skip);
    else if (failed) tally.fail(where, reason(details.error));
    else tally.pass(where, details.duration_ms);
  };
  for await (const { type, data } of stream) {
    if (type === "test:pass" || type === "test:fail") take(data);
    if (type === "test:diagnostic" && data.nesting > 0) console.log(`      ${data.message}`); // the runner's own sums are at 0
    if (type === "test:stderr" || type === "test:stdout") process.stderr.write(data.message);
  }
}

function reason(err) {
  const cause = err.cause ?? err;
  return cause.stack ?? String(cause);
}
