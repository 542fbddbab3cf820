// Stock clients in a process of their own. Its arguments are the number of the first, how many there are, and the URLs
// that they are spread over; its parent speaks to it over the channel of fork().

import { io } from "socket.io-client";

const [first, count, ...urls] = process.argv.slice(2).map((word, i) => (i < 2 ? Number(word) : word));
const perRoom = 10;

class Browser {
  constructor(number) {
    this.name = `b${number}`;
    this.room = `room${Math.floor(number / perRoom)}`;
    this.ends = []; // each a reconnection
    this.said = 0;
    this.answered = new Set();
    this.heard = new Set();
    this.told = new Map(); // by who said it, what was heard of it
    this.ticks = 0;
    this.faults = [];
    this.late = []; // of what others said
    this.again = 0; // what came once more, as it may
    this.socket = io(urls[number % urls.length], { forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 500 });
    this.socket.on("disconnect", (reason, details) => this.ends.push(`${reason} ${details?.description ?? ""}`.trim()));
    this.socket.on("tick", (n) => (n === this.ticks + 1 ? (this.ticks = n) : this.faults.push(`tick ${n} after ${this.ticks}`)));
    this.socket.on("heard", (n) => this.first(this.heard, n, "heard", this.faults));
    this.socket.on("told", (name, n) => {
      if (!this.told.has(name)) this.told.set(name, new Set());
      this.first(this.told.get(name), n, `told by ${name}`, this.late);
    });
  }

  // What a process had sent before it was killed may come again; for the first time each comes in its turn.
  first(set, n, what, faults) {
    if (set.has(n)) return this.again++;
    if (n !== set.size + 1) faults.push(`${what} ${n} after ${set.size}`);
    set.add(n);
  }

  enter() {
    return this.socket.emitWithAck("enter", this.name, this.room);
  }

  say() {
    const n = ++this.said;
    this.socket.emit("say", n, () => this.answered.add(n));
  }

  report() {
    const { name, room, ends, said, ticks, faults, late, again, answered, heard } = this;
    const told = Object.fromEntries([...this.told].map(([name, set]) => [name, set.size]));
    return { id: this.socket.id, name, room, ends, said, ticks, faults: faults.slice(0, 5), late: late.slice(0, 5), again, answered: answered.size, heard: heard.size, told };
  }
}

const browsers = [];
let talking;

const answers = {
  // One after the other, as people come.
  async enter() {
    for (let i = 0; i < count; i++) {
      const browser = new Browser(first + i);
      browsers.push(browser);
      await browser.enter();
    }
  },
  // Each says something so often a second, spread evenly.
  talk({ perSecond }) {
    const everyMs = 20;
    let due = 0;
    let turn = 0;
    talking = setInterval(() => {
      for (due += (count * perSecond * everyMs) / 1000; due >= 1; due--) browsers[turn++ % count].say();
    }, everyMs);
  },
  hush() {
    clearInterval(talking);
  },
  report: () => browsers.map((browser) => browser.report()),
};

process.on("message", async ({ ask, ...how }) => process.send({ answer: await answers[ask](how) }));
process.on("disconnect", () => process.exit(1)); // its parent has gone
