// Events that are emitted while clients move from polling to WebSocket arrive
// complete and in order.

import assert from "node:assert/strict";
import { test } from "node:test";

import { io, NodeWebSocket, NodeXHR } from "socket.io-client";

import { backend } from "./lib/backend.mjs";
import { connected } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until, within } from "./lib/until.mjs";

const events = 10_000;
const clients = 20;
// The backend stays this far ahead of the slowest client at most: so the load
// goes on while each of them upgrades, however fast the machine is.
const lead = 400;
const binaryEvery = 7;

test(`${events} numbered events through ${clients} upgrades`, { timeout: 180_000 }, async (t) => {
  const daemon = await Daemon.start(t);
  const api = backend(t, daemon);
  // The upgrades begin one after the other over the first nine tenths.
  const watchers = Array.from({ length: clients }, (_, i) => new Watcher(t, daemon, Math.floor((0.9 * events * i) / clients)));
  await Promise.all(watchers.map((watcher) => connected(watcher.socket)));
  for (const watcher of watchers) assert.equal(watcher.transport, "polling");

  await emitAll(api, () => Math.min(...watchers.map((watcher) => watcher.next)));
  await until(() => watchers.every((watcher) => watcher.next >= events || watcher.fault), "every client has heard every event", 60_000);

  for (const watcher of watchers) {
    assert.equal(watcher.fault, null);
    assert.equal(watcher.next, events);
    assert.equal(watcher.transport, "websocket");
    // Both sides of the upgrade were under load, but for the first and the last.
    assert.ok(watcher.upgradedAt < events, "upgraded after the last event");
    assert.deepEqual(watcher.ends, []);
  }
  const during = watchers.filter((watcher) => watcher.upgradedAt > 0);
  assert.ok(during.length >= clients - 1, `only ${during.length} upgraded after the first event`);
  const { counts } = await api.countConnections({ to: { all: true }, group_by: "TRANSPORT" });
  assert.deepEqual(counts, { websocket: clients });
});

// One client that starts its upgrade when it has heard event number `from`, and
// checks that it hears 0, 1, 2 ... without a gap.
class Watcher {
  constructor(t, daemon, from) {
    this.next = 0; // the number it has to hear next
    this.fault = null;
    this.ends = [];
    this.upgradedAt = Infinity;
    let open;
    const gate = new Promise((resolve) => (open = resolve));
    class GatedWebSocket extends NodeWebSocket {
      doOpen() {
        gate.then(() => super.doOpen());
      }
    }
    this.socket = io(daemon.url, { forceNew: true, reconnection: false, transports: [NodeXHR, GatedWebSocket] });
    t.after(() => this.socket.disconnect());
    this.socket.on("connect", () => {
      this.socket.io.engine.on("upgrade", () => (this.upgradedAt = this.next));
      if (from === 0) open();
    });
    this.socket.on("disconnect", (reason) => this.ends.push(reason));
    this.socket.on("n", (n, bytes) => {
      if (n !== this.next) this.fault ??= `heard ${n} instead of ${this.next}`;
      if (n % binaryEvery === 0 && !(bytes?.length >= 4 && Buffer.from(bytes).readUInt32BE() === n)) this.fault ??= `event ${n} lost its attachment`;
      this.next = n + 1;
      if (n === from) open();
    });
  }

  get transport() {
    return this.socket.io.engine.transport.name;
  }
}

// Emits all events by one EmitStream, no further ahead than slowest() + lead.
async function emitAll(api, slowest) {
  const stream = api.emitStream();
  const errors = [];
  let ackedThrough = 0;
  stream.on("data", (answer) => {
    ackedThrough = Number(answer.acked_through);
    errors.push(...answer.errors);
  });
  const ended = new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
  for (let n = 0; n < events; n++) {
    if (n % 50 === 0) await until(() => slowest() > n - lead, `the slowest client has heard event ${n - lead}`, 60_000);
    const emit = { to: { all: true }, event: "n", args_json: `[${n}]` };
    if (n % binaryEvery === 0) {
      const bytes = Buffer.alloc(4 + (n % 50));
      bytes.writeUInt32BE(n);
      emit.args_json = `[${n},{"_placeholder":true,"num":0}]`;
      emit.attachments = [bytes];
    }
    if (!stream.write({ sequence: String(n + 1), emit })) await new Promise((resolve) => stream.once("drain", resolve));
  }
  stream.end();
  await within(ended, "the end of the stream", 60_000);
  assert.deepEqual(errors, []);
  assert.equal(ackedThrough, events);
}
