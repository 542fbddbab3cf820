// The control API over HTTP with curl alone: each line of docs/http.md, and how a call is
// refused.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import readline from "node:readline";
import { test } from "node:test";
import { promisify } from "node:util";

import { client, connected, heard } from "./lib/browser-like.mjs";
import { apart, Daemon } from "./lib/daemon.mjs";
import { page } from "./lib/docs.mjs";
import { until } from "./lib/until.mjs";

const run = promisify(execFile);

// curl's --json came with 7.82.
const [, major, minor] = (await run("curl", ["--version"]).catch(() => ({ stdout: "" }))).stdout.match(/^curl (\d+)\.(\d+)/) ?? [0, 0, 0];
const skip = major * 100 + minor * 1 >= 782 ? false : "curl 7.82 or newer is not there";

// What an emit to one browser is answered that does not wait for other nodes.
const accepted = apart ? { forwarded: 1 } : { matched: 1 };

const at = (daemon, line) => line.replace("localhost:8081", daemon.control);

// Runs a line as it is written, but for the address. Resolves with what it prints, as JSON
// if it is JSON.
async function curl(daemon, line) {
  const { stdout } = await run("sh", ["-c", at(daemon, line)], { timeout: 20_000, maxBuffer: 16 << 20 });
  try {
    return JSON.parse(stdout);
  } catch {
    return stdout;
  }
}

// Runs a line that goes on. Yields what it prints, line by line, until the test ends.
function follow(t, daemon, line) {
  const child = spawn("sh", ["-c", `exec ${at(daemon, line)}`], { stdio: ["ignore", "pipe", "ignore"] });
  const ended = once(child, "exit"); // the daemon may end first, and with it the line
  t.after(async () => {
    child.kill();
    await ended;
  });
  return readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}

const linesOf = (it) => it.lines("curl").map(([line]) => line);

test("each line of docs/http.md, in its order", { skip }, async (t) => {
  const daemon = await Daemon.start(t);
  const socket = await connected(client(t, daemon));
  socket.on("question", (answer) => answer?.("yes"));
  const acks = [{ ack: { connectionId: "", argsJson: '["yes"]' } }, { summary: { expected: 1, acked: 1 } }];
  // Every answer of an EmitWithAck but the first, which says who was asked, without the id.
  const answers = (text, event) => {
    const all = text.trim().split("\n").filter((line) => line.startsWith(event)).map((line) => JSON.parse(line.slice(event.length)));
    return all.filter(({ started }) => !started).map((it) => (it.ack ? { ack: { ...it.ack, connectionId: "" } } : it));
  };

  const told = {
    "EmitterService/Emit": (answer) => assert.deepEqual(answer, accepted),
    "RegistryService/ListConnections": (answer) => assert.deepEqual(answer.connections.map(({ id }) => id), [socket.id]),
    "RegistryService/Join": (answer) => assert.deepEqual(answer, { affected: 1 }),
    "EmitterService/Call": (answer) => assert.deepEqual(JSON.parse(answer.argsJson), ["yes"]),
    "RegistryService/Disconnect": async (answer, before) => {
      assert.deepEqual(answer, { affected: 1 });
      await until(() => socket.connected && socket.id !== before, "the client is back");
    },
    "RegistryService/Block": (answer) => assert.deepEqual(answer, {}),
    "RegistryService/ListBlocks": (answer) => assert.deepEqual(answer.blocks.map(({ userId, reason }) => [userId, reason]), [["somebody", "spam"]]),
    "EventService/Publish": (answer) => assert.deepEqual(answer, {}),
    "RegistryService/Unblock": (answer) => assert.deepEqual(answer, { affected: 1 }),
    healthz: (answer) => assert.deepEqual(answer, { status: "SERVING" }),
    "openapi.json": (answer) => assert.ok(answer.paths["/fanout.v1.EmitterService/Emit"]),
    proto: (answer) => assert.match(answer, /^fanout\/v1\/emitter\.proto$/m),
    "EmitterService/EmitWithAck": (answer) => assert.deepEqual(answers(answer, ""), acks),
    "EmitterService/EmitWithAck, as events": (answer) => {
      assert.match(answer, /\n\nevent: end\ndata: \{\}\n\n$/);
      assert.deepEqual(answers(answer.replace(/event: end\ndata: \{\}\n/, ""), "data: "), acks);
    },
  };
  const done = new Set();
  for (const it of linesOf(page("docs/http.md"))) {
    const line = it.replaceAll("…", socket.id);
    if (line.endsWith("/Tail")) {
      const shown = follow(t, daemon, line);
      const saying = setInterval(() => socket.emit("something"), 100); // until the line is there to hear it
      t.after(() => clearInterval(saying));
      const { value } = await shown.next();
      assert.equal(JSON.parse(value).event.event, "something");
      done.add("Tail");
      continue;
    }
    if (line.endsWith("/Watch")) {
      const shown = follow(t, daemon, line);
      assert.equal((await shown.next()).value, 'data: {"changes":[{"synced":{}}]}');
      done.add("Watch");
      continue;
    }
    const name = line.match(/localhost:8081\/(?:fanout\.v1\.)?([\w./]+)/)[1] + (line.includes("event-stream") ? ", as events" : "");
    assert.ok(told[name], `nothing is known of what this line does: ${it}`);
    const before = socket.id;
    await told[name](await curl(daemon, line), before);
    done.add(name);
  }
  assert.deepEqual([...done].sort(), [...Object.keys(told), "Tail", "Watch"].sort());
  assert.deepEqual((await heard(socket, 2)).slice(0, 2), [["new message", { msg: "hello" }], ["some event"]]);
});

test("with keys, and how calls are refused", { skip }, async (t) => {
  const key = "correct-horse-battery-staple";
  const daemon = await Daemon.start(t, { "control-key": key });
  const emit = (flags, request) => curl(daemon, `curl -s ${flags} --json '${request}' localhost:8081/fanout.v1.EmitterService/Emit`);
  const withKey = `-H 'authorization: Bearer ${key}'`;
  const good = '{"to":{"all":true},"event":"x"}';
  const reason = ({ details }) => details[0].debug.reason;
  const fields = ({ details }) => details[0].debug.fieldViolations.map(({ field }) => field);

  assert.equal(reason(await emit("", good)), "KEY_MISSING");
  assert.equal(reason(await emit("-H 'authorization: Bearer wrong'", good)), "KEY_INVALID");
  assert.deepEqual(await emit(withKey, good), {});
  assert.deepEqual(fields(await emit(withKey, '{"to":{},"event":"connect"}')), ["to", "event"]);
  const refused = await emit(withKey, '{"to":{"all":true}}');
  assert.deepEqual({ ...refused, details: [{ ...refused.details[0], value: "…" }] }, JSON.parse(page("docs/http.md").block('{"code":"invalid_argument"')));
  assert.deepEqual(fields(await emit(withKey, '{"to":{"all":true},"evnt":"x"}')), ["evnt"]);
  assert.equal(reason(await emit(`${withKey} -H 'origin: https://evil.example'`, good)), "ORIGIN_REFUSED");
  assert.match(await curl(daemon, `curl -s ${withKey} -d '${good}' localhost:8081/fanout.v1.EmitterService/Emit`).then(({ message }) => message), /--json/);
});

test("a page that has its name lead here does nothing", { skip }, async (t) => {
  const daemon = await Daemon.start(t);
  const socket = await connected(client(t, daemon));
  const emit = (flags, event) => curl(daemon, `curl -s ${flags} --json '{"to":{"all":true},"event":"${event}"}' localhost:8081/fanout.v1.EmitterService/Emit`);
  assert.equal((await emit("-H 'host: evil.example:8081'", "first")).details[0].debug.reason, "HOST_REFUSED");
  assert.deepEqual(await emit("", "second"), accepted);
  assert.deepEqual(await heard(socket, 1), [["second"]]);
});
