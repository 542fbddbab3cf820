// Programs on @fanoutd/socket.io that are killed and replaced, again and again, while browsers talk: no browser
// reconnects, nobody misses anything, and the sockets are whole afterwards. SOAK=1 is the long form, with 1,000 browsers.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";

import { startCluster } from "./lib/cluster.mjs";
import { Daemon as Process, root } from "./lib/daemon.mjs";
import { sleep, until, within } from "./lib/until.mjs";

const require = createRequire(import.meta.url);
const { Daemon } = require(path.join(root, "sdk/node/client"));
const { daemonFlags } = require(path.join(root, "sdk/node/socket.io"));

const long = Boolean(process.env.SOAK);
const { browsers, kills, pauseMs, perSecond } = long ? { browsers: 1_000, kills: 12, pauseMs: 3_000, perSecond: 0.3 } : { browsers: 60, kills: 3, pauseMs: 200, perSecond: 5 };
const perWorker = 250;
const boundMs = long ? 300_000 : 30_000;
const testMs = long ? 15 * 60_000 : 120_000;

test(`one process, killed under ${browsers} browsers`, { timeout: testMs }, async (t) => {
  const daemon = await Process.startAlone(t, daemonFlags({}));
  await run(t, [daemon], 1, async (programs) => {
    await programs.kill();
    await programs.start();
  });
});

test(`one process, replaced in order under ${browsers} browsers`, { timeout: testMs }, async (t) => {
  const daemon = await Process.startAlone(t, daemonFlags({}));
  await run(t, [daemon], 1, async (programs) => {
    await programs.start();
    await programs.end();
  });
});

test(`two processes, killed and replaced in turn under ${browsers} browsers`, { timeout: testMs }, async (t) => {
  const daemon = await Process.startAlone(t, daemonFlags({}));
  await run(t, [daemon], 2, killsAndRolls);
});

test(`two processes at three nodes, killed and replaced in turn under ${browsers} browsers`, { timeout: testMs }, async (t) => {
  const nodes = await startCluster(t, 3, daemonFlags({}));
  await run(t, nodes, 2, killsAndRolls);
});

async function killsAndRolls(programs, i) {
  if (i % 2 === 0) {
    await programs.kill();
    await programs.start();
  } else {
    await programs.start();
    await programs.end();
  }
}

// Has browsers talk to so many processes while `disturb` is called time and again, and checks what everybody heard.
async function run(t, daemons, processes, disturb) {
  const controls = daemons.map(({ control }) => control);
  const programs = new Programs(t, controls);
  for (let i = 0; i < processes; i++) await programs.start();
  const workers = [];
  for (let first = 0; first < browsers; first += perWorker) {
    workers.push(new Worker(t, first, Math.min(perWorker, browsers - first), daemons.map(({ url }) => url)));
  }
  await Promise.all(workers.map((worker) => worker.ask("enter")));

  const ticks = new Ticks(controls);
  t.after(() => ticks.abort());
  await Promise.all(workers.map((worker) => worker.ask("talk", { perSecond })));
  for (let i = 0; i < kills; i++) {
    await sleep(pauseMs);
    await disturb(programs, i);
  }
  await sleep(pauseMs);
  await Promise.all(workers.map((worker) => worker.ask("hush")));
  const sent = await ticks.end();

  let reports;
  const whole = () => reports.every(({ said, heard, ticks }) => heard === said && ticks === sent);
  await until(
    async () => {
      reports = (await Promise.all(workers.map((worker) => worker.ask("report")))).flat();
      return whole() || (await sleep(200));
    },
    "everybody has heard everything",
    boundMs,
  ).catch((err) => {
    t.diagnostic(summary(reports, sent));
    t.diagnostic(JSON.stringify(reports.filter(({ said, heard, ticks, ends }) => heard !== said || ticks !== sent || ends.length > 0).slice(0, 5)));
    t.diagnostic(daemons.map(({ log }) => log.slice(-3_000)).join("\n"));
    throw err;
  });
  t.diagnostic(summary(reports, sent));
  assert.deepEqual(reports.flatMap(({ name, ends }) => ends.map((reason) => `${name}: ${reason}`)), [], "browsers that lost their connection");
  assert.deepEqual(reports.flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`)), [], "what came out of its turn");
  // Two processes at two nodes send to the others of a room by two ways: when a browser moves between the two, that has no order.
  if (daemons.length === 1) assert.deepEqual(reports.flatMap(({ name, late }) => late.map((fault) => `${name}: ${fault}`)), [], "what came out of its turn");
  assert.deepEqual(reports.filter(({ answered, said }) => answered !== said).map(({ name, answered, said }) => `${name}: ${answered} of ${said}`), [], "callbacks");
  const said = Object.fromEntries(reports.map(({ name, said }) => [name, said]));
  for (const { name, room, told } of reports) {
    const mates = reports.filter((other) => other.room === room).map((other) => other.name);
    assert.deepEqual(told, Object.fromEntries(Object.keys(told).map((mate) => [mate, said[mate]])), `what ${name} was told`);
    assert.deepEqual(Object.keys(told).toSorted(), mates.toSorted());
  }
  await programs.areWhole(reports.map(({ id, name, room }) => [id, name, [room]]));
}

function summary(reports, sent) {
  const sum = (what) => reports.reduce((all, report) => all + what(report), 0);
  return `${reports.length} browsers said ${sum(({ said }) => said)}, heard ${sum(({ heard }) => heard)} of that, ${sum(({ again }) => again)} came again, ${sum(({ answered }) => answered)} answered; ${sum(({ ticks }) => ticks)} ticks of ${sent * reports.length}; ${sum(({ ends }) => ends.length)} connections lost`;
}

// Counts to all browsers, as fast as a tenth of a second each, and knows how far the daemon has accepted it.
class Ticks {
  #done;
  #over = false;
  #daemon;

  constructor(addresses) {
    this.#daemon = new Daemon({ address: addresses });
    this.#done = this.#run();
  }

  async #run() {
    let n = 0;
    for (; !this.#over; await sleep(long ? 500 : 50)) await this.#daemon.emit({ all: true }, "tick", ++n);
    await this.#daemon.close();
    return n;
  }

  end() {
    this.#over = true;
    return this.#done;
  }

  abort() {
    this.#over = true;
    this.#daemon.commands.abort();
    return this.#done.catch(() => {});
  }
}

// The processes of the program, the oldest first.
class Programs {
  #t;
  #addresses;
  #running = [];
  #admin;
  #started = 0;

  constructor(t, addresses) {
    this.#t = t;
    this.#addresses = addresses;
    this.#admin = new Daemon({ address: addresses });
    t.after(() => this.#admin.close());
  }

  // Begins with another address each time, so that processes are at several nodes.
  async start() {
    const { length } = this.#addresses;
    const turn = this.#started++ % length;
    const addresses = [...this.#addresses.slice(turn), ...this.#addresses.slice(0, turn)];
    const before = await this.#members();
    const child = fork(path.join(root, "test/testdata/sdk-kills-program.cjs"), [addresses.join()]);
    this.#t.after(() => child.kill("SIGKILL"));
    await until(async () => {
      assert.equal(child.exitCode, null);
      return (await this.#members()).some((id) => !before.includes(id));
    }, "the program is there", boundMs);
    this.#running.push(child);
  }

  async kill() {
    const child = this.#running.shift();
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async end() {
    const child = this.#running.shift();
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    assert.deepEqual(await within(exit, "the program to end in order", boundMs), [0, null]);
  }

  async #members() {
    const { groups = [] } = await this.#admin.unary(({ admin }, metadata, options, done) => admin.listConsumers({ group: "socket.io" }, metadata, options, done));
    return (groups[0]?.consumers ?? []).map(({ consumerId }) => consumerId);
  }

  // Every browser is a socket of exactly one process, with its rooms and data, and each process sees all.
  async areWhole(want) {
    const sorted = (list) => list.toSorted(([a], [b]) => (a < b ? -1 : 1));
    let answers;
    await until(
      async () => {
        answers = await Promise.all(this.#running.map((child) => ask(child, "sockets")));
        return answers.reduce((n, { own }) => n + own.length, 0) === want.length || (await sleep(200));
      },
      "every browser is a socket of one process",
    ).catch((err) => this.#t.diagnostic(`${err.message}: ${answers.map(({ own }) => own.length).join(" + ")} of ${want.length}`));
    for (const { warnings } of answers) if (warnings.length > 0) this.#t.diagnostic(warnings.slice(0, 5).join("; "));
    assert.deepEqual(sorted(answers.flatMap(({ own }) => own)), sorted(want), "io.sockets of all processes");
    for (const { all } of answers) assert.deepEqual(sorted(all), sorted(want), "io.fetchSockets()");
  }
}

// Stock clients in a process of their own.
class Worker {
  #child;

  constructor(t, first, count, urls) {
    this.#child = fork(path.join(root, "test/testdata/sdk-kills-browsers.mjs"), [first, count, ...urls].map(String));
    t.after(() => this.#child.kill("SIGKILL"));
  }

  async ask(what, how = {}) {
    return (await ask(this.#child, { ask: what, ...how })).answer;
  }
}

async function ask(child, question) {
  const answer = once(child, "message");
  child.send(question);
  return (await within(answer, `the answer to ${JSON.stringify(question)}`, boundMs))[0];
}
