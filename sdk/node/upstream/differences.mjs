// Tests of the socket.io server that do not hold here, each with its reason.

// How many tests there are, those that are left out aside.
export const tests = 194;

const sessionEnds = "fanoutd ends the session at once: the next poll is told that it is unknown, and no close packet waits for it";

export const differences = {
  "close protocol violations should close the connection when receiving several CONNECT packets":
    "a second CONNECT replaces the connection, as if the client had left in between: docs/protocol.md",
  "close protocol violations should close the connection when receiving an EVENT packet while not connected": sessionEnds,
  "close protocol violations should close the connection when receiving an invalid packet": sessionEnds,
  "messaging many should precompute the WebSocket frame when broadcasting": "fanoutd makes the frames; this process has none",
  "v2 compatibility should connect if `allowEIO3` is true":
    "a Socket.IO v2 client takes the session's id for its own, which is a secret of fanoutd's: socket.id is another",
};

// Files that are left out.
export const leftOut = {
  "uws.ts": "uWebSockets.js accepts browsers, which is what fanoutd does: attachApp throws; and it is in no package registry",
};
