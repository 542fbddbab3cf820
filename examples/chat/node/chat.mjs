// A small chat on fanoutd, with nothing but the stock gRPC library: everybody
// hears everybody, rooms are heard by who is in them, and the number of people
// is always up to date. It keeps nothing: run as many of it as you like.
//
//     npm install && node chat.mjs [address of the control API]
//
// A key is taken from $FANOUTD_CONTROL_KEY.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const address = process.argv[2] ?? "localhost:8081";
const proto = fileURLToPath(new URL("../../../proto", import.meta.url));
const files = ["emitter", "registry", "event"].map((name) => `fanout/v1/${name}.proto`);
const { v1 } = grpc.loadPackageDefinition(loader.loadSync(files, { includeDirs: [proto], keepCase: true, enums: String, longs: String, oneofs: true })).fanout;

const settings = { "grpc.keepalive_time_ms": 20_000, "grpc.max_reconnect_backoff_ms": 5_000, "grpc.initial_reconnect_backoff_ms": 100 };
const client = (Service) => new Service(address, grpc.credentials.createInsecure(), settings);
const emitter = client(v1.EmitterService);
const registry = client(v1.RegistryService);
const events = client(v1.EventService);

const metadata = new grpc.Metadata();
if (process.env.FANOUTD_CONTROL_KEY) metadata.set("authorization", `Bearer ${process.env.FANOUTD_CONTROL_KEY}`);
const call = (service, method, request) =>
  new Promise((resolve, reject) => service[method](request, metadata, { deadline: Date.now() + 5_000 }, (err, answer) => (err ? reject(err) : resolve(answer))));
const emit = (to, event, args, key) => call(emitter, "Emit", { to, event, args_json: JSON.stringify(args), idempotency_key: key });
const everybody = { all: true };

// What is said to be wrong is told, not retried: it would be wrong again.
const isText = (value, max) => typeof value === "string" && value.length <= max;
const ok = [{ ok: true }];
const wrong = (error) => [{ error }];

// By event: what is returned is the reply, as a list of arguments.
const handlers = {
  async "send message"(event, msg, more) {
    const { name = "", room = "" } = more ?? {};
    if (!msg || !isText(msg, 2000) || !isText(name, 100) || !isText(room, 100)) return wrong("a message is (text, {name, room})");
    // With its key, a message is sent once even if the event comes again.
    await emit(room ? { rooms: [room] } : everybody, "new message", [{ msg, name, room }], event.delivery_id);
    return ok;
  },
  async "join room"(event, room) {
    if (!room || !isText(room, 100)) return wrong("a room is a name");
    await call(registry, "Join", { to: { ids: [event.connection_id] }, rooms: [room] });
    return ok;
  },
  async "leave room"(event, room) {
    if (!room || !isText(room, 100)) return wrong("a room is a name");
    await call(registry, "Leave", { to: { ids: [event.connection_id] }, rooms: [room] });
    return ok;
  },
  async "users count"() {
    return [(await call(registry, "CountConnections", { to: everybody })).total];
  },
};

let counting = Promise.resolve(); // one at a time: the latest count is to be told last
const sayCount = () => (counting = counting.catch(() => {}).then(async () => emit(everybody, "users count", await handlers["users count"]())));

async function handle(event) {
  if (event.kind !== "MESSAGE") return sayCount(); // CONNECTED, DISCONNECTED
  return handlers[event.event](event, ...JSON.parse(event.args_json));
}

// Events of one connection are handled one after the other, those of others
// meanwhile: the last one's promise by connection, across streams.
const queues = new Map();
let stopping = false;
let leave = () => {};
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => ((stopping = true), leave()));

// Lives through one stream; resolves with the error that ended it.
function consume(consumer_id, onReady) {
  return new Promise((resolve) => {
    const stream = events.Consume(metadata);
    let over = false;
    const end = (err) => ((over = true), resolve(err));
    stream.on("error", end).on("end", () => end(null));
    stream.write({ open: { group: "chat", consumer_id, namespaces: ["/"], events: Object.keys(handlers), lifecycle: true } });
    leave = () => stream.write({ leave: {} });
    if (stopping) leave();
    stream.on("data", ({ response, events }) => {
      if (response === "ready") onReady();
      if (response === "events") events.events.forEach(take);
      // Nothing follows; once all is settled, so is the stream.
      if (response === "draining" && stopping) Promise.all(queues.values()).then(() => stream.end());
    });
    function take(event) {
      const { delivery_id, connection_id } = event;
      const done = (queues.get(connection_id) ?? Promise.resolve())
        .then(async () => {
          if (over) return; // it comes again
          const reply = await handle(event);
          if (over) return;
          if (event.reply_expected) stream.write({ reply: { delivery_id, args_json: JSON.stringify(reply ?? []) } });
          else stream.write({ ack: { delivery_ids: [delivery_id] } });
        })
        .catch((err) => {
          // Without its stream, everything that is not settled comes again, in order.
          console.error(`event ${delivery_id} failed: ${err.message}`);
          over = true;
          stream.cancel();
        })
        .finally(() => queues.get(connection_id) === done && queues.delete(connection_id));
      queues.set(connection_id, done);
    }
  });
}

const id = randomUUID();
for (let failures = 0; !stopping; failures++) {
  const err = await consume(id, () => (failures = 0));
  if (stopping) break;
  console.error(`the stream ended, trying again: ${err?.message ?? "no reason given"}`);
  await sleep(Math.min(100 * 2 ** failures, 5_000) * (0.5 + Math.random() / 2));
}
for (const service of [emitter, registry, events]) service.close();
