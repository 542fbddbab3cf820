// Serves the client of Socket.IO's example "whiteboard".

import { daemon, others, serve } from "./backend.mjs";

serve("whiteboard", {
  events: { drawing: (client, data) => daemon.emit(others(client), "drawing", data) },
});
