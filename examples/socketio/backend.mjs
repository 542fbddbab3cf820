// What the backends of this folder share: a client of the control API, and the
// loop that hears browsers. They take its address as their argument, and a key
// from $FANOUTD_CONTROL_KEY.

import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const address = process.argv[2] ?? "localhost:8081";
const proto = fileURLToPath(new URL("../../proto", import.meta.url));
const files = ["emitter", "registry", "event"].map((name) => `fanout/v1/${name}.proto`);
const { v1 } = grpc.loadPackageDefinition(loader.loadSync(files, { includeDirs: [proto], keepCase: true, enums: String, longs: String, oneofs: true })).fanout;
const [emitter, registry, events] = ["EmitterService", "RegistryService", "EventService"].map((name) => new v1[name](address, grpc.credentials.createInsecure()));
const metadata = new grpc.Metadata();
if (process.env.FANOUTD_CONTROL_KEY) metadata.set("authorization", `Bearer ${process.env.FANOUTD_CONTROL_KEY}`);

const call = (service, method, request) =>
  new Promise((resolve, reject) => service[method](request, metadata, { deadline: Date.now() + 5_000 }, (err, answer) => (err ? reject(err) : resolve(answer))));

// Targets: everybody, one client, everybody but one client.
export const all = { all: true };
export const only = ({ id }) => ({ ids: [id] });
export const others = ({ id }) => ({ all: true, except: [id] });

export const emit = (to, event, ...args) => call(emitter, "Emit", { to, event, args_json: JSON.stringify(args) });
export const join = (client, ...rooms) => call(registry, "Join", { to: only(client), rooms });
export const disconnect = (to) => call(registry, "Disconnect", { to });
export const count = async (to) => (await call(registry, "CountConnections", { to })).total ?? 0;

// Hears the browsers of the default namespace as a member of the group.
// connecting(client, auth) returns what is granted, or throws what the client
// gets as connect_error; connected(client), disconnected(client, reason) and
// events[name](client, ...args), whose result is the reply, may be async; when
// one throws, its event comes again, and what follows it of that client. A
// client is {id, data, connection}: its data is for the handlers, and lives as
// long as this process; its connection is as of the latest event. Never returns.
export async function serve(group, handlers) {
  const clients = new Map();
  for (;;) {
    const err = await consume(group, handlers, clients);
    console.error(`the stream ended, trying again: ${err?.message ?? "no reason given"}`);
    await sleep(500 + Math.random() * 500);
  }
}

// Lives through one stream; resolves with the error that ended it.
function consume(group, { connecting, connected, disconnected, events: named = {} }, clients) {
  return new Promise((resolve) => {
    const stream = events.Consume(metadata);
    const queues = new Map(); // the last promise of each connection: its events are handled in order
    const waiting = new Map(); // by delivery: {cancelled}, until its turn comes or it is taken back
    const failed = new Map(); // by delivery that was given back: has its connection go on
    let over = false;
    const end = (err) => ((over = true), resolve(err));
    stream.on("error", end).on("end", () => end(null));
    stream.write({ open: { group, namespaces: ["/"], events: Object.keys(named), lifecycle: true, authorize: Boolean(connecting), include_connection: true } });
    stream.on("data", ({ response, ...message }) => {
      if (response === "ready") console.log("ready");
      if (response === "cancelled") message.cancelled.delivery_ids.forEach(cancel);
      if (response === "rejected") goOn(message.rejected.delivery_id);
      if (response === "events") message.events.events.forEach(take);
    });
    function take(event) {
      const { delivery_id, connection_id } = event;
      const turn = { cancelled: false };
      waiting.set(delivery_id, turn);
      const done = (queues.get(connection_id) ?? Promise.resolve())
        .then(async () => {
          if (turn.cancelled || over) return; // it comes again, or is not wanted
          waiting.delete(delivery_id);
          const slow = setInterval(() => over || stream.write({ working: { delivery_ids: [delivery_id] } }), 10_000);
          const settlement = await handle(event)
            .catch((err) => {
              console.error(`event ${delivery_id} failed: ${err.message}`);
              return { nack: { delivery_ids: [delivery_id] } };
            })
            .finally(() => clearInterval(slow));
          if (over) return;
          stream.write(settlement);
          // The daemon names first what it takes back: this event, and those behind it.
          if (settlement.nack) await new Promise((resolve) => failed.set(delivery_id, resolve));
        })
        .finally(() => queues.get(connection_id) === done && queues.delete(connection_id));
      queues.set(connection_id, done);
    }
    function cancel(id) {
      const turn = waiting.get(id);
      if (turn) turn.cancelled = true;
      waiting.delete(id);
      goOn(id);
    }
    function goOn(id) {
      failed.get(id)?.();
      failed.delete(id);
    }
  });

  async function handle({ kind, delivery_id, connection_id: id, connection, event, args_json, reply_expected, reason }) {
    const client = clients.get(id) ?? { id, data: {} };
    clients.set(id, client);
    if (connection) client.connection = connection;
    const ack = { ack: { delivery_ids: [delivery_id] } };
    switch (kind) {
      case "CONNECTING":
        try {
          return { verdict: { delivery_id, allow: (await connecting(client, ...JSON.parse(args_json))) ?? {} } };
        } catch (err) {
          clients.delete(id);
          return { verdict: { delivery_id, refuse: { message: err.message } } };
        }
      case "CONNECTED":
        await connected?.(client);
        return ack;
      case "DISCONNECTED":
        await disconnected?.(client, reason);
        clients.delete(id);
        return ack;
      default: {
        if (!Object.hasOwn(named, event)) return ack; // without handlers it asks for all events, as no names mean
        const result = await named[event](client, ...JSON.parse(args_json));
        return reply_expected ? { reply: { delivery_id, args_json: JSON.stringify(result === undefined ? [] : [result]) } } : ack;
      }
    }
  }
}
