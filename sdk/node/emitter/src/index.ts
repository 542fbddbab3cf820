import { type AddressOptions, Daemon, DisconnectRequest_Mode, encodeArgs, FanoutdError, type Operation, type ResultHandler, type Target } from "@fanoutd/client";

/** Events by name, with their arguments, as an application declares them. */
export type EventsMap = { [event: string]: (...args: never[]) => void };

/** Any event, with any arguments. */
export type DefaultEventsMap = { [event: string]: (...args: unknown[]) => void };

/** What an emitter may be told. */
export interface EmitterOptions extends AddressOptions {
  /** The group of the program that `serverSideEmit` is for, as in FanoutdOptions of @fanoutd/socket.io. Unset: "socket.io". */
  group?: string;
  /** Hears of what failed: nobody waits for an emit. Unset: it is a warning of the process. */
  onError?: (err: FanoutdError) => void;
}

// Names that Socket.IO keeps for itself.
const reserved = new Set(["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]);

interface Flags {
  volatile?: boolean;
  compress?: boolean;
}

interface Scope {
  daemon: Daemon;
  namespace: string;
  group: string;
  report: (err: FanoutdError) => void;
}

/** Sends to connections of one target. It never changes: each method returns another. */
export class BroadcastOperator<EmitEvents extends EventsMap = DefaultEventsMap> {
  readonly #scope: Scope;
  readonly #rooms: ReadonlySet<string>;
  readonly #except: ReadonlySet<string>;
  readonly #flags: Flags;

  /** @internal */
  constructor(scope: Scope, rooms: ReadonlySet<string> = new Set(), except: ReadonlySet<string> = new Set(), flags: Flags = {}) {
    this.#scope = scope;
    this.#rooms = rooms;
    this.#except = except;
    this.#flags = flags;
  }

  /** Means the members of these rooms; said several times, of all of them, once each. */
  to(room: string | string[]): BroadcastOperator<EmitEvents> {
    return new BroadcastOperator(this.#scope, new Set([...this.#rooms, ...listOf(room)]), this.#except, this.#flags);
  }

  /** As `to`. */
  in(room: string | string[]): BroadcastOperator<EmitEvents> {
    return this.to(room);
  }

  /** Leaves out the members of these rooms. */
  except(room: string | string[]): BroadcastOperator<EmitEvents> {
    return new BroadcastOperator(this.#scope, this.#rooms, new Set([...this.#except, ...listOf(room)]), this.#flags);
  }

  /** Whether transports that negotiated compression compress what is sent. */
  compress(compress: boolean): BroadcastOperator<EmitEvents> {
    return new BroadcastOperator(this.#scope, this.#rooms, this.#except, { ...this.#flags, compress });
  }

  /** Drops what is sent for who cannot take it at once. */
  get volatile(): BroadcastOperator<EmitEvents> {
    return new BroadcastOperator(this.#scope, this.#rooms, this.#except, { ...this.#flags, volatile: true });
  }

  /** Sends an event. */
  emit<Event extends keyof EmitEvents & string>(event: Event, ...args: Parameters<EmitEvents[Event]>): true {
    if (reserved.has(event)) throw new Error(`"${event}" is a reserved event name`);
    this.#send({ $case: "emit", value: { to: this.#target(), event, ...encodeArgs(args), ...this.#flags } });
    return true;
  }

  /** Puts the connections into rooms. */
  socketsJoin(rooms: string | string[]): void {
    this.#send({ $case: "join", value: { to: this.#target(), rooms: listOf(rooms) } });
  }

  /** Takes the connections out of rooms. */
  socketsLeave(rooms: string | string[]): void {
    this.#send({ $case: "leave", value: { to: this.#target(), rooms: listOf(rooms) } });
  }

  /** Ends the connections; with `close` those of their clients in all namespaces. The clients stay away. */
  disconnectSockets(close = false): void {
    const mode = close ? DisconnectRequest_Mode.SESSION : DisconnectRequest_Mode.NAMESPACE;
    this.#send({ $case: "disconnect", value: { to: this.#target(), mode } });
  }

  #target(): Target {
    return { namespace: this.#scope.namespace, rooms: [...this.#rooms], except: [...this.#except], all: this.#rooms.size === 0 };
  }

  #send(operation: NonNullable<Operation["operation"]>): void {
    const { daemon, report } = this.#scope;
    const failed: ResultHandler = (result) => {
      if (result instanceof FanoutdError) report(result);
      else if (result.status?.code) report(FanoutdError.fromStatus(result.status));
    };
    daemon.commands.send({ operation }, failed, { quiet: true });
  }
}

/** Sends to the browsers of fanoutd, in the order in which it is told to. Nothing waits: what fails is told to `onError`. */
export class Emitter<EmitEvents extends EventsMap = DefaultEventsMap> {
  readonly #scope: Scope;

  /** For a daemon that is connected to already, or at an address. `nsp` is the namespace; "/" if it is left out. */
  constructor(daemon: Daemon | EmitterOptions = {}, nsp = "/") {
    const onError = daemon instanceof Daemon ? undefined : daemon.onError;
    this.#scope = {
      daemon: daemon instanceof Daemon ? daemon : new Daemon(daemon),
      namespace: nsp,
      group: (daemon instanceof Daemon ? undefined : daemon.group) ?? "socket.io",
      report: onError ?? ((err) => process.emitWarning(`fanoutd: ${err.message}`, "FanoutdWarning")),
    };
  }

  /** An emitter for another namespace, over the same connection. */
  of(nsp: string): Emitter<EmitEvents> {
    const other = new Emitter<EmitEvents>(this.#scope.daemon, nsp.startsWith("/") ? nsp : `/${nsp}`);
    other.#scope.report = this.#scope.report;
    other.#scope.group = this.#scope.group;
    return other;
  }

  get #all(): BroadcastOperator<EmitEvents> {
    return new BroadcastOperator(this.#scope);
  }

  /** As those of BroadcastOperator, for everybody in the namespace. */
  emit<Event extends keyof EmitEvents & string>(event: Event, ...args: Parameters<EmitEvents[Event]>): true {
    return this.#all.emit(event, ...args);
  }

  to(room: string | string[]): BroadcastOperator<EmitEvents> {
    return this.#all.to(room);
  }

  in(room: string | string[]): BroadcastOperator<EmitEvents> {
    return this.#all.to(room);
  }

  except(room: string | string[]): BroadcastOperator<EmitEvents> {
    return this.#all.except(room);
  }

  get volatile(): BroadcastOperator<EmitEvents> {
    return this.#all.volatile;
  }

  compress(compress: boolean): BroadcastOperator<EmitEvents> {
    return this.#all.compress(compress);
  }

  socketsJoin(rooms: string | string[]): void {
    this.#all.socketsJoin(rooms);
  }

  socketsLeave(rooms: string | string[]): void {
    this.#all.socketsLeave(rooms);
  }

  disconnectSockets(close = false): void {
    this.#all.disconnectSockets(close);
  }

  /** Says something to the processes of a program that uses @fanoutd/socket.io: they hear it by `io.on(event)`. */
  serverSideEmit(event: string, ...args: unknown[]): void {
    if (typeof args[args.length - 1] === "function") throw new Error("serverSideEmit: an emitter awaits no answers");
    const { daemon, group, namespace, report } = this.#scope;
    daemon.execute({ operation: { $case: "publish", value: { topic: "socket.io", group, ...encodeArgs([namespace, event, ...args]) } } }).catch(report);
  }

  /** Has everything carried out, and closes the connection. */
  close(): Promise<void> {
    return this.#scope.daemon.close();
  }
}

function listOf(rooms: string | string[]): string[] {
  return typeof rooms === "string" ? [rooms] : rooms;
}
