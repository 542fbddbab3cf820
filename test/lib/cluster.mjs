// Several daemons that are one cluster, and a balancer in front of them that knows
// nothing of sessions.

import http from "node:http";
import net from "node:net";

import { backend } from "./backend.mjs";
import { Daemon, freePorts } from "./daemon.mjs";
import { until } from "./until.mjs";

// startCluster starts so many nodes, which have met when it returns. each returns what one
// has of its own.
export async function startCluster(t, number, flags = {}, each = () => ({})) {
  const routes = await freePorts(number);
  const peers = routes.map((port) => `127.0.0.1:${port}`).join(",");
  const nodes = await Promise.all(
    routes.map(async (port, i) =>
      Daemon.startAlone(t, { "node-name": `n${i + 1}`, "cluster-listen": `127.0.0.1:${port}`, "cluster-peers": peers, ...flags, ...(await each(i)) }),
    ),
  );
  for (const node of nodes) {
    node.api = backend(t, node);
    await until(async () => (await node.api.listNodes({})).nodes.length === number, "the nodes have met");
  }
  return nodes;
}

// How often a balancer asks nodes whether they are ready.
const checkMs = 50;

// startBalancer sends each request to the next node that runs and says that it is ready,
// and returns its URL. Upgrades count as requests.
export async function startBalancer(t, nodes) {
  const away = new Set(); // nodes that say that they are not ready
  const checks = setInterval(async () => {
    for (const node of nodes) {
      const answer = await fetch(`${node.ops}/readyz`).catch(() => null);
      if (answer?.ok) away.delete(node);
      else away.add(node);
    }
  }, checkMs);
  t.after(() => clearInterval(checks));
  let turn = 0;
  const next = () => { // null: no node is ready
    const running = nodes.filter((node) => node.process !== null && !away.has(node));
    return running.length > 0 ? new URL(running[turn++ % running.length].url) : null;
  };
  const server = http.createServer((req, res) => {
    const to = next();
    if (to === null) return res.writeHead(503).end();
    const out = http.request({ host: to.hostname, port: to.port, path: req.url, method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    });
    out.on("error", () => res.destroy());
    res.on("close", () => out.destroy());
    req.pipe(out);
  });
  const sockets = new Set();
  server.on("upgrade", (req, socket, head) => {
    const to = next();
    if (to === null) return socket.end("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    const out = net.connect(to.port, to.hostname, () => {
      const lines = [`${req.method} ${req.url} HTTP/1.1`];
      for (let i = 0; i < req.rawHeaders.length; i += 2) lines.push(`${req.rawHeaders[i]}: ${req.rawHeaders[i + 1]}`);
      out.write(`${lines.join("\r\n")}\r\n\r\n`);
      out.write(head);
      out.pipe(socket).pipe(out);
    });
    for (const s of [socket, out]) {
      sockets.add(s);
      s.on("close", () => sockets.delete(s));
      s.on("error", () => [socket, out].forEach((other) => other.destroy()));
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const s of sockets) s.destroy();
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${server.address().port}`;
}
