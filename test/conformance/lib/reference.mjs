// The reference server from npm, with the reactions of the conformance server.

import { createServer } from "node:http";
import { once } from "node:events";

import { Server } from "socket.io";

export async function startReference(options) {
  const http = createServer();
  const io = new Server(http, { cors: { origin: "*" }, serveClient: false, ...options });
  for (const name of ["/", "/custom"]) {
    io.of(name).on("connection", (socket) => {
      socket.emit("auth", socket.handshake.auth);
      socket.on("message", (...args) => socket.emit("message-back", ...args.filter((arg) => typeof arg !== "function")));
      socket.on("leave", () => {
        socket.emit("message-back", "last");
        socket.conn.close();
      });
      socket.on("message-with-ack", (...args) => {
        const answer = args.pop();
        if (typeof answer === "function") answer(...args);
      });
    });
  }
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return {
    address: `127.0.0.1:${http.address().port}`,
    async stop() {
      http.closeAllConnections();
      await io.close();
    },
  };
}
