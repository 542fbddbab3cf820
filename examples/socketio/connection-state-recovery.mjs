// Serves the client of Socket.IO's example "connection-state-recovery-example",
// beside a daemon with --recovery-window 2m.

import { all, emit, join, serve } from "./backend.mjs";

setInterval(() => emit(all, "ping", new Date().toISOString()).catch((err) => console.error(err.message)), 1000);

serve("connection-state-recovery", {
  async connected(client) {
    console.log(`connect ${client.id}, ${client.recovered ? "recovered" : "new"}`);
    if (!client.recovered) await join(client, "sample room");
  },
  disconnected: (client, reason) => console.log(`disconnect ${client.id} due to ${reason}`),
});
