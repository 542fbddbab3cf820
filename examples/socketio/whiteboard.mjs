// Serves the client of Socket.IO's example "whiteboard".

import { emit, others, serve } from "./backend.mjs";

serve("whiteboard", {
  events: { drawing: (client, data) => emit(others(client), "drawing", data) },
});
