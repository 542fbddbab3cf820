// A backend in another language than the daemon's: the gRPC client that
// grpc-js makes of proto/ at run time.

import assert from "node:assert/strict";
import path from "node:path";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

import { apart, root } from "./daemon.mjs";

const definition = protoLoader.loadSync(
  ["emitter", "registry", "event", "admin"].map((name) => `fanout/v1/${name}.proto`),
  {
    includeDirs: [path.join(root, "proto")],
    keepCase: true, // names as in the .proto files
    longs: String, // uint64 is wider than a number
    enums: String,
    defaults: true,
  },
);
const { fanout } = grpc.loadPackageDefinition(definition);

const deadlineMs = 20_000;

// Has each call bring this key.
const sends = (key) => (options, nextCall) =>
  new grpc.InterceptingCall(nextCall(options), {
    start(metadata, listener, next) {
      metadata.set("authorization", `Bearer ${key}`);
      next(metadata, listener);
    },
  });

// Connects to a daemon's control API for one test, with its .key if it has one. Every unary RPC of every
// service is a method in lower camel case that returns a promise.
export function backend(t, daemon) {
  const clients = ["EmitterService", "RegistryService", "EventService", "AdminService"].map(
    (name) => new fanout.v1[name](daemon.control, daemon.credentials ?? grpc.credentials.createInsecure(), daemon.key ? { interceptors: [sends(daemon.key)] } : {}),
  );
  t.after(() => clients.forEach((client) => client.close()));
  const [emitter, registry, events, admin] = clients;
  const unary = (client, method) => (request) =>
    new Promise((resolve, reject) => {
      client[method](request, { deadline: Date.now() + deadlineMs }, (err, answer) => (err ? reject(err) : resolve(answer)));
    });
  return {
    // Tests count what an emit matched, which a cluster does when it is asked to.
    emit: (request) => unary(emitter, "Emit")(apart ? { wait: "APPLIED", ...request } : request),
    emitBatch: unary(emitter, "EmitBatch"),
    emitStream: () => emitter.EmitStream({ deadline: Date.now() + 6 * deadlineMs }),
    // Resolves with all messages of the answer behind the first, which says how many are asked.
    emitWithAck: async (request) => {
      const messages = [];
      for await (const message of emitter.EmitWithAck(request, { deadline: Date.now() + deadlineMs })) messages.push(message);
      const { started } = messages.shift();
      const { summary } = messages.at(-1);
      assert.equal(started.expected, summary.expected);
      return messages;
    },
    execute: () => emitter.Execute({ deadline: Date.now() + 6 * deadlineMs }),
    batch: unary(emitter, "Batch"),
    call: unary(emitter, "Call"),
    listConnections: unary(registry, "ListConnections"),
    getConnection: unary(registry, "GetConnection"),
    countConnections: unary(registry, "CountConnections"),
    listRooms: unary(registry, "ListRooms"),
    listUsers: unary(registry, "ListUsers"),
    listNamespaces: unary(registry, "ListNamespaces"),
    join: unary(registry, "Join"),
    leave: unary(registry, "Leave"),
    disconnect: unary(registry, "Disconnect"),
    updateConnection: unary(registry, "UpdateConnection"),
    updateConnections: unary(registry, "UpdateConnections"),
    consume: () => events.Consume(),
    reply: unary(events, "Reply"),
    publish: unary(events, "Publish"),
    listConsumers: unary(admin, "ListConsumers"),
    listDeadLetters: unary(admin, "ListDeadLetters"),
    listNodes: unary(admin, "ListNodes"),
    // Resolves with all messages of the answer.
    drain: async (request) => {
      const messages = [];
      for await (const message of admin.Drain(request, { deadline: Date.now() + 6 * deadlineMs })) messages.push(message);
      return messages;
    },
    getServerInfo: unary(admin, "GetServerInfo"),
  };
}

export const { status } = grpc;
