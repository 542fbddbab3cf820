// Stock clients of both generations, through everything that a client does.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { io as ioV4 } from "socket.io-client";
import ioV2 from "socket.io-client-v2";

import { start } from "./lib/server.mjs";

const generations = { "socket.io-client 4": ioV4, "socket.io-client 2": ioV2 };
const ways = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };
const timeout = 20_000;

// next waits for one event and returns its arguments.
function next(socket, event) {
  return new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
}

// end closes a manager with all its sockets, for good.
function end(manager) {
  manager.reconnection(false);
  (manager.close ?? manager._close).call(manager);
}

describe("stock clients", () => {
  let server;
  before(async () => (server = await start()));
  after(() => server.stop());

  for (const [name, io] of Object.entries(generations)) {
    for (const [way, transports] of Object.entries(ways)) {
      it(`${name}, ${way}`, { timeout }, async () => {
        const options = { transports, forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 20, query: { token: "t" } };
        const socket = io(`http://${server.address}`, options);
        try {
          const greeted = next(socket, "auth");
          await next(socket, "connect");
          assert.deepEqual(await greeted, [{}]);

          if (way === "upgrade") {
            const { engine } = socket.io;
            if (engine.transport.name !== "websocket") await next(engine, "upgrade");
            assert.equal(engine.transport.name, "websocket");
          }

          let answer = next(socket, "message-back");
          socket.emit("message", 1, "zwei €😀", { three: [true, null] });
          assert.deepEqual(await answer, [1, "zwei €😀", { three: [true, null] }]);

          answer = next(socket, "message-back");
          socket.emit("message", Buffer.from([1, 2, 3]), "beside", Buffer.alloc(3000, 255));
          const [first, beside, last] = await answer;
          assert.deepEqual([...Buffer.from(first)], [1, 2, 3]);
          assert.equal(beside, "beside");
          assert.deepEqual(Buffer.from(last), Buffer.alloc(3000, 255));

          const acked = await new Promise((resolve) => socket.emit("message-with-ack", "a", Buffer.from([9]), (...args) => resolve(args)));
          assert.equal(acked[0], "a");
          assert.deepEqual([...Buffer.from(acked[1])], [9]);

          // Longer than a heartbeat with its timeout: it is kept alive.
          await new Promise((resolve) => setTimeout(resolve, 1200));
          assert.equal(socket.connected, true);

          // A cut connection comes back by itself.
          const back = next(socket, "connect");
          socket.io.engine.close();
          await back;
          answer = next(socket, "message-back");
          socket.emit("message", "again");
          assert.deepEqual(await answer, ["again"]);
        } finally {
          end(socket.io);
        }
      });
    }

    for (const [way, transports] of Object.entries(ways)) {
      it(`${name}, ${way}: kicked out of every namespace, it stays away`, { timeout }, async () => {
        const manager = new io.Manager(`http://${server.address}`, { transports, reconnectionDelay: 10, reconnectionDelayMax: 20 });
        const sockets = [manager.socket("/"), manager.socket("/custom")];
        try {
          await Promise.all(sockets.map((socket) => next(socket, "connect")));
          let reconnects = 0;
          for (const event of ["reconnect_attempt", "reconnecting"]) manager.on(event, () => reconnects++);
          const last = next(sockets[0], "message-back");
          const ends = Promise.all(sockets.map((socket) => next(socket, "disconnect")));
          sockets[0].emit("kick"); // with ways.upgrade, while it changes over
          assert.deepEqual(await last, ["last"]);
          for (const [reason] of await ends) assert.equal(reason, "io server disconnect");
          await new Promise((resolve) => setTimeout(resolve, 500)); // many times the delay of a reconnect
          assert.equal(reconnects, 0);
          assert.equal(sockets.some((socket) => socket.connected), false);
        } finally {
          end(manager);
        }
      });
    }

    it(`${name}, several namespaces`, { timeout }, async () => {
      const manager = new io.Manager(`http://${server.address}`, { transports: ["websocket"] });
      const root = manager.socket("/");
      const custom = manager.socket("/custom", { auth: { token: "t" }, query: { token: "t" } });
      try {
        const greeted = next(custom, "auth");
        await Promise.all([next(root, "connect"), next(custom, "connect")]);
        const [auth] = await greeted;
        assert.equal(auth.token, "t");

        const nowhere = manager.socket("/nowhere");
        const [error] = await next(nowhere, io === ioV2 ? "error" : "connect_error");
        assert.equal(error.message ?? error, "Invalid namespace");

        custom.close();
        const answer = next(root, "message-back");
        root.emit("message", "still here");
        assert.deepEqual(await answer, ["still here"]);
      } finally {
        end(manager);
      }
    });
  }
});
