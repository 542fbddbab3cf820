// Who is kept out, with the stock client and the lines of docs/operating.md.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";

import { client, connected } from "./lib/browser-like.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { page } from "./lib/docs.mjs";
import { call, line } from "./lib/grpcurl.mjs";
import { until } from "./lib/until.mjs";

const secret = "blocks-test-secret-of-32-bytes-or-more";

function token(sub) {
  const part = (it) => Buffer.from(JSON.stringify(it)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, iss: "test", aud: "test", exp: Math.floor(Date.now() / 1000) + 600 })}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const settings = { "jwt-secret": secret, "jwt-algorithms": "HS256", "jwt-issuer": "test", "jwt-audience": "test", "trusted-proxies": "127.0.0.1", "recovery-window": "60s", namespaces: "/,/chat" };

// Connects as a user, from an address that a proxy would tell.
function from(t, daemon, user, address, options = {}) {
  return client(t, daemon, { auth: { token: token(user) }, extraHeaders: { "X-Forwarded-For": address }, ...options });
}

// Resolves with the first connect_error.
const refusal = (socket) => new Promise((resolve) => socket.once("connect_error", resolve));

test("the lines about blocks, in their order", async (t) => {
  const lines = page("docs/operating.md").lines("grpcurl").map(([it]) => it).filter((it) => /\/(?:Block|Unblock|ListBlocks)$/.test(it));
  assert.equal(lines.length, 4);
  const daemon = await Daemon.start(t, settings);
  const spammer = await connected(from(t, daemon, "42", "192.0.2.1"));
  const theirs = await connected(from(t, daemon, "43", "203.0.113.7"));
  const other = await connected(from(t, daemon, "43", "192.0.2.1"));

  assert.deepEqual(await line(daemon, lines[0]), { affected: 1 });
  assert.deepEqual(await line(daemon, lines[1]), { affected: 1 });
  for (const socket of [spammer, theirs]) {
    await until(() => socket.ends.length === 1, "the session has ended");
    assert.equal(socket.ends[0], "io server disconnect");
  }
  const { blocks } = await line(daemon, lines[2]);
  assert.deepEqual(blocks.map(({ address, until }) => [address, until]), [["203.0.113.0/24", "2100-01-01T00:00:00Z"]]);

  // By a page that tries again, and by a new one.
  const refused = refusal(spammer);
  spammer.connect();
  assert.equal((await refused).message, "blocked");
  assert.equal((await refusal(from(t, daemon, "42", "192.0.2.2"))).message, "blocked");
  for (const transports of [["polling"], ["websocket"]]) {
    const err = await refusal(from(t, daemon, "43", "203.0.113.8", { transports, reconnection: false }));
    assert.equal(err.type, "TransportError");
    if (transports[0] === "polling") assert.equal(err.description, 403);
    else assert.match(err.description.message, /403/);
  }
  assert.equal(other.connected, true);
  assert.deepEqual(other.ends, []);

  assert.deepEqual(await line(daemon, lines[3]), { affected: 1 });
  await connected(from(t, daemon, "42", "192.0.2.1"));
});

test("who is blocked while it is away does not come back", async (t) => {
  const daemon = await Daemon.start(t, settings);
  const socket = await connected(from(t, daemon, "42", "192.0.2.1", { reconnectionDelay: 300, reconnectionDelayMax: 300 }));
  const gone = refusal(socket);
  socket.io.engine.close();
  await until(() => socket.ends.length === 1, "it is cut off");
  assert.deepEqual(await call(daemon, "RegistryService/Block", { users: ["42"] }), {});
  assert.equal((await gone).message, "blocked");
  assert.equal(socket.active, false);
});
