// Serves the client of Socket.IO's example "connection-state-recovery-example",
// beside a daemon with --recovery-window 2m.

import { all, daemon, only, serve } from "./backend.mjs";

setInterval(() => daemon.emit(all, "ping", new Date().toISOString()).catch((err) => console.error(err.message)), 1000);

serve("connection-state-recovery", {
  async connected(client) {
    const { recovered } = client.connection;
    console.log(`connect ${client.id}, ${recovered ? "recovered" : "new"}`);
    if (!recovered) await daemon.join(only(client), "sample room");
  },
  disconnected: (client, reason) => console.log(`disconnect ${client.id} due to ${reason}`),
});
