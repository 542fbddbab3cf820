// A small chat on fanoutd, with @fanoutd/client: everybody hears everybody, rooms are heard by who is in them,
// and the number of people is always up to date. It keeps nothing: run as many of it as you like.
//
//     node chat.mjs [address of the control API, or several, separated by commas]
//
// A key is taken from $FANOUTD_CONTROL_KEY.

import { Daemon } from "@fanoutd/client";

const daemon = new Daemon({ address: process.argv[2] });
const chat = daemon.consumer({ group: "chat" });

// What is said to be wrong is told, not retried: it would be wrong again.
const isText = (value, max) => typeof value === "string" && value.length <= max;
const ok = { ok: true };
const wrong = (error) => ({ error });
const everybody = { all: true };

chat.on("send message", async ({ deliveryId }, msg, more) => {
  const { name = "", room = "" } = more ?? {};
  if (!msg || !isText(msg, 2000) || !isText(name, 100) || !isText(room, 100)) return wrong("a message is (text, {name, room})");
  // With its key, a message is sent once even if the event comes again.
  await daemon.emitWith({ idempotencyKey: deliveryId }, room ? { rooms: [room] } : everybody, "new message", { msg, name, room });
  return ok;
});
chat.on("join room", async ({ connectionId }, room) => {
  if (!room || !isText(room, 100)) return wrong("a room is a name");
  await daemon.join({ ids: [connectionId] }, room);
  return ok;
});
chat.on("leave room", async ({ connectionId }, room) => {
  if (!room || !isText(room, 100)) return wrong("a room is a name");
  await daemon.leave({ ids: [connectionId] }, room);
  return ok;
});
// While a node of a cluster does not answer, those of the others.
const users = () => daemon.count(everybody, { allowPartial: true });
chat.on("users count", users);

let counting = Promise.resolve(); // one at a time: the latest count is to be told last
const sayCount = () => {
  const said = async () => void (await daemon.emit(everybody, "users count", await users()));
  return (counting = counting.catch(() => {}).then(said)); // if it fails, the event that asked for it comes again
};
chat.connected(sayCount).disconnected(sayCount);

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => chat.close());
await chat.run();
await daemon.close();
