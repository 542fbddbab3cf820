// What is said of Socket.IO's own tests and examples is what the runs of them go by.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { differences, tests } from "../sdk/node/upstream/differences.mjs";
import { documented, file } from "../sdk/node/upstream/document.mjs";
import { root } from "./lib/daemon.mjs";

test("docs/nodejs.md lists the tests that differ and the examples that run", async () => {
  const text = await readFile(file, "utf8");
  assert.equal(text, documented(text), "run: node sdk/node/upstream/document.mjs");
  for (const [title, reason] of Object.entries(differences)) assert.ok(text.includes(`| ${title} | ${reason} |`), title);
});

test("the package's README counts them alike", async () => {
  const text = await readFile(path.join(root, "sdk/node/socket.io/README.md"), "utf8");
  assert.match(text, new RegExp(`^${tests - Object.keys(differences).length} of the ${tests} tests of the socket\\.io server pass`, "m"));
});
