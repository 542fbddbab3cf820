import type { Connection, Delivery } from "@fanoutd/client";
import type { Socket } from "socket.io";

import type { Conn } from "./conn.js";

/** How far a connection is. */
export enum Phase {
  /** A CONNECTING was delivered and the middlewares run; the daemon does not have it yet. */
  Deciding,
  /** The verdict is given; CONNECTED is awaited. */
  Admitted,
  /** The daemon has it, and the middlewares run: it was there before this process had it. */
  Adopting,
  /** The program has its socket. */
  Open,
  /** It has ended, or moved to another process. */
  Closed,
}

/** A connection of the daemon's, as this process has it: one client in one namespace. */
export class Link {
  phase: Phase;
  socket: Socket | undefined;
  /** What came before the program had the socket. */
  readonly waiting: Delivery[] = [];
  /** Gives the socket to the program, once CONNECTED has come. */
  admit: (() => void) | undefined;
  /** As it was when it was let in. */
  connected: Connection | undefined;
  /** The data that the daemon has, as JSON. */
  data = "{}";
  /** When this process last changed its rooms or data, in milliseconds of performance.now(). */
  touched = -Infinity;
  /** Its rooms are being taken over from the daemon, which is not to be told of them. */
  restoring = false;
  /** Its socket is being closed, so its rooms go by themselves. */
  ending = false;
  /** The stream that last named it as owned by this process. */
  stream = 0;

  constructor(
    readonly conn: Conn,
    readonly id: string,
    readonly namespace: string,
    /** The CONNECTING that is to be decided. */
    readonly connecting: Delivery | undefined,
    public connection: Connection,
  ) {
    this.phase = connecting ? Phase.Deciding : Phase.Adopting;
  }

  /** Whether the daemon has the connection, so that operations reach it. */
  get exists(): boolean {
    return this.phase === Phase.Adopting || this.phase === Phase.Open;
  }

  get recovered(): boolean {
    return this.connecting ? Boolean((this.connected ?? this.connection).recovered) : true;
  }
}

/** The rooms of a connection but that of its own id. */
export function roomsOf(connection: Connection): string[] {
  return (connection.rooms ?? []).filter((room) => room !== connection.id);
}

/** What is kept with a connection. */
export function dataOf(connection: Connection): { [key: string]: unknown } {
  if (connection.dataJson) return JSON.parse(connection.dataJson) as { [key: string]: unknown };
  return connection.data ?? {};
}

/** What the client passed as auth, as far as the daemon shows it. */
export function authOf({ handshake }: Connection): { [key: string]: unknown } {
  if (handshake?.authJson) return JSON.parse(handshake.authJson) as { [key: string]: unknown };
  return handshake?.auth ?? {};
}
