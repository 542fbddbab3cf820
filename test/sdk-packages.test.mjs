// The npm packages as people get them: packed, installed in empty folders, and doing what their documentation shows, as ES
// modules, as CommonJS and in TypeScript.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { io } from "socket.io-client";

import { binary, Daemon as Process, freePorts, root } from "./lib/daemon.mjs";
import { page } from "./lib/docs.mjs";
import { Program } from "./lib/program.mjs";
import { until } from "./lib/until.mjs";

const run = promisify(execFile);
const packages = ["client", "socket.io", "emitter", "fanoutd"];
const installMs = 300_000;
const flags = { namespaces: "/,/*,/*/*,/*/*/*", "require-verdict": true, "expose-auth": true };
// npm itself, as a user has it, and no setting of whoever runs the tests.
const env = { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(FANOUTD_|npm_)/i.test(name))), FANOUTD_BINARY: binary };

let dir; // where everything is installed
let tarballs; // by package

before(
  async () => {
    dir = await mkdtemp(path.join(os.tmpdir(), "fanoutd-packages-"));
    tarballs = Object.fromEntries(await Promise.all(packages.map(async (name) => [name, await pack(name)])));
    await writeFile(path.join(dir, "package.json"), "{}");
    const { devDependencies } = JSON.parse(await readFile(path.join(root, "sdk/node/package.json"), "utf8"));
    const others = ["socket.io", "typescript", "@types/node"].map((name) => `${name}@${devDependencies[name]}`);
    await npm(dir, "install", ...Object.values(tarballs), ...others);
  },
  { timeout: installMs },
);

after(() => rm(dir, { recursive: true, force: true }));

async function pack(name) {
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", dir], { cwd: path.join(root, "sdk/node", name), env });
  const [{ filename, files }] = JSON.parse(stdout);
  const names = files.map((file) => file.path);
  for (const needed of ["README.md", "package.json", "index.mjs", "dist/index.js", "dist/index.d.ts"]) assert.ok(names.includes(needed), `${name} has no ${needed}`);
  assert.deepEqual(names.filter((file) => !/^(dist\/|README\.md|LICENSE|package\.json|index\.mjs)/.test(file)), [], `what ${name} has beside that`);
  return path.join(dir, filename);
}

function npm(cwd, command, ...args) {
  return run("npm", [command, "--no-fund", "--no-audit", "--prefer-offline", ...args], { cwd, env, timeout: installMs });
}

// An ES module as CommonJS.
function common(text) {
  return `(async () => {\n${text.replace(/^import (\{.*?\}) from (".*?");$/gm, "const $1 = require($2);")}\n})();\n`;
}

let written = 0;

// Runs a program of the folder with the packages, in both kinds of modules; `use` sees each.
async function inBothKinds(t, text, more, use) {
  for (const [kind, name, source] of [
    ["as an ES module", `program${++written}.mjs`, text],
    ["as CommonJS", `program${++written}.cjs`, common(text)],
  ]) {
    await t.test(kind, async (t) => {
      await writeFile(path.join(dir, name), source);
      const program = Program.start(t, process.execPath, [name], { cwd: dir, env: { ...env, ...(await more(t)) } });
      await use(t, program);
    });
  }
}

function browser(t, url, options) {
  const socket = io(url, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
  t.after(() => socket.close());
  return socket;
}

test("the code of each README runs", { timeout: 400_000 }, async (t) => {
  let daemon;
  const addressed = async (t) => {
    daemon = await Process.startAlone(t, flags);
    return { FANOUTD_ADDRESS: daemon.control };
  };
  const here = (text) => text.replace(/address: "localhost:8081",? ?/, ""); // $FANOUTD_ADDRESS says it

  await t.test("@fanoutd/client", async (t) => {
    await inBothKinds(t, here(page("sdk/node/client/README.md").block("import")), addressed, async (t, program) => {
      const [alice, bob] = ["alice", "bob"].map((name) => browser(t, daemon.url, { auth: { name } }));
      const heard = once(bob, "new message");
      await Promise.all([once(alice, "connect"), once(bob, "connect")]);
      assert.deepEqual(await alice.emitWithAck("send message", "hi"), { ok: true });
      assert.deepEqual(await heard, [{ from: "alice", text: "hi" }]);
      assert.deepEqual(await program.stop(), { code: 0, signal: null }, program.log);
    });
  });

  await t.test("@fanoutd/emitter", async (t) => {
    await inBothKinds(t, here(page("sdk/node/emitter/README.md").block("import")), addressed, async (t, program) => {
      assert.deepEqual(await program.ended, { code: 0, signal: null }, program.log);
    });
  });

  await t.test("@fanoutd/socket.io", async (t) => {
    const readme = "sdk/node/socket.io/README.md";
    const change = page(readme).block("-import").split("\n").filter((line) => !line.startsWith("-")).map((line) => line.slice(1)).join("\n");
    const [port] = await freePorts(1);
    assert.ok(change.includes("3000"), change);
    const text = here(change).replace("3000", port) + page(readme).block("io.use");
    await inBothKinds(t, text, addressed, async (t) => {
      for (const url of [daemon.url, `http://localhost:${port}`]) {
        const socket = browser(t, url, { auth: { name: "alice" } });
        const heard = once(socket, "new message");
        await socket.emitWithAck("send message", "hi");
        assert.deepEqual(await heard, ["hi"]);
      }
    });
  });

  await t.test("fanoutd", async (t) => {
    const text = page("sdk/node/fanoutd/README.md").block("import").replace("await daemon.stop", 'console.log(JSON.stringify([daemon, await (await fetch(daemon.ops + "/readyz")).text()]));\n$&');
    await inBothKinds(t, text, () => ({}), async (t, program) => {
      assert.deepEqual(await program.ended, { code: 0, signal: null }, program.log);
      const [daemon] = JSON.parse(program.log);
      await isGone(daemon.address);
    });
  });
});

test("the code of each README compiles with tsc --strict", { timeout: 300_000 }, async () => {
  const programs = {
    "client.mts": page("sdk/node/client/README.md").block("import"),
    "emitter.mts": page("sdk/node/emitter/README.md").block("import"),
    "socket.io.mts": `import { Server } from "@fanoutd/socket.io";\nconst io = new Server(3000, { fanoutd: { proxy: true } });\n${page("sdk/node/socket.io/README.md").block("io.use")}`,
    "fanoutd.mts": page("sdk/node/fanoutd/README.md").block("import"),
    "server.mts": page("docs/nodejs.md").block("import"),
    "common.cts": 'import { Daemon } from "@fanoutd/client";\nimport { Server } from "@fanoutd/socket.io";\nimport { Emitter } from "@fanoutd/emitter";\nimport { start } from "fanoutd";\nexport = [Daemon, Server, Emitter, start];\n',
    // What is wrong is seen.
    "wrong.mts": 'import { Daemon } from "@fanoutd/client";\n// @ts-expect-error\nnew Daemon({ adress: "localhost" });\n// @ts-expect-error\nvoid new Daemon().join("room", { all: true });\n',
  };
  for (const [name, text] of Object.entries(programs)) await writeFile(path.join(dir, name), text);
  const { status, output } = await run("npx", ["tsc", "--strict", "--noEmit", "--target", "es2022", "--module", "node16", "--types", "node", ...Object.keys(programs)], { cwd: dir, env }).then(
    () => ({ status: 0 }),
    ({ code, stdout }) => ({ status: code, output: stdout }),
  );
  assert.equal(status, 0, output);
});

test("from nothing to two tabs, as docs/nodejs.md says", { timeout: 400_000 }, async (t) => {
  const home = await mkdtemp(path.join(os.tmpdir(), "fanoutd-first-"));
  t.after(() => rm(home, { recursive: true, force: true }));
  const doc = "docs/nodejs.md";
  const [make, init, install] = page(doc).block("mkdir").trim().split("\n");
  assert.deepEqual([make, init], ["mkdir chat && cd chat", "npm init -y"]);
  const chat = path.join(home, "chat");
  await mkdir(chat);
  await npm(chat, "init", "-y");
  const wanted = install.replace("npm install ", "").split(" ").map((name) => tarballs[name.replace("@fanoutd/", "")] && name !== "socket.io" ? tarballs[name.replace("@fanoutd/", "")] : name);
  await npm(chat, "install", tarballs.client, ...wanted);
  const [port, listen, control, ops] = await freePorts(4);
  const server = page(doc).block("import");
  assert.equal(server.split("3000").length, 3);
  await writeFile(path.join(chat, "server.mjs"), server.replaceAll("3000", port));

  const [npx, ...args] = page(doc).block("npx fanoutd -- ").trim().split(" ");
  const listeners = { FANOUTD_LISTEN: `127.0.0.1:${listen}`, FANOUTD_CONTROL_LISTEN: `127.0.0.1:${control}`, FANOUTD_OPS_LISTEN: `127.0.0.1:${ops}` };
  const program = Program.start(t, npx, args, { cwd: chat, env: { ...env, ...listeners }, detached: true });
  await until(() => {
    assert.equal(program.end, null, program.log);
    return program.log.includes(`open http://localhost:${port} in two tabs`);
  }, "the program says where it is");
  assert.match(program.log, new RegExp(`browsers: +http://localhost:${listen}\n +backends: +localhost:${control}\n`));
  const served = await (await fetch(`http://localhost:${port}/`)).text();
  const [, script] = /script src="(.*?)"/.exec(served);
  assert.match(await (await fetch(`http://localhost:${port}${script}`)).text(), /^\/\*!\n \* Socket\.IO/);
  const tabs = [browser(t, `http://localhost:${port}`), browser(t, `http://localhost:${port}`)];
  await Promise.all(tabs.map((tab) => once(tab, "connect")));
  const heard = tabs.map((tab) => once(tab, "chat"));
  tabs[0].emit("chat", "hello");
  assert.deepEqual(await Promise.all(heard), [["hello"], ["hello"]]);

  process.kill(-program.process.pid, "SIGINT"); // Ctrl-C
  await program.ended;
  await isGone(`127.0.0.1:${control}`);
});

test("a daemon ends with the process that started it, though that is killed", { timeout: 60_000 }, async (t) => {
  await writeFile(path.join(dir, "killed.mjs"), 'import { start } from "fanoutd";\nconst { address } = await start();\nconsole.log(address);\nsetInterval(() => {}, 1000);\n');
  const program = Program.start(t, process.execPath, ["killed.mjs"], { cwd: dir, env });
  await until(() => program.log.includes("\n"), "the daemon runs");
  await program.stop("SIGKILL");
  await isGone(program.log.trim());
});

test("a daemon ends with the process that started it, also if it has something to log just then", { timeout: 60_000, skip: process.platform !== "linux" && "reads /proc" }, async (t) => {
  await writeFile(path.join(dir, "logged.mjs"), 'import { start } from "fanoutd";\nconst { address, url } = await start({ onLog() {} });\nconsole.log(`${address} ${url}`);\nsetInterval(() => {}, 1000);\n');
  const program = Program.start(t, process.execPath, ["logged.mjs"], { cwd: dir, env });
  await until(() => program.log.includes("\n"), "the daemon runs");
  const [address, url] = program.log.trim().split(" ");
  const { pid } = program.process;
  const supervisor = Number(await readFile(`/proc/${pid}/task/${pid}/children`, "utf8"));
  process.kill(supervisor, "SIGSTOP"); // so that it finds lines of the log and the end of the other process together
  try {
    const { status } = await fetch(`${url}/socket.io/?EIO=4&transport=polling`, { headers: { origin: "http://elsewhere.example" } });
    assert.equal(status, 403); // and a warning is in the log
    const exit = once(program.process, "exit");
    program.process.kill("SIGKILL");
    await exit;
  } finally {
    process.kill(supervisor, "SIGCONT");
  }
  await isGone(address);
});

test("who has no daemon is told what to do", { timeout: 60_000 }, async (t) => {
  const [port] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  await writeFile(path.join(dir, "alone.mjs"), 'import { Server } from "@fanoutd/socket.io";\nconst io = new Server({ fanoutd: {} });\nfor (let n = 0; n < 3; n++) io.engine.report(new Error("the same"));\n');
  const program = Program.start(t, process.execPath, ["alone.mjs"], { cwd: dir, env: { ...env, FANOUTD_ADDRESS: address } });
  await until(() => program.log.includes("no answer"), "it says something");
  assert.ok(program.log.includes(`fanoutd: no answer at ${address} (connect ECONNREFUSED ${address}): start fanoutd, in development with "npx fanoutd", or name its control listener by the option address or by $FANOUTD_ADDRESS`), program.log);
  assert.equal(program.log.split("fanoutd: the same").length, 2, program.log);

  const { FANOUTD_BINARY: _, ...without } = env;
  const { stderr, code: status } = await run(process.execPath, [path.join(dir, "node_modules/.bin/fanoutd")], { env: { ...without, PATH: path.join(dir, "node_modules/.bin") } }).catch((err) => err);
  assert.equal(status, 1);
  assert.match(stderr, /^fanoutd: the daemon's program is not there: no fanoutd on the PATH, and \$FANOUTD_BINARY names none\. Take the archive for /);
});

test("the development daemon has the settings that @fanoutd/socket.io wants, and what it is told", { timeout: 60_000 }, async (t) => {
  await writeFile(path.join(dir, "settings.mjs"), 'import { start } from "fanoutd";\nconst daemon = await start({ settings: { "expose-auth": ["name"] }, onLog: (line) => console.log(JSON.stringify(line)) });\nprocess.on("SIGTERM", () => daemon.stop());\n');
  await writeFile(path.join(dir, "flags.mjs"), 'import { daemonFlags } from "@fanoutd/socket.io";\nconsole.log(JSON.stringify(daemonFlags({})));\n');
  const printed = await run(process.execPath, ["flags.mjs"], { cwd: dir, env });
  const wanted = JSON.parse(printed.stdout);
  const variables = Object.fromEntries(Object.entries(wanted).map(([name, value]) => [`FANOUTD_${name.toUpperCase().replaceAll("-", "_")}`, value]));
  const { environment } = await import(path.join(root, "sdk/node/fanoutd/dist/settings.js"));
  const { FANOUTD_BINARY: _, ...has } = environment({});
  for (const [name, value] of Object.entries(variables)) assert.equal(has[name], value, name);
  const refused = await run(process.execPath, ["--input-type=module", "-e", 'import { start } from "fanoutd";\nawait start({ settings: { "ping-intervall": "1s" } });'], { cwd: dir, env }).catch((err) => err);
  assert.match(refused.stderr, /did not start: .*ping-intervall.*ping-interval/);
  const program = Program.start(t, process.execPath, ["settings.mjs"], { cwd: dir, env });
  await until(() => program.log.includes('"ready"'), "the daemon is ready");
});

async function isGone(address) {
  const [host, port] = address.split(":");
  await until(
    () =>
      new Promise((resolve) => {
        const socket = net.connect(Number(port), host, () => resolve(socket.destroy() && false)).on("error", () => resolve(true));
      }),
    `nobody listens at ${address}`,
  );
}
