// What the pages show beside grpcurl and curl, as it stands there but for ports and addresses: commands
// of a shell, files of settings and what stands in front of the daemon.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { App } from "./lib/app.mjs";
import { backend } from "./lib/backend.mjs";
import { client, connected, heard } from "./lib/browser-like.mjs";
import { certificate } from "./lib/certificate.mjs";
import { binary, Daemon, freePorts, root } from "./lib/daemon.mjs";
import { page, readIfThere } from "./lib/docs.mjs";
import { call, line } from "./lib/grpcurl.mjs";
import { members, Program } from "./lib/program.mjs";
import { program as proxyProgram } from "./lib/proxies.mjs";
import { until } from "./lib/until.mjs";
import { php } from "./lib/webhook.mjs";

const exec = promisify(execFile);

// Terminal is a folder with "fanoutd" on the PATH, in which pages' commands are run, with what the
// repository has at their hand.
class Terminal {
  static async open(t) {
    const it = new Terminal();
    Object.assign(it, { t, dir: await mkdtemp(path.join(os.tmpdir(), "fanoutd-docs-")) });
    t.after(() => rm(it.dir, { recursive: true, force: true, maxRetries: 5 }));
    await symlink(path.dirname(binary), path.join(it.dir, "bin"));
    for (const name of ["examples", "sdk"]) await symlink(path.join(root, name), path.join(it.dir, name));
    const variables = Object.entries(process.env).filter(([name]) => !name.startsWith("FANOUTD_"));
    it.env = { ...Object.fromEntries(variables), PATH: `${path.dirname(binary)}:${process.env.PATH}`, STATE_FILE: path.join(it.dir, "state") };
    return it;
  }

  // Runs a command to its end and resolves with what it prints.
  async run(command, env = {}) {
    return (await exec("sh", ["-c", command], { cwd: this.dir, env: { ...this.env, ...env }, timeout: 60_000 })).stdout;
  }

  // Starts a command that goes on, until the test ends.
  start(command, env = {}) {
    // Its variables stand before it.
    const text = command.replace(/^((?:\w+=\S+ )*)/, "$1exec ");
    return Program.start(this.t, "sh", ["-c", text], { cwd: this.dir, env: { ...this.env, ...env } });
  }
}

// The commands of a block, those of several lines as one.
const commands = (text) => text.trim().replace(/\s*\\\n\s*/g, " ").split("\n");

// Variables for three listeners of a daemon, and where they are.
async function listeners() {
  const [listen, control, ops] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
  return { env: { FANOUTD_LISTEN: listen, FANOUTD_CONTROL_LISTEN: control, FANOUTD_OPS_LISTEN: ops }, url: `http://${listen}`, control, ops: `http://${ops}` };
}

async function ready(program, ops) {
  await until(async () => {
    assert.equal(program.end, null, program.log);
    return (await fetch(`${ops}/readyz`).catch(() => null))?.ok;
  }, "the daemon is ready");
}

async function met(control, names) {
  await until(async () => {
    const { nodes } = await call({ control }, "AdminService/ListNodes", {}).catch(() => ({ nodes: [] }));
    return nodes.map(({ name }) => name).sort().join() === names.join();
  }, `${names} are one cluster`);
}

test("docs/cluster.md: two nodes by hand", { timeout: 60_000 }, async (t) => {
  const doc = page("docs/cluster.md");
  const terminal = await Terminal.open(t);
  const text = doc.block("fanoutd --node-name=a --listen");
  const shown = [...new Set(text.match(/127\.0\.0\.1:\d+/g))];
  const ports = await freePorts(shown.length);
  const here = (it) => it.replace(/127\.0\.0\.1:\d+/g, (address) => `127.0.0.1:${ports[shown.indexOf(address)]}`);
  const nodes = commands(here(text)).map((command) => terminal.start(command));
  assert.equal(nodes.length, 2);
  const [, ops] = here(text).match(/--ops-listen=(\S+)/);
  await ready(nodes[0], `http://${ops}`);
  const ask = doc.code.map((it) => it.text).find((it) => it.startsWith("grpcurl "));
  const [shownAddress] = ask.match(/127\.0\.0\.1:\d+/);
  const control = here(shownAddress);
  await met(control, ["a", "b"]);
  const { nodes: there } = await line({ control }, ask.replace(shownAddress, "localhost:8081"));
  assert.deepEqual(there.map(({ name }) => name).sort(), ["a", "b"]);
});

test("docs/cluster.md: two nodes with a secret and certificates", { timeout: 120_000 }, async (t) => {
  const doc = page("docs/cluster.md");
  const terminal = await Terminal.open(t);
  const [port] = await freePorts(1);
  const here = (text) => text.replaceAll("10.0.0.", "127.0.0.").replaceAll(":6222", `:${port}`);
  await terminal.run(here(doc.block("openssl rand")));
  const [a, ...more] = commands(here(doc.block("fanoutd --node-name=a --cluster-listen")));
  assert.deepEqual(more, []);
  // "On each, with its own certificate."
  const b = a.replace("--node-name=a", "--node-name=b").replace("--cluster-listen=127.0.0.1:", "--cluster-listen=127.0.0.2:").replaceAll("127.0.0.1.pem", "127.0.0.2.pem").replaceAll("127.0.0.1.key", "127.0.0.2.key");
  assert.equal(b.split("127.0.0.2").length, 5);
  const places = [await listeners(), await listeners()];
  const nodes = [a, b].map((command, i) => terminal.start(command, places[i].env));
  for (const [i, node] of nodes.entries()) await ready(node, places[i].ops);
  await met(places[0].control, ["a", "b"]);

  // On Kubernetes, beside the same secret and one certificate.
  const [variable, ...others] = doc.block("FANOUTD_CLUSTER_PEERS=").trim().split("\n");
  assert.deepEqual(others, []);
  const settings = a.replace(/^fanoutd /, "").replace(/--cluster-peers=\S+ /, "").replace(/--cluster-listen=\S+/, `--cluster-listen=:${port}`);
  await terminal.run(`${variable} fanoutd config check ${settings}`);
  assert.match(await terminal.run(`${variable} fanoutd config print ${settings}`), /^cluster-peers: \['dns:fanoutd\.default\.svc\.cluster\.local:6222'\] # environment variable/m);
});

test("docs/deploying.md: the Secret has the keys that the pods mount", async (t) => {
  const text = page("docs/deploying.md").block("kubectl create secret");
  const terminal = await Terminal.open(t);
  const [create, secret, generic, name, ...literals] = (await terminal.run(`kubectl() { printf '%s\\n' "$@"; }\n${text}`)).trim().split("\n");
  assert.deepEqual([create, secret, generic], ["create", "secret", "generic"]);
  const pods = readIfThere("deploy/kubernetes/fanoutd.yaml");
  assert.ok(pods.includes(`secretName: "${name}"`), name);
  for (const literal of literals) {
    const [, key, value] = literal.match(/^--from-literal=([\w-]+)=([0-9a-f]{64})$/);
    assert.ok(pods.includes(`_FILE, value: /run/secrets/${name}/${key}}`), key);
    await writeFile(path.join(terminal.dir, key), value);
  }
  await terminal.run("fanoutd config check --control-key-file=control-key --cluster-listen=127.0.0.1:6222 --cluster-secret-file=cluster-secret");
});

test("docs/operating.md: what is scraped, by the name that the alerts have", async (t) => {
  const text = page("docs/operating.md").block("scrape_configs:");
  const [, job] = text.match(/- job_name: (\S+)\n/);
  const named = new Set([...readIfThere("deploy/prometheus/alerts.yaml").matchAll(/job="([^"]*)"/g)].map(([, it]) => it));
  assert.deepEqual([...named], [job]);
  const [, targets] = text.match(/- targets: \[(.*)\]\n/);
  const [, byDefault] = page("docs/configuration.md").text.match(/### ops-listen\n.*?default `127\.0\.0\.1:(\d+)`/s);
  const daemon = await Daemon.start(t);
  for (const target of targets.split(", ")) {
    const [, port] = target.match(/^[\d.]+:(\d+)$/);
    assert.equal(port, byDefault);
  }
  assert.match(await (await fetch(`${daemon.ops}/metrics`)).text(), /^fanoutd_build_info\{/m);
});

test("docs/security.md: the keys of the file may do what it says", async (t) => {
  const terminal = await Terminal.open(t);
  const text = page("docs/security.md").block("# control-keys-file");
  // The commands that it names make the keys.
  const [, random] = text.match(/# at least 16 bytes: (.*)/);
  const [, sum] = text.match(/# (printf %s KEY \| sha256sum):/);
  const [shop, worker, operator] = await Promise.all([1, 2, 3].map(async () => (await terminal.run(random)).trim()));
  const [hash] = (await terminal.run(sum.replace("KEY", worker))).split(" ");
  const file = path.join(terminal.dir, "keys.yaml");
  const keys = [["key: 3f0c…", `key: ${shop}`], ["key-sha256: 9b74c98…", `key-sha256: ${hash}`], ["key: 81d2…", `key: ${operator}`]];
  await writeFile(file, keys.reduce((all, [shown, key]) => {
    assert.ok(all.includes(shown), shown);
    return all.replace(shown, key);
  }, text));
  // A certificate is a credential where there is an authority for it.
  await certificate(terminal.dir);
  const [cert, certKey] = ["CERT.pem", "KEY.pem"].map((name) => path.join(terminal.dir, name));
  const settings = { "control-keys-file": file, "control-client-ca-file": cert, "control-tls-cert-file": cert, "control-tls-key-file": certKey };
  await terminal.run(`fanoutd config check ${Object.entries(settings).map(([name, value]) => `--${name}=${value}`).join(" ")}`);

  const daemon = await Daemon.start(t, { ...settings, namespaces: "/,/shop,/tenant-*" });
  const said = (key, method, request) => line(daemon, `grpcurl -cacert ${cert} -H 'authorization: Bearer ${key}' -d '${JSON.stringify(request)}' localhost:8081 fanout.v1.${method}`);
  const order = { namespace: "/shop", rooms: ["order:7"] };
  assert.deepEqual(await said(shop, "EmitterService/Emit", { to: order, event: "paid" }), {});
  await said(operator, "AdminService/ListConsumers", {});
  for (const [key, method, request] of [
    [shop, "EmitterService/Emit", { to: { rooms: ["order:7"] }, event: "paid" }],
    [shop, "EmitterService/Emit", { to: { namespace: "/shop", rooms: ["staff"] }, event: "paid" }],
    [shop, "RegistryService/Join", { to: order, rooms: ["order:8"] }],
    [worker, "EmitterService/Emit", { to: order, event: "paid" }],
    [operator, "EmitterService/Emit", { to: order, event: "paid" }],
  ]) await assert.rejects(said(key, method, request), /PermissionDenied/, `${method} ${JSON.stringify(request)}`);
  await assert.rejects(said("nobody", "EmitterService/Emit", { to: order, event: "paid" }), /Unauthenticated/);
});

test("docs/webhooks.md: the chat in PHP", { timeout: 120_000 }, async (t) => {
  const { why } = await php();
  if (why) return t.skip(why);
  const terminal = await Terminal.open(t);
  const [port] = await freePorts(1);
  const [secret, endpoint, daemon, ...others] = commands(page("docs/webhooks.md").block("openssl rand").replaceAll("localhost:8000", `localhost:${port}`));
  assert.deepEqual(others, []);
  await terminal.run(secret);
  terminal.start(endpoint);
  const place = await listeners();
  await ready(terminal.start(daemon, place.env), place.ops);
  assert.match(await (await fetch(place.url)).text(), /<title>.*fanoutd/);
  const tabs = await Promise.all([connected(client(t, place)), connected(client(t, place))]);
  assert.deepEqual(await tabs[0].timeout(30_000).emitWithAck("send message", "hello", { name: "Ada" }), { ok: true });
  for (const tab of tabs) {
    await until(() => tab.heard.some(([event]) => event === "new message"), "the message is heard");
    assert.equal(tab.heard.find(([event]) => event === "new message")[1].msg, "hello");
  }
});

test("sdk/node/socket.io: the daemon takes the settings that its programs want", async (t) => {
  const terminal = await Terminal.open(t);
  const command = page("sdk/node/socket.io/README.md").block("fanoutd --namespaces").trim();
  const place = await listeners();
  await ready(terminal.start(command, place.env), place.ops);
  const program = new App(backend(t, place), "program"); // a star wants a verdict
  program.use("*", () => {});
  await program.run(t);
  const tab = await connected(client(t, place, { namespace: "/anything" }));
  const { connections } = await call(place, "RegistryService/ListConnections", { to: { namespace: "/anything", all: true } });
  assert.deepEqual(connections.map(({ id }) => id), [tab.id]);
});

const examples = "examples/socketio/README.md";

test("examples/socketio: the line that starts one", { timeout: 60_000 }, async (t) => {
  const terminal = await Terminal.open(t);
  const daemon = await Daemon.start(t);
  const steps = page("examples/socketio/README.md").block("make sdk").trim().split(" && ");
  // The first two are what these tests are built by.
  const makefile = readIfThere("Makefile");
  assert.ok(makefile.includes("\nsdk: ") && makefile.includes(" examples/socketio/node_modules/.package-lock.json"), "the Makefile");
  assert.deepEqual(steps.slice(0, 2), ["make sdk", "npm ci --prefix examples/socketio"]);
  assert.match(steps[2], / \[address of the control API\]$/);
  const backendOfIt = terminal.start(steps[2].replace(/\[.*\]$/, daemon.control));
  await members(backend(t, daemon), "chat", 1).catch((err) => assert.fail(`${err.message}: ${backendOfIt.log}`));
  const tab = await connected(client(t, daemon));
  tab.emit("add user", "Ada");
  assert.deepEqual(await heard(tab, 1), [["login", { numUsers: 1 }]]);
});

test("examples/socketio: nginx in front of the page and the daemon", { skip: !proxyProgram("nginx") && "nginx is not installed here", timeout: 60_000 }, async (t) => {
  const terminal = await Terminal.open(t);
  const daemon = await Daemon.start(t, { "expose-cookies": "connect.sid" });
  const [listen, web] = await freePorts(2);
  await writeFile(path.join(terminal.dir, "index.html"), "<title>the page</title>");
  const command = page(examples).block("node examples/socketio/express-session.mjs").trim().replace("localhost:8081", daemon.control).replace("…/express-session-example/cjs/", `${terminal.dir}/`);
  const backendOfIt = terminal.start(command, { PORT: `${web}` });
  await members(backend(t, daemon), "express-session", 1).catch((err) => assert.fail(`${err.message}: ${backendOfIt.log}`));
  let server = page(examples).block("server {");
  for (const [shown, here] of [["listen 8000;", `listen 127.0.0.1:${listen};`], ["http://localhost:3000;", `http://localhost:${web};`], ["http://localhost:8080;", `${daemon.url};`]]) {
    assert.ok(server.includes(shown), shown);
    server = server.replace(shown, here);
  }
  const config = path.join(terminal.dir, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${terminal.dir}/${name};`).join(" ");
  await writeFile(config, `worker_processes 1;\nevents {}\nhttp {\naccess_log off; ${temporary}\n${server}}\n`);
  const nginx = Program.start(t, proxyProgram("nginx"), ["-p", terminal.dir, "-c", config, "-e", "stderr", "-g", `daemon off; pid ${terminal.dir}/pid;`], {});
  const url = `http://127.0.0.1:${listen}`;
  const first = await until(async () => {
    assert.equal(nginx.end, null, nginx.log);
    return fetch(url).catch(() => null);
  }, "nginx listens");
  assert.equal(await first.text(), "<title>the page</title>");
  const [cookie] = first.headers.get("set-cookie").split(";");
  for (const transports of [["polling"], ["websocket"]]) {
    const tab = await connected(client(t, { url }, { transports, extraHeaders: { cookie, origin: url } }));
    assert.equal(typeof (await tab.timeout(20_000).emitWithAck("incr")), "number");
  }
});
