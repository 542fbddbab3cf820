// Stock clients that are refused for now come back by themselves, over each transport.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { client, connected } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until } from "./lib/until.mjs";

const modes = [
  { name: "polling", options: { transports: ["polling"] } },
  { name: "websocket", options: { transports: ["websocket"] } },
];

const refused = async (daemon, reason) => {
  const metrics = await (await fetch(`${daemon.ops}/metrics`)).text();
  return Number(metrics.match(new RegExp(`^fanoutd_refused_total\\{reason="${reason}"\\} (\\d+)$`, "m"))[1]);
};

for (const { name, options } of modes) {
  describe(name, () => {
    test("beyond max-handshake-rate all get in, one after the other", async (t) => {
      const daemon = await Daemon.start(t, { "max-handshake-rate": 5, "start-ramp": "0" });
      let errors = 0;
      const sockets = Array.from({ length: 20 }, () => client(t, daemon, options).on("connect_error", () => errors++));
      await until(() => sockets.every((socket) => socket.connected), "all are connected");
      assert.ok(errors > 0, "nobody was refused");
      assert.equal(await refused(daemon, "max-handshake-rate"), errors);
    });

    test("beyond max-sessions a client waits until another has left", async (t) => {
      const daemon = await Daemon.start(t, { "max-sessions": 1 });
      const first = await connected(client(t, daemon, options));
      const second = client(t, daemon, options);
      let errors = 0;
      second.on("connect_error", () => errors++);
      await until(() => errors >= 3, "it has tried again and again");
      assert.ok(second.active, "it has given up");
      first.disconnect();
      await connected(second);
      assert.equal(await refused(daemon, "max-sessions"), errors);
    });
  });
}
