// The stock client with the MessagePack parser, side by side with JSON clients
// of the same daemon.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import msgpack from "socket.io-msgpack-parser";

import { backend } from "./lib/backend.mjs";
import { client, connected, heard, upgraded } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until, within } from "./lib/until.mjs";

const modes = [
  { name: "polling only", options: { transports: ["polling"] }, ready: connected },
  { name: "websocket only", options: { transports: ["websocket"] }, ready: connected },
  { name: "polling, then an upgrade", options: {}, ready: upgraded },
];

for (const { name, options, ready } of modes) {
  describe(name, () => {
    test("events arrive as a JSON client hears them", async (t) => {
      const daemon = await Daemon.start(t, { namespaces: "/,/chat" });
      const api = backend(t, daemon);
      const packed = await ready(client(t, daemon, { ...options, parser: msgpack, auth: { token: "x" }, namespace: "/chat" }));
      const json = await ready(client(t, daemon, { ...options, namespace: "/chat" }));
      const to = { namespace: "/chat", all: true };
      const emits = [
        { event: "none" },
        { event: "values", args_json: '[{"b":1,"a":"é\\u2028\\ud83d\\ude00"},9007199254740991,-1.5,null,true,[[],{}]]' },
        { event: "numbers", args_json: "[0,-1,127,128,65536,4294967296,1e21,1e-7]" },
        {
          event: "binary",
          args_json: '[{"_placeholder":true,"num":1},{"deep":[{"_placeholder":true,"num":0}]}]',
          attachments: [Buffer.from("hello"), Buffer.from([0, 255, 30, 10])],
        },
        { event: "large", args_json: JSON.stringify(["é".repeat(300_000)]) },
      ];
      for (const emit of emits) assert.equal((await api.emit({ to, ...emit })).matched, 2);
      assert.deepEqual(await heard(packed, emits.length), await heard(json, emits.length));
      assert.deepEqual(packed.heard[3], ["binary", Buffer.from([0, 255, 30, 10]), { deep: [Buffer.from("hello")] }]);
    });

    test("answers arrive as a JSON client gives them", async (t) => {
      const daemon = await Daemon.start(t);
      const api = backend(t, daemon);
      const answers = {
        plain: [1, "two", { z: 1, a: [null, undefined] }, undefined],
        numbers: [NaN, Infinity, 2 ** 53 - 1, -1.5e-7],
        date: [new Date(1234567890123), { at: new Date(-1) }],
        binary: [Buffer.from([0, 255]), { b: new Uint8Array([1, 2, 3]).buffer }],
        none: [],
      };
      const call = (socket, event) => api.call({ id: socket.id, event, timeout: { seconds: 5 } });
      const packed = await ready(client(t, daemon, { ...options, parser: msgpack }));
      const json = await ready(client(t, daemon, options));
      for (const [event, answer] of Object.entries(answers)) {
        for (const socket of [packed, json]) socket.on(event, (ack) => ack(...answer));
        const { args_json, attachments } = await call(packed, event);
        const want = await call(json, event);
        assert.equal(args_json, want.args_json, event);
        assert.deepEqual(attachments, want.attachments, event);
      }
    });
  });
}

test("a refusal and an end reach a MessagePack client", async (t) => {
  const daemon = await Daemon.start(t);
  const api = backend(t, daemon);
  const stranger = client(t, daemon, { parser: msgpack, namespace: "/nope" });
  const err = await within(new Promise((resolve) => stranger.on("connect_error", resolve)), "the refusal");
  assert.equal(err.message, "Invalid namespace");

  const socket = await connected(client(t, daemon, { parser: msgpack }));
  await api.disconnect({ to: { all: true }, mode: "NAMESPACE" });
  await until(() => socket.ends.length > 0, "the client hears of its end");
  assert.deepEqual(socket.ends, ["io server disconnect"]);
});
