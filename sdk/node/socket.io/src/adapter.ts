import { type Connection, Connection_View, decodeArgs, DisconnectRequest_Mode, duration, encodeArgs, FanoutdError, type Target } from "@fanoutd/client";
import type { Namespace, Socket } from "socket.io";
import { Adapter as InMemoryAdapter, type BroadcastOptions, type Room, type SocketId } from "socket.io-adapter";
import type { Packet } from "socket.io-parser";

import { type Engine, serverSideTopic } from "./engine.js";
import { authOf, dataOf } from "./link.js";
import { handshakeRequest } from "./request.js";

// How long answers of other processes are awaited.
const serverSideMs = 5_000;

// Where a broadcast has no timeout of its own.
const longestMs = 24 * 3600 * 1000;

/**
 * The rooms of a namespace. The daemon has them all; here stand those of this process's own sockets besides, so that
 * `socket.rooms` and `adapter.rooms` answer at once.
 */
export class Adapter extends InMemoryAdapter {
  declare readonly nsp: Namespace;

  // Targets of this turn of the event loop, and their names as far as a volatile event asked for them.
  #sent: Target[] = [];
  readonly #sentTo = new Set<string>();
  // Sockets with which somebody listens to what is sent, or did.
  readonly #overheard = new Set<Socket>();

  // Undefined before the server is attached, and after it was closed: then there is nobody.
  get #engine(): Engine | undefined {
    return (this.nsp.server as unknown as { engine?: Engine }).engine;
  }

  override addAll(id: SocketId, rooms: Set<Room>): void {
    rooms = new Set(this.#named([...rooms]));
    void super.addAll(id, rooms);
    const names = [...rooms].filter((room) => room !== id);
    if (names.length === 0 || !this.#told(id)) return;
    this.#engine?.post({ $case: "join", value: { to: { namespace: this.nsp.name, ids: [id] }, rooms: names } });
  }

  // Those of the rooms that the daemon takes: it would refuse all of them for the empty name.
  #named(rooms: Room[]): Room[] {
    if (!rooms.includes("")) return rooms;
    this.#engine?.report(new FanoutdError("INVALID_ARGUMENT", "no socket joins the room \"\": fanoutd has no room of the empty name"));
    return rooms.filter((room) => room !== "");
  }

  override del(id: SocketId, room: Room): void {
    const was = this.sids.get(id)?.has(room);
    void super.del(id, room);
    if (was && this.#told(id)) this.#engine?.post({ $case: "leave", value: { to: { namespace: this.nsp.name, ids: [id] }, rooms: [room] } });
  }

  override delAll(id: SocketId): void {
    const rooms = [...(this.sids.get(id) ?? [])];
    super.delAll(id);
    // Not because it ended: somebody had it leave all its rooms.
    const socket = this.nsp.sockets.get(id);
    if (rooms.length > 0 && socket?.connected && !this.#ending(socket) && this.#told(id)) {
      this.#engine?.post({ $case: "leave", value: { to: { namespace: this.nsp.name, ids: [id] }, rooms } });
    }
  }

  // Whether the daemon is to be told of rooms of a connection: before it is let in, the verdict does so.
  #told(id: SocketId): boolean {
    const link = this.#engine?.link(id);
    if (link === undefined || !link.exists || link.restoring) return false;
    link.touched = performance.now();
    return true;
  }

  #ending(socket: Socket): boolean {
    return this.#engine?.link(socket.id)?.ending ?? true;
  }

  /** Makes the rooms here those of the daemon, which somebody else has changed. */
  restore(connection: Connection): void {
    const id = connection.id ?? "";
    const now = new Set(connection.rooms);
    for (const room of [...(this.sids.get(id) ?? [])]) if (!now.has(room)) void super.del(id, room);
    void super.addAll(id, now);
  }

  #target({ rooms, except, flags }: BroadcastOptions): Target {
    const owner = flags?.local ? this.#engine?.owner : undefined;
    return { namespace: this.nsp.name, rooms: [...rooms], except: [...(except ?? [])], all: rooms.size === 0, owner };
  }

  // This process's own sockets of a target.
  #local(opts: BroadcastOptions): Socket[] {
    const sockets: Socket[] = [];
    (this as unknown as { apply(opts: BroadcastOptions, callback: (socket: Socket) => void): void }).apply(opts, (socket) => sockets.push(socket));
    return sockets;
  }

  override broadcast(packet: Packet, opts: BroadcastOptions): void {
    const engine = this.#engine;
    if (!engine) return;
    const [event, ...args] = packet.data as [string, ...unknown[]];
    const flags = opts.flags ?? {};
    if (packet.id !== undefined) {
      // socket.emit() with a callback, which socket.io sends this way with connection state recovery.
      const [id] = opts.rooms;
      const link = engine.link(id ?? "");
      if (link) engine.emitTo(link, packet, flags);
      return;
    }
    if (this.#heard()) {
      packet.nsp = this.nsp.name;
      for (const socket of this.#local(opts)) {
        (socket as unknown as { notifyOutgoingListeners(packet: Packet): void }).notifyOutgoingListeners(packet);
        (socket.conn as unknown as { created(packet: Packet, options: object): void }).created(packet, flags);
      }
    }
    const to = this.#target(opts);
    if (this.#followsAtOnce(to, flags.volatile)) return;
    engine.post({ $case: "emit", value: { to, event: String(event), ...encodeArgs(args), volatile: flags.volatile, compress: flags.compress } });
  }

  // Whether something was sent to the same target in this turn of the event loop: then its transports have not taken that yet,
  // and a volatile event is dropped.
  #followsAtOnce(to: Target, volatile = false): boolean {
    if (this.#sent.push(to) === 1 && this.#sentTo.size === 0) {
      setImmediate(() => {
        this.#sent = [];
        this.#sentTo.clear();
      });
    }
    if (!volatile) return false;
    const last = nameOf(this.#sent.pop()!);
    for (const earlier of this.#sent.splice(0)) this.#sentTo.add(nameOf(earlier));
    const follows = this.#sentTo.has(last);
    this.#sentTo.add(last);
    return follows;
  }

  /** Says that somebody listens to what is sent to this socket. */
  overhear(socket: Socket): void {
    this.#overheard.add(socket);
  }

  // Whether anybody here wants to know what is sent. Most programs do not, and have many sockets.
  #heard(): boolean {
    for (const socket of this.#overheard) {
      if (socket.listenersAnyOutgoing().length === 0 || this.#engine?.link(socket.id)?.socket !== socket) this.#overheard.delete(socket);
    }
    return this.#overheard.size > 0 || Boolean(this.#engine?.watched);
  }

  override broadcastWithAck(packet: Packet, opts: BroadcastOptions, clientCountCallback: (count: number) => void, ack: (...args: unknown[]) => void): void {
    const engine = this.#engine;
    if (!engine) return clientCountCallback(0);
    const [event, ...args] = packet.data as [string, ...unknown[]];
    const flags = opts.flags ?? {};
    packet.nsp = this.nsp.name;
    if (this.#heard()) {
      for (const socket of this.#local(opts)) (socket as unknown as { notifyOutgoingListeners(packet: Packet): void }).notifyOutgoingListeners(packet);
    }
    const emit = { to: this.#target(opts), event: String(event), ...encodeArgs(args), volatile: flags.volatile, compress: flags.compress };
    const timeout = duration(Math.max(1, Math.min(flags.timeout ?? longestMs, longestMs)));
    engine.daemon.commands.send({ operation: { $case: "emitWithAck", value: { emit, timeout } } }, (result) => {
      if (result instanceof FanoutdError) return engine.report(result);
      if (result.status?.code) return engine.report(FanoutdError.fromStatus(result.status));
      const response = result.answer?.$case === "emitWithAck" ? result.answer.value.response : undefined;
      // Where a node was not asked, the answers are never all there: the caller's time runs out.
      if (response?.$case === "started" && !response.value.unreachable?.length) clientCountCallback(response.value.expected ?? 0);
      if (response?.$case === "ack") ack(...decodeArgs(response.value.argsJson ?? "", response.value.attachments));
    });
  }

  /** To socket.io's callers there is one server, the daemon. */
  override serverCount(): Promise<number> {
    return Promise.resolve(1);
  }

  override async sockets(rooms: Set<Room>): Promise<Set<SocketId>> {
    const ids = new Set<SocketId>();
    for (const { id } of await this.#list({ rooms })) ids.add(id ?? "");
    return ids;
  }

  // Sees what was asked for before. Fails with a PartialError if any are missing, as the reference's adapter does for a server that is silent.
  async #list(opts: BroadcastOptions): Promise<Connection[]> {
    if (!this.#engine) return [];
    const { daemon } = this.#engine;
    await daemon.commands.barrier();
    const connections: Connection[] = [];
    for await (const connection of daemon.list(this.#target(opts), Connection_View.FULL)) connections.push(connection);
    return connections;
  }

  override async fetchSockets(opts: BroadcastOptions): Promise<unknown[]> {
    if (opts.flags?.local) return this.#local(opts);
    return (await this.#list(opts)).map((connection) => {
      const id = connection.id ?? "";
      return this.nsp.sockets.get(id) ?? { id, handshake: handshakeOf(connection), rooms: connection.rooms ?? [], data: dataOf(connection) };
    });
  }

  override addSockets(opts: BroadcastOptions, rooms: Room[]): void {
    rooms = this.#named(rooms);
    if (rooms.length === 0) return;
    const locals = this.#local(opts);
    this.#engine?.post({ $case: "join", value: { to: this.#target(opts), rooms } });
    for (const { id } of locals) {
      void super.addAll(id, new Set(rooms));
      this.#told(id);
    }
  }

  override delSockets(opts: BroadcastOptions, rooms: Room[]): void {
    rooms = rooms.filter((room) => room !== ""); // nobody is in it
    if (rooms.length === 0) return;
    const locals = this.#local(opts);
    this.#engine?.post({ $case: "leave", value: { to: this.#target(opts), rooms } });
    for (const { id } of locals) {
      for (const room of rooms) void super.del(id, room);
      this.#told(id);
    }
  }

  override disconnectSockets(opts: BroadcastOptions, close: boolean): void {
    const locals = this.#local(opts);
    const mode = close ? DisconnectRequest_Mode.SESSION : DisconnectRequest_Mode.NAMESPACE;
    this.#engine?.post({ $case: "disconnect", value: { to: this.#target(opts), mode } });
    for (const socket of locals) socket.disconnect(close);
  }

  /** Says something to the other processes of the program's group; with a callback their answers are awaited, for 5 seconds, and any that is missing is an error beside the others. */
  override serverSideEmit(packet: unknown[]): void {
    const engine = this.#engine;
    if (!engine) return;
    const last = packet[packet.length - 1];
    const ack = typeof last === "function" ? (last as (err: Error | null, responses: unknown[]) => void) : undefined;
    const args = ack ? packet.slice(0, -1) : packet;
    const { group } = engine.owner;
    const publish = { topic: serverSideTopic, group, except: engine.owner, ...encodeArgs([this.nsp.name, ...args]), timeout: ack ? duration(serverSideMs) : undefined };
    engine.daemon.execute({ operation: { $case: "publish", value: publish } }).then(
      (answer) => {
        if (answer?.$case !== "publish" || !ack) return;
        const { answers = [], missing = [], matched = 0, partial, unreachable = [] } = answer.value;
        const responses = answers.map(({ argsJson = "", attachments }) => decodeArgs(argsJson, attachments)[0]);
        const away = partial ? `, and nodes did not answer: ${unreachable.join(", ")}` : "";
        const err = missing.length > 0 || partial ? new Error(`timeout reached: only ${responses.length} responses received out of ${matched}${away}`) : null;
        ack(err, responses);
      },
      (err: Error) => (ack ? ack(err, []) : engine.report(err)),
    );
  }
}

function nameOf({ rooms, except }: Target): string {
  return JSON.stringify([rooms, except]);
}

function handshakeOf(connection: Connection): object {
  const { handshake = {} } = connection;
  const request = handshakeRequest(handshake);
  const issuedAt = handshake.issuedAt ?? new Date(0);
  return {
    headers: request.headers,
    time: String(issuedAt),
    address: request.socket.remoteAddress,
    xdomain: Boolean(request.headers.origin),
    secure: Boolean(handshake.secure),
    issued: issuedAt.getTime(),
    url: request.url,
    query: request._query,
    auth: authOf(connection),
  };
}
