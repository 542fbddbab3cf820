// Serves the client of Socket.IO's example "express-session-example": the page
// and its sessions by Express, on $PORT or 3000, beside a daemon with
// --expose-cookies connect.sid. The page's file is the second argument.

import { resolve } from "node:path";
import { promisify } from "node:util";

import { Refusal } from "@fanoutd/client";
import express from "express";
import session from "express-session";

import { daemon, only, serve } from "./backend.mjs";

const sessions = session({ secret: "changeit", resave: true, saveUninitialized: true });
const page = resolve(process.argv[3]);
const app = express();
app.use(sessions);

app.get("/", (req, res) => res.sendFile(page));

app.post("/incr", async ({ session }, res) => {
  session.count = (session.count ?? 0) + 1;
  res.end(`${session.count}`);
  await daemon.emit({ rooms: [session.id] }, "current count", session.count);
});

app.post("/logout", async ({ session }, res) => {
  await promisify(session.destroy).call(session);
  await daemon.disconnect({ rooms: [session.id] });
  res.status(204).end();
});

// The session that the cookie of a client's handshake names; null if there is none.
async function sessionOf(client) {
  const request = { url: "/", headers: client.connection.handshake?.headers ?? {} };
  await promisify(sessions)(request, {});
  return promisify(request.session.reload).call(request.session).then(() => request.session, () => null);
}

serve("express-session", {
  async connecting(client) {
    const session = await sessionOf(client);
    if (!session) throw new Refusal("no session");
    return { rooms: [session.id] };
  },
  events: {
    async incr(client) {
      const session = await sessionOf(client);
      if (!session) return void daemon.disconnect(only(client)); // logged out, or expired
      session.count = (session.count ?? 0) + 1;
      await promisify(session.save).call(session);
      return session.count;
    },
  },
});

const server = app.listen(process.env.PORT ?? 3000, () => console.log(`the page is at http://localhost:${server.address().port}`));
