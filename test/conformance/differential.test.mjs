// The same scripts to the reference from npm and to fanoutd: the answers agree,
// or the difference is one that docs/protocol.md lists with its reason.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";

import msgpackParser from "socket.io-msgpack-parser";

import { differences, explain, rest } from "./lib/differences.mjs";
import { play } from "./lib/play.mjs";
import { letIn, startReference } from "./lib/reference.mjs";
import { scripts } from "./lib/scripts/index.mjs";
import { pages } from "./lib/scripts/origins.mjs";
import { start } from "./lib/server.mjs";

// Enough to use the machine, few enough that nothing is late on a busy one.
const atOnce = 8;

// How many scripts a busy machine may bring out of step.
const fewLate = 40;

const patient = ["-ping-interval", "25s", "-ping-timeout", "20s", "-connect-timeout", "45s"];

// The context of neither side is kept, as fanoutd has it.
const perMessageDeflate = { threshold: 1024, serverNoContextTakeover: true, clientNoContextTakeover: true };

// Pairs of servers that are set up alike, by the name that scripts have for them.
const set = {
  usual: { flags: [], options: { allowEIO3: true } },
  "v4 only": { flags: ["-allow-eio3=false"], options: {} },
  MessagePack: { flags: [], options: { allowEIO3: true, parser: msgpackParser } },
  origins: { flags: ["-origins", pages.join()], options: { allowEIO3: true, cors: { origin: pages, credentials: true }, allowRequest: letIn(pages) } },
  deflate: { flags: ["-per-message-deflate"], options: { allowEIO3: true, perMessageDeflate } },
  "polling alone": { flags: ["-transports", "polling"], options: { allowEIO3: true, transports: ["polling"] } },
  "websocket alone": { flags: ["-transports", "websocket"], options: { allowEIO3: true, transports: ["websocket"] } },
};

async function startPairs() {
  const names = Object.keys(set);
  const starting = await Promise.allSettled(names.flatMap((name) => [start(...patient, ...set[name].flags), startReference(set[name].options)]));
  const all = starting.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
  const failed = starting.find(({ status }) => status === "rejected");
  if (failed) {
    await Promise.all(all.map((server) => server.stop()));
    throw failed.reason;
  }
  return { all, ...Object.fromEntries(names.map((name, i) => [name, { ours: all[2 * i], reference: all[2 * i + 1] }])) };
}

// unexplained is what is wrong with a script's answers, for the reader.
function unexplained(script, reference, ours) {
  const expected = rest(script, reference, ours);
  return script.steps.flatMap((step, i) => (JSON.stringify(expected[i]) === JSON.stringify(ours[i]) ? [] : [{ step: JSON.stringify(step).slice(0, 300), reference: reference[i], ours: ours[i] }]));
}

// Tally counts scripts by kind, and how often each difference was seen.
class Tally {
  seen = new Map();
  #kinds = new Map();

  note(script, why) {
    const n = this.#kinds.get(script.kind) ?? { scripts: 0, alike: 0 };
    this.#kinds.set(script.kind, { scripts: n.scripts + 1, alike: n.alike + (why.length === 0 ? 1 : 0) });
    for (const name of why) this.seen.set(name, (this.seen.get(name) ?? 0) + 1);
  }

  tell(t) {
    for (const [kind, n] of this.#kinds) t.diagnostic(`${kind}: ${n.scripts} scripts, ${n.alike} without any difference`);
    for (const [name, n] of this.seen) t.diagnostic(`${n} times: ${name}`);
  }
}

// listed returns the names in the table of docs/protocol.md.
function listed() {
  const page = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");
  const section = page.split("## Differences from the reference")[1].split("Outside of those scripts")[0];
  return section.split("\n").filter((line) => /^\| (?!name |-)/.test(line)).map((line) => line.split(" | ")[0].slice(2));
}

describe("differential run", () => {
  let pairs;
  before(async () => (pairs = await startPairs()));
  after(() => Promise.all((pairs?.all ?? []).map((server) => server.stop())));

  const both = (script) => {
    const { ours, reference } = pairs[script.pair ?? "usual"];
    return Promise.all([play(reference.address, script), play(ours.address, script)]);
  };

  it("answers as the reference, or differs for a reason", { timeout: 400_000 }, async (t) => {
    const tally = new Tally();
    const waiting = [...scripts];
    const late = [];
    const worker = async () => {
      for (let script = waiting.shift(); script; script = waiting.shift()) {
        const why = explain(script, ...(await both(script)));
        if (why) tally.note(script, why);
        else late.push(script);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    // What a busy machine brought out of step is played again, alone, twice at most. More than a
    // few are no accident, and a sample tells as much.
    const wrong = [];
    for (const script of late.slice(0, fewLate)) {
      let answers, why;
      for (let times = 0; times < 2 && !why; times++) {
        answers = await both(script);
        why = explain(script, ...answers);
      }
      if (why) tally.note(script, why);
      else wrong.push({ kind: script.kind, steps: unexplained(script, ...answers) });
    }
    t.diagnostic(`${scripts.length} scripts, ${late.length} of them played twice`);
    assert.ok(late.length <= fewLate || wrong.length > 0, `${late.length} scripts were out of step: the machine is too busy for this`);
    tally.tell(t);
    assert.ok(scripts.length > 1000, "the scripts are gone");
    if (wrong.length > 0) assert.fail(`${wrong.length} scripts differ for no listed reason:\n${JSON.stringify(wrong.slice(0, 20), null, 1)}`);
    assert.deepEqual(differences.filter(({ name, sometimes }) => !sometimes && !tally.seen.has(name)).map(({ name }) => name), [], "listed, but seen no more");
  });

  it("has its differences in docs/protocol.md, and no others", () => {
    assert.deepEqual(listed().sort(), differences.map(({ name }) => name).sort());
  });
});
