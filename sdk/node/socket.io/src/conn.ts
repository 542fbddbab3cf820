import { EventEmitter } from "node:events";

import { type Connection } from "@fanoutd/client";
import type { Packet } from "socket.io-parser";

import type { Engine } from "./engine.js";
import type { Link } from "./link.js";
import { PacketType } from "./parser.js";
import { type HandshakeRequest, handshakeRequest, hostOf } from "./request.js";

/** How a packet is written, as socket.io says it. */
export interface WriteOptions {
  volatile?: boolean;
  compress?: boolean;
  timeout?: number;
}

/**
 * A browser's session as socket.io sees it: what an Engine.IO socket is to it. It reads and writes packets, not
 * bytes. It lives while this process has connections of the session.
 */
export class Conn extends EventEmitter {
  readonly id: string;
  readonly remoteAddress: string;
  readonly transport: { name: string; writable: boolean };
  readyState: "open" | "closing" | "closed" = "open";
  /** Revision of the Engine.IO protocol. */
  protocol = 4;
  declare request: HandshakeRequest;
  /** By namespace, those that this process has. */
  readonly links = new Map<string, Link>();
  /** The session was told to end, with all of its connections. */
  ending = false;
  #upgrading: NodeJS.Timeout | undefined;

  constructor(
    readonly server: Engine,
    connection: Connection,
  ) {
    super();
    this.id = connection.session ?? "";
    this.request = handshakeRequest(connection.handshake);
    this.remoteAddress = hostOf(connection.handshake?.address ?? "");
    this.transport = { name: connection.transport ?? "", writable: true };
    this.on("newListener", (event) => {
      if (event === "upgrade") this.#watchUpgrade();
      if (event === "packetCreate") this.server.watched = true;
    });
  }

  /** Sends a packet. */
  write(packet: Packet, options: WriteOptions = {}): this {
    const link = this.links.get(packet.nsp);
    if (!link) return this;
    this.created(packet, options);
    switch (packet.type as number) {
      case PacketType.EVENT:
      case PacketType.BINARY_EVENT:
        // As with a transport: what is written in one go has to be taken before it is writable again.
        if (this.transport.writable) {
          this.transport.writable = false;
          setImmediate(() => (this.transport.writable = true));
        }
        this.server.emitTo(link, packet, options);
        break;
      case PacketType.ACK:
      case PacketType.BINARY_ACK:
        this.server.reply(link, packet);
        break;
      case PacketType.DISCONNECT:
        if (!this.ending) this.server.disconnect(link);
        break;
      case PacketType.CONNECT_ERROR:
        this.server.refuse(link, packet.data as string | { message?: string; data?: unknown });
        break;
      case PacketType.CONNECT: // the daemon has told the client
    }
    return this;
  }

  send = this.write;

  /** Tells those who listen for packets of one. */
  created(packet: Packet, { compress = true, volatile }: WriteOptions): void {
    if (this.listenerCount("packetCreate") > 0) this.emit("packetCreate", { type: "message", data: packet, options: { compress, volatile } });
  }

  /** Ends the session, with all its connections: their clients stay away. */
  close(): this {
    if (this.readyState !== "open") return this;
    this.end();
    this.readyState = "closing";
    setImmediate(() => this.closed("forced close"));
    return this;
  }

  /** Has the daemon end the session. */
  end(): void {
    if (this.ending) return;
    this.ending = true;
    this.server.closeSession(this);
  }

  /** The session has ended, or this process has no part of it any more. */
  closed(reason: string, description?: unknown): void {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    clearInterval(this.#upgrading);
    this.server.forget(this);
    this.emit("close", reason, description);
  }

  // The daemon does not tell of an upgrade, so who listens for it has it looked for.
  #watchUpgrade(): void {
    if (this.#upgrading || this.transport.name !== "polling") return;
    this.#upgrading = setInterval(() => {
      const link = this.links.values().next().value;
      if (!link?.exists) return;
      this.server.transportOf(link).then(
        (name) => {
          if (name === "" || name === "polling" || this.readyState !== "open") return;
          clearInterval(this.#upgrading);
          this.transport.name = name;
          this.emit("upgrade", this.transport);
        },
        () => {},
      );
    }, 250);
    this.#upgrading.unref();
  }
}
