// What the server of socket.io-client's own tests does
// (packages/socket.io-client/test/support/server.ts), as a backend on Consume,
// and every event of it from the stock client.

import assert from "node:assert/strict";
import { test } from "node:test";

import { App } from "./lib/app.mjs";
import { backend } from "./lib/backend.mjs";
import { browser, openTab, skip } from "./lib/browser.mjs";
import { client, connected, heard } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until, within } from "./lib/until.mjs";

const namespaces = ["/", "/foo", "/timeout_socket", "/valid", "/asd", "/abc", "/no"];
const utf8 = ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"];

function supportServer(api) {
  const app = new App(api, "support");
  const getId = (socket, reply) => reply(socket.id);
  app.on("/foo", "getId", getId);
  app.onConnection("/abc", (socket) => socket.emit("handshake", socket.handshake));
  app.use("/", ({ query }) => {
    if (query.fail) throw new Error("Auth failed (main namespace)");
  });
  app.use("/no", () => {
    throw Object.assign(new Error("Auth failed (custom namespace)"), { data: { code: 7, why: { text: "no" } } });
  });

  app.on("/", "hi", (socket) => socket.emit("hi"));
  app.on("/", "echo", (_, value, reply) => reply(value));
  app.on("/", "ack", async (socket) => {
    const [a, b] = await socket.call("ack");
    if (a === 5 && b.test) await socket.emit("got it");
  });
  app.on("/", "getAckDate", (_, __, reply) => reply(new Date()));
  app.on("/", "getDate", (socket) => socket.emit("takeDate", new Date()));
  app.on("/", "getDateObj", (socket) => socket.emit("takeDateObj", { date: new Date() }));
  app.on("/", "getUtf8", async (socket) => {
    for (const text of utf8) await socket.emit("takeUtf8", text);
  });
  app.on("/", "false", (socket) => socket.emit("false", false));
  app.on("/", "doge", (socket) => socket.emit("doge", Buffer.from("asdfasdf")));
  app.on("/", "getbin", (socket) => socket.emit("takebin", Buffer.from("asdfasdf")));
  for (const [event, answer] of [["buffa", "buffack"], ["blob", "back"]]) {
    app.on("/", event, (socket, value) => Buffer.isBuffer(value) && socket.emit(answer));
  }
  for (const event of ["jsonbuff", "jsonblob"]) {
    app.on("/", event, (socket, value) => {
      assert.equal(value.hello, "lol");
      assert.ok(Buffer.isBuffer(value.message));
      assert.equal(value.goodbye, "gotcha");
      return socket.emit(`${event}-ack`);
    });
  }
  app.on("/", "abuff1", (socket, value) => {
    assert.ok(Buffer.isBuffer(value));
    socket.state.abuff1 = true;
  });
  app.on("/", "abuff2", (socket) => {
    assert.ok(socket.state.abuff1);
    return socket.emit("abuff2-ack");
  });
  app.on("/", "blob1", (socket, value) => {
    assert.ok(Buffer.isBuffer(value));
    socket.state.blobs = 1;
  });
  app.on("/", "blob2", (socket, value) => {
    assert.equal(value, "second");
    socket.state.blobs++;
  });
  app.on("/", "blob3", (socket, value) => {
    assert.ok(Buffer.isBuffer(value));
    assert.equal(socket.state.blobs, 2);
    return socket.emit("blob3-ack");
  });
  app.on("/", "getHandshake", (socket, reply) => reply(socket.handshake));
  app.on("/", "getId", getId);
  return app;
}

async function start(t, flags = {}) {
  const daemon = await Daemon.start(t, { namespaces: namespaces.join(","), ...flags });
  const api = backend(t, daemon);
  const app = supportServer(api);
  await app.run(t);
  t.after(() => assert.deepEqual(app.errors, []));
  return { daemon, api };
}

// Emits and waits for the first event of a name.
function answered(socket, name, ...args) {
  const answer = new Promise((resolve) => socket.once(name, (...values) => resolve(values)));
  socket.emit(...args);
  return within(answer, `the answer ${name}`);
}

const isoDate = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  test(`every event of the support server, ${transports.join(" then ")}`, { timeout: 120_000 }, async (t) => {
    const { daemon } = await start(t);
    const socket = await connected(client(t, daemon, { transports, query: { h: "12" }, auth: { token: "t" } }));
    const ask = (...args) => socket.timeout(15_000).emitWithAck(...args);

    await t.test("events and acks", async () => {
      assert.deepEqual(await answered(socket, "hi", "hi"), []);
      assert.deepEqual(await answered(socket, "false", "false"), [false]);
      for (const value of ["x", 5, 1.5, null, false, [], {}, [[1, { a: [null] }]], "\u2028 \0 \ud83d\ude00"]) {
        assert.deepEqual(await ask("echo", value), value);
      }
      assert.deepEqual(await ask("echo", Buffer.from([0, 1, 255])), Buffer.from([0, 1, 255]));
      assert.deepEqual(await ask("echo", { a: [Buffer.from("a"), { b: Buffer.from("b") }] }), { a: [Buffer.from("a"), { b: Buffer.from("b") }] });
      assert.equal(await ask("getId"), socket.id);
    });

    await t.test("dates are strings", async () => {
      assert.match(await ask("getAckDate", { test: true }), isoDate);
      const [date] = await answered(socket, "takeDate", "getDate");
      assert.match(date, isoDate);
      const [{ date: inside }] = await answered(socket, "takeDateObj", "getDateObj");
      assert.match(inside, isoDate);
      assert.match(await ask("echo", new Date()), isoDate);
    });

    await t.test("text in any script, in order", async () => {
      const before = socket.heard.length;
      socket.emit("getUtf8");
      await heard(socket, before + utf8.length);
      assert.deepEqual(socket.heard.slice(before), utf8.map((text) => ["takeUtf8", text]));
    });

    await t.test("binary both ways", async () => {
      for (const [event, name] of [["doge", "doge"], ["getbin", "takebin"]]) {
        assert.deepEqual(await answered(socket, name, event), [Buffer.from("asdfasdf")]);
      }
      assert.deepEqual(await answered(socket, "buffack", "buffa", Buffer.from("x")), []);
      await answered(socket, "back", "blob", new Uint8Array([1, 2]));
      for (const event of ["jsonbuff", "jsonblob"]) {
        await answered(socket, `${event}-ack`, event, { hello: "lol", message: Buffer.from("x"), goodbye: "gotcha" });
      }
      socket.emit("abuff1", Buffer.from("a"));
      await answered(socket, "abuff2-ack", "abuff2", "please arrive second");
      socket.emit("blob1", Buffer.from("a"));
      socket.emit("blob2", "second");
      await answered(socket, "blob3-ack", "blob3", Buffer.from("b"));
    });

    await t.test("the client answers the server", async () => {
      socket.once("ack", (reply) => reply(5, { test: true }));
      await answered(socket, "got it", "ack");
    });

    await t.test("the handshake", async () => {
      const handshake = await ask("getHandshake");
      assert.equal(handshake.query.h, "12");
      assert.deepEqual(handshake.auth, { token: "t" });
      assert.ok(handshake.issued > 0 && handshake.address && handshake.time);
    });
  });
}

test("namespaces and middlewares of the support server", { timeout: 120_000 }, async (t) => {
  const { daemon } = await start(t);
  const refused = (options) => {
    const socket = client(t, daemon, options);
    return within(new Promise((resolve, reject) => socket.once("connect_error", resolve).once("connect", () => reject(new Error("it connected")))), "the refusal");
  };
  for (const namespace of ["/foo", "/timeout_socket", "/valid", "/asd"]) await connected(client(t, daemon, { namespace }));
  const foo = await connected(client(t, daemon, { namespace: "/foo" }));
  assert.equal(await foo.timeout(15_000).emitWithAck("getId"), foo.id);

  const abc = client(t, daemon, { namespace: "/abc", query: { h: "12" } });
  await heard(abc, 1);
  assert.equal(abc.heard[0][0], "handshake");
  assert.equal(abc.heard[0][1].query.h, "12");

  const main = await refused({ query: { fail: true } });
  assert.equal(main.message, "Auth failed (main namespace)");
  const custom = await refused({ namespace: "/no" });
  assert.equal(custom.message, "Auth failed (custom namespace)");
  assert.deepEqual(custom.data, { code: 7, why: { text: "no" } });
  assert.equal((await refused({ namespace: "/doesnotexist" })).message, "Invalid namespace");
});

test("blobs from a real browser", { skip, timeout: 120_000 }, async (t) => {
  const { daemon } = await start(t, { demo: true });
  const it = await browser(t);
  const { page } = await openTab(await it.newContext(), daemon);
  for (const transports of [["polling"], ["websocket"]]) {
    const answers = await page.evaluate(async (transports) => {
      const socket = globalThis.io({ forceNew: true, transports });
      const answers = [];
      const answer = (name) => new Promise((resolve) => socket.once(name, (value) => resolve(answers.push(value === undefined ? name : [name, value.byteLength]))));
      const steps = [
        ["back", () => socket.emit("blob", new Blob(["x"]))],
        ["jsonblob-ack", () => socket.emit("jsonblob", { hello: "lol", message: new Blob(["x"]), goodbye: "gotcha" })],
        ["blob3-ack", () => (socket.emit("blob1", new Blob(["a"])), socket.emit("blob2", "second"), socket.emit("blob3", new Blob(["b"])))],
        ["takebin", () => socket.emit("getbin")],
      ];
      for (const [name, step] of steps) {
        const answered = answer(name);
        step();
        await Promise.race([answered, new Promise((_, reject) => setTimeout(() => reject(new Error(`no ${name}`)), 15_000))]);
      }
      socket.disconnect();
      return answers;
    }, transports);
    assert.deepEqual(answers, ["back", "jsonblob-ack", "blob3-ack", ["takebin", 8]]);
  }
  await until(async () => (await backend(t, daemon).listConsumers({ group: "support" })).groups[0].consumers[0].in_flight === 0, "everything is settled");
});
