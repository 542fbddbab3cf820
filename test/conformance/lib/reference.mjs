// The reference server from npm, with the reactions of the conformance server.

import { createServer } from "node:http";
import { once } from "node:events";

import { Server } from "socket.io";

const sorted = (o) => Object.fromEntries(Object.entries(o).sort(([a], [b]) => (a < b ? -1 : 1)));

// letIn is an allowRequest that lets in the pages of these origins and of the same
// one, as the reference's documentation has it done, with fanoutd's words.
export const letIn = (list) => (req, callback) => {
  const { origin, host } = req.headers;
  const own = /^(?:http|ws)s?:\/\/(.*)$/.exec(origin)?.[1] === host;
  if (!origin || own || list.includes(origin)) callback(null, true);
  else callback(`origin ${origin} is not allowed: add it to the server's setting origins (--origins, FANOUTD_ORIGINS)`, false);
};

export async function startReference(options) {
  const http = createServer();
  const io = new Server(http, { cors: { origin: "*" }, serveClient: false, ...options });
  for (const name of ["/", "/custom"]) {
    io.of(name).on("connection", (socket) => {
      socket.emit("auth", socket.handshake.auth);
      socket.on("message", (...args) => socket.emit("message-back", ...args.filter((arg) => typeof arg !== "function")));
      socket.on("query", () => socket.emit("message-back", sorted(socket.handshake.query)));
      socket.on("leave", () => {
        socket.emit("message-back", "last");
        socket.conn.close();
      });
      socket.on("kick", () => {
        socket.emit("message-back", "last");
        socket.disconnect(true);
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
