// A backend, on what those of examples/socketio share, of which one handler
// throws one time.

import { daemon, only, serve } from "../../examples/socketio/backend.mjs";

let thrown = false;

serve("throwing-once", {
  events: {
    async number(client, n, throws) {
      if (throws && !thrown) {
        thrown = true;
        throw new Error("once");
      }
      await daemon.emit(only(client), "number", n);
    },
  },
});
