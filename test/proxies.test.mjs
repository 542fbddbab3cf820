// The examples of deploy/, with the proxies that they are for: two nodes of a cluster
// behind each, and no sticky sessions.

import assert from "node:assert/strict";
import http2 from "node:http2";
import https from "node:https";
import { describe, test } from "node:test";

import grpc from "@grpc/grpc-js";

import { App } from "./lib/app.mjs";
import { backend } from "./lib/backend.mjs";
import { client, connected, heard, upgraded } from "./lib/browser-like.mjs";
import { startCluster } from "./lib/cluster.mjs";
import { program, proxies, Proxy } from "./lib/proxies.mjs";
import { within } from "./lib/until.mjs";

// Not the proxies' address, which the daemons trust.
const browsersAddress = "127.0.0.2";

for (const name of Object.keys(proxies)) {
  describe(name, { timeout: 120_000 }, () => {
    test("polling, upgrade, addresses, origins, a reload under load, and gRPC", { skip: !program(name) && `${name} is not installed here` }, async (t) => {
      const flags = { "trusted-proxies": "127.0.0.1", "recovery-window": "30s", "ping-interval": "5s" };
      const nodes = await startCluster(t, 2, flags, proxies[name].flags);
      const proxy = await Proxy.start(t, name, nodes);
      // Kept connections would be a race that browsers win and this client loses: it never ends
      // the request that it repeats when a proxy closes one that it just took for a poll
      // (xmlhttprequest-ssl, errorHandler).
      const agent = new https.Agent({ ca: proxy.ca, localAddress: browsersAddress, keepAlive: false });
      t.after(() => agent.destroy());
      const connect = (options) => client(t, proxy, { agent, ca: proxy.ca, ...options });
      const api = proxy.withoutGRPC
        ? nodes[0].api
        : backend(t, { control: proxy.control, credentials: grpc.credentials.createSsl(Buffer.from(proxy.ca)) });
      if (proxy.withoutGRPC) t.diagnostic(`no gRPC by ${name}: ${proxy.withoutGRPC}`);

      await t.test("polling", async () => {
        const socket = await connected(connect({ transports: ["polling"] }));
        await api.emit({ to: { ids: [socket.id] }, event: "hello", args_json: '["you"]', wait: "APPLIED" });
        const [event] = await heard(socket, 1); // the last argument is its offset
        assert.deepEqual(event.slice(0, 2), ["hello", "you"]);
        socket.disconnect();
      });

      await t.test("the upgrade to WebSocket", async () => {
        const socket = await upgraded(connect());
        socket.disconnect();
        await connected(connect({ transports: ["websocket"] })).then((s) => s.disconnect());
      });

      await t.test("polling by HTTP/2", { skip: proxy.withoutHTTP2 }, async () => {
        const session = http2.connect(proxy.url, { ca: proxy.ca });
        const request = session.request({ ":path": "/socket.io/?EIO=4&transport=polling" });
        let body = "";
        request.setEncoding("utf8").on("data", (text) => (body += text));
        const status = await within(new Promise((resolve, reject) => {
          session.on("error", reject);
          request.on("error", reject).on("response", (headers) => request.on("end", () => resolve(headers[":status"])));
        }), "an answer");
        session.destroy();
        assert.equal(status, 200);
        assert.match(body, /^0\{/);
      });

      await t.test("who clients are, whatever they say", async () => {
        const socket = await connected(connect({ extraHeaders: { "x-forwarded-for": "9.9.9.9" } }));
        const { connection } = await api.getConnection({ id: socket.id });
        assert.equal(connection.handshake.address.replace(/:\d+$/, ""), browsersAddress);
        assert.equal(connection.handshake.secure, true);
        socket.disconnect();
      });

      await t.test("a page of the same origin gets in, another does not", async () => {
        const handshake = (origin) =>
          new Promise((resolve, reject) => {
            const path = "/socket.io/?EIO=4&transport=polling";
            https.get(proxy.url + path, { agent, headers: { origin } }, (res) => resolve(res.resume().statusCode)).on("error", reject);
          });
        assert.equal(await handshake(proxy.url), 200);
        assert.equal(await handshake("https://evil.example"), 403);
        assert.equal(await handshake(proxy.url.replace("https", "http")), 403);
      });

      await t.test("a reload under load", async () => {
        const sockets = await Promise.all([
          ...Array.from({ length: 8 }, () => connected(connect({ transports: ["polling"] }))),
          ...Array.from({ length: 8 }, () => upgraded(connect({}))),
        ]);
        const errors = [];
        for (const s of sockets) s.io.on("reconnect_error", (err) => errors.push(err.message));
        await api.join({ to: { all: true }, rooms: ["all"] });
        let sent = 0;
        const emit = async (n) => {
          for (const last = sent + n; sent < last; sent++) await nodes[sent % 2].api.emit({ to: { rooms: ["all"] }, event: "n", args_json: `[${sent}]`, wait: "APPLIED" });
        };
        await emit(20);
        await proxy.reload(proxy);
        const end = Date.now() + 3000; // old WebSockets end a second later
        while (Date.now() < end) await emit(5);
        await Promise.all(sockets.map(async (s) => {
          await heard(s, sent);
          assert.deepEqual(s.heard.map(([, n]) => n), Array.from({ length: sent }, (_, n) => n), "an event is missing");
          assert.ok(s.ends.length <= 1, `a client lost its connection ${s.ends.length} times: ${s.ends}`);
        }));
        const [polling, websockets] = [sockets.slice(0, 8), sockets.slice(8)].map((list) => list.reduce((n, s) => n + s.ends.length, 0));
        assert.equal(polling, 0, "polling clients lost their connections");
        assert.deepEqual(errors, []);
        t.diagnostic(`${name}: a reload ended ${websockets} of 8 WebSockets, whose clients came back; ${sent} events, none lost`);
        for (const s of sockets) s.disconnect();
      });

      if (!proxy.withoutGRPC) {
        // Last, since it decides who may connect, and a reload ends its stream.
        await t.test("a consumer hears browsers and answers them", async () => {
          const app = new App(api, "chat");
          app.on("/", "order", (_, number, reply) => reply(number + 1));
          await app.run(t);
          const socket = await connected(connect());
          assert.equal(await socket.timeout(10_000).emitWithAck("order", 66), 67);
          socket.disconnect();
        });
      }

      const metrics = await Promise.all(nodes.map(async ({ ops }) => (await fetch(`${ops}/metrics`)).text()));
      const forwarded = metrics.map((text) => Number(text.match(/^fanoutd_requests_forwarded_total (\d+)$/m)[1]));
      assert.ok(forwarded.some((n) => n > 0), "sessions stayed at their nodes: the balancer was not seen to need the nodes' forwarding");
    });
  });
}
