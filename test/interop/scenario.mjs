// What every client goes through. A client program knows no scenario: it only
// reacts to the backend's events, so that all of them do the same.
//
//   the backend emits           the program
//   echo, ...args               emits "echoed" with them
//   call me, ...args            emits "question" with them and a callback, which
//                               emits "answer" with what it is called with
//   ask, ...args, callback      calls back with them
//   bye, why                    disconnects, and ends
//
// It is started with URL TRANSPORT TOKEN, comes back by itself whenever it is
// cut off, and prints "refused: " and what it was told when it is turned away.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { decode, encode } from "../lib/app.mjs";
import { sleep, until } from "../lib/until.mjs";

// So short that several pings fit into a row; a client that answers none is
// closed after both.
export const ping = { intervalMs: 1_000, timeoutMs: 6_000 };

const boundMs = 15_000; // for one thing to happen
const startMs = 60_000; // for a program to start and connect, on a busy machine
const lackBoundMs = 3_000; // for one that is said not to

const refusal = "wrong token";

const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
const values = [1, "é\u2028😀\"", { a: [null, true, -1.5], "ключ": {} }, []];

// In this order; each but the first two finds the client connected, and throws
// what is wrong.
export const checks = {
  "is refused": async (peer) => {
    const stranger = peer.launch("nobody's");
    const told = () => stranger.log.includes("refused:") && stranger.log.includes(refusal);
    await until(() => told() || stranger.end, "the program says why it was refused", startMs);
    assert.ok(told(), `the program ended: ${stranger.log}`);
  },
  connects: async (peer) => {
    await peer.start();
    await peer.settled();
    assert.deepEqual([...peer.wire].sort(), peer.transport === "upgrade" ? ["polling", "websocket"] : [peer.transport]);
  },
  events: async (peer) => {
    await echoes(peer, [values]);
    await echoes(peer, [["é".repeat(100_000)]]);
  },
  bursts: async (peer) => {
    const lists = Array.from({ length: 200 }, (_, i) => [i]);
    await peer.api.emitBatch({ emits: lists.map((args) => ({ to: peer.to, event: "echo", ...encode(args) })) });
    assert.deepEqual(await peer.echoed(lists.length), lists.toSorted(byJSON));
  },
  binary: async (peer) => {
    await echoes(peer, [[bytes]]);
    await echoes(peer, [[bytes.subarray(0, 1)], [Buffer.alloc(100_000, 255)]]);
  },
  "mixed binary": (peer) => echoes(peer, [["x", { deep: [bytes] }, bytes.subarray(7, 9)]]),
  "asks us": async (peer) => {
    for (const args of [values, ["only one"]]) {
      await peer.emit("call me", args);
      assert.deepEqual((await peer.message("question")).args, args);
      assert.deepEqual((await peer.message("answer")).args, args);
    }
  },
  "answers us": async (peer) => {
    for (const args of [values, ["only one"]]) assert.deepEqual(await peer.ask(args), args);
  },
  "binary acks": async (peer) => {
    await peer.emit("call me", [bytes]);
    assert.deepEqual((await peer.message("question")).args, [bytes]);
    assert.deepEqual((await peer.message("answer")).args, [bytes]);
    assert.deepEqual(await peer.ask([bytes]), [bytes]);
  },
  rooms: async (peer) => {
    const [one, two, other] = ["one", "two", "other"].map((name) => `${peer.token} ${name}`);
    const say = async (rooms, n, matched) => {
      const answer = await peer.api.emit({ to: { rooms }, event: "echo", ...encode([n]) });
      assert.equal(answer.matched, matched, `matched of ${n}`);
    };
    await say([one], "before", 0);
    assert.equal((await peer.api.join({ to: peer.to, rooms: [one, two] })).affected, 1);
    await say([one], "one", 1);
    await say([one, two], "both", 1);
    await say([other], "other", 0);
    assert.equal((await peer.api.leave({ to: peer.to, rooms: [two] })).affected, 1);
    await say([two], "after", 0);
    await say([one, two], "still one", 1);
    await peer.emit("echo", ["end"]);
    assert.deepEqual(await peer.echoed(4), [["both"], ["end"], ["one"], ["still one"]]);
  },
  stays: async (peer) => {
    await sleep(ping.intervalMs + ping.timeoutMs + 1_000);
    await echoes(peer, [["here"]]);
  },
  "comes back": async (peer) => {
    const before = peer.id;
    assert.equal((await peer.api.disconnect({ to: peer.to, mode: "TRANSPORT" })).affected, 1);
    await peer.next("DISCONNECTED");
    await peer.next("CONNECTED");
    assert.notEqual(peer.id, before);
    await peer.settled();
    await echoes(peer, [values]);
  },
  leaves: async (peer) => {
    await peer.emit("bye", ["now"]); // rust_socketio has no events without arguments
    // Some close what is below before what they say has left them.
    const { reason } = await peer.next("DISCONNECTED");
    assert.ok(["client namespace disconnect", "transport close"].includes(reason), reason);
    await until(() => peer.program.end, "the program has ended", peer.boundMs);
    assert.equal(peer.program.end.code, 0, "exit code");
  },
};

// The client returns each list of arguments once. In any order: some clients
// run each handler in a thread of its own.
async function echoes(peer, lists) {
  for (const args of lists) await peer.emit("echo", args);
  assert.deepEqual(await peer.echoed(lists.length), lists.toSorted(byJSON));
}

const byJSON = (a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

// One client over one transport, as the backend knows it: a program, and after
// a check that went wrong another one.
export class Peer {
  // launch(token) starts the program; wire is the set of the transports that
  // its requests have named.
  constructor(backend, transport, launch, wire) {
    Object.assign(this, { backend, api: backend.api, transport, launch, wire });
    this.boundMs = boundMs;
    this.events = []; // those that no check has taken yet
  }

  async start() {
    await this.program?.stop();
    this.backend.peers.delete(this.token);
    this.token = randomUUID();
    this.to = { users: [this.token] };
    this.events = [];
    this.backend.peers.set(this.token, this);
    this.program = this.launch(this.token);
    await this.next("CONNECTED", startMs);
    this.live = true;
  }

  async emit(event, args) {
    const { matched } = await this.api.emit({ to: this.to, event, ...encode(args) });
    assert.equal(matched, 1, `connections that got "${event}"`);
  }

  async ask(args) {
    const timeout = { seconds: this.boundMs / 1000 };
    return decode(await this.api.call({ id: this.id, event: "ask", ...encode(args), timeout }));
  }

  // Takes the first event that fits.
  async take(fits, what, bound = this.boundMs) {
    const index = () => this.events.findIndex(fits);
    await until(() => {
      if (index() >= 0) return true;
      // Its last event may still be on its way.
      if (this.program.end && what !== "DISCONNECTED") throw new Error(`the program ended, ${JSON.stringify(this.program.end)}, before ${what}`);
    }, what, bound);
    return this.events.splice(index(), 1)[0];
  }

  async next(kind, bound) {
    const event = await this.take((e) => e.kind === kind, kind, bound);
    if (kind === "CONNECTED") this.id = event.connection_id;
    return event;
  }

  message(name) {
    return this.take((e) => e.event === name, `"${name}" came`);
  }

  // All that came as "echoed", sorted, once it is n: with what is on top.
  async echoed(n) {
    const all = [];
    while (all.length < n) all.push((await this.message("echoed")).args);
    await sleep(20);
    all.push(...this.events.filter((e) => e.event === "echoed").map((e) => e.args));
    this.events = this.events.filter((e) => e.event !== "echoed");
    return all.toSorted(byJSON);
  }

  // The connection is on the transport where it is to end up.
  async settled() {
    const want = this.transport === "polling" ? "polling" : "websocket";
    await until(async () => (await this.api.getConnection({ id: this.id })).connection.transport === want, `it is on ${want}`, this.boundMs);
  }

  // Runs one check and says what became of it: "ok", or what is wrong. Of what
  // a client is said to lack nothing is expected, and if it works after all,
  // what is said is wrong.
  async check(name, lack) {
    try {
      if (!this.live && !["is refused", "connects"].includes(name)) await this.start();
      this.boundMs = lack ? lackBoundMs : boundMs;
      await checks[name](this);
      assert.deepEqual(this.events.map(({ kind, event }) => event || kind), [], "nothing came that was not asked for");
    } catch (err) {
      this.live = false;
      return lack ? { lack } : { failed: err.message };
    } finally {
      this.boundMs = boundMs;
    }
    return lack ? { failed: `works, though it is said that it does not: ${lack}` } : { ok: true };
  }
}

// The backend of all clients. It lets in who has the token of a peer, and keeps
// for each peer what it did.
export class Backend {
  constructor(api) {
    this.api = api;
    this.peers = new Map(); // by token
  }

  async run(t) {
    const stream = this.api.consume();
    const ended = new Promise((resolve) => stream.on("error", resolve).on("end", resolve));
    await new Promise((resolve, reject) => {
      ended.then(reject);
      stream.on("data", ({ ready, events }) => {
        if (ready) resolve();
        for (const event of events?.events ?? []) stream.write(this.settle(event));
      });
      stream.write({ open: { group: "interop", lifecycle: true, authorize: true } });
    });
    t.after(async () => {
      stream.end();
      await ended;
    });
  }

  settle(event) {
    const { delivery_id, kind, user_id, connection } = event;
    if (kind === "CONNECTING") {
      // A client of Socket.IO v2 has no auth, only a query.
      const token = JSON.parse(event.args_json)[0]?.token ?? connection.query.token;
      if (this.peers.has(token)) return { verdict: { delivery_id, allow: { user_id: token } } };
      // With data, which is what a v2 client gets, and the Go client insists on.
      return { verdict: { delivery_id, refuse: { message: refusal, data_json: JSON.stringify({ why: refusal }) } } };
    }
    const args = kind === "MESSAGE" ? decode(event) : [];
    this.peers.get(user_id)?.events.push({ ...event, args });
    if (event.event === "question") return { reply: { delivery_id, ...encode(args) } };
    return { ack: { delivery_ids: [delivery_id] } };
  }
}
