// The Socket.IO client of this page, and what happens to it in words.

/* global io */

// Loads the client from where it is served below path, connects there, and reports
// to view: state(name, text, hint), id(id or null), transport(name or null,
// upgraded), note(text, tone), event(name, args, ackRequested). Returns the socket,
// or null if the client does not load.
export async function connect(view, path) {
  const client = `${path}socket.io.js`;
  await loadScript(client);
  if (typeof io === "undefined") {
    view.state("away", "no client", `The Socket.IO client did not load from ${client}. Open that address: it says why.`);
    return null;
  }
  const socket = io({ path });
  watchTransport(socket.io, view);

  socket.on("connect", () => {
    view.id(socket.id);
    view.state("connected", "connected");
    view.note(`connected as ${socket.id} over ${socket.io.engine.transport.name}`, "good");
  });

  socket.on("disconnect", (reason) => {
    view.id(null);
    view.transport(null);
    if (socket.active) {
      view.state("reconnecting", "reconnecting");
      view.note(`connection lost (${reason}); the client comes back by itself`, "warn");
      return;
    }
    view.state("away", "disconnected", explain(reason));
    view.note(`disconnected (${reason}); the client stays away`, "bad");
  });

  socket.on("connect_error", (err) => {
    if (socket.active) return; // the transport failed; the manager tries again and says so
    view.state("away", "refused", `The server refused the connection: ${err.message}.`);
    view.note(`refused: ${err.message}`, "bad");
  });

  socket.io.on("reconnect_attempt", (attempt) => {
    view.state("reconnecting", `reconnecting, attempt ${attempt}`);
  });

  socket.onAny((name, ...args) => {
    // The client hands an acknowledgement over as a last argument.
    const ackRequested = typeof args.at(-1) === "function";
    if (ackRequested) args.pop();
    view.event(name, args, ackRequested);
  });
  return socket;
}

// Each connection has an engine of its own; it starts on one transport and may
// be upgraded to another.
function watchTransport(manager, view) {
  manager.on("open", () => {
    const { engine } = manager;
    view.transport(engine.transport.name, false);
    engine.on("upgrade", (transport) => {
      view.transport(transport.name, true);
      view.note(`upgraded to ${transport.name}`);
    });
  });
}

// Returns when the script has run, or failed to load.
function loadScript(src) {
  const script = document.createElement("script");
  script.src = src;
  const done = new Promise((resolve) => {
    script.onload = script.onerror = resolve;
  });
  document.head.append(script);
  return done;
}

function explain(reason) {
  if (reason === "io server disconnect") {
    return "The server ended this connection and said so, so the client does not try again by itself.";
  }
  return "The client does not try again by itself.";
}
