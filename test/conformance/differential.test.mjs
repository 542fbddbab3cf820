// The same frames to the reference from npm and to fanoutd: the answers agree,
// or the difference is one that docs/protocol.md lists with its reason.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { differences } from "./lib/differences.mjs";
import { play } from "./lib/play.mjs";
import { startReference } from "./lib/reference.mjs";
import { scripts } from "./lib/scripts.mjs";
import { start } from "./lib/server.mjs";

const mutations = 400;
const atOnce = 25;

describe("differential run", () => {
  let ours, reference;
  before(async () => {
    [ours, reference] = await Promise.all([start("-ping-interval", "25s"), startReference()]);
  });
  after(() => Promise.all([ours.stop(), reference.stop()]));

  it("answers as the reference, or differs for a reason", { timeout: 240_000 }, async (t) => {
    const waiting = scripts(mutations);
    const seen = new Map();
    const unexplained = [];
    const worker = async () => {
      for (let script = waiting.pop(); script; script = waiting.pop()) {
        const [a, b] = await Promise.all([play(reference.address, script), play(ours.address, script)]);
        if (JSON.stringify(a) === JSON.stringify(b)) continue;
        const known = differences.find((d) => d.explains(script, a, b));
        if (known) seen.set(known.name, (seen.get(known.name) ?? 0) + 1);
        else unexplained.push({ script: script.map(String), reference: a, ours: b });
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    for (const [name, n] of seen) t.diagnostic(`${n} times: ${name}`);
    assert.deepEqual(unexplained, []);
  });
});
