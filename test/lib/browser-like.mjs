// The stock client outside a browser, and what the tests ask of it.

import { io } from "socket.io-client";

import { until, within } from "./until.mjs";

// Connects a stock client for one test; everything it hears is in .heard as
// [name, ...args], everything that ended it in .ends.
export function client(t, daemon, options = {}) {
  const { namespace = "/", ...rest } = options;
  const socket = io(daemon.url + namespace, {
    forceNew: true,
    reconnectionDelay: 20,
    reconnectionDelayMax: 200,
    ...rest,
  });
  t.after(() => {
    socket.io.reconnection(false);
    socket.disconnect();
    socket.io.engine?.close(); // other namespaces may hold it open
  });
  socket.heard = [];
  socket.ends = [];
  socket.onAny((...event) => socket.heard.push(event));
  socket.on("disconnect", (reason) => socket.ends.push(reason));
  return socket;
}

export async function connected(socket) {
  if (socket.connected) return socket;
  await within(
    new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", (err) => (socket.active ? undefined : reject(err)));
    }),
    "the client to connect",
  );
  return socket;
}

export async function upgraded(socket) {
  await connected(socket);
  await until(() => socket.io.engine.transport.name === "websocket", "the client has upgraded to websocket");
  return socket;
}

// Waits until the client has heard n events, and returns all it has heard.
export async function heard(socket, n) {
  await until(() => socket.heard.length >= n, `the client has heard ${n} events`);
  return socket.heard;
}
