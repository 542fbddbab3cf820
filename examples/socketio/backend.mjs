// What the backends of this folder share, on @fanoutd/client: targets, and what a client is to them. They take the
// address of the control API as their argument, and a key from $FANOUTD_CONTROL_KEY.

import { Connection_View, Daemon } from "@fanoutd/client";

export const daemon = new Daemon({ address: process.argv[2] });

// Targets: everybody, one client, everybody but one client.
export const all = { all: true };
export const only = ({ id }) => ({ ids: [id] });
export const others = ({ id }) => ({ all: true, except: [id] });

// Hears the browsers of the default namespace as a member of the group, until the process is told to end.
// connecting(client, auth) returns what is granted, or throws a Refusal, which the client gets as
// connect_error; connected(client), disconnected(client, reason) and events[name](client, ...args), whose
// result is the reply, may be async; when one throws, its event comes again, and what follows it of
// that client. A client is {id, data, connection}: its data is for the handlers, and lives as long as this
// process; its connection is as of the latest event.
export async function serve(group, { connecting, connected, disconnected, events = {} }) {
  const clients = new Map();
  const clientOf = ({ connectionId: id, connection }) => {
    const client = clients.get(id) ?? { id, data: {} };
    clients.set(id, client);
    if (connection) client.connection = connection;
    return client;
  };
  const consumer = daemon
    .consumer({ group, includeConnection: true, view: Connection_View.FULL })
    .connected((event) => connected?.(clientOf(event)))
    .disconnected(async (event) => {
      await disconnected?.(clientOf(event), event.reason);
      clients.delete(event.connectionId);
    });
  if (connecting) {
    consumer.connecting(async (event, auth) => {
      try {
        return await connecting(clientOf(event), auth);
      } catch (err) {
        clients.delete(event.connectionId);
        throw err;
      }
    });
  }
  for (const [name, handler] of Object.entries(events)) consumer.on(name, (event, ...args) => handler(clientOf(event), ...args));
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => consumer.close());
  await consumer.run();
  await daemon.close();
  process.exit();
}
