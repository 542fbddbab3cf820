// The reference: the npm Socket.IO server with the handlers that the benchmark
// needs, the application inside its process as its users write it.
//
//   node socketio.mjs PORT [REDIS_URL]
//
// With the URL of a Redis it is one of several processes, by the Redis adapter.
//
// POST /emit?n=N with a body sends it N times, as event "m", to the room "bench",
// which every client is in; with rooms=R and start=S the i-th of them goes to the room
// r<(S + i) modulo R>, for clients are also in the room that their query names. GET /heap collects garbage, which Node.js has to be run with
// --expose-gc for, and answers the bytes that are left.

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const http = createServer((req, res) => {
  const url = new URL(req.url, "http://localhost");
  if (url.pathname === "/heap") {
    gc();
    res.end(String(process.memoryUsage().heapUsed));
    return;
  }
  if (url.pathname !== "/emit") {
    res.writeHead(404).end();
    return;
  }
  let body = "";
  req.on("data", (chunk) => (body += chunk));
  req.on("end", () => {
    const [n, rooms, start] = ["n", "rooms", "start"].map((name) => Number(url.searchParams.get(name)));
    for (let i = 0; i < n; i++) io.to(rooms ? `r${(start + i) % rooms}` : "bench").emit("m", body);
    res.end("ok");
  });
});
const redis = process.argv[3];
let adapter;
if (redis) {
  const pub = createClient({ url: redis });
  const sub = pub.duplicate();
  await Promise.all([pub.connect(), sub.connect()]);
  adapter = createAdapter(pub, sub);
}
const io = new Server(http, { serveClient: false, adapter });
io.on("connection", (socket) => {
  socket.join("bench");
  const { room } = socket.handshake.query;
  if (room) socket.join(room);
  socket.on("echo", (value, answer) => answer(value));
});
http.listen(Number(process.argv[2]), "127.0.0.1");
