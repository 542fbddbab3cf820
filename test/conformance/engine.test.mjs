// Engine.IO byte by byte, both versions: what any client relies on. The server
// echoes messages at /engine.io/.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import WebSocket from "ws";

import { start } from "./lib/server.mjs";

const timeout = 10_000;
let server;
before(async () => (server = await start()));
after(() => server.stop());

const at = (query) => `//${server.address}/engine.io/?${query}`;

async function request(query, options) {
  const response = await fetch(`http:${at(query)}`, options);
  return { status: response.status, type: response.headers.get("content-type"), body: await response.text() };
}

// Frames come one at a time, in order, also those that came before they were
// asked for; null is the end.
function open(query) {
  const ws = new WebSocket(`ws:${at(query)}`);
  const frames = [];
  const waiting = [];
  const push = (frame) => (waiting.length > 0 ? waiting.shift()(frame) : frames.push(frame));
  ws.on("message", (data, binary) => push(binary ? data : String(data)));
  ws.on("close", () => push(null));
  return {
    ws,
    next: () => (frames.length > 0 ? Promise.resolve(frames.shift()) : new Promise((resolve) => waiting.push(resolve))),
    opened: new Promise((resolve, reject) => ws.once("open", resolve).once("error", reject)),
  };
}

const versions = {
  4: { decode: (body) => body.split("\x1e"), encode: (...packets) => packets.join("\x1e") },
  3: {
    decode(body) {
      const packets = [];
      for (let rest = body; rest; ) {
        const colon = rest.indexOf(":");
        const end = colon + 1 + Number(rest.slice(0, colon));
        packets.push(rest.slice(colon + 1, end));
        rest = rest.slice(end);
      }
      return packets;
    },
    encode: (...packets) => packets.map((packet) => `${packet.length}:${packet}`).join(""),
  },
};

for (const [eio, { decode, encode }] of Object.entries(versions)) {
  const polling = `EIO=${eio}&transport=polling`;
  const websocket = `EIO=${eio}&transport=websocket`;

  async function openPolling() {
    const { status, body } = await request(polling);
    assert.equal(status, 200);
    const [packet] = decode(body);
    assert.equal(packet[0], "0");
    const handshake = JSON.parse(packet.slice(1));
    return { handshake, session: `&sid=${encodeURIComponent(handshake.sid)}` };
  }

  // poll polls until something else than a heartbeat comes.
  async function poll(session) {
    for (;;) {
      const { status, body } = await request(polling + session);
      if (status !== 200) return status;
      const packets = decode(body).filter((packet) => packet !== "2");
      if (packets.length > 0) return packets;
      await request(polling + session, { method: "POST", body: encode("3") });
    }
  }

  // message returns the next frame that is no heartbeat, which it answers.
  async function message(socket) {
    for (;;) {
      const frame = await socket.next();
      if (frame !== "2") return frame;
      socket.ws.send("3");
    }
  }

  describe(`Engine.IO v${eio}`, () => {
    it("opens by polling", { timeout }, async () => {
      const { handshake } = await openPolling();
      assert.deepEqual(Object.keys(handshake).sort(), ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]);
      assert.deepEqual([handshake.upgrades, handshake.pingInterval, handshake.pingTimeout, handshake.maxPayload], [["websocket"], 300, 200, 1e6]);
    });

    it("opens by WebSocket", { timeout }, async () => {
      const socket = open(websocket);
      const packet = await socket.next();
      assert.equal(packet[0], "0");
      assert.deepEqual(JSON.parse(packet.slice(1)).upgrades, []);
      socket.ws.terminate();
    });

    for (const [name, query, options] of [
      ["an unknown transport", `EIO=${eio}&transport=abc`],
      ["no transport", `EIO=${eio}`],
      ["an unknown session", `${polling}&sid=abc`],
      ["a POST without a session", polling, { method: "POST", body: "" }],
      ["a WebSocket's query without a WebSocket", websocket],
      ["an unknown version", "EIO=abc&transport=polling"],
    ]) {
      it(`refuses ${name}`, { timeout }, async () => assert.equal((await request(query, options)).status, 400));
    }

    it("carries messages by polling", { timeout }, async () => {
      const { session } = await openPolling();
      const posted = await request(polling + session, { method: "POST", body: encode("4one", "4zwei €😀") });
      assert.deepEqual([posted.status, posted.body], [200, "ok"]);
      assert.deepEqual(await poll(session), ["4one", "4zwei €😀"]);
    });

    it("carries messages by WebSocket", { timeout }, async () => {
      const socket = open(websocket);
      await socket.next();
      socket.ws.send("4one");
      assert.equal(await message(socket), "4one");
      const bytes = Buffer.from(eio === "3" ? [4, 1, 2, 3] : [1, 2, 3]);
      socket.ws.send(bytes);
      assert.deepEqual(await message(socket), bytes);
      socket.ws.terminate();
    });

    it("ends a session over an invalid payload", { timeout }, async () => {
      const { session } = await openPolling();
      assert.equal((await request(polling + session, { method: "POST", body: "abc" })).status, 400);
      assert.equal(await poll(session), 400);
    });

    it("ends a session over two polls at once", { timeout }, async () => {
      const { session } = await openPolling();
      const answers = await Promise.all([request(polling + session), request(polling + session)]);
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400]);
      assert.equal(await poll(session), 400);
    });

    it("ends a session that is silent", { timeout }, async () => {
      const socket = open(websocket);
      let last;
      for (let frame = await socket.next(); frame !== null; frame = await socket.next()) last = frame;
      assert.equal(last === "2", eio === "4");
    });

    it("keeps a session whose heartbeat beats", { timeout }, async () => {
      const socket = open(websocket);
      await socket.next();
      for (let i = 0; i < 4; i++) {
        if (eio === "3") {
          await new Promise((resolve) => setTimeout(resolve, 200));
          socket.ws.send("2");
          assert.equal(await socket.next(), "3");
        } else {
          assert.equal(await socket.next(), "2");
          socket.ws.send("3");
        }
      }
      socket.ws.send("4alive");
      assert.equal(await message(socket), "4alive");
      socket.ws.terminate();
    });

    it("ends a session whose heartbeat goes the wrong way", { timeout }, async () => {
      const socket = open(websocket);
      await socket.next();
      socket.ws.send(eio === "3" ? "3" : "2");
      assert.equal(await socket.next(), null);
    });

    it("upgrades", { timeout }, async () => {
      const { session } = await openPolling();
      const pending = poll(session);
      const socket = open(websocket + session);
      await socket.opened;
      socket.ws.send("2probe");
      assert.equal(await socket.next(), "3probe");
      assert.deepEqual(await pending, ["6"]);
      socket.ws.send("5");
      socket.ws.send("4over there");
      assert.equal(await message(socket), "4over there");
      assert.equal(await poll(session), 400);
      socket.ws.terminate();
    });
  });
}

it("carries binary messages of v4 by polling as base64", { timeout }, async () => {
  const { body } = await request("EIO=4&transport=polling");
  const query = `EIO=4&transport=polling&sid=${JSON.parse(body.slice(1)).sid}`;
  await request(query, { method: "POST", body: "bAQIDBA==" });
  assert.equal((await request(query)).body, "bAQIDBA==");
});

it("carries binary messages of v3 by polling as bytes", { timeout }, async () => {
  const { body } = await request("EIO=3&transport=polling");
  const query = `EIO=3&transport=polling&sid=${JSON.parse(body.slice(body.indexOf(":") + 2)).sid}`;
  const bytes = Buffer.from([1, 4, 255, 4, 1, 2, 3]);
  await request(query, { method: "POST", body: bytes, headers: { "Content-Type": "application/octet-stream" } });
  const response = await fetch(`http:${at(query)}`);
  assert.equal(response.headers.get("content-type"), "application/octet-stream");
  assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes);
});
