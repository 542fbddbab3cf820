// Serves the client of Socket.IO's example "private-messaging"; sessions and
// messages are kept in memory.

import { randomBytes } from "node:crypto";

import { Refusal } from "@fanoutd/client";

import { daemon, only, others, serve } from "./backend.mjs";

const randomId = () => randomBytes(8).toString("hex");
const sessions = new Map(); // by session id: {userID, username, connected}
const messages = [];

serve("private-messaging", {
  connecting(client, { sessionID, username } = {}) {
    if (!sessions.has(sessionID)) {
      if (!username) throw new Refusal("invalid username");
      sessionID = randomId();
      sessions.set(sessionID, { userID: randomId(), username, connected: false });
    }
    client.data = { sessionID, session: sessions.get(sessionID) };
    return { userId: client.data.session.userID };
  },
  async connected(client) {
    const { sessionID, session } = client.data;
    if (!session) return; // it came to an earlier process, with which the sessions went
    const { userID, username } = session;
    session.connected = true;
    await daemon.emit(only(client), "session", { sessionID, userID });
    const between = (other) => messages.filter(({ from, to }) => (from === userID && to === other) || (from === other && to === userID));
    await daemon.emit(only(client), "users", [...sessions.values()].map((user) => ({ ...user, messages: between(user.userID) })));
    await daemon.emit(others(client), "user connected", { userID, username, connected: true, messages: [] });
  },
  events: {
    async "private message"(client, received) {
      const { content, to } = received ?? {};
      const { session } = client.data;
      if (!session || ![...sessions.values()].some(({ userID }) => userID === to)) return;
      const message = { content, from: session.userID, to };
      messages.push(message);
      await daemon.emit({ users: [to, message.from], except: [client.id] }, "private message", message);
    },
  },
  async disconnected(client) {
    const { session } = client.data;
    if (!session) return;
    const left = await daemon.count({ users: [session.userID] });
    if (left > 0 || !session.connected) return; // another tab is there, or has said so
    session.connected = false;
    await daemon.emit(others(client), "user disconnected", session.userID);
  },
});
