// Events with a conflate_key, to a client behind a link that is too slow for them and to one that is not.

import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";

import { backend as connect } from "./lib/backend.mjs";
import { client, connected } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { until, within } from "./lib/until.mjs";

const bytes = 20_000; // of an event
const events = 1_500; // far more than the system's buffers hold

// Passes on what comes from the daemon at this many bytes a second, until release() is called.
async function slowLink(t, daemon, rate) {
  const { hostname, port } = new URL(daemon.url);
  const sockets = new Set();
  const timers = new Set();
  let released = false;
  const server = net.createServer((browser) => {
    const onward = net.connect(Number(port), hostname);
    for (const socket of [browser, onward]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => {
        browser.destroy();
        onward.destroy();
      });
    }
    browser.pipe(onward);
    onward.on("data", (chunk) => {
      browser.write(chunk);
      if (released) return;
      onward.pause();
      const timer = setTimeout(() => {
        timers.delete(timer);
        onward.resume();
      }, (chunk.length / rate) * 1000);
      timers.add(timer);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const timer of timers) clearTimeout(timer);
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, release: () => (released = true) };
}

for (const transport of ["websocket", "polling"]) {
  test(`a slow client gets the last value by ${transport}, and little waits for it; a fast one gets all`, { timeout: 120_000 }, async (t) => {
    const daemon = await Daemon.start(t);
    const backend = connect(t, daemon);
    const link = await slowLink(t, daemon, 100_000);
    const fast = await connected(client(t, daemon, { transports: ["websocket"] }));
    const slow = await connected(client(t, link, { transports: [transport] }));
    const numbers = ({ heard }) => heard.map(([, n]) => n);

    const filler = "x".repeat(bytes);
    let most = 0;
    for (let n = 1; n <= events; n++) {
      await backend.emit({ to: { all: true }, event: "price", args_json: JSON.stringify([n, filler]), conflate_key: "price" });
      await until(() => fast.heard.length === n, "the fast client has it");
      if (n % 50 === 0) {
        const { connection } = await backend.getConnection({ id: slow.id });
        most = Math.max(most, connection.queued_bytes);
      }
    }
    // What a writer has taken, and what waits behind it.
    assert.ok(most > 0 && most < 10 * bytes, `${most} bytes waited for the slow client`);

    link.release();
    await within(until(() => numbers(slow).at(-1) === events, "the slow client has the last value", 60_000), "that", 60_000);
    assert.deepEqual(numbers(fast), Array.from({ length: events }, (_, n) => n + 1));
    assert.deepEqual(numbers(slow), [...new Set(numbers(slow))].sort((a, b) => a - b));
    assert.ok(slow.heard.length < events, "some were left out");
    assert.deepEqual(slow.ends, []);
  });
}
