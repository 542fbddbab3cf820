import type { Server as HttpServer } from "node:http";

import { apart, type Connection } from "@fanoutd/client";
import { type DefaultEventsMap, Namespace, Server as SocketIoServer, Socket } from "socket.io";

import { Adapter } from "./adapter.js";
import { Engine } from "./engine.js";
import { type Link, Phase, roomsOf, dataOf } from "./link.js";
import { checkOptions, checkParser, type ServerOptions, warnOfSettings } from "./options.js";
import * as parser from "./parser.js";
import { type CorsMiddleware, proxy } from "./proxy.js";
import type { Conn } from "./conn.js";

// As in socket.io, whose types these are: nothing else takes interfaces of events, and programs read socket.data of theirs untyped.
type EventsMap = Record<string, any>;
type AdapterConstructor = NonNullable<ServerOptions["adapter"]>;
type HttpServerLike = ConstructorParameters<typeof SocketIoServer>[0];

// What socket.io keeps to itself, and this stands on. It is the same from 4.6 on.
interface ServerInternals {
  engine: Engine | undefined;
  eio: Engine | undefined;
  httpServer: HttpServer | undefined;
  opts: Partial<ServerOptions>;
  _path: string;
  _serveClient: boolean;
  _nsps: Map<string, Namespace>;
  attachServe(srv: HttpServer): void;
  initEngine(srv: HttpServer | undefined, opts: Partial<ServerOptions>): void;
  bind(engine: Engine): void;
  _corsMiddleware: CorsMiddleware | undefined;
}

interface NamespaceInternals {
  adapter: Adapter;
  _createSocket(client: ClientInternals, auth: object): Promise<Socket>;
  _onServerSideEmit(args: unknown[]): void;
  _doConnect(socket: Socket, fn: (socket: Socket) => void): void;
}

interface ClientInternals {
  conn: Conn;
  _disconnect(): void;
}

type SessionOf = ConstructorParameters<typeof Socket>[3];

const attached = new WeakSet<Namespace>();

/**
 * The socket.io server, with its browsers connected to fanoutd. Everything that the program does goes on as it was;
 * `close`, and the end of the process, leave the browsers connected.
 */
export class Server<
  ListenEvents extends EventsMap = DefaultEventsMap,
  EmitEvents extends EventsMap = ListenEvents,
  ServerSideEvents extends EventsMap = DefaultEventsMap,
  SocketData = any,
> extends SocketIoServer<ListenEvents, EmitEvents, ServerSideEvents, SocketData> {
  constructor(opts?: Partial<ServerOptions>);
  constructor(srv?: HttpServerLike, opts?: Partial<ServerOptions>);
  constructor(srv?: HttpServerLike | Partial<ServerOptions>, opts: Partial<ServerOptions> = {}) {
    if (typeof srv === "object" && !("listen" in srv)) {
      opts = srv as Partial<ServerOptions>;
      srv = undefined;
    }
    checkParser(opts.parser);
    super(srv as HttpServerLike, { adapter: Adapter, ...opts, parser: parser as unknown as ServerOptions["parser"] });
    const internals = this as unknown as ServerInternals;
    // A program without a port of its own is one too.
    if (!internals.engine && opts.fanoutd) internals.initEngine(undefined, internals.opts);
  }

  override of(...args: Parameters<SocketIoServer<ListenEvents, EmitEvents, ServerSideEvents, SocketData>["of"]>): Namespace<ListenEvents, EmitEvents, ServerSideEvents, SocketData> {
    const nsp = super.of(...args);
    attach(nsp as unknown as Namespace);
    return nsp;
  }

  override adapter(): AdapterConstructor | undefined;
  override adapter(adapter: AdapterConstructor): this;
  override adapter(adapter?: AdapterConstructor): AdapterConstructor | undefined | this {
    if (adapter === undefined) return super.adapter();
    super.adapter(adapter);
    for (const nsp of (this as unknown as ServerInternals)._nsps.values()) warnOfOther(nsp.adapter, this);
    return this;
  }

  /** Hands the browsers back to the daemon, where they stay connected, and closes the HTTP server. Handlers of "disconnect" are not called. */
  override async close(fn?: (err?: Error) => void): Promise<void> {
    const internals = this as unknown as ServerInternals;
    const { engine, httpServer } = internals;
    const closed = new Promise<Error | undefined>((resolve) => {
      if (!httpServer) return resolve(undefined);
      httpServer.close(resolve);
      httpServer.closeAllConnections?.();
    });
    // What has come is handled first, and what handlers emit meanwhile is sent.
    await engine?.close();
    if (internals.engine === engine) internals.engine = internals.eio = undefined;
    fn?.(await closed);
  }

  override attachApp(): never {
    throw new Error("attachApp: browsers connect to fanoutd, so there is nothing for uWebSockets.js to do; attach an http.Server, or nothing");
  }
}

// Private to socket.io, and so no method that TypeScript lets be overridden.
Object.defineProperty(Server.prototype, "initEngine", {
  value(this: ServerInternals, srv: HttpServer | undefined, opts: Partial<ServerOptions>): void {
    checkOptions(this.opts);
    const begun = this.engine;
    const engine = begun ?? new Engine(opts, this.opts.fanoutd ?? {});
    this.eio = engine;
    if (srv) {
      if (this.opts.fanoutd?.proxy) proxy(srv, engine, this._path, this.opts, () => this._corsMiddleware);
      if (this._serveClient) this.attachServe(srv);
      this.httpServer = srv;
    }
    if (begun) return;
    warnOfSettings({ ...opts, ...this.opts });
    this.bind(engine);
    engine.on("changed", (socket: Socket, connection: Connection) => {
      const { adapter } = socket.nsp;
      if (adapter instanceof Adapter) adapter.restore(connection);
    });
    // As in socket.io, who has no such namespace hears nothing.
    engine.on("server side", (namespace: string, args: unknown[]) => {
      (this._nsps.get(namespace) as unknown as NamespaceInternals | undefined)?._onServerSideEmit(args);
    });
    for (const nsp of this._nsps.values()) attach(nsp);
    setImmediate(() => engine.start()); // the program's handlers are there by then
  },
});

// A socket that tells its adapter when somebody wants to know what is sent to it.
class OverheardSocket extends Socket {
  override onAnyOutgoing(listener: (...args: any[]) => void): this {
    this.#tell();
    return super.onAnyOutgoing(listener);
  }

  override prependAnyOutgoing(listener: (...args: any[]) => void): this {
    this.#tell();
    return super.prependAnyOutgoing(listener);
  }

  #tell(): void {
    const { adapter } = this.nsp;
    if (adapter instanceof Adapter) adapter.overhear(this);
  }
}

// Has a namespace make its sockets of the daemon's connections.
function attach(nsp: Namespace): void {
  warnOfOther(nsp.adapter, nsp.server);
  if (attached.has(nsp)) return;
  attached.add(nsp);
  const internals = nsp as unknown as NamespaceInternals;
  const doConnect = internals._doConnect;

  internals._createSocket = async (client, auth) => {
    const link = client.conn.links.get(nsp.name)!;
    const { connection } = link;
    const restored = link.recovered;
    // socket.io's own way to a socket with an id that is given.
    const session = { sid: link.id, pid: "", rooms: restored ? roomsOf(connection) : [], data: restored ? dataOf(connection) : {}, missedPackets: [] };
    link.restoring = true;
    endsAtOnce(client);
    const socket = new OverheardSocket(nsp, client as never, auth as never, session as unknown as SessionOf);
    link.restoring = false;
    (socket as { recovered: boolean }).recovered = restored;
    link.socket = socket;
    return socket;
  };

  internals._doConnect = (socket, fn) => {
    const link = linkOf(socket);
    if (!link || link.phase === Phase.Closed) return void socket._cleanup();
    const { engine } = nsp.server as unknown as ServerInternals;
    const rooms = [...socket.rooms].filter((room) => room !== socket.id);
    const open = () => {
      link.phase = Phase.Open;
      if (link.connected) takeOver(internals.adapter, link, socket);
      // Joined while the verdict was on its way.
      const late = [...socket.rooms].filter((room) => room !== socket.id && !rooms.includes(room));
      if (late.length > 0) internals.adapter.addAll(socket.id, new Set(late));
      apart(() => doConnect.call(nsp, socket, fn));
      engine?.opened(link);
    };
    if (link.phase === Phase.Adopting) return open();
    engine?.allow(link, rooms, open);
  };
}

const warned = new WeakSet<object>();

// One that shares rooms by Redis, say, does so as ever, and the daemon knows none of them.
function warnOfOther(adapter: object, server: object): void {
  if (adapter instanceof Adapter || warned.has(server)) return;
  warned.add(server);
  process.emitWarning(
    "adapter: fanoutd does not know the rooms of another adapter, so they end with this process; processes with the same fanoutd.group share rooms without one",
    "FanoutdWarning",
  );
}

const patched = new WeakSet<ClientInternals>();

// Has disconnect(true) be one act for the daemon, and not one for each namespace.
function endsAtOnce(client: ClientInternals): void {
  if (patched.has(client)) return;
  patched.add(client);
  const disconnect = client._disconnect;
  client._disconnect = () => {
    client.conn.end();
    disconnect.call(client);
  };
}

// What the daemon has of a client that was let in: of one that has come back, its rooms and data.
function takeOver(adapter: Adapter, link: Link, socket: Socket): void {
  const connection = link.connected!;
  (socket as { recovered: boolean }).recovered = link.recovered;
  if (!link.recovered) return;
  if (adapter instanceof Adapter) adapter.restore(connection);
  socket.data = { ...dataOf(connection), ...(socket.data as object) };
}

function linkOf(socket: Socket): Link | undefined {
  const link = (socket.conn as unknown as Conn).links.get(socket.nsp.name);
  return link?.socket === socket ? link : undefined;
}
