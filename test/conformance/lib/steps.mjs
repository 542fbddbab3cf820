// What a script is made of. A script is a list of steps: requests of one
// session, and the frames of one WebSocket.

export const polling = "EIO=4&transport=polling";
export const websocket = "EIO=4&transport=websocket";
export const polling3 = "EIO=3&transport=polling";
export const websocket3 = "EIO=3&transport=websocket";

// What is answered as long as a session is in order: a CONNECT to a namespace
// that nobody has, whatever else was joined; for clients of v3, whose refusals
// differ, an event with an ack in the namespace they are always in.
export const sentinel = "40/end,";
export const sentinel3 = '42999["message-with-ack"]';

// open opens a session by polling; later steps are of that session.
export const open = (query = polling, options = {}) => ({ do: "request", query, opens: true, ...options });

// request sends any request; {sid} in its query is the session's.
export const request = (method, query, options = {}) => ({ do: "request", method, query, ...options });

// get and post are requests of the session, with what else the query is to have.
export const get = (options = {}) => ({ do: "request", ...options });
export const post = (body, options = {}) => ({ do: "request", method: "POST", body, ...options });

// start sends a request whose answer is awaited by finish, or never, after cut.
// With "unfinished" the body's end is held back.
export const start = (name, step) => ({ ...step, name });
export const finish = (name) => ({ do: "finish", name });
export const cut = (name) => ({ do: "cut", name });

// connect opens a WebSocket, send and raw send a message or any bytes over it
// and wait for what comes of it. A candidate for an upgrade answers no ping, so
// for one there are offer and offerRaw: they wait until anything comes, for a short while.
export const connect = (query = websocket, headers) => ({ do: "connect", query, headers });
export const candidate = (query = `${websocket}&sid={sid}`) => ({ do: "connect", query, candidate: true });
export const early = (step, ...frames) => ({ ...step, early: Buffer.concat(frames), frames }); // in one piece with the handshake
export const send = (message) => ({ do: "send", message });
export const offer = (message) => ({ do: "offer", message });
export const offerRaw = (...frames) => ({ do: "offer", bytes: Buffer.concat(frames), frames });
export const raw = (...frames) => ({ do: "raw", bytes: Buffer.concat(frames), frames });

// drain polls until everything that waits has come, or the session is gone.
export const drain = (options = {}) => ({ do: "drain", ...options });

// settle gives the server time to notice what nobody answers.
export const settle = { do: "settle" };

// v3 lays out packets as a payload of Engine.IO v3.
export const v3 = (...packets) => packets.map((p) => `${p.length}:${p}`).join("");

// v3Bytes does so as bytes: text packets and, as Buffers, binary ones.
export const v3Bytes = (...packets) => Buffer.concat(packets.flatMap((p) => {
  const data = Buffer.from(p);
  return [Buffer.from([typeof p === "string" ? 0 : 1, ...[...String(data.length)].map(Number), 255]), data];
}));
