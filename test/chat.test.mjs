// The chat of examples/chat: its backends pass the same script, spoken by the stock
// client, those that the daemon calls by HTTP too.

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";

import { backend } from "./lib/backend.mjs";
import { client, connected } from "./lib/browser-like.mjs";
import { apart, Daemon, root } from "./lib/daemon.mjs";
import { members, Program } from "./lib/program.mjs";
import { pythonSDK } from "./lib/python-sdk.mjs";
import { until } from "./lib/until.mjs";
import { php, Webhook } from "./lib/webhook.mjs";

const chat = process.env.CHAT ?? path.join(root, "bin/chat");
const languages = {
  go: async (address) => [chat, [address]],
  node: async (address) => [process.execPath, ["examples/chat/node/chat.mjs", address]],
  python: async (address, t) => {
    const { program, why } = await pythonSDK();
    if (!program) return t.skip(why);
    return [program, ["examples/chat/python/chat.py", address]];
  },
};

// Programs that the daemon calls by HTTP, at a port.
const endpoints = {
  php: async (port, t) => {
    const { program, why } = await php();
    if (!program) return t.skip(why);
    return [program, ["-S", `127.0.0.1:${port}`, "examples/chat/php/chat.php"]];
  },
  wsgi: async (port) => ["python3", ["examples/chat/wsgi/chat.py", port]],
};

const ok = { ok: true };
const counts = (socket) => socket.heard.filter(([name]) => name === "users count").map(([, n]) => n);
const messages = (socket) => socket.heard.filter(([name]) => name === "new message").map(([, m]) => m);

for (const [language, command] of Object.entries({ ...languages, ...endpoints })) {
  test(`the chat in ${language}`, { timeout: 600_000 }, async (t) => {
    const webhook = language in endpoints ? await Webhook.at(t, "chat") : null;
    // A backend that answers each end by an emit cannot settle it while the daemon ends.
    const daemon = await Daemon.start(t, { ...webhook?.flags, grace: "2s" });
    const started = await command(webhook?.port ?? daemon.control, t);
    if (!started) return;
    const api = backend(t, daemon);
    const program = Program.start(t, ...started, { env: webhook?.env });
    const everybody = webhook && apart ? 2 : 1; // each node calls it
    await members(api, "chat", everybody);
    const say = (socket, ...args) => socket.timeout(20_000).emitWithAck(...args);
    const counted = (socket, n) => until(() => counts(socket).at(-1) === n, `a client has heard that there are ${n}`);

    // The number of people, on coming, on asking, on leaving.
    const a = await connected(client(t, daemon));
    await counted(a, 1);
    const b = await connected(client(t, daemon, { transports: ["websocket"] }));
    await Promise.all([counted(a, 2), counted(b, 2)]);
    const c = await connected(client(t, daemon));
    await Promise.all([a, b, c].map((socket) => counted(socket, 3)));
    c.disconnect();
    await Promise.all([a, b].map((socket) => counted(socket, 2)));
    assert.equal(await say(a, "users count"), 2);

    // To everybody, with a name and as plainly as can be.
    assert.deepEqual(await say(a, "send message", "hello", { name: "Ada" }), ok);
    a.emit("send message", "てすと <b>");
    for (const socket of [a, b]) {
      await until(() => messages(socket).length === 2, "both have heard both messages");
      assert.deepEqual(messages(socket), [
        { msg: "hello", name: "Ada", room: "" },
        { msg: "てすと <b>", name: "", room: "" },
      ]);
    }

    // To a room.
    assert.deepEqual(await say(b, "join room", "tea"), ok);
    assert.deepEqual((await api.getConnection({ id: b.id })).connection.rooms, [b.id, "tea"].sort());
    assert.deepEqual(await say(a, "send message", "for tea", { name: "Ada", room: "tea" }), ok);
    await until(() => messages(b).length === 3, "the member has heard it");
    assert.deepEqual(messages(b).at(-1), { msg: "for tea", name: "Ada", room: "tea" });
    assert.deepEqual(await say(b, "leave room", "tea"), ok);
    assert.deepEqual(await say(a, "send message", "for nobody", { room: "tea" }), ok);
    assert.deepEqual(await say(a, "send message", "for all"), ok);
    await until(() => messages(a).length === 3 && messages(b).length === 4, "all have heard the last");
    assert.deepEqual(messages(a).map((m) => m.msg), ["hello", "てすと <b>", "for all"]);
    assert.deepEqual(messages(b).map((m) => m.msg), ["hello", "てすと <b>", "for tea", "for all"]);

    // What is wrong is answered at once, and holds nothing up.
    for (const args of [["send message"], ["send message", ""], ["send message", 7], ["send message", "x".repeat(3000)],
      ["send message", "x", { room: 7 }], ["join room"], ["join room", ""], ["join room", { a: 1 }], ["leave room", null]]) {
      assert.ok((await say(a, ...args)).error, JSON.stringify(args).slice(0, 60));
    }

    // It goes and settles what it had; what is said meanwhile waits for the next.
    const { code } = await program.stop();
    if (!webhook) {
      assert.equal(code, 0, program.log);
      await members(api, "chat", 0);
    }
    const patient = say(a, "send message", "is anybody there?");
    program.run();
    assert.deepEqual(await patient, ok);
    await until(() => messages(b).at(-1).msg === "is anybody there?", "it is heard");

    // Killed, it loses nothing either.
    await program.freeze(); // so that it holds the event, and does nothing with it
    const held = say(a, "send message", "twice?");
    await until(async () => (await api.listConsumers({ group: "chat" })).groups[0].pending_events > 0, "the event is on its way");
    await program.stop("SIGKILL");
    program.run();
    assert.deepEqual(await held, ok);
    await until(() => messages(b).at(-1).msg === "twice?", "it is heard");
    assert.equal(messages(b).filter((m) => m.msg === "twice?").length, 1);

    // The daemon goes and comes: client and backend come back by themselves.
    const before = a.id;
    await daemon.stop();
    await daemon.run();
    await until(() => a.connected && a.id !== before, "the client is back");
    await members(api, "chat", everybody);
    await until(() => a.connected && b.connected, "both clients are back");
    assert.deepEqual(await say(b, "send message", "again"), ok);
    await until(() => messages(a).at(-1).msg === "again", "it is heard");
  });
}

// What an endpoint's check of signatures lets in.
for (const [language, command] of Object.entries(endpoints)) {
  test(`the chat in ${language} tells forged requests`, { timeout: 120_000 }, async (t) => {
    const webhook = await Webhook.at(t, "chat");
    const started = await command(webhook.port, t);
    if (!started) return;
    Program.start(t, ...started, { env: webhook.env });
    const body = JSON.stringify({ deliveryId: "e.1", kind: "MESSAGE", connectionId: "e", event: "users count", argsJson: "[]" });
    const post = (headers, sent = body) => fetch(webhook.url, { method: "POST", headers, body: sent });
    await until(() => post({}).catch(() => null), "it listens");
    const now = Math.floor(Date.now() / 1000);
    const tried = {
      "as it should be": [webhook.headers(body), 200],
      "unsigned": [{}, 401],
      "without a time": [{ ...webhook.headers(body), "webhook-timestamp": "" }, 401],
      "another secret": [webhook.headers(body, { secret: Buffer.alloc(32) }), 401],
      "another body": [webhook.headers(`${body} `), 401],
      "another id": [{ ...webhook.headers(body), "webhook-id": "e.2" }, 401],
      "another time": [{ ...webhook.headers(body), "webhook-timestamp": String(now + 1) }, 401],
      "sent again after six minutes": [webhook.headers(body, { at: now - 360 }), 401],
      "from the future": [webhook.headers(body, { at: now + 360 }), 401],
    };
    for (const [what, [headers, status]] of Object.entries(tried)) {
      const answer = await post(headers);
      assert.equal(answer.status, status, what);
      assert.deepEqual(await answer.text().then((text) => text && JSON.parse(text)), status === 200 ? { operations: [], reply: { args: [0] } } : "", what);
    }
  });
}
