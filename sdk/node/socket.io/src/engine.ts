import { EventEmitter } from "node:events";

import {
  apart,
  type Connection,
  Daemon,
  decodeArgs,
  type Delivery,
  DisconnectRequest_Mode,
  duration,
  encodeArgs,
  Event_Cause,
  Event_Kind,
  FanoutdError,
  type GetConnectionResponse,
  type GetServerInfoResponse,
  type Operation,
  type ResultHandler,
  Subscription,
} from "@fanoutd/client";
import type { Packet } from "socket.io-parser";

import { Conn, type WriteOptions } from "./conn.js";
import { authOf, dataOf, Link, Phase } from "./link.js";
import { type Middleware, runMiddlewares } from "./middleware.js";
import type { FanoutdOptions } from "./options.js";
import { PacketType } from "./parser.js";

/** The topic of what processes say to each other: the namespace, the event and its arguments. */
export const serverSideTopic = "socket.io";

const defaultGroup = "socket.io";

// How long a call waits at most: socket.io itself ends the waiting where there is a timeout.
const longestCallMs = 24 * 3600 * 1000;

// How often data that changed outside of handlers are looked for.
const dataSweepMs = 1_000;

// How long a change of this process's own may take until it is in what the daemon tells.
const settledMs = 2_000;

// How long the settling of events may wait for more of them.
const settleMs = 5;

const quiet = { quiet: true };

// How long the daemon has to name what this process owns, after the stream came back.
const assignmentMs = 10_000;

// How long the same warning is not repeated.
const warnAgainMs = 60_000;

/**
 * What stands in the place of Engine.IO: connections come from the daemon's events, and packets go as its operations.
 * As `io.engine` it has `clientsCount` and emits "connection" for each browser's session.
 */
export class Engine extends EventEmitter {
  /** What the program set, for who reads it. */
  readonly opts: object;
  readonly daemon: Daemon;
  /** Somebody listens for "packetCreate": packets that are sent to many are told too. */
  watched = false;

  readonly #options: FanoutdOptions;
  readonly #conns = new Map<string, Conn>();
  readonly #links = new Map<string, Link>();
  readonly #subscription: Subscription;
  readonly #sweep: NodeJS.Timeout;
  readonly #middlewares: Middleware[] = [];
  readonly #warned = new Map<string, number>(); // when, by message
  #settling: Delivery[] = [];
  // Whose data the handlers of what is to be settled may have changed.
  readonly #handled = new Set<Link>();
  #stream = 0;
  #ended: Promise<void> | undefined;
  /** Resolves when browsers can come: this process is a member of its group. */
  readonly joined: Promise<void>;
  #join: () => void = () => {};
  #info: Promise<GetServerInfoResponse> | undefined;

  constructor(opts: object, options: FanoutdOptions) {
    super();
    this.opts = opts;
    this.#options = options;
    this.daemon = new Daemon(options);
    this.#subscription = new Subscription(
      this.daemon,
      {
        group: options.group ?? defaultGroup,
        consumerId: options.consumerId,
        namespaces: options.namespaces,
        lifecycle: true,
        authorize: true,
        skipExisting: true,
        assignments: true,
        maxInFlight: 10_000,
        topics: [serverSideTopic],
      },
      {
        ready: () => this.#ready(),
        delivery: (delivery) => this.#take(delivery),
        assigned: (connections, tooLarge) => this.#assigned(connections, tooLarge),
        released: (ids) => ids.forEach((id) => this.#release(id)),
        changed: (connections, tooLarge) => {
          for (const connection of connections) this.#changed(connection);
          for (const id of tooLarge) {
            const link = this.#links.get(id);
            if (link) void this.#refresh(link);
          }
        },
        published: (published) => {
          const [namespace, ...args] = decodeArgs(published.argsJson ?? "", published.attachments);
          const answer = published.replyExpected ? once((value: unknown) => this.#subscription.answer(published, value)) : undefined;
          this.emit("server side", namespace, answer ? [...args, answer] : args);
        },
        cancelled: (ids) => this.#cancelled(ids),
        refused: (id, err) => {
          this.#cancelled([id]);
          this.report(err);
        },
        disconnected: (err) => this.report(err),
      },
    );
    this.daemon.commands.consumer = this.owner;
    this.joined = new Promise((resolve) => (this.#join = resolve));
    this.#sweep = setInterval(() => this.#syncAll(), dataSweepMs);
    this.#sweep.unref();
    this.on("newListener", (event) => {
      if (event === "initial_headers" || event === "headers" || event === "connection_error") {
        throw new Error(`io.engine.on("${String(event)}"): fanoutd answers the handshakes of browsers, so this process has no part in it; the daemon's setting initial-headers adds headers, and its metrics count refusals`);
      }
    });
  }

  /** Begins to hear of browsers. */
  start(): void {
    this.#ended ??= this.#subscription.run().catch((err: unknown) => this.report(err as Error));
  }

  /** This process, as targets name it. */
  get owner(): { group: string; consumerId: string } {
    return { group: this.#options.group ?? defaultGroup, consumerId: this.#subscription.consumerId };
  }

  /** Sessions that this process has connections of. */
  get clientsCount(): number {
    return this.#conns.size;
  }

  get clients(): Record<string, Conn> {
    return Object.fromEntries(this.#conns);
  }

  get generateId(): never {
    throw new Error("io.engine.generateId: fanoutd makes the ids of sessions, which are secrets of the daemon's");
  }

  set generateId(_: unknown) {
    throw new Error("io.engine.generateId: fanoutd makes the ids of sessions; use what socket.io's documentation says about socket.id, or socket.data");
  }

  /**
   * Runs a middleware of Express's kind for each session that comes, with the request as far as the daemon
   * shows it. What it answers goes nowhere, but that a client whose middleware fails, or ends the response, is not let in.
   */
  use(middleware: Middleware): this {
    this.#middlewares.push(middleware);
    return this;
  }

  /** The node that is connected to. */
  info(): Promise<GetServerInfoResponse> {
    this.#info ??= this.daemon.unary<GetServerInfoResponse>(({ admin }, metadata, options, done) => admin.getServerInfo({}, metadata, options, done));
    this.#info.catch(() => (this.#info = undefined));
    return this.#info;
  }

  /**
   * Says that something failed that nobody waits for: "fanoutd_error", or a warning where nobody listens for it. Many
   * may fail for the same reason, as when the daemon is away; that is one warning a minute.
   */
  report(err: Error): void {
    if (this.emit("fanoutd_error", err)) return;
    const now = performance.now();
    if (now - (this.#warned.get(err.message) ?? -Infinity) < warnAgainMs) return;
    if (this.#warned.size >= 100) this.#warned.clear();
    this.#warned.set(err.message, now);
    process.emitWarning(`fanoutd: ${err.message}`, "FanoutdWarning");
  }

  /** Hands the connections back to the daemon, which gives them to another process, or keeps them for the next. */
  async close(): Promise<void> {
    clearInterval(this.#sweep);
    this.#subscription.leave();
    await this.#ended;
    this.#syncAll();
    this.releaseAll();
    await this.daemon.close();
  }

  /** Lets go of every socket, as `close` does in the end. */
  releaseAll(): void {
    for (const id of [...this.#links.keys()]) this.#release(id);
    for (const conn of [...this.#conns.values()]) conn.closed("released"); // whose clients were turned away
  }

  // What packets become.

  /** Sends an event to one connection. */
  emitTo(link: Link, packet: Packet, options: WriteOptions): void {
    const [event, ...args] = packet.data as [string, ...unknown[]];
    const { id, namespace } = link;
    if (packet.id === undefined) {
      this.post({
        $case: "emit",
        value: { to: { namespace, ids: [id] }, event: String(event), ...encodeArgs(args), volatile: options.volatile, compress: options.compress },
      });
      return;
    }
    const timeout = duration(Math.max(1, Math.min(options.timeout ?? longestCallMs, longestCallMs)));
    this.daemon.commands.send({ operation: { $case: "call", value: { namespace, id, event: String(event), ...encodeArgs(args), timeout } } }, (result) => {
      if (result instanceof FanoutdError) return this.report(result);
      if (result.answer?.$case !== "call") return this.#callFailed(FanoutdError.fromStatus(result.status ?? {}));
      if (link.socket?.connected !== true) return;
      const { argsJson = "", attachments } = result.answer.value;
      link.conn.emit("data", { type: PacketType.ACK, nsp: namespace, id: packet.id, data: decodeArgs(argsJson, attachments) });
    });
  }

  // A client that does not answer, or has gone, is what socket.io's own timeouts and events tell of.
  #callFailed(err: FanoutdError): void {
    if (err.code === "INVALID_ARGUMENT" || err.code === "PERMISSION_DENIED" || err.code === "RESOURCE_EXHAUSTED") this.report(err);
  }

  /** Answers the callback of a browser's event: the packet's id is the delivery's. */
  reply(link: Link, packet: Packet): void {
    this.#sync(link); // who is answered may count on it
    this.post({ $case: "reply", value: { deliveryId: packet.id as unknown as string, ...encodeArgs(packet.data as unknown[]) } });
  }

  /** Turns a client away. */
  refuse(link: Link, error: string | { message?: string; data?: unknown }): void {
    if (link.connecting === undefined || link.phase !== Phase.Deciding) {
      // It is connected, and the program does not want it: its client asks anew, with its credentials.
      this.post({ $case: "disconnect", value: { to: { namespace: link.namespace, ids: [link.id] }, mode: DisconnectRequest_Mode.TRANSPORT, reason: "not authorized by the process that took over" } });
      return this.#drop(link);
    }
    const { message, data } = typeof error === "string" ? { message: error, data: undefined } : error;
    const dataJson = data === undefined ? "" : JSON.stringify(data);
    this.#subscription.verdict(link.connecting, { $case: "refuse", value: { message, dataJson } });
    this.#drop(link);
  }

  /** Lets a client in; `admit` is called when it is. */
  allow(link: Link, rooms: string[], admit: () => void): void {
    const { socket } = link;
    link.phase = Phase.Admitted;
    link.admit = admit;
    const dataJson = this.#dataJson(link);
    if (dataJson !== undefined) link.data = dataJson;
    const userId = socket && this.#options.user?.(socket);
    this.#subscription.verdict(link.connecting!, { $case: "allow", value: { rooms, dataJson: dataJson === "{}" ? "" : dataJson, userId } });
  }

  /** Ends a connection; its client stays away. */
  disconnect(link: Link): void {
    link.ending = true;
    this.post({ $case: "disconnect", value: { to: { namespace: link.namespace, ids: [link.id] } } });
  }

  /** Ends all connections of a session. */
  closeSession(conn: Conn): void {
    for (const link of conn.links.values()) link.ending = true;
    const link = [...conn.links.values()].find(({ exists }) => exists);
    if (link) this.post({ $case: "disconnect", value: { to: { namespace: link.namespace, ids: [link.id] }, mode: DisconnectRequest_Mode.SESSION } });
    for (const { connecting, phase } of conn.links.values()) {
      if (connecting && phase === Phase.Deciding) this.#subscription.verdict(connecting, { $case: "refuse", value: { retry: true } });
    }
  }

  /** Gives an operation whose outcome nobody waits for, but if it is refused. */
  post(operation: NonNullable<Operation["operation"]>): void {
    this.daemon.commands.send({ operation }, operation.$case === "reply" ? this.#unanswered : this.#refused, quiet);
  }

  // One function for all operations: there are many. A browser that has gone is no mistake.
  readonly #refused: ResultHandler = (result) => {
    if (result instanceof FanoutdError) return this.report(result);
    const { code = 0 } = result.status ?? {};
    if (code !== 0 && code !== 5) this.report(FanoutdError.fromStatus(result.status!));
  };

  // Nor is one that waits for no reply any more: FAILED_PRECONDITION, which of others is that of too much data, or too many rooms.
  readonly #unanswered: ResultHandler = (result, last) => {
    if (result instanceof FanoutdError || result.status?.code !== 9) this.#refused(result, last);
  };

  /** What carries a connection. */
  async transportOf({ namespace, id }: Link): Promise<string> {
    const answer = await this.daemon.unary<GetConnectionResponse>(({ registry }, metadata, options, done) => registry.getConnection({ namespace, id }, metadata, options, done));
    return answer.connection?.transport ?? "";
  }

  /** The connection of a socket. */
  link(id: string): Link | undefined {
    return this.#links.get(id);
  }

  forget(conn: Conn): void {
    if (this.#conns.get(conn.id) === conn) this.#conns.delete(conn.id);
  }

  // What events become.

  #take(delivery: Delivery): void {
    const { event } = delivery;
    switch (event.kind) {
      case Event_Kind.CONNECTING:
        return this.#connecting(delivery);
      case Event_Kind.CONNECTED:
        apart(() => this.#connected(event.connection!));
        break;
      case Event_Kind.DISCONNECTED:
      case Event_Kind.MESSAGE: {
        const link = this.#links.get(event.connectionId ?? "");
        if (link && link.phase !== Phase.Open) {
          link.waiting.push(delivery);
          return;
        }
        if (link) apart(() => this.#handle(link, delivery));
      }
    }
    this.#settle(delivery);
  }

  // Settles an event once what its handlers have done at once is done: a process that dies before that has not handled it.
  #settle(delivery: Delivery): void {
    if (this.#settling.push(delivery) > 1) return;
    setImmediate(() => {
      const deliveries = this.#settling;
      this.#settling = [];
      this.#handled.forEach((link) => this.#sync(link));
      this.#handled.clear();
      void this.daemon.commands.barrier(settleMs).then(() => deliveries.forEach((one) => this.#subscription.ack(one)));
    });
  }

  #handle(link: Link, { event }: Delivery): void {
    if (event.kind === Event_Kind.DISCONNECTED) return this.#disconnected(link, event.cause!, event.reason ?? "", event.detail ?? "");
    if (link.socket?.connected !== true || link.conn.readyState !== "open") return;
    link.conn.emit("data", {
      type: PacketType.EVENT,
      nsp: link.namespace,
      data: [event.event, ...decodeArgs(event.argsJson ?? "", event.attachments)],
      id: event.replyExpected ? event.deliveryId : undefined,
    });
    this.#handled.add(link);
  }

  #connecting(delivery: Delivery): void {
    const { event } = delivery;
    const connection = event.connection!;
    const [auth] = decodeArgs(event.argsJson ?? "");
    const id = event.connectionId ?? "";
    const earlier = this.#links.get(id); // the same question once more, or a client that comes back
    if (earlier) this.#disconnected(earlier, Event_Cause.REPLACED, "transport close", "");
    this.#admit(new Link(this.#conn(connection), id, event.namespace ?? "/", delivery, connection), auth);
  }

  #admit(link: Link, auth: unknown): void {
    const { conn, namespace } = link;
    const before = conn.links.get(namespace);
    if (before) this.#disconnected(before, Event_Cause.REPLACED, "transport close", "");
    this.#links.set(link.id, link);
    conn.links.set(namespace, link);
    link.stream = this.#stream;
    const nsp = conn.protocol === 3 ? `${namespace}?${new URLSearchParams((auth ?? {}) as Record<string, string>)}` : namespace;
    runMiddlewares([...this.#middlewares], conn.request, (err) => {
      if (link.phase === Phase.Closed) return;
      if (err) return this.refuse(link, { message: err.message });
      conn.emit("data", { type: PacketType.CONNECT, nsp, data: auth ?? {} });
    });
  }

  #conn(connection: Connection): Conn {
    const session = connection.session ?? "";
    let conn = this.#conns.get(session);
    if (conn) return conn;
    conn = new Conn(this, connection);
    this.#conns.set(session, conn);
    // socket.io connects a client of protocol 3 to "/" by itself; here the daemon has done so.
    this.emit("connection", conn);
    conn.protocol = connection.protocol ?? 4;
    return conn;
  }

  #connected(connection: Connection): void {
    const link = this.#links.get(connection.id ?? "");
    if (!link) return this.#adopt(connection);
    if (link.phase !== Phase.Admitted) return;
    link.connected = connection;
    link.admit?.();
  }

  /** The program has its socket: what came before that follows. */
  opened(link: Link): void {
    link.phase = Phase.Open;
    setImmediate(() => {
      for (const delivery of link.waiting.splice(0)) {
        if (link.phase === Phase.Open) apart(() => this.#handle(link, delivery));
        this.#settle(delivery);
      }
      this.#sync(link);
    });
  }

  #disconnected(link: Link, cause: Event_Cause, reason: string, detail: string): void {
    const { conn, socket } = link;
    link.ending = true;
    if (socket?.connected) {
      if (cause === Event_Cause.PROTOCOL) apart(() => socket._onerror(protocolError(detail || reason)));
      apart(() => socket._onclose(reason as Parameters<typeof socket._onclose>[0], detail || undefined));
    }
    this.#drop(link);
    if (conn.links.size === 0) conn.closed(cause === Event_Cause.CLIENT_LEFT ? "transport close" : reason, detail || undefined);
  }

  // Forgets a connection, and a session without any.
  #drop(link: Link): void {
    link.phase = Phase.Closed;
    if (this.#links.get(link.id) === link) this.#links.delete(link.id);
    if (link.conn.links.get(link.namespace) === link) link.conn.links.delete(link.namespace);
    for (const delivery of link.waiting.splice(0)) this.#settle(delivery);
  }

  #cancelled(ids: string[]): void {
    const gone = new Set(ids);
    for (const link of this.#links.values()) {
      if (!link.connecting || link.phase === Phase.Open || !gone.has(link.connecting.event.deliveryId ?? "")) continue;
      this.#drop(link);
      if (link.conn.links.size === 0) link.conn.closed("transport close");
      link.socket?._cleanup();
    }
  }

  // Who owns what.

  #ready(): void {
    this.#join();
    const stream = ++this.#stream;
    for (const link of this.#links.values()) if (!link.exists) this.#lost(link); // its CONNECTING comes again
    setTimeout(() => {
      if (stream === this.#stream) void this.#reviewOwned(stream);
    }, assignmentMs).unref();
  }

  #lost(link: Link): void {
    this.#drop(link);
    link.socket?._cleanup();
    if (link.conn.links.size === 0) link.conn.closed("transport close");
  }

  // Those that the daemon did not name again have moved to another process, or ended while nobody looked.
  async #reviewOwned(stream: number): Promise<void> {
    const stale = [...this.#links.values()].filter((link) => link.stream !== stream && link.exists);
    for (const link of stale) {
      let there = true;
      try {
        await this.transportOf(link);
      } catch (err) {
        if ((err as FanoutdError).code === "NOT_FOUND") there = false;
      }
      if (link.stream === stream || link.phase === Phase.Closed) continue;
      if (there) this.#release(link.id);
      else this.#disconnected(link, Event_Cause.TRANSPORT_CLOSE, "transport close", "");
    }
  }

  #assigned(connections: Connection[], tooLarge: string[]): void {
    for (const connection of connections) {
      const link = this.#links.get(connection.id ?? "");
      if (link) {
        link.stream = this.#stream;
        this.#changed(connection);
      } else this.#adopt(connection);
    }
    if (tooLarge.length > 0) this.report(new Error(`${tooLarge.length} connections are too large to be taken over`));
  }

  // Somebody else has changed the rooms or the data of a connection. What this process did a moment ago may not be in there yet.
  #changed(connection: Connection): void {
    const link = this.#links.get(connection.id ?? "");
    if (link?.phase !== Phase.Open) return;
    if (performance.now() - link.touched > settledMs) this.#apply(link, connection);
    else void this.#refresh(link);
  }

  async #refresh(link: Link): Promise<void> {
    const { namespace, id } = link;
    for (let tries = 0; tries < 5 && link.phase === Phase.Open; tries++) {
      const { touched } = link;
      try {
        await this.daemon.commands.barrier();
        const { connection } = await this.daemon.unary<GetConnectionResponse>(({ registry }, metadata, options, done) => registry.getConnection({ namespace, id }, metadata, options, done));
        if (touched === link.touched) return this.#apply(link, connection!);
      } catch {
        return; // it has gone, which is told in another way
      }
    }
  }

  #apply(link: Link, connection: Connection): void {
    const { socket } = link;
    if (socket?.connected !== true) return;
    this.emit("changed", socket, connection);
    const data = dataOf(connection);
    const dataJson = JSON.stringify(data);
    if (dataJson === link.data || this.#dataJson(link) !== link.data) return; // the program's own change comes last
    link.data = dataJson;
    socket.data = data;
  }

  // A connection that was there before this process had it.
  #adopt(connection: Connection): void {
    const conn = this.#conn(connection);
    const link = new Link(conn, connection.id ?? "", connection.namespace ?? "/", undefined, connection);
    link.data = JSON.stringify(dataOf(connection));
    this.#admit(link, authOf(connection));
  }

  // A connection is another process's now. It lives on, so nobody is told that it disconnected.
  #release(id: string): void {
    const link = this.#links.get(id);
    if (!link) return;
    const { conn, socket } = link;
    link.ending = true;
    this.#drop(link);
    if (socket?.connected) {
      socket.connected = false;
      socket._cleanup();
      socket.client._remove(socket);
      for (const listener of socket.listeners("released" as never)) apart(() => (listener as () => void).call(socket));
    } else socket?._cleanup();
    if (conn.links.size === 0) conn.closed("released");
  }

  // Data.

  #syncAll(): void {
    for (const link of this.#links.values()) this.#sync(link);
  }

  #sync(link: Link): void {
    if (!link.exists) return;
    const dataJson = this.#dataJson(link);
    if (dataJson === undefined || dataJson === link.data) return;
    link.data = dataJson;
    link.touched = performance.now();
    this.post({ $case: "update", value: { namespace: link.namespace, id: link.id, dataJson, replace: true } });
  }

  // The data of a socket as JSON. Undefined: there is no saying it so.
  #dataJson(link: Link): string | undefined {
    const data: unknown = link.socket?.data;
    if (data === undefined || data === null || typeof data !== "object") return undefined;
    for (const _ in data) {
      try {
        return JSON.stringify(data);
      } catch (err) {
        if (link.data !== "") this.report(new Error(`socket.data of ${link.id} is no JSON, so it does not outlive this process: ${(err as Error).message}`));
        link.data = "";
        return undefined;
      }
    }
    return "{}";
  }
}

function once(call: (value: unknown) => void): (value: unknown) => void {
  let called = false;
  return (value) => {
    if (called) return;
    called = true;
    call(value);
  };
}

// What socket.io's own parser says of the same fault.
function protocolError(detail: string): Error {
  return new Error(detail.includes("attachments") ? `Illegal attachments (${detail})` : detail);
}
