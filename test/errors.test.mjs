// Every request that is wrong gets exactly the answer that Engine.IO
// (engine.io/lib/server.ts) has for it, and the few where ours says more.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Daemon } from "./lib/daemon.mjs";
import { handshake, request, webSocket } from "./lib/http.mjs";
import { until, within } from "./lib/until.mjs";

const plainClient = /Socket\.IO server.*socket\.io-client/s;

const noUpgrade = "Bad request: a WebSocket's handshake without the headers Upgrade and Connection, which a proxy in front may have dropped";

test("the error table, over HTTP", async (t) => {
  const daemon = await Daemon.start(t);
  const { sid } = await handshake(daemon);
  for (const [name, method, query, status, code, message] of [
    ["no query at all", "GET", "", 400, 0, "Transport unknown"],
    ["no transport", "GET", "EIO=4", 400, 0, "Transport unknown"],
    ["an unlisted transport", "GET", "EIO=4&transport=flashsocket", 400, 0, "Transport unknown"],
    ["a transport by the name of a method", "GET", "EIO=4&transport=constructor", 400, 0, "Transport unknown"],
    ["an unknown session", "GET", "EIO=4&transport=polling&sid=abc", 400, 1, "Session ID unknown"],
    ["an unknown session, by POST", "POST", "EIO=4&transport=polling&sid=abc", 400, 1, "Session ID unknown"],
    ["a handshake by POST", "POST", "EIO=4&transport=polling", 400, 2, "Bad handshake method"],
    ["a handshake by PUT", "PUT", "EIO=4&transport=polling", 400, 2, "Bad handshake method"],
    ["a handshake by OPTIONS without an origin", "OPTIONS", "EIO=4&transport=polling", 400, 2, "Bad handshake method"],
    ["websocket without an upgrade", "GET", "EIO=4&transport=websocket", 400, 3, noUpgrade],
    ["another transport than the session's", "GET", `EIO=4&transport=websocket&sid=${sid}`, 400, 3, noUpgrade],
    ["another EIO than the session's", "GET", `EIO=3&transport=polling&sid=${sid}`, 400, 3, "Bad request"],
    ["protocol 3", "GET", "EIO=3&transport=polling", 400, 5, "Unsupported protocol version"],
    ["protocol 5", "GET", "EIO=5&transport=polling", 400, 5, "Unsupported protocol version"],
    ["no protocol", "GET", "transport=polling", 400, 5, "Unsupported protocol version"],
  ]) {
    await t.test(name, async () => {
      const answer = await request(daemon, method, `/socket.io/?${query}`);
      assert.equal(answer.status, status);
      assert.deepEqual(answer.json, { code, message });
      assert.equal(answer.headers["content-type"], "application/json");
    });
  }
  await t.test("HEAD", async () => {
    const answer = await request(daemon, "HEAD", "/socket.io/?EIO=4&transport=polling");
    assert.equal(answer.status, 400);
    assert.equal(answer.text, "");
  });
  await t.test("other methods in a session", async () => {
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      const { sid } = await handshake(daemon);
      const answer = await request(daemon, method, `/socket.io/?EIO=4&transport=polling&sid=${sid}`);
      assert.equal(answer.status, 400, method);
    }
  });
});

test("the error table, over WebSocket: status 400 and the message", async (t) => {
  const daemon = await Daemon.start(t);
  const { sid } = await handshake(daemon);
  for (const [name, query, message] of [
    ["an unlisted transport", "EIO=4&transport=flashsocket", "Transport unknown"],
    ["an unknown session", "EIO=4&transport=websocket&sid=abc", "Session ID unknown"],
    ["polling with an upgrade", "EIO=4&transport=polling", "Bad request"],
    ["another EIO than the session's", `EIO=3&transport=websocket&sid=${sid}`, "Bad request"],
    ["protocol 3", "EIO=3&transport=websocket", "Unsupported protocol version"],
  ]) {
    await t.test(name, async () => {
      const answer = await webSocket(daemon, `/socket.io/?${query}`);
      assert.equal(answer.status, 400);
      assert.equal(answer.text, message);
    });
  }
});

test("a plain WebSocket client is told what this is", async (t) => {
  const daemon = await Daemon.start(t);
  for (const path of ["/socket.io/", "/socket.io/?transport=websocket"]) {
    const answer = await webSocket(daemon, path);
    assert.equal(answer.status, 400);
    assert.match(answer.text, plainClient);
  }
});

describe("origins", () => {
  const refused = /origin https:\/\/evil\.example is not allowed.*origins/;
  const evil = { origin: "https://evil.example" };

  test("another origin is refused on polling and WebSocket alike, and the log says what to set", async (t) => {
    const daemon = await Daemon.start(t);
    const poll = await request(daemon, "GET", "/socket.io/?EIO=4&transport=polling", { headers: evil });
    assert.equal(poll.status, 403);
    assert.equal(poll.json.code, 4);
    assert.match(poll.json.message, refused);
    assert.equal(poll.headers["access-control-allow-origin"], undefined);

    const ws = await webSocket(daemon, "/socket.io/?EIO=4&transport=websocket", { headers: evil });
    assert.equal(ws.status, 400);
    assert.match(ws.text, refused);

    // A session that was opened from here is out of a stranger's reach as well.
    const { sid } = await handshake(daemon);
    const stray = await request(daemon, "GET", `/socket.io/?EIO=4&transport=polling&sid=${sid}`, { headers: evil });
    assert.equal(stray.status, 403);
    const upgrade = await webSocket(daemon, `/socket.io/?EIO=4&transport=websocket&sid=${sid}`, { headers: evil });
    assert.equal(upgrade.status, 400);
    assert.match(upgrade.text, refused);
    const preflight = await request(daemon, "OPTIONS", "/socket.io/?EIO=4&transport=polling", {
      headers: { ...evil, "access-control-request-method": "POST" },
    });
    assert.equal(preflight.status, 403);
    await until(() => /origins/.test(daemon.log) && daemon.log.includes("https://evil.example"), "the log names the origin and the setting");
  });

  test("the same origin, and no origin, are let in", async (t) => {
    const daemon = await Daemon.start(t);
    for (const headers of [{}, { origin: daemon.url }]) {
      assert.equal((await request(daemon, "GET", "/socket.io/?EIO=4&transport=polling", { headers })).status, 200);
      const { socket } = await webSocket(daemon, "/socket.io/?EIO=4&transport=websocket", { headers });
      socket.close();
    }
  });

  test("a listed origin is let in with credentials, on errors too", async (t) => {
    const daemon = await Daemon.start(t, { origins: "https://app.example" });
    const headers = { origin: "https://app.example" };
    for (const [query, status] of [
      ["EIO=4&transport=polling", 200],
      ["EIO=4&transport=nonsense", 400],
    ]) {
      const answer = await request(daemon, "GET", `/socket.io/?${query}`, { headers });
      assert.equal(answer.status, status);
      assert.equal(answer.headers["access-control-allow-origin"], "https://app.example");
      assert.equal(answer.headers["access-control-allow-credentials"], "true");
      assert.match(answer.headers.vary, /Origin/);
    }
    const preflight = await request(daemon, "OPTIONS", "/socket.io/?EIO=4&transport=polling", {
      headers: { ...headers, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
    });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers["access-control-allow-origin"], "https://app.example");
    assert.match(preflight.headers["access-control-allow-methods"], /POST/);
    assert.equal(preflight.headers["access-control-allow-headers"], "content-type");
    const { socket } = await webSocket(daemon, "/socket.io/?EIO=4&transport=websocket", { headers });
    socket.close();
    assert.equal((await request(daemon, "GET", "/socket.io/?EIO=4&transport=polling", { headers: { origin: "https://evil.example" } })).status, 403);
  });

  test("every origin, when the setting says so, but without credentials", async (t) => {
    const daemon = await Daemon.start(t, { origins: "*" });
    const answer = await request(daemon, "GET", "/socket.io/?EIO=4&transport=polling", { headers: evil });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["access-control-allow-origin"], "*");
    assert.equal(answer.headers["access-control-allow-credentials"], undefined);
  });
});

describe("polling", () => {
  const path = (sid) => `/socket.io/?EIO=4&transport=polling&sid=${sid}`;
  const gone = async (daemon, sid) => {
    const answer = await request(daemon, "GET", path(sid));
    assert.deepEqual(answer.json, { code: 1, message: "Session ID unknown" });
  };

  test("the handshake has the reference's packet and headers", async (t) => {
    const daemon = await Daemon.start(t);
    const answer = await request(daemon, "GET", "/socket.io/?EIO=4&transport=polling&t=abc");
    assert.equal(answer.headers["content-type"], "text/plain; charset=UTF-8");
    assert.equal(answer.headers["cache-control"], "no-store");
    const packet = JSON.parse(answer.text.slice(1));
    assert.deepEqual(Object.keys(packet), ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]);
    const { sid, ...rest } = packet;
    assert.match(sid, /^[A-Za-z0-9_-]{20,}$/);
    assert.deepEqual(rest, { upgrades: ["websocket"], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000 });
  });

  test("a body over max-payload is 413 without one, and the session survives", async (t) => {
    const daemon = await Daemon.start(t, { "max-payload": 1024 });
    const { sid, maxPayload } = await handshake(daemon);
    assert.equal(maxPayload, 1024);
    const large = await request(daemon, "POST", path(sid), { body: "4".repeat(1025) });
    assert.equal(large.status, 413);
    assert.equal(large.text, "");
    const connect = await request(daemon, "POST", path(sid), { body: "40" });
    assert.equal(connect.status, 200);
    assert.equal(connect.text, "ok");
    assert.match((await request(daemon, "GET", path(sid))).text, /^40\{"sid":"/);
  });

  test("a second GET closes the session", async (t) => {
    const daemon = await Daemon.start(t);
    const { sid } = await handshake(daemon);
    // Whichever arrives second is refused; the pending one gets the close packet.
    const answers = await Promise.all([request(daemon, "GET", path(sid)), request(daemon, "GET", path(sid))]);
    answers.sort((x, y) => x.status - y.status);
    assert.deepEqual([answers[0].status, answers[0].text, answers[1].status], [200, "1", 400]);
    await gone(daemon, sid);
  });

  test("an invalid packet, an empty body and a binary body each close the session", async (t) => {
    const daemon = await Daemon.start(t);
    for (const [name, body, headers] of [
      ["an invalid packet", "abc", {}],
      ["an empty body", "", {}],
      ["a binary body", "40", { "content-type": "application/octet-stream" }],
      ["an invalid Socket.IO packet", "49", {}],
    ]) {
      const { sid } = await handshake(daemon);
      await request(daemon, "POST", path(sid), { body, headers });
      const next = await request(daemon, "GET", path(sid));
      assert.ok(next.status === 400 || next.text === "1", `${name}: the session lives on: ${next.status} ${next.text}`);
      await gone(daemon, sid);
    }
  });
});

describe("websocket", () => {
  const path = "/socket.io/?EIO=4&transport=websocket";
  const closeCode = (socket) => within(new Promise((resolve) => socket.on("close", resolve)), "the socket to close");

  test("a message over max-payload closes with 1009", async (t) => {
    const daemon = await Daemon.start(t, { "max-payload": 1024 });
    const { socket } = await webSocket(daemon, path);
    const closed = closeCode(socket);
    socket.send(`4${"x".repeat(1025)}`);
    assert.equal(await closed, 1009);
  });

  test("what is no packet closes the session, and the daemon lives on", async (t) => {
    const daemon = await Daemon.start(t);
    for (const message of ["", "9", "abc", "2", "4nonsense", '42["x"]']) {
      const { socket } = await webSocket(daemon, path);
      const closed = closeCode(socket);
      socket.send(message);
      await closed;
    }
    const { socket } = await webSocket(daemon, path);
    const first = within(new Promise((resolve) => socket.on("message", (data) => /^40/.test(data) && resolve(String(data)))), "the CONNECT reply");
    socket.send("40");
    assert.match(await first, /^40\{"sid":"[^"]+"\}$/);
    socket.close();
  });

  test("who joins no namespace is closed after connect-timeout", async (t) => {
    const daemon = await Daemon.start(t, { "connect-timeout": "200ms" });
    const { socket } = await webSocket(daemon, path);
    await closeCode(socket);
  });

  test("who does not answer pings is closed", async (t) => {
    const daemon = await Daemon.start(t, { "ping-interval": "100ms", "ping-timeout": "100ms" });
    const { socket } = await webSocket(daemon, path);
    socket.send("40");
    await closeCode(socket);
  });

  test("an upgrade that never finishes leaves the polling session alone", async (t) => {
    const daemon = await Daemon.start(t, { "upgrade-timeout": "200ms" });
    const { sid } = await handshake(daemon);
    const { socket } = await webSocket(daemon, `${path}&sid=${sid}`);
    await closeCode(socket);
    const poll = `/socket.io/?EIO=4&transport=polling&sid=${sid}`;
    assert.equal((await request(daemon, "POST", poll, { body: "40" })).text, "ok");
    assert.match((await request(daemon, "GET", poll)).text, /^40\{/);
  });
});
