// The application of docs/first-application.md, word for word, used by two people in two tabs.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { browser, skip } from "./lib/browser.mjs";
import { binary, Daemon, freePorts, root } from "./lib/daemon.mjs";
import { page } from "./lib/docs.mjs";
import { Program } from "./lib/program.mjs";
import { until } from "./lib/until.mjs";

const run = promisify(execFile);
const doc = page("docs/first-application.md");

// The flags of a line that starts the daemon.
const flags = (line) => Object.fromEntries([...line.matchAll(/--(\S+) (\S+)/g)].map(([, name, value]) => [name, value]));

test("lunch, from the first vote to the tokens", { skip, timeout: 240_000 }, async (t) => {
  const [web] = await freePorts(1);
  const ours = (text) => text.replaceAll("localhost:3000", `localhost:${web}`).replace("listen(3000)", `listen(${web})`);
  const daemon = await Daemon.start(t, flags(ours(doc.block("fanoutd --origins"))));
  const address = (text) => ours(text).replaceAll("http://localhost:8080", daemon.url).replaceAll("localhost:8081", daemon.control);

  // The package is installed as npm installs a folder, in place of what its registry has.
  assert.deepEqual(doc.block("mkdir lunch").trim().split("\n"), ["mkdir lunch && cd lunch", "npm init -y", "npm install @fanoutd/client"]);
  const lunch = await mkdtemp(path.join(os.tmpdir(), "fanoutd-lunch-"));
  t.after(() => rm(lunch, { recursive: true, force: true }));
  await mkdir(path.join(lunch, "node_modules/@fanoutd"), { recursive: true });
  await symlink(path.join(root, "sdk/node/client"), path.join(lunch, "node_modules/@fanoutd/client"));
  await writeFile(path.join(lunch, "index.html"), address(doc.block("<!doctype html>")));
  await writeFile(path.join(lunch, "lunch.mjs"), address(doc.block("import { createServer }")));

  const [node, ...args] = doc.block("node lunch.mjs").trim().split(" ");
  assert.equal(node, "node");
  const start = async () => {
    const program = Program.start(t, process.execPath, args, { cwd: lunch, env: { FANOUTD_ADDRESS: daemon.control } });
    await until(() => {
      assert.equal(program.end, null, program.log);
      return program.log.includes(`http://localhost:${web}/`);
    }, "lunch is served");
    return program;
  };
  let program = await start();

  const context = await (await browser(t)).newContext();
  const open = async (query) => {
    const tab = await context.newPage();
    await tab.goto(`http://localhost:${web}/?${query}`);
    return tab;
  };
  const says = (tab, id, text) => tab.locator(id, { hasText: text }).waitFor();
  const vote = (tab, dish) => tab.getByRole("button", { name: dish }).click();
  const votes = (tab, ...counts) => Promise.all(["noodles", "salad", "soup"].map((dish, n) => says(tab, "#votes", `${dish}: ${counts[n]}`)));

  await says(await open(""), "#who", "Who are you?");
  const ann = await open("name=Ann");
  const bob = await open("name=Bob");
  await says(ann, "#who", "You are Ann.");
  await says(bob, "#who", "You are Bob.");
  await vote(ann, "soup");
  await says(ann, "#news", "Ann votes for soup.");
  await vote(bob, "soup");
  for (const tab of [ann, bob]) await votes(tab, 0, 0, 2);
  await vote(bob, "salad");
  for (const tab of [ann, bob]) await votes(tab, 0, 1, 1);

  // What is sent while the program is away waits, and the votes before are kept.
  await program.stop("SIGINT");
  await vote(ann, "noodles");
  program = await start();
  for (const tab of [ann, bob]) await votes(tab, 1, 1, 0);
  await says(ann, "#news", "Ann votes for noodles.");

  const [toAll, toBob, list] = doc.block("curl --json").trim().split("\n");
  const curl = async (line) => JSON.parse((await run("sh", ["-c", address(line)])).stdout);
  assert.deepEqual(await curl(toAll), { matched: 2 });
  for (const tab of [ann, bob]) await says(tab, "#news", "The kitchen opens at noon.");
  assert.deepEqual(await curl(toBob), { matched: 1 });
  await says(bob, "#news", "Bob, your table is ready.");
  assert.equal(await ann.locator("#news").textContent(), "The kitchen opens at noon.");
  const { connections } = await curl(list);
  assert.deepEqual(connections.map(({ userId, rooms }) => [userId, rooms.filter((room) => room.startsWith("voters"))]).sort(), [["Ann", ["voters of noodles"]], ["Bob", ["voters of salad"]]]);

  // Nobody in without a token.
  await daemon.stop();
  assert.equal(doc.block("fanoutd --config").trim(), "fanoutd --config lunch.yaml");
  const config = path.join(lunch, "lunch.yaml");
  await writeFile(config, ours(doc.block("origins:")));
  daemon.flags = { config };
  await daemon.run();
  for (const tab of [ann, bob]) await says(tab, "#who", "token missing");
  const [, ...mint] = doc.block("fanoutd token").trim().split(" ");
  const token = (await run(binary, mint, { cwd: lunch })).stdout.trim();
  const withToken = await open(`token=${token}&name=Mallory`);
  await says(withToken, "#who", "You are Ann.");
  await votes(withToken, 0, 0, 0);
  assert.deepEqual(await program.stop("SIGTERM"), { code: 0, signal: null }, program.log);
});
