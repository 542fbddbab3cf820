import { EventEmitter } from "node:events";

import type { Packet } from "socket.io-parser";

/** Passes packets as they are: the daemon is who reads and writes the protocol. */
export class Encoder {
  encode(packet: Packet): Packet[] {
    return [packet];
  }
}

/** Takes packets as they are. */
export class Decoder extends EventEmitter {
  add(packet: unknown): void {
    if (packet === null || typeof packet !== "object" || !("type" in packet)) throw new Error("not a packet");
    this.emit("decoded", packet);
  }

  destroy(): void {}
}

/** PacketType of socket.io-parser, without a dependency on it. */
export enum PacketType {
  CONNECT,
  DISCONNECT,
  EVENT,
  ACK,
  CONNECT_ERROR,
  BINARY_EVENT,
  BINARY_ACK,
}
